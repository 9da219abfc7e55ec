"""Model folders that are not whole, or not the ones that the configuration means: one error before any job."""

import json

import pytest
import yaml
from commands import snakemake
from model_folders import FIRST, INDEX, SECOND, WHOLE
from places import ROOT

from embedgrad.cli import main
from embedgrad_core.files import folder_fingerprint, folder_hashes

SHARDED = WHOLE | INDEX | {"model.safetensors": None, FIRST: "weights", SECOND: "more weights"}
SOUND = {
    "whole": WHOLE,
    "sharded": SHARDED,
    "two-vocabulary-files": WHOLE | {"tokenizer.json": None, "vocab.json": "{}", "merges.txt": ""},
}
# What lies in the folder, and what is said of it.
BROKEN = {
    "no-config": (WHOLE | {"config.json": None}, "holds no config.json;"),
    "no-vocabulary": (WHOLE | {"tokenizer.json": None}, "holds no tokenizer.json (nor tokenizer.model, nor"),
    "half-a-vocabulary": (WHOLE | {"tokenizer.json": None, "vocab.json": "{}"}, "nor vocab.json with merges.txt)"),
    "no-tokenizer-config": (WHOLE | {"tokenizer_config.json": None}, "holds no tokenizer_config.json;"),
    "no-weights": (WHOLE | {"model.safetensors": None}, "holds no model.safetensors (only safetensors are read);"),
    "pickled": (WHOLE | {"model.safetensors": None, "pytorch_model.bin": "x"}, "holds no model.safetensors (only"),
    "no-shard": (
        SHARDED | {SECOND: None},
        f"holds no {SECOND} (1 of the shards that model.safetensors.index.json names)",
    ),
    "no-index": (SHARDED | {"model.safetensors.index.json": None}, "holds no model.safetensors (only"),
    "a-bad-index": (SHARDED | {"model.safetensors.index.json": '{"weight_map": {"a": 1}}'}, "not an index of weights"),
    "empty": ({}, "holds no config.json, no tokenizer_config.json, no tokenizer.json (nor"),
    "of-another-sha256": (
        WHOLE | {"tokenizer.json": '{"changed": true}'},
        "fix models.of-another-sha256.sha256 in the config",
    ),
}


def write(folder, files):
    folder.mkdir(parents=True)
    for name, text in files.items():
        if text is not None:
            (folder / name).write_text(text)
    return folder


@pytest.fixture
def configured(checkout):
    """A configuration with every sound and every broken folder as a model, a cell for each; two state a sha256."""
    kinds = {**SOUND, **{name: files for name, (files, _) in BROKEN.items()}}
    for name, files in kinds.items():
        write(checkout / "models" / name, files)
    values = yaml.safe_load((ROOT / "tests/configs/small.yaml").read_text(encoding="utf-8"))
    table = checkout / "broken_cells.tsv"
    head = (ROOT / "tests/configs/small_cells.tsv").read_text(encoding="utf-8").splitlines()[0]
    table.write_text(head + "\n" + "".join(f"mood\tmood\t\t{name}\t\t\t\t0.01\t1\n" for name in kinds))
    values |= {"run": "broken", "cell_table": str(table)}
    values["models"] = {
        name: {"folder": str(checkout / "models" / name), "parameters": 1e5, "dtype": "float32"} for name in kinds
    }
    for name in ("whole", "of-another-sha256"):
        values["models"][name]["sha256"] = folder_fingerprint(folder_hashes(checkout / "models" / "whole"))
    path = checkout / "broken.yaml"
    path.write_text(json.dumps(values))  # JSON is YAML
    return path


@pytest.mark.workflow
def test_each_broken_folder_is_one_line_before_any_job_starts(checkout, configured):
    run = snakemake(checkout, "--configfile", str(configured))
    told = (run.stdout + run.stderr).splitlines()
    assert run.returncode != 0
    for name, (_, said) in BROKEN.items():
        (line,) = (line for line in told if f"model {name}: " in line)  # once, though several jobs load it
        assert said in line
        assert str(checkout / "models" / name) in line
    assert not [line for line in told for name in SOUND if f"model {name}: " in line]
    assert "Traceback" not in run.stderr
    assert not (checkout / "results").exists()


@pytest.mark.workflow
def test_a_start_that_loads_no_model_looks_at_no_folder(checkout, configured):
    run = snakemake(checkout, "results/broken/data/mood/split.json", "--configfile", str(configured))
    assert run.returncode == 0, run.stderr
    assert "model " not in run.stderr


@pytest.mark.workflow
def test_other_files_than_the_laptop_run_s_are_one_line_with_both_sha256(checkout, tmp_path):
    folder = write(tmp_path / "mirror/models/SmolLM2-135M-Instruct", WHOLE)
    cell = "results/laptop/imdb/smollm2-135m-instruct/seed0/metrics.json"
    run = snakemake(checkout, cell, "--configfile", "config/laptop.yaml", mirror=tmp_path / "mirror")
    assert run.returncode != 0
    models = yaml.safe_load((ROOT / "config/laptop.yaml").read_text(encoding="utf-8"))["models"]
    wanted = models["smollm2-135m-instruct"]["sha256"]
    found = folder_hashes(folder)["model.safetensors"]
    lines = [line for line in (run.stdout + run.stderr).splitlines() if "sha256" in line]
    assert lines == [
        f"model smollm2-135m-instruct: the files of {folder} have {found}, wanted is {wanted}; "
        "take the right copy, or fix models.smollm2-135m-instruct.sha256 in the config."
    ]
    assert not (checkout / "results").exists()


def test_the_plan_says_the_same(configured, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["plan", "--config", str(configured), "--gpu", "h100", "--offline"])
    assert ended.value.code == 1
    told = capsys.readouterr().out.splitlines()
    for name, (_, said) in BROKEN.items():
        (line,) = (line for line in told if line.startswith(f"missing: {name}: "))
        assert said in line
        assert f"model {name}: missing" in told
    for name in SOUND:
        assert f"model {name}: here" in told
