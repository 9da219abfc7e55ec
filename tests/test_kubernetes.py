"""The Kubernetes profile without a cluster: its manifests against the real schema, and a cell made in pods of a stand-in node.

The executor plugin, its client, the storage plugin, rsync and each container's command are real; the API server is not.
"""

import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from cluster_stand_in import NAMESPACES, cluster, refusal
from conftest import ROOT

from benchmarks.disturb import SNAKEMAKE, checkout, finish, results
from contracts import read_json

PROFILE = "workflow/profiles/kubernetes"
VERSIONS = ("1.30", "1.37")
TOKEN = "hf_not-a-real-token"
CELL = "results/small/mood/tiny/seed0/metrics.json"
pytestmark = pytest.mark.workflow
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


@pytest.mark.parametrize("package", ["snakemake_executor_plugin_kubernetes", "snakemake_storage_plugin_fs"])
def test_a_plugin_that_is_not_installed_is_one_line(tmp_path, package):
    for entry in os.scandir(sysconfig.get_paths()["purelib"]):
        if not entry.name.startswith(package):
            (tmp_path / entry.name).symlink_to(entry.path)
    arguments = ["--profile", PROFILE, "--dry-run", "--configfile", "tests/configs/small.yaml"]
    run = subprocess.run(
        [sys.executable, "-S", "-m", "snakemake", *arguments],  # -S: nothing but what PYTHONPATH names
        cwd=ROOT,
        env=ENVIRONMENT | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    name = package.replace("_", "-")
    said = [line for line in (run.stdout + run.stderr).splitlines() if not line.startswith("Using profiles")]
    assert said == [f"profile kubernetes: {name} is not installed; pip install 'embedgrad[kubernetes]'"]


@needs_storage
def test_a_machine_without_rsync_is_one_line(tmp_path):
    for name in ("sh", "which", "git"):
        (tmp_path / name).symlink_to(shutil.which(name))
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "--profile", PROFILE, "--dry-run"],
        cwd=ROOT,
        env=ENVIRONMENT | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith("profile kubernetes: rsync is not installed")


def render(*arguments, **environment):
    run = subprocess.run(
        [sys.executable, f"{PROFILE}/render.py", *arguments],
        cwd=ROOT,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout, list(yaml.safe_load_all(run.stdout))


@pytest.fixture(scope="module")
def paper():
    """What the paper's run would post, from a machine with a token."""
    text, manifests = render("--config", "device=cuda", HF_TOKEN=TOKEN)
    return text, manifests


def container(manifest):
    return manifest["spec"]["template"]["spec"]["containers"][0]


def rule(manifest):
    return re.search(r"--allowed-rules (\w+)", container(manifest)["args"][1])[1]


@needs_storage
def test_every_manifest_of_the_paper_is_valid(paper):
    text, manifests = paper
    assert [manifest["kind"] for manifest in manifests] == ["Secret"] + ["Job"] * 182
    for manifest in manifests:
        for version in VERSIONS:
            kubernetes_validate.validate(manifest, version, strict=True)
    for manifest in manifests[1:]:
        assert refusal(manifest) is None
        assert manifest["metadata"]["namespace"] == "embedgrad"
        assert manifest["spec"]["backoffLimit"] == 0  # Snakemake tries again, not the cluster
    # Nothing of the machine that it was rendered on, and no secret in the clear.
    assert TOKEN not in text
    assert "/tmp/" not in text


@needs_storage
def test_what_a_job_asks_of_the_cluster(paper):
    jobs = paper[1][1:]
    assert {rule(job) for job in jobs} == {
        *("data", "before", "grade_before", "baselines", "optimize", "after", "grade_after", "analyse", "metrics")
    }
    for job in jobs:
        spec, inside = job["spec"]["template"]["spec"], container(job)
        assert inside["image"] == "embedgrad:0.1.0"
        assert inside["workingDir"] == "/workdir"
        mounts = {mount["name"]: mount["mountPath"] for mount in inside["volumeMounts"]}
        assert mounts == {"workdir": "/workdir", "embedgrad": "/embedgrad"}
        claims = [v["persistentVolumeClaim"]["claimName"] for v in spec["volumes"] if "persistentVolumeClaim" in v]
        assert claims == ["embedgrad"]
        requests, limits = inside["resources"]["requests"], inside["resources"]["limits"]
        cards = "1" if rule(job) in ("before", "baselines", "optimize", "after", "analyse") else "0"
        assert requests["nvidia.com/gpu"] == limits["nvidia.com/gpu"] == cards
        assert requests["memory"] == limits["memory"]
        variables = {variable["name"]: variable["valueFrom"]["secretKeyRef"] for variable in inside["env"]}
        assert set(variables) == {"HF_TOKEN", "HF_HUB_OFFLINE"}
        assert variables["HF_TOKEN"] == {"key": "hf_token", "name": paper[1][0]["metadata"]["name"]}
    by_target = {re.search(r"--target-jobs '(.*?)'", container(job)["args"][1])[1]: job for job in jobs}
    largest = container(by_target["optimize:dataset=imdb,model=qwen2.5-14b-instruct,seed=0"])["resources"]
    assert largest["requests"]["cpu"] == "3800m"
    assert largest["limits"]["cpu"] == "4000m"
    assert int(largest["limits"]["memory"].removesuffix("M")) > 2 * 14.77e9 / 1e6


@needs_storage
def test_the_shell_of_a_pod_reads_what_was_meant(paper):
    """Each command is one that a shell can read, with the run's own settings word for word."""
    _, manifests = render("--config", "cells=imdb/qwen2.5-3b-instruct", "seeds=[0,1]", EMBEDGRAD_SHARED="/a/b")
    for manifest in manifests[1:]:
        command = container(manifest)["args"][1]
        assert subprocess.run(["sh", "-n", "-c", command], check=False).returncode == 0
        assert command.startswith(f"export EMBEDGRAD_SHARED=/a/b && . /a/b/{PROFILE}/pod.sh && pip install ")
        words = subprocess.run(
            ["sh", "-c", "printf '%s\\n' " + command.rpartition("&& python -m snakemake ")[2]],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        assert words[words.index("--config") + 1 :][:2] == ["cells=imdb/qwen2.5-3b-instruct", "seeds=[0,1]"]
        assert words[words.index("--default-storage-prefix") + 1] == "/a/b"


def test_the_manifests_that_a_user_applies_are_valid():
    manifests = list(yaml.safe_load_all((ROOT / PROFILE / "cluster.yaml").read_text(encoding="utf-8")))
    for manifest in manifests:
        for version in VERSIONS:
            kubernetes_validate.validate(manifest, version, strict=True)
    driver = manifests[-1]["spec"]["template"]["spec"]["containers"][0]
    assert driver["volumeMounts"] == [{"name": "embedgrad", "mountPath": driver["workingDir"]}]


@pytest.fixture
def shared(tmp_path):
    """The shared folder: a copy of the workflow's files, as a claim would hold it."""
    folder = tmp_path / "shared"
    for name in ("workflow", "config"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, folder)
    (folder / "profiles").symlink_to("workflow/profiles")
    small = (ROOT / "tests/configs/small.yaml").read_text(encoding="utf-8")
    (folder / "config/small.yaml").write_text(small.replace("tests/configs/", "config/"), encoding="utf-8")
    cells = (ROOT / "tests/configs/small_cells.tsv").read_text(encoding="utf-8")
    (folder / "config/small_cells.tsv").write_text(cells, encoding="utf-8")
    return folder


@pytest.fixture
def image(tmp_path):
    """A container's environment; pip finds what is wanted installed, as in the image."""
    pip = tmp_path / "bin/pip"
    pip.parent.mkdir()
    pip.write_text('#!/bin/sh\necho "$@" >>"${0%/*}/wanted"\n', encoding="utf-8")
    pip.chmod(0o755)
    kept = {key: ENVIRONMENT[key] for key in ("PYTHONPATH", "CUDA_VISIBLE_DEVICES", "HOME") if key in ENVIRONMENT}
    return kept | {"PATH": f"{pip.parent}{os.pathsep}{ENVIRONMENT['PATH']}"}


def start(folder, state, *arguments):
    quick = ["--jobs", "3", "--seconds-between-status-checks", "1"]
    return subprocess.Popen(
        [SNAKEMAKE, "--profile", PROFILE, "--configfile", "config/small.yaml", *quick, *arguments],
        cwd=folder,
        env=ENVIRONMENT | {"KUBECONFIG": str(state.kubeconfig), "EMBEDGRAD_SHARED": str(folder), "HF_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@needs_storage
def test_a_cell_is_made_in_pods_and_one_that_is_taken_away_goes_on(shared, image, tmp_path):
    """A preempted optimisation saves its steps in the shared folder and its next pod goes on; the results are a local run's."""
    table = shared / "config/small_cells.tsv"
    header, *lines = table.read_text(encoding="utf-8").splitlines()
    lines = ["\t".join([*line.split("\t")[:-1], "80"]) for line in lines]  # epochs: long enough to be met on its way
    table.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    states = shared / "results/small/resume"
    taken = {}

    def take_away():
        while not list(states.rglob("*.state")) and process.poll() is None:
            time.sleep(0.02)
        time.sleep(1.5)  # some epochs on
        running = [pod for pod in state.pods.values() if pod.status() is None and rule(pod.manifest) == "optimize"]
        began = time.monotonic()
        running[0].terminate()
        taken["seconds"], taken["pod"] = time.monotonic() - began, running[0]

    with cluster(tmp_path, image) as state:
        process = start(shared, state, CELL)
        watch = threading.Thread(target=take_away)
        watch.start()
        told, _ = process.communicate()
        watch.join()
        assert process.returncode == 0, told[-3000:] + "".join(pod.log() for pod in state.pods.values() if pod.status())
        assert taken["seconds"] < 15, "well within the 30 s that a cluster grants"
        assert taken["pod"].status() != 0
        attempts = [job for job in state.jobs() if rule(job) == "optimize"]
        assert len(attempts) == 2
        assert "--attempt 2" in container(attempts[1])["args"][1]
        for manifest in state.posted:
            kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)
        assert TOKEN not in str(state.jobs())
        assert not state.running()
        assert not state.secrets, "the secret is taken back"
    assert (
        "install --target .snakemake/pip-deployments snakemake-storage-plugin-fs"
        in (tmp_path / "bin/wanted").read_text()
    )
    log = (shared / "results/small/logs/optimize/mood/tiny/seed0.log").read_text()
    assert "epoch 1:" not in log, log
    assert "epoch 80:" in log
    local = checkout(tmp_path / "local")
    shutil.copy(table, local / "tests/configs/small_cells.tsv")
    status, told = finish(local, "tests/configs/small.yaml", "--", CELL)
    assert status == 0, told[-3000:]
    expected = {name: digest for name, digest in results(local).items() if "/resume/" not in name}
    made = {name: digest for name, digest in results(shared).items() if "/resume/" not in name}
    names = [name for name in expected if made.get(name) != expected[name] and not name.endswith("metrics.json")]
    assert names == []
    assert read_json(shared / CELL)["after"] == read_json(local / CELL)["after"]


@needs_storage
@pytest.mark.parametrize("refused", ["no cluster", "no stimuli"])
def test_what_is_missing_is_told_before_anything_is_submitted(shared, image, tmp_path, refused):
    with cluster(tmp_path, image) as state:
        if refused == "no cluster":
            state.kubeconfig = tmp_path / "nowhere"
        else:
            (shared / "config/lat_stimuli.jsonl").unlink()
        process = start(shared, state)
        told, _ = process.communicate()
    assert process.returncode != 0
    assert state.posted == []
    assert "Traceback" not in told
    expected = {"no cluster": "no cluster is named; set KUBECONFIG", "no stimuli": "config/lat_stimuli.jsonl"}
    assert expected[refused] in told


@needs_storage
def test_a_driver_that_is_interrupted_takes_its_pods_back(shared, image, tmp_path):
    with cluster(tmp_path, image) as state:
        process = start(shared, state, "--until", "data")
        while not state.running() and process.poll() is None:
            time.sleep(0.1)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=60)
        assert process.returncode != 0
        names = {job["metadata"]["name"] for job in state.jobs()}
        assert names
        assert names <= set(state.deleted), told[-2000:]
        deadline = time.monotonic() + 35
        while state.running() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not state.running()
        assert not state.secrets


@pytest.mark.skipif(not NAMESPACES, reason="no process namespaces here")
@pytest.mark.parametrize("through", ["pod.py", "a shell alone"])
def test_process_1_hands_sigterm_on(tmp_path, through):
    """Why pod.py is there: behind a shell as process 1 a job never hears that it has to go."""
    job = """
import signal, sys, time
signal.signal(15, lambda *_: (time.sleep(0.5), sys.exit('heard')))  # saves something first
print('ready', flush=True)
signal.pause()
"""
    command = f"true && {sys.executable} -c {shlex.quote(job)} && true"
    words = [sys.executable, str(ROOT / PROFILE / "pod.py"), command] if through == "pod.py" else ["sh", "-c", command]
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    os.kill(int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]), signal.SIGTERM)
    try:
        _, errors = process.communicate(timeout=3)
        heard = "heard" in errors
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        heard = False
    assert heard == (through == "pod.py")
