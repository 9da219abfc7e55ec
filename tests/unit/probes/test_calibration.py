"""Calibration against scikit-learn, and on forecasts whose truth is planted."""

import warnings

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, roc_auc_score

from embedgrad.cli import main
from embedgrad.probes.applies import DoesNotApply
from embedgrad.probes.calibration import (
    auroc_change,
    auroc_of,
    brier,
    calibration,
    change,
    ece,
    probabilities,
    reliability,
    scored,
)
from embedgrad.probes.intervals import auroc_interval
from embedgrad.reporting.probes.calibration import SHAPE, fault, figure, lines, sentence
from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.results.probes import Probed, Ranged, flat
from embedgrad.reporting.statistics import Paired
from embedgrad_core.files import misfit, read_json, write_json, write_jsonl

LABELS = ["calm", "angry", "sad"]


def forecasts(items=400, labels=3, seed=0):
    """Random chances, and truths drawn with just these chances: calibrated by construction."""
    chance = np.random.default_rng(seed)
    chances = chance.dirichlet(np.full(labels, 0.7), size=items)
    truth = np.array([chance.choice(labels, p=row) for row in chances])
    return chances, truth


@pytest.mark.parametrize("labels", [2, 3, 8])
def test_the_scores_are_scikit_learns(labels):
    chances, truth = forecasts(labels=labels)
    found = scored(chances, truth)
    wanted = brier_score_loss(truth, chances, labels=range(labels), scale_by_half=True)
    assert found["brier"] == pytest.approx(wanted, abs=1e-12)
    if labels == 2:
        assert found["brier"] == pytest.approx(brier_score_loss(truth, chances[:, 1]), abs=1e-12)
        area = roc_auc_score(truth, chances[:, 1])
    else:
        area = roc_auc_score(truth, chances, multi_class="ovr", average="macro")
    assert found["auroc"] == pytest.approx(area, abs=1e-12)
    assert found["auroc_interval"][0] < found["auroc"] < found["auroc_interval"][1]
    assert found["accuracy"] == np.mean(chances.argmax(axis=1) == truth)


def test_the_diagram_is_scikit_learns():
    chances, truth = forecasts()
    right, confidence = chances.argmax(axis=1) == truth, chances.max(axis=1)
    rows = reliability(confidence, right)
    shares, means = calibration_curve(right, confidence, n_bins=10, strategy="uniform")
    assert [row["right"] / row["n"] for row in rows] == pytest.approx(shares)
    assert [row["confidence"] for row in rows] == pytest.approx(means)
    assert sum(row["n"] for row in rows) == len(truth)


def test_a_calibrated_forecast_has_the_error_of_its_few_items_and_no_more():
    errors = []
    for items in (100, 40_000):
        chances, truth = forecasts(items)
        found = ece(chances.max(axis=1), chances.argmax(axis=1) == truth)
        errors.append(found)
    assert errors[1] < 0.01 < errors[0]
    mean, most = scored(*forecasts(100))["ece_if_calibrated"]
    assert mean < most
    assert errors[0] < most


@pytest.mark.parametrize(("said", "true"), [(0.95, 0.7), (0.8, 0.8), (0.6, 0.9)])
def test_a_sharpened_or_blunted_forecast_has_the_known_error(said, true):
    right = np.arange(1000) < 1000 * true
    assert ece(np.full(1000, said), right) == pytest.approx(abs(said - true))


def test_no_item_makes_no_error_and_sure_right_answers_none():
    assert ece(np.ones(5), np.ones(5, dtype=bool)) == 0
    assert brier(np.eye(3), np.arange(3)).tolist() == [0, 0, 0]
    assert brier(np.eye(2), np.array([1, 0])).tolist() == [1, 1]


def test_the_length_of_labels_counts_only_where_it_is_not_divided_by():
    summed, mean = (probabilities([[-1.0, -2.0]], tokens) for tokens in (None, [1, 2]))
    assert summed[0, 0] == pytest.approx(1 / (1 + np.exp(-1)))
    assert mean[0].tolist() == [0.5, 0.5]


def test_a_change_is_paired():
    chances, truth = forecasts(200)
    better = change(chances, 0.8 * chances + 0.2 * np.eye(3)[truth], truth)
    assert better["auroc"][1] > 0
    assert better["brier"][2] < 0 < better["accuracy"][1]
    assert change(np.full_like(chances, 1 / 3), np.eye(3)[truth], truth)["auroc"][0] == 0.5


def perfect(items):
    """A forecast that ranks all items right, of as many of either label."""
    truth = np.arange(items) % 2
    return np.stack([0.2 + 0.6 * (truth == 0), 0.2 + 0.6 * (truth == 1)], axis=1), truth


def test_a_perfect_ranking_of_few_items_is_no_certainty():
    """Each resample ranks as well: the bootstrap says [1, 1] of 12 items as of a thousand."""
    for items, least in ((12, 0.65), (400, 0.98)):
        chances, truth = perfect(items)
        area, (low, high) = auroc_of(chances, truth)
        assert (area, [low, high]) == (1, list(auroc_interval(1.0, items // 2, items // 2)))
        assert least < low < high == 1
    # The mean of three labels, each against the rest: four items and eight.
    truth = np.arange(12) % 3
    area, ends = auroc_of(np.eye(3)[truth] * 0.4 + 0.2, truth)
    assert (area, ends) == (1, pytest.approx(auroc_interval(1.0, 4, 8)))
    # The same chances for all items rank nothing.
    assert auroc_of(np.full((12, 2), 0.5), np.arange(12) % 2)[1] == pytest.approx(auroc_interval(0.5, 6, 6))


def test_no_change_on_few_items_is_no_certainty():
    chances, truth = perfect(12)
    same = change(chances, chances, truth)
    assert same["accuracy"] == [0, *(end / 100 for end in Paired(12, 0, 0, 0).interval)]
    assert same["accuracy"][1] < -0.2 < 0.2 < same["accuracy"][2]
    # Both areas are 1 with Newcombe's lower end: either may be that much worse.
    reach = 1 - auroc_interval(1.0, 6, 6)[0]
    assert same["auroc"] == pytest.approx([0, -reach, reach])
    assert same["brier"] == [0, None, None]
    # One area spreads, the other does not: the doubt of that one counts as well.
    worse = chances[:, ::-1] * 0.5 + 0.25 + np.random.default_rng(0).normal(0, 0.2, (12, 1)) * [1, -1]
    gap, low, high = auroc_change(worse, chances, truth)
    area, ends = auroc_of(worse, truth)
    assert gap == 1 - area
    assert low == pytest.approx(gap - np.hypot(reach, ends[1] - area))
    assert high == pytest.approx(min(gap + area - ends[0], 1))
    assert scored(np.full((12, 2), 0.5), truth)["brier_interval"] is None


def test_a_resample_without_a_label_is_left_out_without_a_warning():
    chances, _ = forecasts(9, labels=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        area, ends = auroc_of(chances, np.array([1] + [0] * 8))
        several, _ = auroc_of(forecasts(9)[0], np.array([1] + [0] * 8))
    assert ends[0] <= area <= ends[1]
    assert 0 <= several <= 1


def test_the_optimised_prompt_is_held_against_every_other_reading():
    answers, both = readings()
    rewrite = np.add(both["text prompt"], 0.5 * np.array(both["optimised prompt"])).tolist()
    found = calibration(LABELS, answers, answers, both | {"rewrite": rewrite}, [1, 2, 1])
    assert misfit(found, SHAPE) is None
    assert fault(found) is None
    assert fault(found | {"change": {"text prompt": found["change"]["text prompt"]}}) == "change"
    truth = np.array([LABELS.index(answer) for answer in answers])
    chances = {name: probabilities(values) for name, values in (both | {"rewrite": rewrite}).items()}
    for name in ("text prompt", "rewrite"):
        assert found["change"][name]["sum"] == change(chances[name], chances["optimised prompt"], truth)
    table = flat(lines(found))
    assert [line["prompt"] for line in table[-4:]] == ["optimised - text"] * 2 + ["optimised - rewrite"] * 2
    told = found["change"]["rewrite"]["mean"]
    assert (table[-1]["brier"], table[-1]["auroc_low"]) == (round(told["brier"][0], 3), round(told["auroc"][1], 3))
    one = Probed(Cell("mood", "mood", None, "tiny", None, None, None, 0.01, 1), 0, found)
    assert (
        "apart from the text prompt's; than the rewrite's, which needs no training, on 1 of 1, worse on 0."
        in sentence([one])
    )


def readings(items=60, seed=1):
    chance = np.random.default_rng(seed)
    truth = chance.integers(3, size=items)
    before = chance.normal(-9, 1, (items, 3))
    after = np.log(np.eye(3)[truth] * 0.6 + 0.1)
    return [LABELS[one] for one in truth], {"text prompt": before.tolist(), "optimised prompt": after.tolist()}


def test_what_is_found_has_its_shape_and_is_shown():
    answers, both = readings()
    found = calibration(LABELS, answers, answers, both, [1, 2, 1])
    assert misfit(found, SHAPE) is None
    assert fault(found) is None
    assert fault(found | {"readings": {"rewrite": found["readings"]["text prompt"]}}) == "readings"
    # 0.7 and twice 0.1 of all that the model might have said
    assert found["readings"]["optimised prompt"]["mass"] == pytest.approx(0.9)
    assert found["readings"]["text prompt"]["mass"] < 0.01
    one = Probed(Cell("mood", "mood", None, "tiny", None, None, None, 0.01, 1), 0, found)
    assert "better on 1 of 1 cells" in sentence([one])
    table = flat(lines(found))
    assert [line["prompt"] for line in table[:2]] == ["training frequencies", "text prompt"]
    assert [line["scale"] for line in table[1:3]] == ["sum", "mean a token"]
    assert {key for key in table[1] if "ece" in key} == {
        "ece",
        "ece_if_calibrated_mean",
        "ece_if_calibrated_97.5_%_quantile",
    }
    assert table[1]["auroc_low"] <= table[1]["auroc"] <= table[1]["auroc_high"]
    assert len(figure([one]).axes) == 1


def test_it_says_where_it_does_not_apply():
    answers, both = readings(4)
    with pytest.raises(DoesNotApply, match="4 test items"):
        calibration(LABELS, answers, answers, both, [1, 1, 1])
    with pytest.raises(DoesNotApply, match="open"):
        calibration([], [], ["7"], {}, [])
    alone = ["sad"] * 20
    one = np.tile([-1.0, -2.0, -3.0], (20, 1)).tolist()
    found = calibration(LABELS, alone, alone, {"text prompt": one, "optimised prompt": one}, [1, 1, 1])
    assert misfit(found, SHAPE) is None
    assert found["readings"]["text prompt"]["sum"]["auroc"] is None
    assert found["change"]["text prompt"]["sum"]["auroc"] is None
    # Labels of one token each: the scales are the same, and are shown once.
    assert [line["scale"] for line in lines(found)] == [None, "either", "either", "either"]


def test_the_command_reads_what_the_analysis_wrote(tmp_path, capsys):
    answers, both = readings(20)
    rows = [
        {"id": f"i{place}", "answer": answer, "before": old, "after": new}
        for place, (answer, old, new) in enumerate(zip(answers, *both.values(), strict=True))
    ]
    write_json(
        tmp_path / "likelihood.json", {"labels": LABELS, "tokens": [1, 2, 1], "items": rows, "prompt_sha256": "ab"}
    )
    items = [
        {"id": row["id"], "input": "x", "target": row["answer"], "answer": row["answer"], "level": None} for row in rows
    ]
    for name in ("train", "test"):
        write_jsonl(tmp_path / f"{name}.jsonl", items)
    files = ["--likelihood", "likelihood.json", "--train", "train.jsonl", "--data", "test.jsonl", "--out", "found.json"]
    command = ["probe", "calibration", *(str(tmp_path / word) if "." in word else word for word in files)]
    assert main(command) == 0
    found = read_json(tmp_path / "found.json")
    assert found["applies"]
    assert found["prompt_sha256"] == "ab"
    write_jsonl(tmp_path / "test.jsonl", items[1:])
    assert main(command) == 2
    assert "other items" in capsys.readouterr().err


def test_a_number_and_its_interval_are_one_column_or_three():
    one = Ranged.of(0.25, (0.125, None), 100, 1)
    assert str(one) == "25.0 [12.5, –]"
    assert str(Ranged(1234.5, None, None, 0)) == "1,234"
    assert flat([{"gain": one, "n": 3}]) == [{"gain": 25.0, "gain_low": 12.5, "gain_high": None, "n": 3}]
