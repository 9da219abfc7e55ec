"""The figures of anchoring and LAT: nothing overlaps, what is missing is named, what is drawn is what the files say."""

import itertools
import random
from pathlib import Path

import pytest
from drawn import texts
from reporting_samples import cell

from embedgrad.reporting.figures.drawing import save, styled
from embedgrad.reporting.figures.prompt import anchoring, lat
from embedgrad.reporting.results.cells import read_cells
from embedgrad_core.files import UserError, write_json

PAPER = Path(__file__).resolve().parents[3] / "config" / "cells.tsv"


def anchoring_report(chance, k=9):
    def side(token):
        near = {"p": 1.0, "rank": 1, "nearest_id": token if chance.random() < 0.8 else token + 1, "nearest": "a"}
        return {"softmax": near | {"p": 10 ** chance.uniform(-6, 0)}, "cosine": near, "printed": near}

    rows = [{"position": n, "token_id": n, "drift": chance.uniform(0, 1)} for n in range(k)]
    rows = [row | {name: side(row["position"]) for name in ("before", "after", "random")} for row in rows]
    accuracy = {"before": 1.0, "after": 1.0, "snapped": 1.0, "random": 1.0}
    summary = {"mean_drift": 0.5, "nearest_token_unchanged": k, "positions": k}
    return {"positions": rows, "summary": summary, "round_trip": {"accuracy": accuracy}}


def lat_report(chance, layers):
    def reading():
        delta = chance.uniform(-3, 3)
        return {"delta": delta, "band": [delta - 0.5, delta + 0.5], "random": [-1.5, 1.5]}

    accuracy = {"held_out": 0.9, "random": {"q975": 0.8}}
    names = ("prompt_mean", "prompt_last", "input_last")
    rows = [{"layer": n, "accuracy": accuracy, "readings": {name: reading() for name in names}} for n in range(layers)]
    return {"layers": rows, "summary": {}}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder, chance = tmp_path_factory.mktemp("runs"), random.Random(0)
    found = {
        "one": ([cell()], 29),
        "twelve": ([cell(model=f"tiny-{n}") for n in range(12)], 5),
        "paper": (read_cells(PAPER), 49),
    }
    for name, (cells, layers) in found.items():
        for place, one in enumerate(cells):
            if place == 3 or one.model.startswith("llama"):
                continue
            for seed in (0, 1) if place == 4 else (0,):
                home = folder / name / one.dataset / one.model / f"seed{seed}"
                write_json(home / "anchoring.json", anchoring_report(chance))
                write_json(home / "lat.json", lat_report(chance, layers))
    return {name: (cells, folder / name) for name, (cells, _) in found.items()} | {"empty": ([cell()], folder / "none")}


@pytest.mark.parametrize("name", ["one", "twelve", "paper", "empty"])
@pytest.mark.parametrize("make", [anchoring, lat])
def test_no_text_overlaps_or_leaves_the_page(runs, name, make):
    with styled():
        figure = make(*runs[name])
        boxes = texts(figure)
    page = figure.bbox
    for told, box in boxes:
        assert page.x0 <= box.x0, told
        assert box.x1 <= page.x1, told
        assert page.y0 <= box.y0, told
        assert box.y1 <= page.y1, told
    for (one, box), (other, rival) in itertools.combinations(boxes, 2):
        assert not box.overlaps(rival), (one, other)


@pytest.mark.parametrize("make", [anchoring, lat])
def test_more_than_twelve_cells_are_grouped_and_missing_ones_named(runs, make):
    with styled():
        figure = make(*runs["paper"])
        told = [text for text, _ in texts(figure)]
        assert len(make(*runs["twelve"]).axes) == 12
    assert len(figure.axes) == 7
    assert told.count("missing: not run yet") == 1
    assert any(text.endswith(f"missing: {runs['paper'][0][3].dataset}") for text in told)


def test_marks_stand_where_the_reports_say(runs):
    from embedgrad_core.files import read_json

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


def test_the_same_numbers_are_the_same_bytes(runs, tmp_path):
    cells, folder = runs["one"]
    for draw in (anchoring, lat):
        for turn in ("a", "b"):
            save(draw(cells, folder, [0]), tmp_path / f"{turn}.png", tmp_path / f"{turn}.pdf")
        for kind in ("png", "pdf"):
            assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_a_report_without_its_key_is_one_error(tmp_path):
    one = cell()
    write_json(tmp_path / one.dataset / one.model / "seed0" / "lat.json", {"layers": []})
    with pytest.raises(UserError, match=r"lat\.json: key 'layers' is missing"):
        lat([one], tmp_path)
