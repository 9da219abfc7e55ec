# The configuration, the names that all rules share, and the few functions that need Snakemake itself. What rules take their inputs,
# flags and resources from is embedgrad/planning/lookups.py; what is refused before a run starts, checks.smk.
import gc
import os
import sys
from pathlib import Path

from embedgrad.planning.run_config import RunConfig
from embedgrad.planning.lookups import SPLITS, Lookups, cell_command, light, one_of, shard_flag
from embedgrad.rivals.table import CONTROL
from embedgrad.runtime import gpus, resident
from embedgrad.runtime.checks import as_workflow_error
from embedgrad.runtime.interruption import PARENT
from embedgrad.schemas.plain import check_seed_words

HOME = Path(workflow.snakefile).parents[2]


def brought(name):
    """A file that this checkout brings, also where a run lies elsewhere (--directory)."""
    return name if Path(name).exists() else str(HOME / name)


if isinstance(config.get("cell_table"), str):
    config["cell_table"] = brought(config["cell_table"])
with as_workflow_error():
    check_seed_words(sys.argv)
    CONFIG = RunConfig.check(config, " + ".join(map(str, workflow.configfiles)) or "config")
    CONFIG.set_environment()
    for cell in CONFIG.cells:
        CONFIG.model_flags(cell.model)  # says at once if a model's folder is not there

RUN = Lookups(CONFIG)
if not workflow.storage_settings.default_storage_provider:  # else results lie elsewhere
    with as_workflow_error():
        RUN.check_split_runs()
RESULTS, FIGURES = RUN.results, RUN.figures
# Where a process keeps its model between jobs, a model's jobs follow one another.
TOGETHER = CONFIG.jobs_together(bool(gpus.visible()))
TURN = CONFIG.turn(TOGETHER)
# A DAG is millions of objects that stay: looking through them for garbage takes a seventh of a plan.
gc.set_threshold(50_000, 20, 100)
os.environ[PARENT] = str(os.getpid())  # jobs end with the Snakemake that started them


scattergather:
    **{task: CONFIG.shards(task) for task in CONFIG.values["tasks"]},


wildcard_constraints:
    task=one_of(CONFIG.values["tasks"]),
    dataset=one_of(CONFIG.datasets),
    model=one_of(CONFIG.values["models"]),
    seed=r"\d+",
    rate=r"[0-9.e-]+",
    rival=RUN.rivals_pattern(with_rates=False),


def shard_files(pattern):
    """Input function: what the shards of a decoding write, in the order of their items."""
    return lambda wildcards: getattr(gather, RUN.task_of(wildcards))(expand(pattern, **wildcards, allow_missing=True))


def figure(name):
    """Output of a figure's rule: both forms, each with its caption in Snakemake's own report."""
    caption = f"../report/{name}.rst"
    return {
        suffix: report(f"{FIGURES}/{name}.{suffix}", caption=caption, category="Figures") for suffix in ("png", "pdf")
    }
