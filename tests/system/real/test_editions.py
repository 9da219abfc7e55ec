"""Both editions of MEDD: row by row the same utterance under the same class, and a choice that protocol recovery can search."""

import csv
from itertools import groupby

import pytest
from commands import refused

from embedgrad import tasks
from embedgrad.cli import main
from embedgrad.files import read_items
from embedgrad.tasks import medd
from embedgrad.tasks.splitting.prepare import prepare
from embedgrad_core.files import read_json, write_jsonl

pytestmark = pytest.mark.mirror
MODEL = "models/SmolLM2-135M-Instruct"
SHA256 = "d8d8571b3af99053c8ad455ce009d8479eec5da515f80a417c075d0a7f317904"
PROMPT = "Which emotion does the text express?"
SOME = 4


@pytest.fixture(scope="module")
def both(mirror):
    """A mirror that has the second edition too."""
    if not (mirror / "data" / medd.SIMPLIFIED_SOURCE.file).is_file():
        pytest.skip(f"EMBEDGRAD_MIRROR holds no data/{medd.SIMPLIFIED_SOURCE.file}")
    return mirror


@pytest.fixture(scope="module")
def prepared(both, tmp_path_factory):
    """Train and dev of a pool, in either edition, with the same seed."""
    folder = tmp_path_factory.mktemp("data")
    for edition in medd.EDITIONS:
        prepare("medd", folder / edition, mirror=both, pool=80, options={"edition": edition})
    return folder


def shared(one, other):
    """Share of the characters of two texts that both have; most characters are the same in both scripts."""
    return len(set(one) & set(other)) / len(set(one) | set(other))


def test_row_by_row_the_same_utterance_under_the_same_class(both):
    original, simplified = (tasks.find("medd").load(both, edition=name).items for name in medd.EDITIONS)
    assert len(original) == medd.SOURCE.hub_rows
    assert [(item.id, item.answer) for item in original] == [(item.id, item.answer) for item in simplified]
    pairs = sorted(zip(original, simplified, strict=True), key=lambda pair: pair[0].answer)
    closer = []
    for _, group in groupby(pairs, key=lambda pair: pair[0].answer):
        of_class = list(group)
        for place, (item, own) in enumerate(of_class):
            neighbour = of_class[place - 1][1]  # the same class, another utterance
            closer.append(shared(item.input, own.input) > shared(item.input, neighbour.input))
    assert len(closer) == medd.SOURCE.hub_rows
    assert sum(closer) / len(closer) > 0.99


def test_the_command_finds_the_other_texts_of_a_split_from_either_side(both, prepared, tmp_path):
    with (both / "data" / medd.SIMPLIFIED_SOURCE.file).open(encoding="utf-8", newline="") as lines:
        rows = [row["text"] for row in csv.DictReader(lines)]
    for own, other in (medd.EDITIONS, reversed(medd.EDITIONS)):
        data = [prepared / own / f"{name}.jsonl" for name in ("train", "dev")]
        words = ["editions", "--task", "medd", "--mirror", both, "--own", own, "--data", *data]
        assert main([str(word) for word in [*words, "--out", tmp_path / "editions.json"]]) == 0
        found = read_json(tmp_path / "editions.json")
        items = [item for path in data for item in read_items(path)]
        assert len(items) == 40
        assert (found["own"], found["edition"]) == (own, other)
        if other == "simplified":
            assert found["inputs"] == {item.id: rows[int(item.id.removeprefix("medd/"))] for item in items}
        else:
            wanted = {item.id: item.input for item in tasks.find("medd").load(both).items}
            assert found["inputs"] == {item.id: wanted[item.id] for item in items}


def test_items_of_another_data_set_are_refused(both, tmp_path, capsys):
    prepare("imdb", tmp_path / "imdb", mirror=both, pool=20)
    words = ["editions", "--task", "medd", "--mirror", both, "--data", tmp_path / "imdb/dev.jsonl"]
    refused(capsys, [*words, "--out", tmp_path / "e.json"], "dev.jsonl:1", "the edition 'simplified' has it not")
    assert not (tmp_path / "e.json").exists()


def test_recovery_over_editions_counts_what_each_edition_by_itself_does(both, prepared, tmp_path):
    """A real model answers; the search of the axis must equal two searches without it, over data prepared in either edition."""
    if not (both / MODEL).is_dir():
        pytest.skip(f"EMBEDGRAD_MIRROR holds no {MODEL}")
    model = ["--model", both / MODEL, "--sha256", SHA256, "--dtype", "float32", "--device", "cpu", "--threads", 1]
    common = ["recovery", *model, "--prompt", PROMPT, "--task", "medd", "--max-new-tokens", 6, "--limit-shares", "1"]

    def search(name, edition, *more):
        items = read_items(prepared / edition / "train.jsonl")[:SOME]
        write_jsonl(tmp_path / f"{name}.items.jsonl", [item.row() for item in items])
        files = ["--data", tmp_path / f"{name}.items.jsonl", "--out", tmp_path / f"{name}.json"]
        assert main([str(word) for word in [*common, *files, *more]]) == 0
        return read_json(tmp_path / f"{name}.json")

    data = prepared / "original/train.jsonl"
    where = ["--task", "medd", "--mirror", both, "--data", data, "--out", tmp_path / "editions.json"]
    assert main([str(word) for word in ["editions", *where]]) == 0
    found = search("both", "original", "--axes", "edition", "--edition", tmp_path / "editions.json")
    assert found["left_out"] == {}
    assert found["own"]["edition"] == "original"
    alone = {edition: search(edition, edition)["protocols"] for edition in medd.EDITIONS}
    assert len(found["protocols"]) == 2 * len(alone["original"]) == 2 * 2 * 2 * 2  # layouts, stop rules, readings
    for edition, rows in alone.items():
        mine = [row for row in found["protocols"] if row["protocol"]["edition"] == edition]
        assert [
            row | {"protocol": {k: v for k, v in row["protocol"].items() if k != "edition"}} for row in mine
        ] == rows
