"""Results that do not belong together never stand in one table; results that changed on disk are not read as numbers."""

import json
import random

import pytest
from reporting_samples import DEMO_SIZES, demo_cells, make_run

from contracts import UserError, answers_sha256, read_json, read_jsonl, write_json, write_jsonl
from reporting.agreement import check_answers, check_runs
from reporting.cells import read_cells
from reporting.collected import collect


@pytest.fixture
def run(tmp_path):
    cells = read_cells(demo_cells(tmp_path / "cells.tsv"))
    return cells, make_run(tmp_path / "results", cells, DEMO_SIZES)


def change(path, **runs):
    metrics = read_json(path)
    for name, changed in runs.items():
        metrics["run"][name] = (metrics["run"][name] or {}) | changed
    write_json(path, metrics)


def test_revisions_of_one_model_are_not_mixed(run):
    cells, results = run
    paths = [results / cell.dataset / cell.model / "seed0" / "metrics.json" for cell in cells]
    for path in paths:
        change(path, after={"model": {"resolved": "1" * 40}}, before={"model": {"resolved": "1" * 40}})
    assert collect(cells, results)
    change(paths[0], after={"model": {"resolved": "2" * 40}})
    told = rf"different revisions of {cells[0].model} .*2222: {cells[0].name}/seed0"
    with pytest.raises(UserError, match=told):
        collect(cells, results)


def test_protocols_are_not_mixed(run):
    cells, results = run
    for place, cell in enumerate(cells):
        layout = {"layout": {"kind": "chat" if place == 2 else "bare"}, "stop_rule": "family"}
        change(
            results / cell.dataset / cell.model / "seed0" / "metrics.json",
            optimize={"protocol": None},
            after={"protocol": layout},
        )
    with pytest.raises(UserError, match=rf"different protocols .*chat.*: {cells[2].name}/seed0"):
        collect(cells, results)


def test_steps_must_have_read_what_the_split_certifies():
    files = {"test.jsonl": "a" * 64, "train.jsonl": "b" * 64}
    model = {"model": {"resolved": "r1"}}
    sound = {
        "optimize": model | {"data_sha256": {"train.jsonl": "b" * 64}},
        "before": model | {"data_sha256": {"test.jsonl": "a" * 64}},
        "after": None,
    }
    check_runs(sound, files, "a" * 64)
    with pytest.raises(UserError, match=r"test\.jsonl: sha256 is cccc"):
        check_runs(sound, files, "c" * 64)
    with pytest.raises(UserError, match=r"optimize: read a train\.jsonl of sha256 bbbb.*run that step again"):
        check_runs(sound, files | {"train.jsonl": "d" * 64}, "a" * 64)
    with pytest.raises(UserError, match=r"different revisions of the model \(optimize r1, before r1, after r2\)"):
        check_runs(sound | {"after": {"model": {"resolved": "r2"}}}, files, "a" * 64)


def test_graded_answers_must_be_the_decoded_ones():
    rows = [
        {"id": str(n), "output": "Yes", "n_tokens": 1, "stop": "eos", "entropy_bits": 0.5, "correct": True}
        for n in range(3)
    ]
    wrote = {"answers_sha256": answers_sha256(rows)}
    check_answers(rows, wrote, "after.jsonl")
    check_answers(rows, None, "after.jsonl")
    for other in (rows[:2], rows[::-1], [*rows[:2], rows[2] | {"output": "No"}]):
        with pytest.raises(UserError, match=r"after\.jsonl: the answers are not those"):
            check_answers(other, wrote, "after.jsonl")


def flipped(data, chance):
    place, bit = chance.randrange(len(data)), 1 << chance.randrange(8)
    return data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]


def without_strangers(found, sound):
    if isinstance(found, list):
        return [without_strangers(row, good) for row, good in zip(found, sound, strict=True)]
    return {key: value for key, value in found.items() if key in sound}


@pytest.mark.faults
def test_one_flipped_bit_is_told_or_changes_nothing(tmp_path):
    """Sixteen hundred of them: never another number."""
    chance = random.Random(0)
    rows = [{"id": f"i{n}", "output": f"It is {n}.", "correct": n % 2 == 0, "bits": n / 7} for n in range(6)]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    write_json(tmp_path / "one.json", {"n": 6, "accuracy": 0.5, "side": {"correct": 3, "list": [1, 2.5, None]}})
    told = []
    for name, read in (("rows.jsonl", read_jsonl), ("one.json", read_json)):
        path = tmp_path / name
        data, sound = path.read_bytes(), read(path)
        for _ in range(800):
            path.write_bytes(flipped(data, chance))
            try:
                found = read(path)
            except UserError as error:
                told.append((str(path), str(error)))
                continue
            # A bit in the name of the checksum's key leaves one key too many, and a content that is whole.
            pairs = zip(found, sound, strict=True) if isinstance(found, list) else [(found, sound)]
            assert sum(len(row) - len(good) for row, good in pairs) <= 1
            assert without_strangers(found, sound) == sound
        for length in range(len(data)):
            path.write_bytes(data[:length])
            try:
                found = read(path)
            except UserError:
                continue
            # Cut between two lines: the number of rows tells, where they are used. Cut before the last line break: nothing lost.
            assert found == (sound if isinstance(sound, dict) else sound[: len(found)])
    assert len(told) > 1500
    assert all(message.startswith(name) for name, message in told)


def test_files_of_earlier_versions_are_still_read(tmp_path):
    (tmp_path / "old.json").write_text(json.dumps({"n": 1}))
    (tmp_path / "old.jsonl").write_text(json.dumps({"id": "a"}) + "\n")
    assert read_json(tmp_path / "old.json") == {"n": 1}
    assert read_jsonl(tmp_path / "old.jsonl") == [{"id": "a"}]
