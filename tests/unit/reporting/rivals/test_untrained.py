"""What trains nothing, in the table of rivals: the ladder's own answers, paired with EmbedGrad's on the same items."""

import struct
from pathlib import Path

import numpy as np
import pytest
from reporting_samples import cell, graded, item
from scipy.stats import binomtest

from embedgrad.cli import main
from embedgrad.reporting.claims import check_rival_claims, read_claims
from embedgrad.reporting.claims.rivals import RIVAL_KINDS
from embedgrad.reporting.page.rivals import section
from embedgrad.reporting.results.cells import COLUMNS
from embedgrad.reporting.tables import read_table
from embedgrad.reporting.untrained import read_entries, untrained_entries
from embedgrad_core.files import UserError, read_json, read_jsonl, write_json, write_jsonl

ROOT = Path(__file__).resolve().parents[4]
IDS = [f"s{k}" for k in range(10)]
MODEL = {"name": "tiny", "resolved": "sha256:one"}
# Which of ten items each rung has right on test, and how many of five on dev.
RIGHT = {"no_prompt": (range(4), 1), "bare": (range(6), 2), "examples": (range(7), 2), "likelihood": (range(2, 10), 4)}


def rung_lines(name, split, ids, right):
    some = [graded(one, "none" if k in right else "wrong", n_tokens=5) for k, one in enumerate(ids)]
    return [{"rung": name, "split": split, **line} for line in some]


@pytest.fixture
def folder(tmp_path):
    """A cell before and after, its ladder, and no method yet."""
    own = tmp_path / "sums" / "tiny"
    write_jsonl(tmp_path / "data" / "sums" / "test.jsonl", [item(one) for one in IDS])
    write_jsonl(own / "before.jsonl", [graded(one, "none" if k < 6 else "wrong") for k, one in enumerate(IDS)])
    sidecar = {"model": MODEL, "data_sha256": {"test.jsonl": "a" * 64}, "layout": {"kind": "bare"}}
    write_json(own / "before.run.json", sidecar)
    write_jsonl(own / "seed0" / "after.jsonl", [graded(one, "none" if k < 9 else "wrong") for k, one in enumerate(IDS)])
    write_json(own / "seed0" / "after.run.json", {"model": MODEL})
    write_json(own / "seed0" / "optimize.run.json", {"best_epoch": 5})
    write_jsonl(own / "seed0" / "optimize.jsonl", [{"epoch": 0, "dev_loss": 1.0, "train_seconds": 0.0}])
    header = b'{"vectors":{"dtype":"F32","shape":[3,4],"data_offsets":[0,48]}}'
    (own / "seed0" / "prompt.safetensors").write_bytes(
        struct.pack("<Q", len(header)) + header + np.zeros(12, "<f4").tobytes()
    )
    lines, counts = [], {}
    for name, (right, on_dev) in RIGHT.items():
        dev = [f"d{k}" for k in range(5)]
        lines += rung_lines(name, "test", IDS, right) + rung_lines(name, "dev", dev, range(on_dev))
        counts[name] = {"correct": len(right), "n": 10, "levels": {}, "right": [f"s{k}" for k in right]}
        counts[name]["dev"] = {"correct": on_dev, "n": 5, "levels": {}, "right": dev[:on_dev]}
    counts["few_shot"] = {"left_out": "the context is too short"}
    write_json(own / "ladder.json", {"rungs": counts, "model": MODEL, "data_sha256": {"test.jsonl": "a" * 64}})
    write_jsonl(own / "ladder.jsonl", lines)
    return tmp_path


def table(folder, methods=("few_shot_1",), *more):
    columns = ["sums", "sums", "", "tiny", "", "", "", "0.01", "10"]
    (folder / "cells.tsv").write_text("\t".join(COLUMNS) + "\n" + "\t".join(columns) + "\n")
    flags = ["--cell-table", str(folder / "cells.tsv"), "--results", str(folder), "--cells", "sums/tiny"]
    write_jsonl(fit := folder / "rivals/sums/tiny/few_shot_1/seed0/fit.jsonl", [{"epoch": 0, "dev_loss": 1.0}])
    write_json(fit.with_name("fit.run.json"), {"rival": "few_shot_1", "family": "at_test_time"})
    write_json(fit.with_name("answer.run.json"), {"positions": 9, "calls": 1.0})
    write_jsonl(fit.with_name("graded.jsonl"), [graded(one) for one in IDS])
    outputs = ["--csv", str(folder / "rivals.csv"), "--md", str(folder / "rivals.md"), "--figures", str(folder / "f")]
    # The task has one seed of its own, as math500 has beside others with three.
    own = ["--methods", *methods, "--seeds", "0", "--run-seeds", "0,1,2;sums=0", *more]
    assert main(["rival", "table", *flags, *own, *outputs]) == 0
    header, rows = read_table(folder / "rivals.csv")
    return {row["method"]: row for row in (dict(zip(header, row, strict=True)) for row in rows)}


def test_the_rungs_lead_the_table_paired_on_the_same_items(folder):
    rows = table(folder)
    assert list(rows) == ["no prompt", "best untrained (likelihood)", "text prompt", "embedgrad", "few_shot_1"]
    # Without a prompt s0-s3 are right, with EmbedGrad s0-s8: five fewer of ten and none more.
    bare = rows["no prompt"]
    assert (bare["n"], bare["correct"], float(bare["delta"])) == ("10", "4", -50)
    assert float(bare["p"]) == pytest.approx(binomtest(0, 5).pvalue)
    # The likelihood has s2-s9: one more, two fewer.
    best = rows["best untrained (likelihood)"]
    assert (best["correct"], float(best["delta"])) == ("8", pytest.approx(-10))
    assert (bare["family"], bare["positions"], bare["trained_parameters"], best["positions"]) == (
        "untrained",
        "0",
        "0",
        "",
    )
    markdown = (folder / "rivals.md").read_text()
    assert [line.split("|")[1].strip() for line in markdown.splitlines() if line.startswith("| ")][2:] == list(rows)


def test_what_is_missing_or_does_not_apply_is_a_row_with_a_reason(folder, tmp_path):
    """And no row with numbers changes: table, figures, page and claims come from the rest."""
    plain = table(folder)
    log = folder / "logs/rival_rate/sums/tiny/lora/0.001.log"
    log.parent.mkdir(parents=True)
    log.write_text("lora: 1,500 trainable parameters\nerror: rival lora: memory ran out\n\n")
    left = ["--left-out", "sums/tiny", "prompt_tuning_labels", "starts from class labels, and the task has none"]
    rows = table(folder, ("few_shot_1", "lora", "gcg", "prompt_tuning_labels"), *left, "--list-missing")
    reasons = {name: row.pop("reason") for name, row in rows.items()}
    assert {name: why for name, why in reasons.items() if why} == {
        "lora": "no seed0/fit.run.json; error: rival lora: memory ran out",
        "gcg": "no seed0/fit.run.json; its jobs left no log",
        "prompt_tuning_labels": "starts from class labels, and the task has none",
    }
    assert [rows[name] | {"reason": ""} for name in plain] == list(plain.values())
    lines = (folder / "rivals.md").read_text().splitlines()
    (row,) = (line for line in lines if line.startswith("| lora"))
    assert [part.strip() for part in row.split("|")[1:3]] == ["lora", "–"]
    assert "no seed0/fit.run.json; error: rival lora: memory ran out" in row
    claims = [one for one in read_claims(ROOT / "config" / "claims.tsv") if one.kind in RIVAL_KINDS]
    found = {one.id: one.run_verdict for one in check_rival_claims(claims, folder)}
    assert found["rivals-overhead sums/tiny"] == "holds"
    assert found["rivals-adapters sums/tiny"] == "–"
    assert "1 comparison with EmbedGrad" in section(folder)["sentence"]
    assert "memory ran out" in str(section(folder)["cells"][0]["rows"])


def test_embedgrad_with_its_rate_searched_is_what_all_are_compared_with(folder):
    """The null control becomes the row of EmbedGrad, and the run's own cell, at the configured rate, one beside it."""
    home = folder / "rivals/sums/tiny/prompt_tuning_text"
    run = {
        "rival": "prompt_tuning_text",
        "family": "soft_prompts",
        "settings": {"learning_rate": 0.003},
        "fit_cpu_seconds": 7.5,
    }
    write_json(home / "seed0/fit.run.json", run)
    write_jsonl(home / "seed0/fit.jsonl", [{"epoch": 0, "dev_loss": 1.0}])
    write_json(home / "seed0/answer.run.json", {"positions": 3, "calls": 1.0, "fitted_sha256": "one"})
    write_jsonl(home / "seed0/graded.jsonl", [graded(one, "none" if k < 8 else "wrong") for k, one in enumerate(IDS)])
    write_json(home / "chosen.json", {"at_edge": False, "tried": [{}, {}]})
    write_json(home / "check.json", {"equal": True, "loss": 0.0, "vectors": 0.001, "note": ""})
    costs = dict.fromkeys(("first_token_ms", "token_ms", "first_token_ratio", "token_ratio"), 1.5)
    write_json(home / "cost.json", costs | {"fitted_sha256": "one"})
    rows = table(folder, ("few_shot_1", "prompt_tuning_text"))
    assert list(rows)[2:] == ["text prompt", "embedgrad", "embedgrad (configured rate)", "few_shot_1"]
    own, configured, shot = (rows[name] for name in list(rows)[3:])
    assert (own["correct"], own["rates_tried"], own["learning_rate"], own["fit_cpu_seconds"]) == (
        "8",
        "2",
        "0.003",
        "7.5",
    )
    assert (own["control_equal"], own["control_vectors"], own["delta"], own["token_ratio"]) == (
        "True",
        "0.001",
        "",
        "1.5",
    )
    # The run's own cell has nine right, few-shot all ten.
    assert (configured["correct"], float(configured["delta"]), configured["p_holm"], configured["token_ratio"]) == (
        "9",
        10,
        "",
        "",
    )
    assert (float(shot["delta"]), shot["p_holm"]) == (20, shot["p"])


def test_without_leave_to_list_it_a_missing_file_is_one_error(folder, capsys):
    flags = ["--methods", "lora", "--seeds", "0", "--run-seeds", "0", "--results", str(folder), "--cells", "sums/tiny"]
    columns = ["sums", "sums", "", "tiny", "", "", "", "0.01", "10"]
    (folder / "cells.tsv").write_text("\t".join(COLUMNS) + "\n" + "\t".join(columns) + "\n")
    outputs = ["--csv", str(folder / "x.csv"), "--md", str(folder / "x.md"), "--figures", str(folder / "f")]
    assert main(["rival", "table", "--cell-table", str(folder / "cells.tsv"), *flags, *outputs]) == 2
    assert "lora/seed0/" in capsys.readouterr().err


def test_a_run_without_a_ladder_has_no_such_row(folder):
    (folder / "sums/tiny/ladder.json").unlink()
    assert list(table(folder)) == ["text prompt", "embedgrad", "few_shot_1"]


@pytest.mark.parametrize("best", ["bare", "no_prompt"])
def test_the_best_rung_is_no_row_where_the_table_has_it(folder, best):
    path = folder / "sums/tiny/ladder.json"
    ladder = read_json(path)
    ladder["rungs"][best]["dev"] |= {"correct": 5, "right": [f"d{k}" for k in range(5)]}
    write_json(path, ladder)
    entries = read_entries(cell(), folder, {}, [0])
    assert [entry.method for entry in entries] == ["no prompt", "text prompt", "embedgrad"]


def test_a_level_is_paired_on_its_own_items(folder):
    (folder / "sums-L1" / "tiny" / "seed0").mkdir(parents=True)
    write_jsonl(folder / "sums-L1/tiny/seed0/after.jsonl", [graded(one) for one in ("s9", "s1")])
    path = folder / "sums/tiny/ladder.json"
    ladder = read_json(path)
    for counts in ladder["rungs"].values():
        counts |= {"levels": {"1": {"correct": 1, "n": 2}}}
        counts.get("dev", {})["levels"] = {"1": {"correct": 1, "n": 2}}
    write_json(path, ladder)
    entries = untrained_entries(folder, cell(dataset="sums-L1", level="1"), 0)
    assert [[(row["id"], row["correct"]) for row in entry.graded[0]] for entry in entries] == [
        [("s9", False), ("s1", True)]
    ], (
        "all rungs are equal on the dev items of this level, so that the first in order is the best: the one without a prompt"
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda ladder, lines: lines.pop(0), "1 of 10 items of .*after.jsonl lack an answer, 's0' first"),
        (lambda ladder, lines: lines[4].update(correct=True, failure="none"), "no_prompt is not what ladder.json counted"),
        (lambda ladder, lines: ladder["model"].update(resolved="sha256:two"), "ladder.json .revision sha256:two of the model"),
        (lambda ladder, lines: ladder["data_sha256"].update({"test.jsonl": "b" * 64}), "a test.jsonl of sha256 bbbb"),
    ],
)  # fmt: skip
def test_a_ladder_that_is_not_this_run_s_is_one_error(folder, change, told):
    own = folder / "sums/tiny"
    ladder, lines = read_json(own / "ladder.json"), read_jsonl(own / "ladder.jsonl")
    change(ladder, lines)
    write_json(own / "ladder.json", ladder)
    write_jsonl(own / "ladder.jsonl", [{key: value for key, value in line.items() if key != "check"} for line in lines])
    with pytest.raises(UserError, match=told):
        untrained_entries(folder, cell(), 0)
