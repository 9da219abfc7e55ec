"""What is refused before a run's first job: targets of no cell, more GPUs than this machine has, models that cannot be had.

Jobs are what Snakemake plans to run, each by the name of its rule and its wildcards. What a cluster refuses is checked in
:mod:`embedgrad.runtime.cluster`, who may make a run in :mod:`embedgrad.runtime.run_lock`.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from snakemake_interface_common.exceptions import WorkflowError

from embedgrad.planning.access import look_up
from embedgrad.planning.durations import LOADING, TRAINING
from embedgrad.planning.run_config import RunConfig
from embedgrad.rivals.environment import check_library, interpreter_of
from embedgrad.rivals.table import RIVALS
from embedgrad.schemas.check import hint
from embedgrad_core.files import UserError, printable

Job = tuple[str, Mapping[str, str]]


@contextlib.contextmanager
def as_workflow_error() -> Iterator[None]:
    """Turn a UserError into the error that Snakemake prints without a traceback.

    Raises:
        WorkflowError: in place of a UserError.
    """
    try:
        yield
    except UserError as error:
        raise WorkflowError(str(error)) from None


def check_targets(config: RunConfig, words: Iterable[str]) -> None:
    """Refuse files of a cell that the table does not have, or of another run; rules would fail deep in a lookup.

    Args:
        config: the run's.
        words: of the command line; those that are no result file of a cell are passed over.

    Raises:
        UserError: there is one; names the target, and the cell or run that may have been meant.
    """
    rows = {(name, cell.model) for cell in config.table for name in (cell.dataset, cell.task)}
    names = [f"{dataset}/{model}" for dataset, model in sorted(rows)]
    known = {dataset for dataset, _ in rows}
    for target in words:
        found = re.match(r"results/(?P<run>[^/]+)/(?P<dataset>[^/]+)/(?P<model>[^/]+)/(?P<seed>seed\d+/)?", target)
        if not found or not (found["seed"] or found["dataset"] in known):
            continue
        if found["run"] != config.run:
            raise UserError(
                f"target {target}: the run of this configuration is {config.run}, not {found['run']}; add the --configfile of "
                f"{found['run']}, or name results/{config.run}/…"
            )
        pair = found["dataset"], found["model"]
        if pair not in rows:
            meant = hint("/".join(pair), names)
            raise UserError(f"target {target}: {'/'.join(pair)} is not in {config.values['cell_table']}; {meant}")


def _loading(jobs: Iterable[Job]) -> Iterator[tuple[str, str]]:
    """Rule and model of each job that loads a model; a shard's rule is the one that it is a shard of."""
    for rule, wildcards in jobs:
        kind = rule.removesuffix("_shard")
        if kind in LOADING:
            yield kind, wildcards["model"]


def check_gpus(config: RunConfig, jobs: Iterable[Job], there: int) -> None:
    """On one machine Snakemake cuts what a job asks for down to the GPUs that are ``there``: a model would not fit on it.

    Raises:
        UserError: a job needs more; names its model and rule.
    """
    for kind, model in _loading(jobs):
        needed = config.resources.job(model, kind in TRAINING)["gpu"]
        if needed > there:
            raise UserError(
                f"model {model}: {kind} needs {needed} GPUs, this machine gives {there}; "
                "name a larger GPU, use a cluster's profile or leave its cells out (--config cells=…)."
            )


def check_rivals(config: RunConfig, jobs: Iterable[Job], memory: int) -> None:
    """Refuse to start if a method of one of these jobs lacks its library, its environment or memory: it would fail later.

    Args:
        config: the run.
        jobs: what is planned.
        memory: bytes of this machine, for jobs that run on it.

    Raises:
        WorkflowError: one line for each method.
    """
    told: dict[str, str] = {}
    for rule, wildcards in jobs:
        name = wildcards.get("rival")
        if not name or name in told:
            continue
        rival = RIVALS[name]
        try:
            check_library(rival)
            interpreter_of(rival)
        except UserError as error:
            told[name] = str(error)
            continue
        needed = config.resources.rival_job(wildcards["model"], rival, rule)["mem_mb"] * 10**6
        if needed > memory:
            told[name] = (
                f"rival {name}: {rule} on {wildcards['model']} takes {needed / 1e9:.1f} GB, this machine has {memory / 1e9:.1f} "
                "GB; leave the method or the cell out of rivals, or take a larger machine."
            )
    if told:
        raise WorkflowError("\n".join(printable(line) for line in told.values()))


def check_models(config: RunConfig, jobs: Iterable[Job], log: Callable[[str], None]) -> None:
    """Refuse to start if a model that one of these jobs loads can be had nowhere; says each licence that the hub names.

    Raises:
        WorkflowError: one line for each model that is missing.
    """
    models = sorted({model for _, model in _loading(jobs)})
    found = {name: look_up(name, config.values["models"][name], config.model_folder(name)) for name in models}
    for name, access in found.items():
        if access.licence:
            log(f"model {name}: licence {access.licence}")
    missing = [printable(f"model {name}: {access.missing}") for name, access in found.items() if access.missing]
    if missing:
        raise WorkflowError("\n".join(missing))
