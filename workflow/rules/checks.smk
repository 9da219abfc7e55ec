# Who may make this run here, and what is refused or reported before its first job: wrong targets or partitions, too few GPUs, missing
# models, other methods that cannot run.
import psutil
import shutil
import sys

from embedgrad.planning.forecast import first_lines
from embedgrad.planning.pace import Pace, job_seconds
from embedgrad.runtime import cluster, gpus, run_lock
from embedgrad.runtime.checks import as_workflow_error, check_gpus, check_models, check_rivals, check_targets
from embedgrad_core.files import printable
from snakemake.logging import logger

with as_workflow_error():
    if workflow.is_main_process:
        check_targets(CONFIG, sys.argv[1:])  # Snakemake knows its targets later
    if workflow.is_main_process and not run_lock.hold(CONFIG.run, tidy=not workflow.output_settings.dryrun):
        # A plan may still be made; what would write is refused by start().
        print(f"run {CONFIG.run} is being made here by {run_lock.holder(CONFIG.run)}", file=sys.stderr)
    elif not workflow.is_main_process:
        run_lock.belongs(CONFIG.run)
# On one machine no more jobs than GPUs, unless asked otherwise (--resources gpu=N); a cluster counts its own.
if workflow.is_main_process and workflow.resource_settings.nodes is None and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", max(1, len(gpus.visible())))


def log_line(line):
    """A line of the suite's own among Snakemake's."""
    print(printable(line), file=sys.stderr, flush=True)


def start(jobs):
    """Before the first job: nobody else makes this run here, where jobs go is there, and the models are at hand."""
    jobs = list(jobs)
    planned = [(job.rule.name, job.wildcards_dict) for job in jobs]
    sent = [job for job in jobs if not job.is_local] if workflow.executor_plugin.name == "slurm" else []
    with as_workflow_error():
        run_lock.insist(CONFIG.run)
        if workflow.executor_plugin.name == "slurm":
            cluster.check_jobs(sent, workflow.dag.get_job_group, workflow.executor_settings.partition_config)
        elif workflow.resource_settings.nodes is None:
            check_gpus(CONFIG, planned, workflow.global_resources["gpu"].value)
        # Slurm knows all jobs of a start under one name; the plugin names it nowhere else.
        cluster.take_over(CONFIG.run, workflow.scheduler.get_executor(sent[0]).run_uuid if sent else None)
        run_lock.settle(CONFIG.run)
        check_models(CONFIG, planned, log_line)
        # With conda, a container or elsewhere, jobs have another environment and another machine than this one.
        if workflow.executor_plugin.name == "local" and not workflow.deployment_settings.deployment_method:
            check_rivals(CONFIG, planned, psutil.virtual_memory().total)
    if workflow.executor_plugin.name == "local":
        if TOGETHER:
            os.environ[resident.FOLDER] = str(resident.folder_for(os.getpid()))
        for line in first_lines(CONFIG, planned, workflow.configfiles, bool(gpus.visible())):
            log_line(line)
    # A log has Snakemake's own lines alone; another logger (--logger rich) draws on the terminal itself.
    if sys.stderr.isatty() and not (workflow.output_settings.log_handler_settings or workflow.output_settings.quiet):
        if seconds := job_seconds(CONFIG, {job.jobid: row for job, row in zip(jobs, planned, strict=True)}):
            logger.addHandler(Pace(seconds, log_line))


def end():
    """Behind the last job, come what may."""
    if place := os.environ.pop(resident.FOLDER, None):
        resident.dismiss(Path(place))
        shutil.rmtree(place, ignore_errors=True)
    cluster.finished(CONFIG.run)
