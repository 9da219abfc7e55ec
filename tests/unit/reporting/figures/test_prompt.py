"""The figures of anchoring and LAT: nothing overlaps, what is drawn is what the files say; many cells are in tests/system."""

import random

import numpy as np
import pytest
from drawn import apart, texts
from places import ROOT
from prompt_reports import anchoring_report, lat_report, old_lat_report
from reporting_samples import cell

from embedgrad.reporting.figures.drawing import styled
from embedgrad.reporting.figures.lat import lat
from embedgrad.reporting.figures.prompt import anchoring
from embedgrad.reporting.results.analyses import read_lat
from embedgrad.reporting.results.cells import read_cells
from embedgrad_core.files import UserError, read_json, write_json


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder, chance, one = tmp_path_factory.mktemp("runs"), random.Random(0), cell()
    home = folder / "one" / one.dataset / one.model / "seed0"
    write_json(home / "anchoring.json", anchoring_report(chance))
    write_json(home / "lat.json", lat_report(chance, 29))
    write_json(folder / "old" / one.dataset / one.model / "seed0" / "lat.json", old_lat_report(chance, 29))
    of_one = {name: ([one], folder / name) for name in ("one", "empty", "old")}
    many = read_cells(ROOT / "config/laptop_cells.tsv")
    for place in (0, 1, 4):
        home = folder / "many" / many[place].dataset / many[place].model / "seed0"
        write_json(home / "anchoring.json", anchoring_report(chance))
        write_json(home / "lat.json", lat_report(chance, 29))
    return of_one | {"grouped": (many, folder / "none"), "many": (many, folder / "many")}


@pytest.mark.parametrize("name", ["one", "empty", "old", "grouped", "many"])
@pytest.mark.parametrize("make", [anchoring, lat])
def test_no_text_overlaps_or_leaves_the_page(runs, name, make):
    with styled():
        apart(make(*runs[name]))


def test_marks_stand_where_the_reports_say(runs):
    cells, folder = runs["one"]
    home = folder / cells[0].dataset / cells[0].model / "seed0"
    with styled():
        points = [line for line in anchoring(cells, folder).axes[0].get_lines() if line.get_marker() == "o"]
        panels = [[list(line.get_ydata()) for line in axes.get_lines()] for axes in lat(cells, folder).axes]
    for row, line in zip(read_json(home / "anchoring.json")["positions"], points, strict=True):
        assert list(line.get_xydata()[0]) == [row["position"] + 1, row["after"]["softmax"]["p"]]
        kept = row["after"]["cosine"]["nearest_id"] == row["token_id"]
        assert (line.get_markerfacecolor() != "none") == kept
    readers = read_json(home / "lat.json")["readers"]
    # The template's reader stands first, and its control is that of the last input token.
    for name, main, drawn in zip(("template", "responses"), ("input_last", "prompt_mean"), panels, strict=True):
        layers = readers[name]["layers"]
        for reading in ("prompt_mean", "prompt_last", "input_last"):
            assert [row["readings"][reading]["delta"] for row in layers] in drawn
        for place in range(3):
            assert [row["readings"][main]["displaced"][place] for row in layers] in drawn


def test_cells_of_one_panel_stand_before_their_controls(runs):
    cells, folder = runs["many"]
    with styled():
        figure = lat(cells, folder)
        legends = [
            [text.get_text() for text in drawn(*runs["many"]).legends[0].get_texts()] for drawn in (anchoring, lat)
        ]
    there = list(dict.fromkeys(cells[place].dataset for place in (0, 1, 4)))
    assert all(names[: len(there)] == there for names in legends), "a data set that did not run has no entry"
    model = cells[0].model
    homes = [
        folder / one.dataset / model / "seed0" / "lat.json"
        for one in (cells[p] for p in (0, 1, 4))
        if one.model == model
    ]
    tables = [read_json(home)["readers"]["template"]["layers"] for home in homes]
    aimless, moved, *_ = (
        np.vstack([path.vertices for path in drawn.get_paths()]) for drawn in figure.axes[0].collections
    )
    for band, key in ((aimless, "random"), (moved, "displaced")):
        for layer in range(29):
            ends = [end for layers in tables for end in layers[layer]["readings"]["input_last"][key]]
            here = band[band[:, 0] == layer, 1]
            assert (here.min(), here.max()) == pytest.approx((min(ends), max(ends)))


def test_many_cells_stand_before_vectors_moved_at_random_and_unmoved(runs):
    cells, folder = runs["many"]
    with styled():
        lines = anchoring(cells, folder).axes[0].get_lines()
    seen = {
        side: sorted(tuple(line.get_xydata()[0]) for line in lines if line.get_marker() == shape)
        for side, shape in (("before", "_"), ("random", "x"))
    }
    rows = [
        row
        for one in cells
        if one.model == cells[0].model
        and (home := folder / one.dataset / one.model / "seed0" / "anchoring.json").exists()
        for row in read_json(home)["positions"]
    ]
    assert seen["before"] == sorted((0.0, row["before"]["softmax"]["p"]) for row in rows)
    assert seen["random"] == sorted((row["drift"], row["random"]["softmax"]["p"]) for row in rows)


def test_what_an_old_report_does_not_have_was_not_computed(runs):
    with styled():
        figure = lat(*runs["old"])
        told = [text for text, _ in texts(figure)]
    assert told.count("missing: not computed") == 1
    assert [bool(axes.get_lines()) for axes in figure.axes] == [False, True]


def test_a_report_without_its_key_is_one_error(tmp_path):
    one = cell()
    write_json(tmp_path / one.dataset / one.model / "seed0" / "lat.json", {"layers": []})
    with pytest.raises(UserError, match=r"lat\.json: key 'layers' is missing"):
        lat([one], tmp_path)


def test_a_reader_s_key_that_is_missing_or_wrong_is_named(tmp_path):
    for spoil, told in (
        (lambda report: report["readers"].pop("responses"), "readers.responses"),
        (
            lambda report: report["readers"]["template"]["layers"][1].pop("accuracy"),
            "readers.template.layers.1.accuracy",
        ),
        (
            lambda report: report["readers"]["template"]["layers"][0]["readings"].pop("prompt_last"),
            "readings of each layer",
        ),
        (
            lambda report: report["readers"]["template"]["layers"][0]["readings"]["prompt_mean"].update(
                displaced=["x"]
            ),
            "moved at random",
        ),
    ):
        report = lat_report(random.Random(0), 3)
        spoil(report)
        write_json(tmp_path / "lat.json", report)
        with pytest.raises(UserError, match=rf"lat\.json: .*{told}"):
            read_lat(tmp_path / "lat.json")
