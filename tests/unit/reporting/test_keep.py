"""What is kept of a run: tables, times, versions, and an archive that a run goes on from."""

import csv
import tarfile

import pytest
from reporting_samples import DEMO_SIZES, demo_cells, make_run

from embedgrad.cli import main
from embedgrad.reporting.results.cells import read_cells
from embedgrad_core.files import write_json

COLUMNS = ("s", "h:m:s", "max_rss", "max_vms", "max_uss", "max_pss", "io_in", "io_out", "mean_load", "cpu_time")
VALUES = ("12.5", "0:00:12", "345.6", "-", "-", "-", "0", "0", "90", "11.2")
BENCHMARK = "\t".join(COLUMNS) + "\n" + "\t".join(VALUES) + "\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = read_cells(demo_cells(tmp_path / "cells.tsv"))
    results = make_run(tmp_path / "results" / "mine", cells, DEMO_SIZES)
    for name in ("table2.csv", "table2.md", "against_best.md", "report.html"):
        (results / name).write_text(name, encoding="utf-8")
    times = results / "benchmarks" / "before" / "sentiment" / "tiny-0.2m.tsv"
    times.parent.mkdir(parents=True)
    times.write_text(BENCHMARK, encoding="utf-8")
    (results / "carry" / "mood").mkdir(parents=True)
    for name in ("transfer.csv", "transfer.csv.sha256", "transfer.md"):
        (results / "carry" / name).write_text(name, encoding="utf-8")
    (results / "logs").mkdir()
    (results / "logs" / "long.log").write_text("x" * 1000, encoding="utf-8")
    model = {"name": "/somewhere/tiny", "resolved": "sha256:1", "dtype": "float32", "device": "cpu"}
    write_json(results / "sentiment" / "tiny-0.2m" / "before.run.json", {"model": model, "versions": {"torch": "2"}})
    for cell, done in (("sentiment/tiny-0.2m", True), ("sentiment/tiny-0.8m", False)):
        home = results / cell / "seed0"
        (home / "prompt.safetensors").write_bytes(b"vectors")
        if done:
            write_json(home / "anchoring.json", {})
    fit = results / "rivals" / "sentiment" / "tiny-0.2m" / "fine_tuning" / "seed0"
    fit.mkdir(parents=True)
    for name in ("fitted.safetensors", "fit.jsonl"):
        (fit / name).write_bytes(b"a whole model")
    (tmp_path / "figures" / "mine").mkdir(parents=True)
    (tmp_path / "figures" / "mine" / "gain.png").write_bytes(b"png")
    return results


def keep(*more):
    return main(["keep", "--results", "results/mine", "--figures", "figures/mine", "--out", "kept", *more])


def test_a_reader_gets_tables_figures_times_and_versions(run, tmp_path):
    assert keep() == 0
    kept = tmp_path / "kept"
    assert (kept / "table2.md").read_text() == "table2.md"
    assert (kept / "carry_transfer.csv").read_text() == "transfer.csv"
    assert (kept / "carry_transfer.md").exists()
    assert (kept / "gain.png").read_bytes() == b"png"
    (row,) = csv.DictReader((kept / "times.csv").open())
    assert row == {
        "rule": "before",
        "job": "sentiment/tiny-0.2m",
        "wall_s": "12.5",
        "cpu_s": "11.2",
        "max_rss_mb": "345.6",
    }
    (row,) = [row for row in csv.DictReader((kept / "versions.csv").open()) if row["torch"] == "2"]
    assert (row["name"], row["resolved"]) == ("tiny", "sha256:1")
    assert "somewhere" not in (kept / "versions.csv").read_text()


def test_an_absolute_model_folder_in_what_is_kept_is_said(run, capsys):
    assert keep() == 0
    (warning,) = capsys.readouterr().err.splitlines()
    assert "/somewhere/tiny" in warning
    assert "--config mirror=LINK" in warning
    model = {"name": "mirror/models/tiny", "resolved": "sha256:1", "dtype": "float32", "device": "cpu"}
    write_json(run / "sentiment" / "tiny-0.2m" / "before.run.json", {"model": model})
    assert keep() == 0
    assert capsys.readouterr().err == ""


def test_the_archive_is_the_run_without_models_and_logs(run, tmp_path):
    assert keep() == 0
    first = (tmp_path / "kept" / "results.tar.xz").read_bytes()
    assert keep() == 0
    assert (tmp_path / "kept" / "results.tar.xz").read_bytes() == first
    with tarfile.open(tmp_path / "kept" / "results.tar.xz") as archive:
        names = archive.getnames()
        archive.extractall(tmp_path / "elsewhere", filter="data")
    assert all(name.startswith("results/mine/") for name in names)
    assert not any("logs" in name for name in names)
    assert [name.rpartition("/")[2] for name in names if "/rivals/" in name] == ["fit.jsonl"]
    # Times, so that those of a run that goes on elsewhere are whole; prompts, since probes and other models ask for them later.
    assert {
        "results/mine/benchmarks/before/sentiment/tiny-0.2m.tsv",
        "results/mine/sentiment/tiny-0.2m/seed0/prompt.safetensors",
        "results/mine/sentiment/tiny-0.8m/seed0/prompt.safetensors",
    } < set(names)
    answers = "sentiment/tiny-0.2m/before.jsonl"
    back = tmp_path / "elsewhere" / "results" / "mine" / answers
    assert back.read_bytes() == (run / answers).read_bytes()
    assert int(back.stat().st_mtime) == int((run / answers).stat().st_mtime)


def test_runs_of_other_splits_lie_in_the_same_archive(run, tmp_path, capsys):
    other = tmp_path / "results" / "mine-split1" / "sentiment" / "tiny-0.2m"
    other.mkdir(parents=True)
    (other / "before.jsonl").write_text("{}", encoding="utf-8")
    write_json(other / "before.run.json", {"model": {"name": "/elsewhere/tiny"}})
    assert keep("--split-runs", "results/mine-split1") == 0
    assert "/elsewhere/tiny" in capsys.readouterr().err
    with tarfile.open(tmp_path / "kept" / "results.tar.xz") as archive:
        names = set(archive.getnames())
    assert {"results/mine-split1/sentiment/tiny-0.2m/before.jsonl", "results/mine/table2.md"} <= names
    assert keep("--split-runs", "results/none") == 2
    assert "--split-runs results/none: no such folder" in capsys.readouterr().err


def test_too_much_is_refused_with_the_largest_file(run, capsys, tmp_path):
    (run / "report.html").write_text("x" * 5000, encoding="utf-8")
    assert keep("--most", "2000") == 2
    assert "report.html is the largest (5,000)" in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()
    assert main(["keep", "--results", "results/none", "--figures", "figures/mine", "--out", "kept"]) == 2
    assert "results/none: no such folder" in capsys.readouterr().err
