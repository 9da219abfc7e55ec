"""Whole or nothing: what is written, and how a broken file is named."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedgrad.files import read_items
from embedgrad_core.files import TEMPORARY, UserError, read_json, read_jsonl, write_json, write_jsonl, write_whole

ITEM = {"id": "a", "input": "1 + 1", "target": "2", "answer": "2", "level": None}


def test_a_rename_is_brought_to_disk_with_its_folder(tmp_path, monkeypatch):
    seen, real = [], os.fsync

    def fsync(handle):
        seen.append((Path(f"/proc/self/fd/{handle}").resolve().name, (tmp_path / "one.json").exists()))
        if seen[-1][1]:
            raise OSError(22, "Invalid argument")  # a file system that does not know this is no error
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    write_json(tmp_path / "one.json", {"n": 1})
    assert len(seen) == 2
    assert seen[0][0].endswith(TEMPORARY)
    assert seen[1] == (tmp_path.name, True)


@given(st.lists(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none())), max_size=5))
def test_json_lines_round_trip(rows):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        write_jsonl(path, rows)
        assert read_jsonl(path) == rows


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})

    def fail_in_the_middle():
        with write_whole(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_in_the_middle()
    assert read_json(path) == {"old": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_numbers_that_are_not_json_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


BROKEN = [
    (json.dumps(ITEM)[:-3], r"rows.jsonl:1: .*cut short"),
    (json.dumps(ITEM) + "\n{\n", r"rows.jsonl:2: not a JSON object"),
    ('"text"\n', r"rows.jsonl:1: expected a JSON object, found str"),
    (json.dumps({**ITEM, "answer": 2}) + "\n", r"rows.jsonl:1: 'answer' must be text, found int"),
    (json.dumps({**ITEM, "level": 2}) + "\n", r"rows.jsonl:1: 'level' must be text or null"),
    (json.dumps({key: ITEM[key] for key in ("id", "input")}) + "\n", r"rows.jsonl:1: key 'target' is missing"),
    ((json.dumps(ITEM) + "\n") * 2, r"rows.jsonl:2: id 'a' stands at line 1 too"),
    ("", r"rows.jsonl: no items"),
    ("[" * 100_000 + "\n", r"rows.jsonl:1: not a JSON object"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_file_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_items(path)
    assert "\n" not in str(caught.value)


def test_a_missing_or_foreign_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none.jsonl: no such file"):
        read_jsonl(tmp_path / "none.jsonl")
    (tmp_path / "latin.json").write_bytes(b'{"a": "\xe9"}')
    with pytest.raises(UserError, match=r"latin.json: not UTF-8 at byte 7"):
        read_json(tmp_path / "latin.json")
    with pytest.raises(UserError, match="cannot be read"):
        read_json(tmp_path)


def test_a_level_selects_its_items(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [{**ITEM, "id": str(n), "level": str(n % 2)} for n in range(4)])
    assert [item.id for item in read_items(path, "1")] == ["1", "3"]
    with pytest.raises(UserError, match="no items of level '7'"):
        read_items(path, "7")
