"""The figures of anchoring and LAT: nothing overlaps, what is drawn is what the files say; many cells are in tests/system."""

import random

import pytest
from drawn import apart
from prompt_reports import anchoring_report, lat_report
from reporting_samples import cell

from embedgrad.reporting.figures.drawing import styled
from embedgrad.reporting.figures.lat import lat
from embedgrad.reporting.figures.prompt import anchoring
from embedgrad_core.files import UserError, read_json, write_json


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder, chance, one = tmp_path_factory.mktemp("runs"), random.Random(0), cell()
    home = folder / "one" / one.dataset / one.model / "seed0"
    write_json(home / "anchoring.json", anchoring_report(chance))
    write_json(home / "lat.json", lat_report(chance, 29))
    return {name: ([one], folder / name) for name in ("one", "empty")}


@pytest.mark.parametrize("name", ["one", "empty"])
@pytest.mark.parametrize("make", [anchoring, lat])
def test_no_text_overlaps_or_leaves_the_page(runs, name, make):
    with styled():
        apart(make(*runs[name]))


def test_marks_stand_where_the_reports_say(runs):
    cells, folder = runs["one"]
    home = folder / cells[0].dataset / cells[0].model / "seed0"
    with styled():
        points = [line for line in anchoring(cells, folder).axes[0].get_lines() if line.get_marker() == "o"]
        layers = [line for line in lat(cells, folder).axes[0].get_lines() if line.get_linestyle() == "-"]
    for row, line in zip(read_json(home / "anchoring.json")["positions"], points, strict=True):
        assert list(line.get_xydata()[0]) == [row["position"] + 1, row["after"]["softmax"]["p"]]
        kept = row["after"]["cosine"]["nearest_id"] == row["token_id"]
        assert (line.get_markerfacecolor() != "none") == kept
    deltas = [row["readings"]["prompt_mean"]["delta"] for row in read_json(home / "lat.json")["layers"]]
    assert any(list(line.get_ydata()) == deltas for line in layers)


def test_a_report_without_its_key_is_one_error(tmp_path):
    one = cell()
    write_json(tmp_path / one.dataset / one.model / "seed0" / "lat.json", {"layers": []})
    with pytest.raises(UserError, match=r"lat\.json: key 'layers' is missing"):
        lat([one], tmp_path)
