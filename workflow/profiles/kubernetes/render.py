"""Print the manifests that a run would post, without a cluster, for any arguments of Snakemake.

    python workflow/profiles/kubernetes/render.py --configfile config/demo.yaml > manifests.yaml

The executor plugin is the real one; only its client is replaced, and each job's files are made empty in a temporary
copy of this folder, so that the jobs behind it come as well. Values of secrets are left out.
"""

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import kubernetes
import yaml
from kubernetes import client

PROFILE = Path(__file__).resolve().parent


class Recorder:
    """A client that keeps what would have been posted, and says of every job that it succeeded."""

    def __init__(self) -> None:
        self.posted: list[dict] = []

    def create_namespaced_secret(self, namespace: str, body: object) -> None:
        """A Secret, its values left out."""
        self._keep("v1", "Secret", namespace, body)
        self.posted[-1]["data"] = dict.fromkeys(self.posted[-1].get("data") or {}, "")

    def create_namespaced_job(self, namespace: str, body: object) -> object:
        """A job."""
        self._keep("batch/v1", "Job", namespace, body)
        return body

    def read_namespaced_job_status(self, name: str, namespace: str) -> object:
        """Succeeded at once."""
        return client.V1Job(status=client.V1JobStatus(succeeded=1))

    def list_namespaced_pod(self, **_: object) -> object:
        """None."""
        return client.V1PodList(items=[])

    def delete_namespaced_job(self, *_: object, **__: object) -> None:
        """Nothing to delete."""

    delete_namespaced_secret = delete_namespaced_job

    def _keep(self, version: str, kind: str, namespace: str, body: object) -> None:
        sent = client.ApiClient().sanitize_for_serialization(body)
        sent["metadata"]["namespace"] = namespace
        self.posted.append({"apiVersion": version, "kind": kind, **sent})


def render(arguments: list[str]) -> list[dict]:
    """Manifests in the order of their posting.

    Raises:
        SystemExit: Snakemake did not come to its end; its own messages say why.
    """
    from snakemake.cli import main
    from snakemake.executors import local
    from snakemake_executor_plugin_kubernetes import Executor

    recorder, begin, run_job = Recorder(), Executor.__post_init__, Executor.run_job

    def replace(executor: Executor) -> None:
        kubernetes.config.load_kube_config = lambda *_, **__: None
        kubernetes.client.CoreV1Api = kubernetes.client.BatchV1Api = lambda *_, **__: recorder
        begin(executor)

    def run(executor: Executor, job: object) -> None:
        run_job(executor, job)
        for file in _files(job):
            _make_empty(file, Path(file.storage_object.query))

    def run_here(executor: object, job: object, *_: object) -> None:
        for file in _files(job):
            _make_empty(file, Path(file))

    local.Executor.cached_or_run = run_here
    Executor.__post_init__, Executor.run_job = replace, run
    shared = os.environ.get("EMBEDGRAD_SHARED", "/embedgrad")
    with tempfile.TemporaryDirectory() as folder:
        for entry in Path.cwd().iterdir():
            if entry.name in ("workflow", "config", "Snakefile"):  # sources, which must lie in the folder itself
                copy = shutil.copytree if entry.is_dir() else shutil.copy2
                copy(entry, Path(folder, entry.name))
            elif entry.name not in (".git", ".snakemake", "results", "figures"):
                Path(folder, entry.name).symlink_to(entry)
        os.chdir(folder)
        os.environ["EMBEDGRAD_SHARED"] = folder
        quick = ["--jobs", "1000", "--seconds-between-status-checks", "0", "--max-status-checks-per-second", "1000"]
        try:
            main([*arguments, "--profile", str(PROFILE), "--no-hooks", *quick])
        except SystemExit as end:
            if end.code:
                raise
        manifests = yaml.safe_dump_all(recorder.posted, sort_keys=False).replace(folder, shared)
    return list(yaml.safe_load_all(manifests))


def _files(job: object) -> list:
    """All that a job leaves; a group, which is one pod, leaves what its jobs do."""
    jobs = job.jobs if job.is_group() else [job]
    return [file for one in jobs for file in (*one.output, *one.log, one.benchmark) if file]


def _make_empty(file: object, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.mkdir(exist_ok=True) if file.is_directory else place.touch()


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        manifests = render(sys.argv[1:])
    print(yaml.safe_dump_all(manifests, sort_keys=False, width=132), end="")
