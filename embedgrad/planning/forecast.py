"""Tokens, memory, seconds and disk of each cell: arithmetic from the model's shape, the task's sizes and a machine's rates.

A forecast, not a measurement: answers may be half or twice as long as assumed, and tiny models spend their time outside of
the arithmetic. The formulas stand in :mod:`embedgrad_core.model.costs`.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedgrad.planning.demand import WIDTHS, answer_demand, answer_on_cpu, largest, step_demand, step_on_cpu
from embedgrad.planning.durations import LOADING, TRAINING, Durations
from embedgrad.planning.effort.probes import probe_jobs
from embedgrad.planning.gpus import Machine
from embedgrad.planning.resources import Resources
from embedgrad.planning.run_config import RunConfig
from embedgrad.planning.work import Work
from embedgrad.runtime.clock import clock
from embedgrad_core.files import UserError
from embedgrad_core.model.costs import Shape

# What arithmetic on a configuration of any size and shape may raise; a run goes on without a forecast then.
UNFORESEEN = (UserError, ArithmeticError, LookupError, TypeError, ValueError)


@dataclass(frozen=True)
class CellForecast:
    """What one cell and seed takes.

    Attributes:
        cell: data set/model.
        train_tokens: tokens run forward and backward, all epochs.
        decode_tokens: tokens answered.
        memory: bytes of its largest job.
        train_seconds: of the optimisation.
        decode_seconds: of all its decodings.
        probe_seconds: of its probes, which the first seed alone has.
        disk: bytes of its results.
        fits: whether the largest job fits into the machine.
    """

    cell: str
    train_tokens: int
    decode_tokens: int
    memory: int
    train_seconds: float
    decode_seconds: float
    probe_seconds: float
    disk: int
    fits: bool


def forecast(config: RunConfig, machine: Machine, resources: Resources | None = None) -> list[CellForecast]:
    """Each selected cell for one seed, in the order of the table: the sum of its jobs, its task's own with the first cell of it.

    ``resources`` knows the named GPU, if there is one, and so what is computed again for want of memory.
    """
    resources = resources or config.resources
    durations = Durations(config, machine, resources)
    rows, shared, probes = [], set(), list(probe_jobs(config))
    loaded: set[str] = set()
    for cell in config.cells:
        names = {"dataset": cell.dataset, "task": cell.task, "model": cell.model}
        pair = {"task": cell.task, "model": cell.model}
        jobs = [("after", names), ("analyse", names)]
        if (cell.task, cell.model) not in shared:
            jobs += [("before", pair), ("baselines", pair)]
            jobs += [("chains", pair)] if config.has_own_chains(cell.task) else []
        shared.add((cell.task, cell.model))
        probed = [job for job in probes if job[1].items() >= {"dataset": cell.dataset, "model": cell.model}.items()]
        spec, shape = config.values["models"][cell.model], resources.shape(cell.model)
        work = durations.work(names)
        width = WIDTHS.get(spec["dtype"], machine.bytes_each)
        # One of the probes asks the model's other tasks, too.
        asks_all = any(rule == "probe_transfer_matrix" for rule, _ in probed)
        others = [{"task": task, "model": cell.model} for task in config.tasks_of(cell.model) if asks_all]
        works = [work, *map(durations.work, others)]
        again = resources.checkpointing(cell.model)
        memory = max(_memory(shape, one, config.values, width, again, machine) for one in works)
        answered = sum(durations.tokens(rule, wildcards)[1] for rule, wildcards in jobs)
        probed_answers = sum(durations.tokens(rule, wildcards)[1] for rule, wildcards in probed if rule in LOADING)
        rows.append(
            CellForecast(
                cell=f"{cell.dataset}/{cell.model}",
                train_tokens=durations.tokens("optimize", names)[0],
                decode_tokens=answered,
                memory=memory,
                train_seconds=durations.in_turn("optimize", names, loaded),
                decode_seconds=sum(durations.in_turn(rule, wildcards, loaded) for rule, wildcards in jobs),
                probe_seconds=sum(durations.in_turn(rule, wildcards, loaded) for rule, wildcards in probed),
                # Text of about 5 bytes per token beside a bit more for entropies, once as answered and once as graded; of a probe's
                # answers the text alone.
                disk=answered * 20 + probed_answers * 5 + work.prompt * shape.width * 4,
                fits=memory <= machine.memory,
            )
        )
    return rows


def _memory(shape: Shape, work: Work, values: Mapping, width: int, checkpointing: bool, machine: Machine) -> int:
    """Bytes of the larger of an optimisation and a decoding, on one GPU or in main memory."""
    optimize, decode = values["optimize"], values["decode"]
    if machine.is_gpu:
        demands = step_demand(shape, work, optimize, width, checkpointing), answer_demand(shape, work, decode, width)
        return largest(shape, width, demands, 1)
    libraries = machine.baseline.libraries
    step = step_on_cpu(shape, work, optimize, width, checkpointing, libraries)
    return max(step, answer_on_cpu(shape, work, decode, width, libraries))


def outlook(
    config: RunConfig,
    jobs: Iterable[tuple[str, Mapping[str, str]]],
    machine: Machine,
    resources: Resources | None = None,
) -> str:
    """One sentence on the jobs (rule, wildcards) that a run still has before it: tokens and time, if each has the ``machine``.

    ``resources`` are the needs on that machine, which decide what is computed again for want of memory; by default the run's own.

    Returns:
        Nothing where no job trains or answers.
    """
    durations = Durations(config, machine, resources or config.resources)
    loaded: set[str] = set()
    counts = Counter((rule, tuple(sorted(wildcards.items()))) for rule, wildcards in jobs)
    seconds: dict[str, float] = defaultdict(float)
    trained, answered = 0, 0.0
    for (rule, pairs), count in counts.items():
        wildcards = dict(pairs)
        kind = rule.removesuffix("_shard")
        if kind not in LOADING:
            continue
        of_training, of_answers = durations.tokens(rule, wildcards)
        first, each = (durations.in_turn(rule, wildcards, loaded) for _ in range(2))
        seconds["training" if kind in TRAINING else "answering"] += first + (count - 1) * each
        trained += count * of_training
        answered += count * of_answers / durations.parts(rule, wildcards)
    if not seconds:
        return ""
    made = sum(count for (rule, _), count in counts.items() if rule == "pretrain")
    beside = f", beside the making of {made} tiny model{'s' * (made > 1)}" if made else ""
    return (
        f"{trained:,} tokens to train on, {round(answered):,} to answer: {clock(seconds['training'])} of training and "
        f"{clock(seconds['answering'])} of answering, if one job at a time has {machine.name}{beside}"
    )


def first_lines(
    config: RunConfig, jobs: Iterable[tuple[str, Mapping[str, str]]], configfiles: Sequence[str | Path], has_gpus: bool
) -> list[str]:
    """What a run of ``configfiles`` logs before its first job: its outlook, and how to learn more.

    From shapes and rates alone: measuring this machine would import torch, for seconds.

    Returns:
        Nothing where no job trains or answers. Where no forecast can be made, why: that is no reason not to run.
    """
    try:
        text = outlook(config, jobs, config.resources.machine(has_gpus))
    except UNFORESEEN as error:
        text = f"none could be made ({error})"
    if not text:
        return []
    file = " ".join([" --config", *map(os.path.relpath, configfiles)]) if configfiles else ""
    more = f"by assumed rates; `embedgrad plan{file}` measures this machine and goes by cell"
    return [f"forecast: {text}", f"forecast: {more}"]
