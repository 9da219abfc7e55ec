"""The figure of carried prompts and words: marks stand where the reports say, nothing overlaps, unknown shares are not drawn."""

from copy import deepcopy

import pytest
from drawn import apart, texts

from embedgrad.reporting.figures.carried import MARKS, elsewhere
from embedgrad.reporting.figures.drawing import styled
from embedgrad.reporting.results.carried import Report


def arm(loss, label, ranking):
    """As a report has it; a label share without bounds where that is None."""
    shares = {"loss": {"value": loss, "interval": [loss - 0.1, loss + 0.1]}}
    shares["label"] = {"value": label or 9.0, "interval": label and [label - 0.2, label + 0.2]}
    return {"share": shares, "auroc": ranking, "auroc_interval": [ranking - 0.1, ranking + 0.1]}


ARMS = {
    "text": {"auroc": 0.55, "auroc_interval": [0.4, 0.7]},
    "optimised": {"auroc": 0.85, "auroc_interval": [0.8, 0.9]},
    "transferred": arm(0.2, 0.1, 0.6),
    "random": arm(-0.3, -0.5, 0.5),
    "scratch_steps": arm(0.9, 0.7, 0.75),
    "transferred_steps": arm(0.95, 0.8, 0.8),
}


def report(arms, source="a-model-with-a-long-name", steps=10):
    return Report("causal_judgment", "another-model", source, {"arms": arms, "settings": {"steps": steps}})


def without(arms, *keys):
    found = deepcopy(arms)
    for row in found.values():
        for key in keys:
            row.pop(key, None)
    return found


def points(axes):
    """Where each mark stands, by its shape, fill and colour."""
    return {
        (line.get_marker(), line.get_markerfacecolor() != "white", line.get_color()): line.get_xdata()[0]
        for line in axes.get_lines()
        if line.get_linestyle() == "None"
    }


def looks(**values):
    return {(MARKS[name].shape, MARKS[name].filled, MARKS[name].colour): value for name, value in values.items()}


def test_marks_stand_where_the_report_says():
    with styled():
        losses, labels, ranks = elsewhere([report(ARMS), report(ARMS, "another-model")]).axes
    four = ("transferred", "random", "scratch_steps", "transferred_steps")
    assert points(losses) == looks(**{name: 100 * ARMS[name]["share"]["loss"]["value"] for name in four})
    assert points(labels) == looks(**{name: 100 * ARMS[name]["share"]["label"]["value"] for name in four})
    assert points(ranks) == looks(**{name: row["auroc"] for name, row in ARMS.items()})
    ends = [list(line.get_xdata()) for line in labels.get_lines() if line.get_linestyle() == "-"]
    assert [pytest.approx(-70), pytest.approx(-30)] in ends
    assert [tick.get_text().splitlines()[1] for tick in losses.get_yticklabels()] == ["to another-model", "to itself"]
    heights = [line.get_ydata()[0] for line in ranks.get_lines() if line.get_linestyle() == "None"]
    assert len(set(heights)) == 12


def test_a_share_without_bounds_is_said_and_not_drawn():
    unsure = deepcopy(ARMS)
    for row in unsure.values():
        if "share" in row:
            row["share"]["label"]["interval"] = None
    with styled():
        figure = elsewhere([report(ARMS), report(unsure)])
        told = [text for text, _ in texts(figure)]
    assert told.count("gain not significant") == 1
    assert len([line for line in figure.axes[1].get_lines() if line.get_linestyle() == "None"]) == 4
    with styled():
        assert len(elsewhere([report(unsure)]).axes) == 2


def test_words_and_reports_of_free_answers_have_their_own_panels():
    worded = {"text": ARMS["text"], "optimised": ARMS["optimised"], "distilled": arm(0.2, 0.1, 0.6)}
    worded["random_words"] = arm(-0.3, -0.5, 0.5)
    with styled():
        words = elsewhere([report(worded, None)])
        assert "random words" in [text for text, _ in texts(words)]
        free = elsewhere([report(without(ARMS, "auroc", "auroc_interval"))])
        assert len(free.axes) == 2
        nothing = elsewhere([report(without(ARMS, "auroc", "auroc_interval", "share"))])
        assert "no gain of which a share could be told" in [text for text, _ in texts(nothing)]


@pytest.mark.parametrize("count", [1, 3, 18])
def test_no_text_overlaps_or_leaves_the_page(count):
    with styled():
        apart(elsewhere([report(ARMS)] * count))
        apart(
            elsewhere(
                [report({**ARMS, "distilled": ARMS["transferred"], "random_words": ARMS["random"]}, None)] * count
            )
        )
