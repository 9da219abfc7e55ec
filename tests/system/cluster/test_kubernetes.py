"""A cell made in pods of a stand-in node: pods are taken away, drivers interrupted.

The executor plugin, its client, the storage plugin, rsync and each container's command are real; the API server is not.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import kubernetes_validate
import pytest
from cluster_stand_in import ENVIRONMENT, NAMESPACES, PROFILE, TOKEN, VERSIONS, cluster, container, needs_storage, rules
from disturb import SNAKEMAKE, checkout, finish, results
from places import ROOT

from embedgrad_core.files import read_json

CELL = [f"results/small/mood/tiny/seed0/{name}.json" for name in ("metrics", "anchoring")]
pytestmark = pytest.mark.workflow


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
        # Tests that a shell runs in the background inherit an ignored Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@needs_storage
def test_a_cell_is_made_in_pods_and_what_is_taken_away_goes_on(shared, image, tmp_path):
    """A preempted optimisation saves its steps and its next pod goes on; a node that dies in an analysis takes no answers along."""
    table, config = shared / "config/small_cells.tsv", shared / "config/small.yaml"
    header, *lines = table.read_text(encoding="utf-8").splitlines()
    lines = ["\t".join([*line.split("\t")[:-1], "80"]) for line in lines]  # epochs: long enough to be met on its way
    table.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    # Two pods share a decoding.
    text = config.read_text(encoding="utf-8").replace("  mood:\n", "  mood:\n    shards: 2\n")
    config.write_text(text.replace("decode: {", "decode: {block: 16, "), encoding="utf-8")
    states = shared / "results/small/resume/mood"  # the optimisation's; decodings keep theirs beside it
    taken, seen = {}, []

    def running(name):
        return [pod for pod in list(state.pods.values()) if pod.status() is None and rules(pod.manifest) == name]

    def take_away():
        saved = set()  # times at which it was: some epochs on
        while len(saved) < 4 and process.poll() is None:
            with contextlib.suppress(OSError):
                saved |= {path.stat().st_mtime_ns for path in states.rglob("*.state")}
            time.sleep(0.02)
        taken["optimize"] = running("optimize")[0]
        if NAMESPACES:
            seen.extend(taken["optimize"].processes())
        began = time.monotonic()
        taken["optimize"].terminate()
        taken["seconds"] = time.monotonic() - began
        while process.poll() is None and not any("rule analyse:" in pod.log() for pod in running("analyse")):
            time.sleep(0.1)
        taken["analyse"] = running("analyse")[0]
        taken["analyse"].kill()

    with cluster(tmp_path, image) as state:
        process = start(shared, state, "--", *CELL)
        watch = threading.Thread(target=take_away)
        watch.start()
        told, _ = process.communicate()
        watch.join()
        assert process.returncode == 0, told[-3000:] + "".join(pod.log() for pod in state.pods.values() if pod.status())
        assert taken["seconds"] < 15, "well within the 30 s that a cluster grants"
        assert taken["optimize"].status() != 0
        assert taken["analyse"].status() != 0
        if NAMESPACES:  # a job watches the Snakemake of its own pod
            jobs = [variables for _, words, variables in seen if words[1].endswith("/embedgrad")]
            inner = {number for number, words, _ in seen if words[1:3] == ["-m", "snakemake"]}
            assert {variables["EMBEDGRAD_PARENT"] for variables in jobs} == inner
            assert len(inner) == 1
        made = [(rules(job), container(job)["args"][1].partition("--attempt ")[2][0]) for job in state.jobs()]
        expected = ["pretrain", "before_shard", "before_shard", "gather_before grade_before", "optimize", "analyse"]
        expected += ["after_shard", "after_shard", "gather_after grade_after metrics"]
        assert sorted(made) == sorted([*((name, "1") for name in expected), ("optimize", "2"), ("analyse", "2")])
        for manifest in state.posted:
            kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)
        assert TOKEN not in str(state.jobs())
        assert not state.running()
        assert not state.secrets, "the secret is taken back"
    wanted = (tmp_path / "bin/wanted").read_text()
    assert "install --target .snakemake/pip-deployments snakemake-storage-plugin-fs" in wanted
    log = (shared / "results/small/logs/optimize/mood/tiny/seed0.log").read_text()
    assert "epoch 1:" not in log, log
    assert "epoch 80:" in log
    local = checkout(tmp_path / "local")
    shutil.copy(table, local / "tests/configs/small_cells.tsv")
    text = config.read_text(encoding="utf-8").replace("config/small_cells.tsv", "tests/configs/small_cells.tsv")
    (local / "tests/configs/small.yaml").write_text(text, encoding="utf-8")
    status, told = finish(local, "tests/configs/small.yaml", "--", *CELL)
    assert status == 0, told[-3000:]
    expected = {name: digest for name, digest in results(local).items() if "/resume/" not in name}
    made = {name: digest for name, digest in results(shared).items() if "/resume/" not in name}
    assert made.keys() == expected.keys()
    names = [name for name in expected if made[name] != expected[name] and not name.endswith("metrics.json")]
    assert names == []
    assert read_json(shared / CELL[0])["after"] == read_json(local / CELL[0])["after"]


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
        process = start(shared, state, "--until", "optimize")  # pods enough that it cannot have ended by then
        while not state.running() and process.poll() is None:
            time.sleep(0.1)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=300)
        assert process.returncode != 0, told[-3000:]
        names = {job["metadata"]["name"] for job in state.jobs()}
        assert names
        assert names <= set(state.deleted), told[-2000:]
        deadline = time.monotonic() + 120
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
        # The shell's job never hears it; pod.py's does in half a second, and in its time on a busy machine.
        _, errors = process.communicate(timeout=60 if through == "pod.py" else 3)
        heard = "heard" in errors
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        heard = False
    assert heard == (through == "pod.py")
