"""docs/calibration.md says what docs/calibration.tsv says, and our scoring of a published protocol is lm-eval's."""

import csv
import importlib
import json
import re

import pytest
from places import ROOT
from tiny import tiny_model

from embedgrad.reporting.statistics import wilson

PAGE = (ROOT / "docs" / "calibration.md").read_text(encoding="utf-8")
with (ROOT / "docs" / "calibration.tsv").open(encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file, delimiter="\t"))


def ours(row):
    """``k/n (%) [95 %]``, or nothing for a row that was not run."""
    if not row["correct"]:
        return "-"
    correct, n = int(row["correct"]), int(row["n"])
    low, high = wilson(correct, n)
    return f"{correct}/{n} ({100 * correct / n:.2f}) [{100 * low:.1f}, {100 * high:.1f}]"


def test_the_pages_tables_are_the_file():
    shown = [line for line in PAGE.splitlines() if re.match(r"\| (SmolLM2|Qwen2\.5)", line)]
    cells = ([row["model"], row["benchmark"], row["published"], ours(row), row["source"], row["why"]] for row in ROWS)
    assert shown == ["| " + " | ".join(cell or "-" for cell in each) + " |" for each in cells]


def test_every_source_is_listed_with_an_address():
    listed = dict(re.findall(r"^\* \*\*([\w-]+)\*\*: .*?(https://\S+)", PAGE, re.MULTILINE))
    assert {row["source"] for row in ROWS if row["source"]} == set(listed)


def test_a_number_that_lies_outside_our_interval_is_said():
    for row in ROWS:
        if row["correct"] and re.fullmatch(r"[\d.]+", row["published"]):
            low, high = wilson(int(row["correct"]), int(row["n"]))
            inside = low <= float(row["published"]) / 100 <= high
            assert row["why"].startswith("inside" if inside else "outside"), row


def write_piqa(folder):
    rows = [{"goal": f"fold {n} shirts", "sol1": f"Fold  {n} sleeves. ", "sol2": "Burn them"} for n in range(5)]
    (folder / "valid.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "valid-labels.lst").write_text("0\n1\n0\n0\n1\n")


def write_bbh(folder):
    rows = [
        {"input": f"Did lamp {n} go on?\nOptions:\n- Yes\n- No", "target": "No" if n % 2 else "Yes"} for n in range(5)
    ]
    (folder / "bbh_causal_judgement.json").write_text(json.dumps({"canary": "", "examples": rows}))


@pytest.mark.parametrize(("task", "made", "metrics"), [("piqa", write_piqa, 2), ("bbh", write_bbh, 1)])
def test_our_side_scores_the_text_of_lm_evals_task(task, made, metrics, tokenizer, tmp_path, monkeypatch, capsys):
    made(tmp_path)
    frozen = tiny_model(tokenizer, max_position_embeddings=4096)
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    calibrate = importlib.import_module("calibrate")
    monkeypatch.setattr(calibrate, "load_model", lambda *_, **__: frozen)
    out = tmp_path / "out.json"
    words = ["calibrate", task, "--model", "tiny", "--data", str(tmp_path), "--beside", "3", "--out", str(out)]
    monkeypatch.setattr("sys.argv", words)
    calibrate.main()
    found = json.loads(out.read_text())
    assert (found["n"], found["beside"], found["same_option"]) == (5, 3, 3)
    assert found["largest_gap_nats"] < 1e-3
    assert capsys.readouterr().out.count(" of 5, ") == metrics
