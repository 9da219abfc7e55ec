"""The two homes of a data set: a pinned mirror file, and the hub (its client for real, its server a stand-in)."""

import dataclasses
import json
from pathlib import Path

import pytest
from mirror_rows import MIRROR, PREFIX

from embedgrad import tasks
from embedgrad.tasks import causal_judgment, imdb, math500, medd
from embedgrad_core.files import UserError, sha256_of_bytes


def lines(rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


@pytest.fixture
def small_mirror(tmp_path, monkeypatch) -> Path:
    """A mirror of invented rows, with the pinned hashes moved to them."""
    (tmp_path / "data").mkdir()
    for name, rows in MIRROR.items():
        module = tasks.find(name)
        data = json.dumps(rows).encode() if isinstance(rows, dict) else lines(rows)
        (tmp_path / "data" / module.SOURCE.file).write_bytes(data)
        monkeypatch.setattr(module, "SOURCE", dataclasses.replace(module.SOURCE, sha256=sha256_of_bytes(data)))
    return tmp_path


def test_math500_targets(small_mirror):
    worked = math500.load(small_mirror).items[3]
    short = math500.load(small_mirror, target="answer").items[3]
    assert (worked.id, worked.level, worked.answer) == ("math500/test/algebra/3.json", "4", "6")
    assert worked.target == r"It is \boxed{6}."
    assert short.target == r"\boxed{6}"
    assert math500.load(small_mirror).classes == ["Algebra"] * 6


def test_imdb_takes_test_reviews_and_keeps_breaks(small_mirror):
    loaded = imdb.load(small_mirror)
    assert [(item.id, item.target, item.answer) for item in loaded.items] == [
        ("imdb/test/neg/12_1", "negative", "negative"),
        ("imdb/test/pos/3_9", "positive", "positive"),
    ]
    assert [item.input for item in loaded.items] == ["bad<br /><br />very", " good "]
    assert imdb.load(small_mirror, line_breaks="newline").items[0].input == "bad\n\nvery"
    assert loaded.provenance["note"] == "the mirror holds 2 of the 25,000 rows of the official test split"


def test_medd_maps_every_class(small_mirror):
    loaded = medd.load(small_mirror)
    assert [item.answer for item in loaded.items] == loaded.classes == list(medd.CLASSES.values())
    assert loaded.items[3].id == "medd/00003"
    assert loaded.items[3].input == "第3句 "
    assert set(medd.CLASSES.values()) == set(medd.LABELS) == set(medd.SYNONYMS.values())
    assert {name.replace("語調", "语调").replace("語氣", "语气") for name in medd.CLASSES}.isdisjoint(medd.LABELS)


def test_causal_judgment_leaves_the_prefix_out_unless_asked(small_mirror):
    plain, prefixed = causal_judgment.load(small_mirror), causal_judgment.load(small_mirror, task_prefix=True)
    assert plain.items[0].input == MIRROR["causal_judgment"]["examples"][0]["input"]
    assert prefixed.items[1].input == f"{PREFIX}\nBen slept.\n\nDid Ben do it?"
    assert [item.answer for item in plain.items] == ["Yes", "No"]
    assert plain.items[1].id == "causal_judgment/001"


@pytest.mark.parametrize("name", list(MIRROR))
def test_provenance_of_a_mirror_names_no_folder(small_mirror, name):
    module = tasks.find(name)
    said = module.load(small_mirror).provenance
    assert said["kind"] == "mirror"
    assert said["raw_sha256"] == module.SOURCE.sha256
    assert said["licence"]
    assert str(small_mirror) not in json.dumps(said)


@pytest.mark.parametrize("name", list(MIRROR))
def test_a_missing_mirror_file_is_named(tmp_path, name):
    source = tasks.find(name).SOURCE
    with pytest.raises(UserError) as caught:
        tasks.find(name).load(tmp_path)
    assert str(tmp_path / "data" / source.file) in str(caught.value)
    assert source.sha256 in str(caught.value)
    assert source.hub_id in str(caught.value)


@pytest.mark.parametrize("name", list(MIRROR))
def test_a_changed_mirror_file_is_named_with_both_hashes(small_mirror, name):
    source = tasks.find(name).SOURCE
    path = small_mirror / "data" / source.file
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(UserError) as caught:
        tasks.find(name).load(small_mirror)
    for part in (str(path), source.sha256, sha256_of_bytes(path.read_bytes()), "replace the file"):
        assert part in str(caught.value)


def changed(module, monkeypatch, mirror, data: bytes):
    (mirror / "data" / module.SOURCE.file).write_bytes(data)
    monkeypatch.setattr(module, "SOURCE", dataclasses.replace(module.SOURCE, sha256=sha256_of_bytes(data)))


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("math500", lines([{"problem": "x"}]), "key 'solution' is missing"),
        ("imdb", lines([{**MIRROR["imdb"][1], "label": -1}]), "row test/neg/12_1 has label -1"),
        ("medd", lines([{"idx": 0, "text": "x", "emotion": "恐懼語調"}]), "row 0 has the unknown class '恐懼語調'"),
        ("causal_judgment", b'{"examples": [{"input": "x"}]}', "has no column 'target_scores'"),
        (
            "causal_judgment",
            b'{"examples": [{"input": "x", "target_scores": {"Yes": 1, "No": 1}}]}',
            "row 0 has scores {'Yes': 1, 'No': 1}",
        ),
    ],
)
def test_rows_of_another_shape_are_named(small_mirror, monkeypatch, name, data, said):
    changed(tasks.find(name), monkeypatch, small_mirror, data)
    with pytest.raises(UserError) as caught:
        tasks.find(name).load(small_mirror)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("math500", {"target": "steps"}, "option target is 'steps'"),
        ("imdb", {"line_breaks": "drop"}, "option line_breaks is 'drop'"),
        ("causal_judgment", {"task_prefix": "yes"}, "option task_prefix is 'yes'"),
    ],
)
def test_unknown_option_values_are_named(small_mirror, name, options, said):
    with pytest.raises(UserError) as caught:
        tasks.find(name).load(small_mirror, **options)
    assert said in str(caught.value)
