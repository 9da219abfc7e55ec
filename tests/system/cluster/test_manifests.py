"""The Kubernetes profile without a cluster: what it wants installed, and its manifests against the real schema."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter

import kubernetes_validate
import pytest
import yaml
from cluster_stand_in import ENVIRONMENT, PROFILE, TOKEN, VERSIONS, container, needs_storage, refusal, rules
from places import ROOT

pytestmark = pytest.mark.workflow


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
    assert said == [f"profile kubernetes: {name} is not installed; in the checkout: pip install -e '.[kubernetes]'"]


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


@needs_storage
def test_every_manifest_of_the_paper_is_valid(paper):
    text, manifests = paper
    assert [manifest["kind"] for manifest in manifests] == ["Secret"] + ["Job"] * 152
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
    # What follows a decoding without a GPU is one pod.
    assert Counter(map(rules, jobs)) == {
        **dict.fromkeys(["before", "grade_before", "baselines"], 16),
        **dict.fromkeys(["optimize", "after", "analyse", "grade_after metrics"], 26),
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
        gpus = "1" if rules(job) in ("before", "baselines", "optimize", "after", "analyse") else "0"
        assert requests["nvidia.com/gpu"] == limits["nvidia.com/gpu"] == gpus
        assert requests["memory"] == limits["memory"]
        variables = {variable["name"]: variable["valueFrom"]["secretKeyRef"] for variable in inside["env"]}
        assert set(variables) == {"HF_TOKEN", "HF_HUB_OFFLINE"}
        assert variables["HF_TOKEN"] == {"key": "hf_token", "name": paper[1][0]["metadata"]["name"]}
        disk = requests["ephemeral-storage"], limits["ephemeral-storage"]
        assert disk == ("20000M", "20000M")
    by_target = {re.search(r"--target-jobs '(.*?)'", container(job)["args"][1])[1]: job for job in jobs}
    largest = container(by_target["optimize:dataset=imdb,model=qwen2.5-14b-instruct,seed=0"])["resources"]
    assert largest["requests"]["cpu"] == "3800m"
    assert largest["limits"]["cpu"] == "4000m"
    assert int(largest["limits"]["memory"].removesuffix("M")) > 2 * 14.77e9 / 1e6


@needs_storage
def test_each_shard_is_a_pod_of_its_own(tmp_path):
    """And has a GPU, so that several share a decoding; gathering follows with what it is for."""
    more = tmp_path / "more.yaml"
    more.write_text("decode: {block: 16}\ntasks: {mood: {shards: 2}}\n", encoding="utf-8")
    _, manifests = render("--configfile", "tests/configs/small.yaml", str(more), "--config", "device=cuda")
    for job in manifests[1:]:
        gpu = "shard" in rules(job) or rules(job) in ("before", "baselines", "optimize", "after", "analyse")
        assert container(job)["resources"]["limits"]["nvidia.com/gpu"] == str(int(gpu))
    assert Counter(map(rules, manifests[1:])) == {
        **dict.fromkeys(["pretrain", "before", "after", "baselines", "grade_before", "grade_after metrics"], 1),
        **dict.fromkeys(["gather_baselines", "gather_before grade_before", "gather_after grade_after metrics"], 1),
        **dict.fromkeys(["optimize", "analyse", "before_shard", "after_shard", "baselines_shard"], 2),
    }


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
