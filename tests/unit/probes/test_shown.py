"""What the page says of the probes: lines, sentences and figures of results that are known, and results that cannot be."""

import copy
import json
from collections import defaultdict

import pytest
from drawn import apart
from places import ROOT
from probe_samples import RESULTS, contamination, robustness, split_variance, transfer_matrix
from reporting_samples import cell

from embedgrad.reporting.probes import PROBES
from embedgrad.reporting.probes import rows as table
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.results.probes import Probed, flat, read_probe
from embedgrad_core.files import UserError, misfit

OTHER = {"contamination": contamination(False, 0), "transfer_matrix": transfer_matrix("parity", (9.375, 12.5, 0.0))}


NAMES, LONG = ("sentiment", "parity", "arithmetic-L1"), ("causal_judgment", "imdb", "math500-L1")


def found(name, *results, names=NAMES, model="tiny-0.2m"):
    """The results as of one cell each."""
    own = results or [RESULTS[name]()]
    return [
        Probed(cell(dataset, dataset.split("-")[0], model=model), 0, values)
        for dataset, values in zip(names, own, strict=False)
    ]


@pytest.mark.parametrize("name", PROBES)
def test_a_sample_is_a_result_and_its_table_has_plain_cells(name):
    values = RESULTS[name]()
    assert misfit(values, PROBES[name].SHAPE) is None
    assert json.loads(json.dumps(values)) is not None
    rows = flat(PROBES[name].lines(values))
    assert rows
    assert all(value is None or isinstance(value, str | int | float) for row in rows for value in row.values())


@pytest.mark.parametrize("cells", [1, 2, 3])
@pytest.mark.parametrize("named", [(NAMES, "tiny-0.2m"), (LONG, "qwen2.5-coder-0.5b-instruct")])
@pytest.mark.parametrize("name", PROBES)
def test_no_text_of_a_figure_lies_on_another(name, named, cells):
    first = RESULTS[name]()
    results = [first, OTHER.get(name, first), first][:cells]
    apart(PROBES[name].figure(found(name, *results, names=named[0], model=named[1])))


@pytest.mark.parametrize("name", PROBES)
def test_the_papers_table_fits_on_one_figure(name):
    cells, values = read_cells(ROOT / "config/cells.tsv"), RESULTS[name]()
    assert len(cells) == 26
    drawn = PROBES[name].figure([Probed(one, 0, values) for one in cells])
    width, height = drawn.get_size_inches()
    assert width < 14
    assert height < 2.25 * width + 2


@pytest.mark.parametrize("name", ["trajectory", "variance"])
def test_of_many_cells_less_is_drawn(name):
    cells, values = read_cells(ROOT / "config/cells.tsv")[:5], RESULTS[name]()
    few, many = (PROBES[name].figure([Probed(one, 0, values) for one in cells[:count]]) for count in (4, 5))
    assert many.get_figheight() < few.get_figheight() / 2
    apart(many)


def test_contamination_tells_completions_and_true_controls():
    both = found("contamination", contamination(), contamination(False, 3))
    assert PROBES["contamination"].sentence(both) == (
        "4 of 128 test inputs were completed word for word; on 1 of 1 cells with true controls Min-K % tells the test inputs "
        "apart. 1 of 2 cells have no true control: there an AUROC above 0.5 is expected without memory."
    )
    test, control = flat(PROBES["contamination"].lines(contamination(exact=16)))
    assert (test["exact_percent"], control["exact_percent"]) == (25.0, 0.0)
    assert (test["auroc_min_k"], test["auroc_min_k_low"], test["true_control"]) == (0.75, 0.66, "yes")
    assert control["texts"] == "controls, fresh"
    (ticks,) = PROBES["contamination"].figure(both).axes
    assert [label.get_text() for label in ticks.get_yticklabels()] == [one.cell.name for one in both]


def test_contamination_says_which_levels_have_no_controls():
    """In one line of the two."""
    lines = flat(PROBES["contamination"].lines(contamination() | {"levels_left_out": ["1", "2"]}))
    assert [line.get("note") for line in lines] == ["without level 1, 2: too few new items can be drawn", None]


def test_robustness_tells_what_costs_more_and_what_was_obeyed():
    sentence = PROBES["robustness"].sentence(found("robustness"))
    assert sentence.startswith(
        "Of 5 changes, 1 cost the optimised prompt more than the text prompt (typos on sentiment/"
    )
    assert "1 cost it less" in sentence
    assert "the text prompt in 75 % (69 % where it was only named, 12 % without either) and the optimised" in sentence
    assert sentence.endswith(
        "Beyond what each gives anyway, it moved the optimised prompt by -50.0 points against the text prompt on average: surely "
        "more on 0 and surely less on 1 of 1 cells."
    )
    rows = {row["condition"]: row for row in flat(table("robustness", found("robustness")))}
    assert (rows["typos"]["optimised_drop"], rows["typos"]["lost"]) == (25.0, 21.9)
    assert (rows["typos"]["text_plain"], rows["typos"]["text_changed"]) == (50.0, 46.9)
    assert rows["labels swapped"]["note"].startswith("not asked: the prompt names")
    assert rows["other domain"]["text_drop"] is None
    assert (rows["injection"]["text_obeyed"], rows["injection"]["text_anyway"]) == (75.0, 12.5)
    assert (rows["injection"]["text_beyond"], rows["injection"]["text_beyond_high"]) == (6.2, 21.0)
    assert (rows["injection"]["difference"], rows["injection"]["difference_low"]) == (-50.0, -68.0)
    assert (rows["injection"]["difference_of_changes"], rows["injection"]["difference_of_changes_high"]) == (
        -50.0,
        -28.0,
    )
    assert rows["label named"]["text_obeyed"] == 68.8
    assert "text_beyond" not in rows["label named"]


def test_robustness_is_sure_only_of_what_holms_correction_over_all_cells_leaves():
    """The typos' p of .0123 is one of five on one cell, and with two cells one of ten."""
    for cells, worse in ((1, 1), (2, 0)):
        both = found("robustness", *[robustness()] * cells)
        assert f"changes, {worse} cost the optimised prompt more" in PROBES["robustness"].sentence(both)
        typos = [row for row in table("robustness", both) if row["condition"] == "typos"]
        adjusted = 0.0123 * (4 if cells == 1 else 8)  # the synonyms' are smaller
        assert [(row["lost_p"], row["lost_p_holm"]) for row in typos] == [(0.012, float(f"{adjusted:.2g}"))] * cells
        injections = [row for row in table("robustness", both) if row["condition"] == "injection"]
        assert [row["difference_of_changes_p_holm"] for row in injections] == [0.0025 if cells == 1 else 0.0049] * cells


def test_robustness_draws_how_often_a_label_at_the_end_is_given():
    (axes,) = PROBES["robustness"].figure(found("robustness")).axes
    places = {label.get_text(): place for place, label in enumerate(axes.get_yticklabels())}
    marks = defaultdict(list)
    for line in axes.lines:
        (x, *_), (y, *_) = line.get_data()
        marks[line.get_marker(), round(y)].append(x)
    assert marks["o", places["injected, given"]] == [75.0, 25.0]
    assert marks["o", places["named, given"]] == [68.75, 18.75]
    assert marks["|", places["injected, given"]] == [12.5, 12.5]
    assert marks["D", places["injected, given"]] == [-50.0]


def test_transfer_tells_own_and_other_gains():
    both = found("transfer_matrix", transfer_matrix(), transfer_matrix("parity", (0.0, 20.0, 15.0)))
    # The 15 points have an interval above 0 and p = .02, as one test of ten.
    assert both[1].values["asked"][-2]["found"]["gain_interval"][0] > 0
    assert PROBES["transfer_matrix"].sentence(both) == (
        "As written answers, a prompt gained +25.0 points on its own task on average (2 of 2 surely), and +3.0 on other tasks of "
        "its model (0 of 4)."
    )
    rows = flat(table("transfer_matrix", found("transfer_matrix")))
    assert [row["asked_task"] for row in rows] == [
        *["sentiment"] * 2,
        *["parity"] * 2,
        *["arithmetic"] * 2,
    ]
    assert (rows[0]["text_percent"], rows[0]["gain"], rows[0]["gain_low"], rows[0]["p"]) == (37.5, 30.0, 16.0, 0.0012)
    assert [row["p_holm"] for row in rows[:-1]] == [0.006, 0.006, 1.0, 1.0, 1.0]
    where = {key: rows[0][key] for key in ("dataset", "model", "seed")}
    left_out = {"asked_task": "arithmetic", "reading": "likelihood", "note": "left out: its answers are open"}
    assert rows[-1] == where | left_out
    alone = transfer_matrix() | {"asked": [one for one in transfer_matrix()["asked"] if one["task"] == "parity"]}
    assert "No prompt could be asked" in PROBES["transfer_matrix"].sentence(found("transfer_matrix", alone))
    drawn = PROBES["transfer_matrix"].figure(both)
    assert {"+30", "-6", "+20", "–"} <= set(apart(drawn))
    gains = {text.get_text(): text.get_fontweight() for axes in drawn.axes for text in axes.texts}
    assert [gains[text] for text in ("+30", "+20", "+15", "-6", "+0")] == ["bold", "bold", "normal", "normal", "normal"]


def test_trajectory_tells_between_which_epochs_overfitting_starts():
    values = RESULTS["trajectory"]()
    lowest, rises = values["test_best"], values["rises_from"]
    level = [epoch for epoch, one in enumerate(values["over_lowest"]) if one and one[1] <= 0]
    assert lowest < max(level) + 1 == rises, "the sample has an epoch in between that cannot be told from the lowest"
    both = found("trajectory", values, values | {"rises_from": None})
    assert PROBES["trajectory"].sentence(both) == (
        f"On 1 of 2 cells overfitting is seen by epoch 20: it starts between the epochs {lowest} and {rises} on "
        f"{both[0].cell.name}, the one of the lowest test loss and the one from which all later ones lie above it by paired "
        "intervals. On 0 of them the lowest is the last of the paper's 10 epochs or later."
    )
    assert PROBES["trajectory"].sentence(both[1:]) == (
        "On no cell of 1 does the test loss of epoch 20 lie above that of the lowest epoch by its paired interval."
    )
    rows = flat(PROBES["trajectory"].lines(values))
    assert {lowest, rises} <= {row["epoch"] for row in rows}
    assert rows[-1]["overfitting_between"] == f"{lowest} and {rises}"
    assert rows[-1]["level_with_lowest"] == ", ".join(map(str, level))
    assert rows[-1]["test_loss_over_lowest"] == round(values["over_lowest"][-1][0], 3)
    rows = flat(PROBES["trajectory"].lines(values | {"rises_from": None, "rise": None, "level": []}))
    assert (rows[-1]["overfitting_between"], rows[-1]["level_with_lowest"]) == ("not seen", "none")
    assert "test_loss_rise" not in rows[-1]


def test_shuffled_is_sure_only_of_what_holms_correction_over_the_cells_leaves():
    """A p of .02 on each of three cells is .06 together."""
    sample = RESULTS["shuffled"]()
    part = {"points": 20.0, "interval": [2.0, 36.0], "p": 0.02}
    cells = found("shuffled", *[sample | {"knowledge": part, "format": part | {"p": 0.001}}] * 3)
    for count, knows in ((1, 1), (2, 2), (3, 0)):
        some = cells[:count]
        assert PROBES["shuffled"].sentence(some).startswith(f"On {knows} of {count} cells the true targets taught more")
        rows = table("shuffled", some)
        assert {(row["knowledge_p"], row["knowledge_p_holm"]) for row in rows} == {(0.02, 0.02 * count)}
        assert {row["format_p_holm"] for row in rows} == {0.001 * count}


def test_variance_tells_how_far_a_single_run_strays():
    values = split_variance()
    single = values["single"]
    sentence = PROBES["variance"].sentence(found("variance", values, split_variance(splits=3)))
    assert f"strays by {single['sd']:.1f} points on sentiment" in sentence
    assert f"{values['covered'] + split_variance(splits=3)['covered']} of 14 runs' own" in sentence
    rows = {row["what"]: row for row in flat(PROBES["variance"].lines(values))}
    assert rows["split"]["levels"] == 4
    assert rows["gain of all runs"]["levels"] == 8
    assert rows["single run"]["ratio"] == round(single["ratio"], 2)
    first = flat(PROBES["variance"].lines(values | {"confounded": ["displacement"]}))[0]
    assert first["note"] == "cannot be told apart from another: displacement"
    left, right = PROBES["variance"].figure(found("variance", values)).axes
    assert [label.get_text() for label in left.get_yticklabels()] == [*values["components"]]
    assert len(right.get_xticks()) == 4


# Where a result is changed into one that cannot be, and the key that the error names.
IMPOSSIBLE = [
    ("contamination", ["test", "n"], 0, "test"),
    ("contamination", ["control", "exact"], 65, "control"),
    ("contamination", ["auroc", "min_k", "interval"], None, "auroc.min_k"),
    ("contamination", ["auroc", "rouge_l", "value"], 1.5, "auroc.rouge_l"),
    ("contamination", ["levels_left_out"], [1], "levels_left_out"),
    ("robustness", ["conditions", "typos", "found", "n"], 0, "conditions.typos.found.n"),
    ("robustness", ["conditions", "typos", "found", "text", "changed"], 33, "conditions.typos.found.text"),
    ("robustness", ["conditions", "typos", "found", "optimised", "interval"], None, "conditions.typos.found.optimised"),
    (
        "robustness",
        ["conditions", "injection", "found", "obeyed", "text", "asked"],
        40,
        "conditions.injection.found.text",
    ),
    ("robustness", ["conditions", "label_order", "reason"], None, "conditions.label_order"),
    ("robustness", ["conditions", "luck"], {"what": "", "reason": "none", "found": None}, "conditions.luck"),
    ("transfer_matrix", ["asked", 0, "reading"], "guessed", "asked.0"),
    ("transfer_matrix", ["asked", 0, "found"], None, "asked.0"),
    ("transfer_matrix", ["asked", 0, "found", "n"], 0, "asked.0.found.n"),
    ("transfer_matrix", ["asked", 1, "reading"], "generated", "asked"),
    ("variance", ["components"], {}, "components"),
    ("variance", ["runs"], 3, "gains"),
    ("variance", ["covered"], 9, "covered"),
    ("variance", ["significant"], 9, "significant"),
]


@pytest.mark.parametrize(("name", "path", "value", "told"), IMPOSSIBLE)
def test_an_impossible_result_is_one_error_that_names_the_key(tmp_path, name, path, value, told):
    wrong = {"probe": name, "applies": True} | copy.deepcopy(RESULTS[name]())
    place = wrong
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (tmp_path / "found.json").write_text(json.dumps(wrong))
    with pytest.raises(UserError, match=rf"found\.json: key {told} is") as caught:
        read_probe(tmp_path / "found.json", name, PROBES[name].SHAPE, PROBES[name].fault)
    assert "\n" not in str(caught.value)
    del wrong["probe"], wrong["applies"]
    assert PROBES[name].fault(RESULTS[name]()) is None
