"""The figures of cells, from small runs; those of the paper's cells are drawn in tests/system/reporting."""

import pytest
from drawn import apart
from reporting_samples import DEMO_SIZES, cell, count, demo_cells, make_run

from embedgrad.reporting.figures.accuracy import before_after, training_curves
from embedgrad.reporting.figures.drawing import save, styled
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.results.collected import collect
from embedgrad_core.files import UserError, write_jsonl


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    demo, several = read_cells(demo_cells(folder / "cells.tsv")), [cell(model="a"), cell(model="b")]
    make_run(folder / "demo", demo, DEMO_SIZES)
    make_run(folder / "several", several, {"sums": {None: 20}}, seeds=(0, 1, 2))
    return {
        "demo": (collect(demo, folder / "demo"), folder / "demo"),
        "several": (collect(several, folder / "several"), folder / "several"),
        "empty": (collect(several, folder / "none"), folder / "none"),
    }


@pytest.mark.parametrize("name", ["several", "empty"])
@pytest.mark.parametrize("kind", ["before_after", "training_curves"])
def test_no_text_overlaps_or_leaves_the_page(runs, name, kind):
    outcomes, folder = runs[name]
    with styled():
        figure = before_after(outcomes) if kind == "before_after" else training_curves(outcomes, folder)
        assert len(apart(figure)) > len(outcomes)


def test_marks_stand_where_the_metrics_say(runs):
    outcomes, _ = runs["demo"]
    with styled():
        lines = before_after(outcomes).axes[0].get_lines()
    first = outcomes[0].metrics[0]
    at = [(line.get_marker(), list(line.get_xdata())) for line in lines]
    assert ("s", [100 * first["before"]["accuracy"]]) in at
    assert ("o", [100 * first["after"]["accuracy"]]) in at
    assert any(xs == [100 * end for end in first["after"]["wilson"]] for _, xs in at)
    # The link runs from the mark of before to the mark of after.
    ends = {
        line.get_marker(): (line.get_xdata()[0], line.get_ydata()[0])
        for line in lines[:5]
        if len(line.get_xdata()) == 1
    }
    link = next(line for line in lines if len(set(line.get_ydata())) == 2)
    assert list(zip(link.get_xdata(), link.get_ydata(), strict=True)) == [ends["s"], ends["o"]]


def test_a_history_that_stopped_and_one_that_is_broken(tmp_path):
    cells = [cell(model="a")]
    folder = make_run(tmp_path / "run", cells, {"sums": {None: 10}})
    path = folder / "sums" / "a" / "seed0" / "optimize.jsonl"
    first = {"epoch": 0, "train_loss": None, "dev_loss": 2.0, "dev_accuracy": None}
    write_jsonl(path, [first, {"epoch": 1, "stopped": "the loss is not finite"}])
    count(folder, cells[0])
    save(training_curves(collect(cells, folder), folder), tmp_path / "curves.png")
    write_jsonl(path, [{"epoch": 0, "stopped": "the loss is not finite"}])
    count(folder, cells[0])
    with pytest.raises(UserError, match=r"optimize\.jsonl: no epoch with a dev loss"):
        save(training_curves(collect(cells, folder), folder), tmp_path / "curves.png")
    path.unlink()
    save(training_curves(collect(cells, folder), folder), tmp_path / "curves.png")


@pytest.mark.parametrize(
    ("losses", "scale"), [((12.8, 0.68, 0.5), "log"), ((289.0, 275.0, 270.0), "linear"), ((2.0, 0.1, 0.0), "linear")]
)
def test_the_jump_after_epoch_0_flattens_no_curve(tmp_path, losses, scale):
    cells = [cell(model="a")]
    folder = make_run(tmp_path / "run", cells, {"sums": {None: 10}})
    rows = [
        {"epoch": at, "train_loss": loss if at else None, "dev_loss": loss, "dev_accuracy": None}
        for at, loss in enumerate(losses)
    ]
    write_jsonl(folder / "sums" / "a" / "seed0" / "optimize.jsonl", rows)
    count(folder, cells[0])
    with styled():
        figure = training_curves(collect(cells, folder), folder)
        apart(figure)
    axes = figure.axes[0]
    assert axes.get_yscale() == scale
    low, high = axes.get_ylim()
    assert (low == 0) == (scale == "linear")
    assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 2, "a scale that can be read"


def test_only_png_pdf_and_svg(runs, tmp_path):
    with pytest.raises(UserError, match="only"):
        save(before_after(runs["several"][0]), tmp_path / "dots.gif")
