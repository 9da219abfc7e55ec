# Configuration, wildcards and the functions that rules take their inputs, flags and resources from.
import gc
import os
import re
import shlex
import sys
from pathlib import Path

from embedgrad_core.files import UserError, printable
from embedgrad import cards, cluster, run_lock
from embedgrad.config import Config
from embedgrad.runtime.interruption import PARENT
from embedgrad.schemas.plain import check_seed_words
from embedgrad.planning.durations import LOADING, TRAINING
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

HOME = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]


def brought(name):
    """A file that this checkout brings, also where a run lies elsewhere (--directory)."""
    return name if Path(name).exists() else str(HOME / name)


if isinstance(config.get("cell_table"), str):
    config["cell_table"] = brought(config["cell_table"])
try:
    check_seed_words(sys.argv)
    CONFIG = Config.check(config, " + ".join(map(str, workflow.configfiles)) or "config")
    CONFIG.set_environment()
    for cell in CONFIG.cells:
        CONFIG.model_flags(cell.model)  # says at once if a model's folder is not there
    if workflow.is_main_process and not run_lock.hold(CONFIG.run, tidy=not workflow.output_settings.dryrun):
        # A plan may still be made; what would write is refused by start().
        print(f"run {CONFIG.run} is being made here by {run_lock.holder(CONFIG.run)}", file=sys.stderr)
    elif not workflow.is_main_process:
        run_lock.belongs(CONFIG.run)
except UserError as error:
    raise WorkflowError(str(error)) from None
# A DAG is millions of objects that stay: looking through them for garbage takes a seventh of a plan.
gc.set_threshold(50_000, 20, 100)
os.environ[PARENT] = str(os.getpid())  # jobs end with the Snakemake that started them
# On one machine no more jobs than cards, unless told otherwise (--resources gpu=N); a cluster counts its own.
if workflow.is_main_process and workflow.resource_settings.nodes is None and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", max(1, len(cards.visible())))


def one_of(names):
    """A pattern for exactly these names; for none, one that nothing fits."""
    return "|".join(map(re.escape, names)) or "(?!)"


# How a single cell is made again, as the report shows it.
CELL_COMMAND = shlex.join(
    [
        "snakemake",
        "--cores",
        "2",
        *(word for f in workflow.configfiles for word in ("--configfile", str(f))),
        "--config",
    ]
)
RESULTS = f"results/{CONFIG.run}"
FIGURES = f"figures/{CONFIG.run}"
FIGURE_NAMES = ["before_after", "ladder", "limits", "training_curves", "gain", "entropy", "anchoring", "lat"]
SENSITIVITY = ["sensitivity"] if CONFIG.sensitivity else []
SPLITS = ["train.jsonl", "dev.jsonl", "test.jsonl", "split.json"]


# Decodings that several jobs share, and those of one job.
SHARDED_TASKS = one_of(task for task in CONFIG.values["tasks"] if CONFIG.shards(task) > 1)
WHOLE_TASKS = one_of(task for task in CONFIG.values["tasks"] if CONFIG.shards(task) == 1)
SHARDED_DATASETS = one_of(name for name, task in CONFIG.datasets.items() if CONFIG.shards(task) > 1)
WHOLE_DATASETS = one_of(name for name, task in CONFIG.datasets.items() if CONFIG.shards(task) == 1)


scattergather:
    **{task: CONFIG.shards(task) for task in CONFIG.values["tasks"]},


wildcard_constraints:
    task=one_of(CONFIG.values["tasks"]),
    dataset=one_of(CONFIG.datasets),
    model=one_of(CONFIG.values["models"]),
    seed=r"\d+",
    rate=r"[0-9.e-]+",


def task_of(wildcards):
    """The task of a rule's data set: math500-L1 → math500."""
    return CONFIG.datasets[wildcards.dataset] if hasattr(wildcards, "dataset") else wildcards.task


def answers_state(rule):
    """Params function: where a rule keeps finished blocks of answers, no output, so that a killed job goes on from them."""

    def path(wildcards):
        names = (getattr(wildcards, name, None) for name in ("task", "dataset", "model", "seed", "scatteritem"))
        return f"{RESULTS}/resume/{'/'.join([rule, *filter(None, names)])}.state"

    return path


def split_file(name):
    """Input function: a file of the task's prepared splits."""
    return lambda wildcards: f"{RESULTS}/data/{task_of(wildcards)}/{name}"


def model_folder(wildcards):
    """Input function: the folder of a model that the workflow itself makes; nothing for one from elsewhere."""
    spec = CONFIG.values["models"][wildcards.model]
    return [f"{RESULTS}/models/{wildcards.model}"] if "pretrain" in spec else []


def shard_files(pattern):
    """Input function: what the shards of a decoding write, in the order of their items."""
    return lambda wildcards: getattr(gather, task_of(wildcards))(expand(pattern, **wildcards, allow_missing=True))


def shard_flag(wildcards):
    """``--shard I-of-N`` for a shard, nothing for a whole."""
    return f"--shard {wildcards.scatteritem}" if hasattr(wildcards, "scatteritem") else ""


def before_file(name):
    """Input function: decoded once per (task, model), shared by levels and seeds."""
    return lambda wildcards: f"{RESULTS}/{task_of(wildcards)}/{wildcards.model}/{name}"


def growing(amount):
    """Resource function: so much, and again as much with each new try (profiles for clusters try again)."""
    return lambda wildcards, attempt: amount * attempt


def job_resource(name, training=False):
    """Resource function: gpu or mem_mb from the model's shape; memory grows with each new try."""

    def of(wildcards, attempt):
        return CONFIG.resources.job(wildcards.model, training)[name] * (1 if name == "gpu" else attempt)

    return of


def job_minutes(rule):
    """Resource function: the time limit from the job's forecast; it grows with each new try."""

    def of(wildcards, attempt):
        part = "_shard" if hasattr(wildcards, "scatteritem") else ""
        return CONFIG.resources.minutes(rule + part, wildcards) * attempt

    return of


def cell_files(name):
    """A file of every selected cell and seed."""
    return [
        f"{RESULTS}/{cell.dataset}/{cell.model}/seed{seed}/{name}"
        for cell in CONFIG.cells
        for seed in CONFIG.seeds(cell.task)
    ]


def task_files(name):
    """A file of every (task, model) among the selected cells."""
    pairs = dict.fromkeys((cell.task, cell.model) for cell in CONFIG.cells)
    return [f"{RESULTS}/{task}/{model}/{name}" for task, model in pairs]


def sensitivity_files(name):
    """A file of every learning rate of the sweep."""
    return [f"{RESULTS}/sensitivity/{cell.dataset}/{cell.model}/lr{rate:g}/{name}" for cell, rate in CONFIG.sensitivity]


def report_tables():
    """The tables that the page shows beside Table 2."""
    names = ["spread", "ladder", "prompts", "limits", "correlation", "recovery", "audit", "claims"]
    return [f"{RESULTS}/{name}.csv" for name in names + SENSITIVITY]


def tables():
    """Table 2 in its three forms."""
    return [f"{RESULTS}/table2.{suffix}" for suffix in ("csv", "md", "tex")]


def figure_files():
    """The figures in both forms."""
    return [f"{FIGURES}/{name}.{suffix}" for name in FIGURE_NAMES for suffix in ("png", "pdf")]


def start(jobs):
    """Before the first job: nobody else makes this run here, where jobs go is there, and the models are at hand."""
    jobs, slurm = list(jobs), workflow.executor_plugin.name == "slurm"
    try:
        run_lock.insist(CONFIG.run)
        if slurm:
            check_partitions(jobs)
        elif workflow.resource_settings.nodes is None:
            check_cards(jobs)
        # Slurm knows all jobs of a start under one name; the plugin tells it nowhere else.
        cluster.take_over(CONFIG.run, workflow.scheduler._executor.run_uuid if slurm else None)
        run_lock.settle(CONFIG.run)
    except UserError as error:
        raise WorkflowError(str(error)) from None
    check_access(jobs)
    if workflow.executor_plugin.name == "local":
        say_forecast(jobs)
    # A log has Snakemake's own lines alone; another logger (--logger rich) draws on the terminal itself.
    if sys.stderr.isatty() and not (workflow.output_settings.log_handler_settings or workflow.output_settings.quiet):
        say_time_left(jobs)


def say_forecast(jobs):
    """What these jobs will take, from shapes and rates alone: measuring this machine would import torch, for seconds."""
    from embedgrad.planning.forecast import outlook

    try:
        machine = CONFIG.resources.machine(bool(cards.visible()))
        told = outlook(CONFIG, [(job.rule.name, job.wildcards_dict) for job in jobs], machine)
    except (UserError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        told = f"none could be made ({error})"  # no reason not to run
    if told:
        file = f" --config {os.path.relpath(workflow.configfiles[0])}" if len(workflow.configfiles) == 1 else ""
        more = f"by assumed rates; `embedgrad plan{file}` measures this machine and goes by cell"
        for line in (told, more):
            print(printable(f"forecast: {line}"), file=sys.stderr)


def say_time_left(jobs):
    """From now on, behind each "x of y steps done"."""
    from embedgrad.planning.pace import Pace

    durations, alike, seconds = CONFIG.resources.durations, {}, {}
    try:
        for job in jobs:
            wildcards = job.wildcards_dict
            key = (job.rule.name, *(wildcards.get(name) for name in ("model", "dataset", "task")))
            if key not in alike:  # seeds and shards of a job take the same
                # How long a network takes says nothing of the pace of the rest.
                works = job.rule.name.removesuffix("_shard") in LOADING
                alike[key] = (durations.seconds if works else durations.fixed)(job.rule.name, wildcards)
            seconds[job.jobid] = alike[key]
    except (UserError, ArithmeticError, LookupError, TypeError, ValueError):
        return  # no reason not to run; the forecast has said it
    logger.addHandler(Pace(seconds, lambda line: print(printable(line), file=sys.stderr, flush=True)))


def end():
    """Behind the last job, come what may."""
    cluster.finished(CONFIG.run)


def check_partitions(jobs):
    """The partitions of the profile, by the resource slurm_partition or its file of partitions, are there and take each job."""
    file = workflow.executor_settings.partition_config or os.environ.get("SNAKEMAKE_SLURM_PARTITIONS")
    asked = {job.resources.get("slurm_partition") for job in jobs if not job.is_local} - {None, ""}
    if file and not asked:
        partitions = workflow.scheduler._executor._partitions
        cluster.check_partitions([partition.name for partition in partitions], str(file))
        sent = {workflow.dag.get_job_group(job) or job: None for job in jobs if not job.is_local}
        cluster.check_fit(sent, partitions, str(file))
    else:
        cluster.check_partitions(asked, "slurm_partition under default-resources of the profile")


def check_cards(jobs):
    """On one machine Snakemake cuts what a job asks for down to what is there: a model would not fit on it."""
    there = workflow.global_resources["gpu"].value
    for job in jobs:
        name = job.rule.name.removesuffix("_shard")
        if name not in LOADING:
            continue
        needed = CONFIG.resources.job(job.wildcards.model, name in TRAINING)["gpu"]
        if needed > there:
            raise UserError(
                f"model {job.wildcards.model}: {name} needs {needed} cards, this machine gives {there}; "
                "name a larger card, use a cluster's profile or leave its cells out (--config cells=…)."
            )


def check_access(jobs):
    """Refuse to start if a model that one of these jobs loads can be had nowhere; says each licence that the hub names."""
    from embedgrad.planning.access import look_up

    models = sorted({job.wildcards.model for job in jobs if job.rule.name.removesuffix("_shard") in LOADING})
    found = {name: look_up(name, CONFIG.values["models"][name], CONFIG.model_folder(name)) for name in models}
    for name, access in found.items():
        if access.licence:
            print(printable(f"model {name}: licence {access.licence}"), file=sys.stderr)
    missing = [printable(f"model {name}: {access.missing}") for name, access in found.items() if access.missing]
    if missing:
        raise WorkflowError("\n".join(missing))
