import json

import pytest
from budget import times
from hypothesis import given, settings
from hypothesis import strategies as st
from reporting_samples import cell, graded, history, item

from embedgrad.files import FAILURES
from embedgrad.reporting.metrics import build_metrics, metrics_from_files
from embedgrad_core.files import Item, UserError, read_json, sha256_of_file, write_json, write_jsonl


def items(n: int, level: str | None = None) -> list[Item]:
    return [Item(**item(f"{level or ''}{k}", level)) for k in range(n)]


def rows(*failures: str, level: str = "") -> list[dict]:
    return [graded(f"{level}{k}", failure) for k, failure in enumerate(failures)]


# Eight items by hand: 3 right before, 5 after; 0 stays right, 1 and 2 are lost, 3-6 are won, 7 stays wrong.
BEFORE = rows("none", "none", "none", "loop", "no_answer", "wrong", "truncated", "undecided")
AFTER = rows("none", "wrong", "no_answer", "none", "none", "none", "none", "wrong")


def test_eight_items_by_hand():
    BEFORE[3]["entropy_bits"] = 0.01
    BEFORE[0]["n_tokens"] = 100
    metrics = build_metrics(cell(), 3, items(8), BEFORE, AFTER)
    assert metrics["cell"] == {"dataset": "sums", "task": "sums", "level": None, "model": "tiny", "seed": 3}
    assert metrics["n"] == 8
    before, after = metrics["before"], metrics["after"]
    assert (before["correct"], before["accuracy"]) == (3, 0.375)
    assert (after["correct"], after["accuracy"]) == (5, 0.625)
    assert before["wilson"] == pytest.approx([0.136845, 0.694258], abs=1e-6)
    ones = {"none": 3, "wrong": 1, "no_answer": 1, "truncated": 1, "loop": 1, "undecided": 1}
    assert before["failures"] == ones
    assert after["failures"] == {"none": 5, "wrong": 2, "no_answer": 1, "truncated": 0, "loop": 0, "undecided": 0}
    assert before["entropy_bits"] == {
        "mean": pytest.approx((7 * 0.25 + 0.01) / 8),
        "mean_without_loops": pytest.approx(0.25),
        "n_without_loops": 7,
    }
    assert before["mean_tokens"] == 30
    assert before["strict_correct"] is None
    assert metrics["delta"]["points"] == 25
    assert metrics["mcnemar"]["only_before"] == 2
    assert metrics["mcnemar"]["only_after"] == 4
    assert metrics["mcnemar"]["p_exact"] == pytest.approx(44 / 64)  # 2 (1 + 6 + 15) / 2^6
    assert metrics["mcnemar"]["p_mid"] == pytest.approx(29 / 64)
    # 3, 4, 6 had nothing extracted before; 5 had a wrong answer; 1 became wrong, 2 lost its answer.
    assert metrics["gain"] == {
        "became_extractable": 3,
        "became_right": 1,
        "lost_extractable": 1,
        "lost_right": 1,
        "net": 2,
        "extracted_before": 4,
        "extracted_after": 7,
    }
    assert metrics["paper"] is None
    assert metrics["verdict"]["word"] is None
    json.dumps(metrics, allow_nan=False)


def test_a_level_is_a_view_of_the_whole_before():
    test = items(4, "1") + items(3, "2")
    before = rows("none", "wrong", "wrong", "wrong", level="1") + rows("none", "none", "loop", level="2")
    after = rows("none", "none", "none", level="2")
    metrics = build_metrics(cell("sums-L2", level="2"), 0, test, before[::-1], after[::-1])
    assert metrics["n"] == 3
    assert metrics["before"]["correct"] == 2
    assert metrics["after"]["correct"] == 3
    with pytest.raises(UserError, match="level '5'"):
        build_metrics(cell("sums-L5", level="5"), 0, test, before, after)


def test_a_loop_with_a_right_answer_is_still_left_out_of_the_entropy():
    looping = graded("0", entropy_bits=0.0, stop="loop_suspect")
    side = build_metrics(cell(), 0, items(2), [looping, graded("1")], rows("none", "none"))["before"]
    assert side["correct"] == 2
    assert side["entropy_bits"] == {"mean": 0.125, "mean_without_loops": 0.25, "n_without_loops": 1}


def test_answers_of_no_tokens_have_no_entropy():
    empty = [graded(str(k), "no_answer", output="", n_tokens=0, entropy_bits=None) for k in range(3)]
    side = build_metrics(cell(), 0, items(3), empty, rows("none", "none", "none"))["before"]
    assert side["entropy_bits"] == {"mean": None, "mean_without_loops": None, "n_without_loops": 3}
    assert side["mean_tokens"] == 0
    assert side["correct"] == 0


def test_strict_counts_of_label_tasks():
    before = [graded("0", strict_correct=True), graded("1", strict_correct=False)]
    metrics = build_metrics(cell(), 0, items(2), before, before)
    assert metrics["before"]["strict_correct"] == 1
    del before[1]["strict_correct"]
    with pytest.raises(UserError, match=r"before\.jsonl: 1 of 2 lines lack 'strict_correct'"):
        build_metrics(cell(), 0, items(2), before, before)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda rows: rows.pop(), r"after\.jsonl: 1 of 8 items of test\.jsonl lack an answer, '7' first"),
        (lambda rows: rows.append(rows[2]), r"after\.jsonl:9: item '2' stands there twice, but once in test\.jsonl"),
        (lambda rows: rows[0].update(id="z"), r"after\.jsonl:1: item 'z' is not among the cell's items in test\.jsonl"),
        (lambda rows: rows[0].update(id=["z"]), r"after\.jsonl:1: item \['z'\] is not"),
        (lambda rows: rows[1].update(correct=True), r"after\.jsonl:2: 'correct' must be true exactly when"),
        (lambda rows: rows[1].update(correct=0), r"after\.jsonl:2: 'correct' must be true exactly when"),
        (lambda rows: rows[1].update(failure="odd"), r"after\.jsonl:2: failure 'odd' is not one of"),
        (lambda rows: rows[1].update(entropy_bits=float("nan")), r"after\.jsonl:2: 'entropy_bits'"),
        (lambda rows: rows[1].update(entropy_bits="0.1"), r"after\.jsonl:2: 'entropy_bits'"),
        (lambda rows: rows[1].update(n_tokens=-1), r"after\.jsonl:2: 'n_tokens'"),
        (lambda rows: rows[1].update(extracted=7), r"after\.jsonl:2: 'extracted'"),
        (lambda rows: rows[1].update(steps=7), r"after\.jsonl:2: 'steps' are not the answer's tokens"),
        (lambda rows: rows[1].update(steps="é"), r"after\.jsonl:2: 'steps' are not the answer's tokens"),
        (lambda rows: rows[1].update(steps="AAAA"), r"after\.jsonl:2: 'steps' are not the answer's tokens"),
    ],
)
def test_answers_that_do_not_fit_name_both_files(spoil, told):
    after = [dict(row) for row in AFTER]
    spoil(after)
    with pytest.raises(UserError, match=told):
        build_metrics(cell(), 0, items(8), BEFORE, after)


def test_an_after_of_another_level_is_refused():
    test = items(2, "1") + items(2, "2")
    before = rows("none", "none", level="1") + rows("none", "none", level="2")
    with pytest.raises(UserError, match=r"after\.jsonl:1: item '10' is not among the cell's items"):
        build_metrics(cell("sums-L2", level="2"), 0, test, before, rows("none", "none", level="1"))


def test_an_after_of_another_prompt_is_refused():
    runs = {"after": {"prompt_sha256": "a" * 64}}
    with pytest.raises(UserError, match=r"after\.jsonl: answered with the prompt aaaaaaaaaaaa"):
        build_metrics(cell(), 0, items(8), BEFORE, AFTER, (), runs, prompt_sha256="b" * 64)


outcome = st.sampled_from(FAILURES)


@settings(deadline=None, max_examples=times(60))
@given(st.lists(st.tuples(outcome, outcome), min_size=1, max_size=40))
def test_the_decomposition_and_the_failures_are_exact(pairs):
    before, after = (rows(*side) for side in zip(*pairs, strict=True))
    metrics = build_metrics(cell(paper=("10.00", "20.00", "+10.00")), 0, items(len(pairs)), before, after)
    change = metrics["after"]["correct"] - metrics["before"]["correct"]
    gain = metrics["gain"]
    assert gain["net"] == change
    assert gain["became_extractable"] + gain["became_right"] == metrics["mcnemar"]["only_after"]
    assert gain["lost_extractable"] + gain["lost_right"] == metrics["mcnemar"]["only_before"]
    for side in ("before", "after"):
        assert sum(metrics[side]["failures"].values()) == metrics["n"]
        assert metrics[side]["failures"]["none"] == metrics[side]["correct"]
    assert metrics["delta"]["newcombe"][0] <= metrics["delta"]["points"] + 1e-9
    assert metrics["delta"]["points"] <= metrics["delta"]["newcombe"][1] + 1e-9


@pytest.fixture
def files(tmp_path):
    import random

    write_jsonl(tmp_path / "test.jsonl", [item(str(k)) for k in range(8)])
    write_jsonl(tmp_path / "before.jsonl", BEFORE)
    write_jsonl(tmp_path / "after.jsonl", AFTER)
    write_jsonl(tmp_path / "optimize.jsonl", [*history(random.Random(1), 6), {"epoch": 7, "stopped": "loss is nan"}])
    write_json(tmp_path / "optimize.run.json", {"best_epoch": 4, "protocol": "p", "seconds": 9.5})
    write_json(tmp_path / "before.run.json", {"device": "cpu"})
    write_json(tmp_path / "split.json", {"ids": []})
    (tmp_path / "prompt.safetensors").write_bytes(b"vectors")
    write_json(tmp_path / "after.run.json", {"prompt_sha256": sha256_of_file(tmp_path / "prompt.safetensors")})
    return tmp_path


def paths(folder, **changed):
    names = {
        "test": "test.jsonl",
        "before": "before.jsonl",
        "after": "after.jsonl",
        "history": "optimize.jsonl",
        "before_run": "before.run.json",
        "after_run": "after.run.json",
        "optimize_run": "optimize.run.json",
        "split": "split.json",
        "prompt": "prompt.safetensors",
        "out": "metrics.json",
    }
    return {key: folder / name for key, name in (names | changed).items()}


def test_from_files(files):
    made = metrics_from_files(cell(paper=("37.50", "62.50", "+25.00")), 1, **paths(files))
    assert read_json(files / "metrics.json") == made
    assert made["paper"] == {"before": "37.50", "after": "62.50", "delta": "+25.00"}
    assert made["verdict"]["word"] == "inconclusive"
    assert made["run"]["before"] == {"device": "cpu"}
    assert made["prompt"] == {"sha256": sha256_of_file(files / "prompt.safetensors"), "best_epoch": 4}
    assert made["split"]["sha256"] == sha256_of_file(files / "split.json")
    assert made["training"]["epochs"] in (4, 6)
    assert made["training"]["dev_loss_best"] <= made["training"]["dev_loss_first"]
    bytes_once = (files / "metrics.json").read_bytes()
    metrics_from_files(cell(paper=("37.50", "62.50", "+25.00")), 1, **paths(files))
    assert (files / "metrics.json").read_bytes() == bytes_once


def test_a_file_cut_short_or_missing_writes_nothing(files):
    text = (files / "before.jsonl").read_text()
    (files / "before.jsonl").write_text(text[:-30])
    with pytest.raises(UserError, match=r"before\.jsonl:8: the last line has no end"):
        metrics_from_files(cell(), 1, **paths(files))
    (files / "before.jsonl").write_text("")
    with pytest.raises(UserError, match=r"before\.jsonl: 8 of 8 items of .*test\.jsonl lack an answer"):
        metrics_from_files(cell(), 1, **paths(files))
    write_jsonl(files / "before.jsonl", BEFORE)
    with pytest.raises(UserError, match=r"none\.json: no such file"):
        metrics_from_files(cell(), 1, **paths(files, split="none.json"))
    (files / "after.run.json").write_text("[]")
    with pytest.raises(UserError, match=r"after\.run\.json: expected a JSON object"):
        metrics_from_files(cell(), 1, **paths(files))
    assert not (files / "metrics.json").exists()
