"""What the page holds of the answers: packed, whole, the same to the byte, never as markup; in a browser: tests/system."""

import base64
import gzip
import json
import re

import pytest
from forged import of_one_cell

from embedgrad.reporting.page import render
from embedgrad.reporting.page.browser.answers import LIMIT, browser, packed
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.results.collected import collect
from embedgrad_core.files import UserError, pack_steps, read_jsonl, unpack_steps, write_jsonl


@pytest.fixture
def run(tmp_path):
    of_one_cell(tmp_path)
    return tmp_path


def unpacked(block):
    """Columns and steps of a block, read by Python's own gzip."""
    data = gzip.decompress(base64.b64decode(block))
    end = 4 + int.from_bytes(data[:4], "little")
    return json.loads(data[4:end]), data[end:]


def browser_of(run):
    cells = read_cells(run / "cells.tsv")
    return browser(collect(cells, run / "results", [0]), run / "results")


def change(run, name, changes):
    path = run / "results/sentiment/tiny-0.2m" / name
    rows = [{key: value for key, value in row.items() if key != "check"} for row in read_jsonl(path)]
    for row, more in zip(rows, changes, strict=False):
        row |= more
    write_jsonl(path, rows)
    return rows


def test_every_answer_is_there_once_with_what_was_graded(run):
    after = change(run, "seed0/after.jsonl", [{"output": "so\ud800 7", "extracted": "</template>"}])
    before = read_jsonl(run / "results/sentiment/tiny-0.2m/before.jsonl")
    found = browser_of(run)
    assert json.loads(found["index"]) == found["cells"]
    (cell,) = found["cells"]
    for side, rows in (("before", before), ("after", after)):
        columns, steps = unpacked(found["blocks"][cell[side]])
        assert columns["id"] == [row["id"] for row in rows]
        assert columns["text"] == [row["output"].replace("\ud800", "\N{REPLACEMENT CHARACTER}") for row in rows]
        assert columns["failure"] == [row["failure"] for row in rows]
        assert columns["read"] == [row["extracted"] for row in rows]
        assert columns["bits"] == pytest.approx([row["entropy_bits"] for row in rows], abs=5e-4)
        assert (steps, set(columns["stepped"])) == (b"", {0})
    items, _ = unpacked(found["blocks"][cell["items"]])
    assert sorted(items["id"]) == sorted(row["id"] for row in after)
    assert len(found["blocks"]) == 3


def test_the_steps_of_those_answers_that_have_them_follow_each_other(run):
    packs = {0: pack_steps([2, 0, 1], [0.5, 4.0, 0.0]), 2: pack_steps([1, 2], [1.0, 2.0])}
    changes = [
        {"output": "abc", "n_tokens": 3, "steps": packs[0]},
        {},
        {"output": "abc", "n_tokens": 2, "steps": packs[2]},
    ]
    change(run, "seed0/after.jsonl", changes)
    columns, steps = unpacked(browser_of(run)["blocks"]["after-0"])
    assert columns["stepped"][:4] == [1, 0, 1, 0]
    both = [unpack_steps(packs[0], 3, 3), unpack_steps(packs[2], 2, 3)]
    assert steps == both[0][0] + both[1][0] + both[0][1] + both[1][1]


def test_long_texts_are_cut_and_the_rest_is_counted(run):
    change(run, "seed0/after.jsonl", [{"output": "x" * 100_000}])
    columns, _ = unpacked(browser_of(run)["blocks"]["after-0"])
    assert columns["text"][0] == "x" * LIMIT
    assert columns["beyond"][:2] == [100_000 - LIMIT, 0]


def test_equal_columns_give_equal_bytes_without_a_clock_in_them():
    blocks = {packed({"id": ["a"], "text": ["é"]}, b"\x01\x02") for _ in range(2)}
    assert len(blocks) == 1
    assert base64.b64decode(blocks.pop())[4:8] == bytes(4), "the time of a gzip stream"


def test_answers_that_changed_are_refused_and_missing_ones_left_out(run):
    path = run / "results/sentiment/tiny-0.2m/seed0/after.jsonl"
    rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join(rows[:-1]))
    with pytest.raises(UserError, match=r"after\.jsonl: 63 answers, but metrics\.json counted 64"):
        browser_of(run)
    path.unlink()
    assert browser_of(run) is None


def test_the_scripts_never_make_markup_or_code_of_a_text():
    """Text enters as text nodes: no sink that parses, no script from a string, no address that is fetched."""
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|setHTML|srcdoc"
    code = r"\beval\b|new Function|setTimeout\(\s*[\"'`]|fetch\(|XMLHttpRequest|import\(|\.src\s*=|\.href\s*="
    for name in render.SCRIPTS:
        text = (render.HERE / name).read_text("utf-8")
        assert not re.findall(f"{sinks}|{code}", text), name
