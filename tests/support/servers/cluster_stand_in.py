"""A Kubernetes API server on 127.0.0.1 with one node: as much of both as the executor plugin asks for.

It stands in for the cluster only. Each container's command is really run, in an empty folder of its own and, where the machine lets
us, as process 1 of a process namespace, as a pod runs it. A volume is not mounted: its path must be the same here.
"""

import base64
import contextlib
import http.server
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from disturb import SNAKEMAKE
from places import ROOT

PROFILE = "workflow/profiles/kubernetes"
VERSIONS = ("1.30", "1.37")  # of the schemas
TOKEN = "hf_not-a-real-token"
needs_storage = pytest.mark.skipif(
    importlib.util.find_spec("snakemake_storage_plugin_fs") is None or not shutil.which("rsync"),
    reason="needs snakemake-storage-plugin-fs (extra kubernetes) and rsync",
)
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if not key.startswith(("EMBEDGRAD_", "HF_"))},
    "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    "PATH": f"{SNAKEMAKE.parent}{os.pathsep}{os.environ['PATH']}",
    "HF_HUB_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",
}
NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
NAMESPACES = (
    shutil.which("unshare") is not None and not subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode
)


def container(manifest: dict) -> dict:
    """The only one of a job."""
    return manifest["spec"]["template"]["spec"]["containers"][0]


def rules(manifest: dict) -> str:
    """Names of the rules that a pod is there for, in order of the alphabet."""
    return " ".join(sorted(re.search(r"--allowed-rules ([\w ]+?) --", container(manifest)["args"][1])[1].split()))


@dataclass
class Pod:
    """One job's only pod."""

    manifest: dict
    folder: Path
    process: subprocess.Popen

    def status(self) -> int | None:
        """Exit status, None while it runs; as a container's, 143 for SIGTERM."""
        code = self.process.poll()
        return code if code is None or code >= 0 else 128 - code

    def first(self) -> int:
        """Process 1 of the pod, by its id out here."""
        if not NAMESPACES:
            return self.process.pid
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def processes(self) -> Iterator[tuple[str, list[str], dict[str, str]]]:
        """Of each process in it: its id as the pod counts, its words and its environment."""
        inside = Path(f"/proc/{self.first()}/ns/pid").readlink()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended
                if (entry / "ns/pid").readlink() != inside:
                    continue
                number = re.search(r"^NSpid:.*?(\d+)$", (entry / "status").read_text(), re.MULTILINE)[1]
                words, variables = ((entry / name).read_bytes().decode().split("\0") for name in ("cmdline", "environ"))
                yield number, words, dict(variable.partition("=")[::2] for variable in variables)

    def kill(self) -> None:
        """What a node does that goes down: nobody is asked."""
        os.killpg(self.process.pid, signal.SIGKILL)  # unshare takes its namespace along
        self.process.wait()

    def terminate(self, grace: float = 30.0) -> None:
        """What a node does with a pod that has to go: SIGTERM to process 1, SIGKILL to all after the grace period."""
        if self.process.poll() is not None:
            return
        with contextlib.suppress(OSError, IndexError):
            os.kill(self.first(), signal.SIGTERM)
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()

    def log(self) -> str:
        """What it told."""
        return (self.folder / "output.log").read_text(errors="replace")


@dataclass
class Cluster:
    """What was asked for, and the pods that came of it."""

    folder: Path
    environment: dict[str, str]
    posted: list[dict] = field(default_factory=list)
    secrets: dict[str, dict] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    pods: dict[str, Pod] = field(default_factory=dict)
    kubeconfig: Path | None = None

    def jobs(self) -> list[dict]:
        """The manifests of jobs."""
        return [manifest for manifest in self.posted if manifest["kind"] == "Job"]

    def running(self) -> list[str]:
        """Names of jobs whose pod has not ended."""
        return [name for name, pod in list(self.pods.items()) if pod.status() is None]

    def start(self, manifest: dict) -> None:
        """Run a job's container."""
        name, asked = manifest["metadata"]["name"], container(manifest)
        folder = self.folder / name
        folder.mkdir(parents=True)
        environment = dict(self.environment)
        for variable in asked.get("env") or []:
            reference = variable["valueFrom"]["secretKeyRef"]
            coded = self.secrets[reference["name"]]["data"][reference["key"]]
            environment[variable["name"]] = base64.b64decode(coded).decode()
        command = [*(NAMESPACE if NAMESPACES else []), *asked["command"], *asked["args"]]
        workdir = folder / "workdir"
        workdir.mkdir()
        with (folder / "output.log").open("wb") as told:
            process = subprocess.Popen(
                command, cwd=workdir, env=environment, stdout=told, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.pods[name] = Pod(manifest, folder, process)


def refusal(manifest: dict) -> str | None:
    """What a real server refuses beyond the schema: its validation of a pod, as far as it concerns what the plugin sends."""
    spec = manifest["spec"]["template"]["spec"]
    names = [volume["name"] for volume in spec["volumes"]]
    if len(set(names)) < len(names):
        return "spec.volumes: Duplicate value"
    for container in spec["containers"]:
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        if len(set(paths)) < len(paths):
            return "spec.containers[0].volumeMounts: mountPath: must be unique"
        requests, limits = container["resources"]["requests"], container["resources"].get("limits") or {}
        for name, amount in requests.items():
            if "/" in name and limits.get(name) != amount:  # a GPU and its kind
                return (
                    f"spec.containers[0].resources.limits: {name}: Limit must be set for non overcommitable resources"
                )
    return None


@contextlib.contextmanager
def cluster(folder: Path, environment: dict[str, str]) -> Iterator[Cluster]:
    """Serve until the block ends; ``environment`` is the image's. ``kubeconfig`` of what is yielded goes to KUBECONFIG."""
    state, lock = Cluster(folder / "pods", environment), threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            address = urlsplit(self.path)
            found = re.fullmatch(
                r"/(?:api|apis/batch)/v1/namespaces/([^/]+)/(\w+)(?:/([^/]+))?(?:/(\w+))?", address.path
            )
            if not found:
                return self.refuse(404, "NotFound", address.path)
            _, kind, name, part = found.groups()
            query = {key: values[0] for key, values in parse_qs(address.query).items()}
            with lock:
                return getattr(self, f"{self.command}_{kind}".lower())(name, part, query, json.loads(body or b"{}"))

        def post_secrets(self, name, part, query, manifest) -> None:
            manifest = {"apiVersion": "v1", "kind": "Secret"} | manifest
            state.posted.append(manifest)
            state.secrets[manifest["metadata"]["name"]] = manifest
            self.reply(manifest, 201)

        def delete_secrets(self, name, part, query, options) -> None:
            state.deleted.append(name)
            state.secrets.pop(name, None)
            self.reply({"kind": "Status", "apiVersion": "v1", "status": "Success"})

        def post_jobs(self, name, part, query, manifest) -> None:
            manifest = {"apiVersion": "batch/v1", "kind": "Job"} | manifest
            state.posted.append(manifest)
            if reason := refusal(manifest):
                return self.refuse(422, "Invalid", reason)
            state.start(manifest)
            return self.reply(manifest, 201)

        def get_jobs(self, name, part, query, _) -> None:
            if name not in state.pods:
                return self.refuse(404, "NotFound", f'jobs.batch "{name}" not found')
            code = state.pods[name].status()
            told = {"active": 1} if code is None else {"succeeded": 1} if code == 0 else {"failed": 1}
            return self.reply({**state.pods[name].manifest, "status": told})

        def delete_jobs(self, name, part, query, options) -> None:
            state.deleted.append(name)
            threading.Thread(target=state.pods[name].terminate, daemon=True).start()
            self.reply({"kind": "Status", "apiVersion": "v1", "status": "Success"})

        def get_pods(self, name, part, query, _) -> None:
            if part == "log":  # a container that was never restarted has no previous one
                if query.get("previous", "").lower() == "true":
                    return self.refuse(
                        400, "BadRequest", f'previous terminated container "snakemake" in pod "{name}" not found'
                    )
                return self.reply(state.pods[name.removesuffix("-pod")].log(), text=True)
            job = query["labelSelector"].removeprefix("job-name=")
            items = [self.pod(job, state.pods[job])] if job in state.pods and job not in state.deleted else []
            return self.reply({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})

        def delete_pods(self, name, part, query, options) -> None:
            threading.Thread(target=state.pods[name.removesuffix("-pod")].terminate, daemon=True).start()
            self.reply({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name}})

        def pod(self, job: str, pod: Pod) -> dict:
            code = pod.status()
            status = {
                "name": "snakemake",
                "image": container(pod.manifest)["image"],
                "imageID": "",
                "ready": code is None,
                "restartCount": 0,
            }
            status["state"] = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
            return {"metadata": {"name": f"{job}-pod"}, "status": {"containerStatuses": [status]}}

        def refuse(self, status: int, reason: str, message: str) -> None:
            told = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message}
            self.reply({**told, "code": status}, status)

        def reply(self, value, status=200, text=False) -> None:
            data = value.encode() if text else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if text else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(data)

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *_) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.kubeconfig = folder / "kubeconfig.json"  # JSON is YAML
    named = {"clusters": {"server": f"http://127.0.0.1:{server.server_port}"}, "users": {}, "contexts": {}}
    named["contexts"] = {"cluster": "stand-in", "user": "stand-in"}
    lists = {key: [{"name": "stand-in", key[:-1]: value}] for key, value in named.items()}
    state.kubeconfig.write_text(
        json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "stand-in", **lists})
    )
    try:
        yield state
    finally:
        for pod in state.pods.values():
            pod.terminate(grace=0.0)
        server.shutdown()
        thread.join()
