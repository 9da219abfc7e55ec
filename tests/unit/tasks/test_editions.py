"""The other edition of a data set: the same items in other texts, or why it is not at hand."""

import csv
import json
from dataclasses import replace

import pytest

from embedgrad.tasks import medd
from embedgrad.tasks.editions import read_edition, write_edition
from embedgrad_core.files import UserError, sha256_of_file, write_json

ROWS = list(zip(medd.CLASSES, medd.SIMPLIFIED, strict=True))


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Both editions, eight utterances each."""
    folder = tmp_path / "mirror"
    (folder / "data").mkdir(parents=True)
    lines = [{"idx": i, "text": f"原文{i}", "emotion": one} for i, (one, _) in enumerate(ROWS)]
    (folder / "data" / "medd.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with (folder / "data" / "medd_simplified.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *((f"简体, {i}", other) for i, (_, other) in enumerate(ROWS))])
    for name in ("SOURCE", "SIMPLIFIED_SOURCE"):
        source = getattr(medd, name)
        found = sha256_of_file(folder / "data" / source.file)
        monkeypatch.setattr(medd, name, replace(source, sha256=found))
    return folder


def test_both_editions_hold_the_same_items(mirror, tmp_path):
    original, simplified = (medd.load(mirror, edition=name).items for name in medd.EDITIONS)
    assert [(item.id, item.answer) for item in original] == [(item.id, item.answer) for item in simplified]
    assert [item.input for item in simplified] == [f"简体, {i}" for i in range(len(ROWS))]
    for own, items, other in (("original", original, simplified), ("simplified", simplified, original)):
        write_edition("medd", items[:3], tmp_path / "e.json", mirror=mirror, own=own)
        edition = read_edition(tmp_path / "e.json")
        assert (edition.own, edition.name) == (own, next(name for name in medd.EDITIONS if name != own))
        assert edition.inputs == {item.id: item.input for item in other[:3]}
    write_edition("medd", original[:1], tmp_path / "e.json", mirror=mirror, input_last_words=1)
    assert read_edition(tmp_path / "e.json").inputs == {"medd/00000": "0"}


def test_what_is_not_at_hand_is_said_and_what_is_wrong_is_refused(mirror, tmp_path):
    items = medd.load(mirror).items
    file = mirror / "data" / "medd_simplified.csv"
    file.write_text(file.read_text(encoding="utf-8") + "x,伤心\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"medd_simplified\.csv: sha256 is .* is pinned"):
        write_edition("medd", items, tmp_path / "e.json", mirror=mirror)
    file.unlink()
    write_edition("medd", items, tmp_path / "e.json", mirror=mirror)
    edition = read_edition(tmp_path / "e.json")
    assert edition.inputs is None
    assert edition.why == "not at hand: the mirror has no data/medd_simplified.csv"
    with pytest.raises(UserError, match="task mood has no editions"):
        write_edition("mood", items, tmp_path / "e.json", mirror=None)
    write_json(tmp_path / "e.json", {"own": "original", "edition": "simplified", "inputs": {"a": 3}})
    with pytest.raises(UserError, match=r"key 'inputs\.a' is missing or of the wrong kind"):
        read_edition(tmp_path / "e.json")
