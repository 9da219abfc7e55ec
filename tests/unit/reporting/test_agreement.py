"""Results that do not belong together never stand in one table; results that changed on disk are not read as numbers."""

import json
import random

import pytest
from reporting_samples import DEMO_SIZES, demo_cells, make_run

from embedgrad.files import answers_sha256
from embedgrad.reporting.analyses import prompt_rows
from embedgrad.reporting.figures.accuracy import training_curves
from embedgrad.reporting.figures.gain import entropy
from embedgrad.reporting.ladder import ladder_rows
from embedgrad.reporting.metrics import metrics_from_files
from embedgrad.reporting.page.examples import examples
from embedgrad.reporting.recovery import rank
from embedgrad.reporting.results.agreement import check_answers, check_runs
from embedgrad.reporting.results.answers import read_answers
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.results.collected import collect
from embedgrad_core.files import UserError, read_json, read_jsonl, write_json, write_jsonl


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


def test_engines_and_token_limits_are_not_mixed(run):
    cells, results = run
    paths = [results / cell.dataset / cell.model / "seed0" / "metrics.json" for cell in cells]
    for path, cell in zip(paths, cells, strict=True):
        limit = 56 if cell.task == "arithmetic" else 24  # a task's own
        change(path, optimize={"engine": "native"}, after={"engine": "vllm", "decoding": {"max_new_tokens": limit}})
    assert collect(cells, results)
    change(paths[1], before={"engine": "vllm", "decoding": {"max_new_tokens": 64}})
    with pytest.raises(UserError, match=rf"different token limits of arithmetic .*64: {cells[1].name}/seed0"):
        collect(cells, results)
    change(paths[1], before={"engine": "native", "decoding": {"max_new_tokens": 56}})
    with pytest.raises(UserError, match=rf"different engines .*native: {cells[1].name}/seed0"):
        collect(cells, results)


def test_cells_of_another_split_are_all_listed(run):
    cells, results = run
    for cell in cells[:3]:
        path = results / cell.dataset / cell.model / "seed0" / "metrics.json"
        write_json(path, read_json(path) | {"split": {"sha256": "0" * 64}})
    with pytest.raises(UserError) as caught:
        collect(cells, results)
    assert all(f"{cell.dataset}/{cell.model}/seed0/metrics.json" in str(caught.value) for cell in cells[:3])


SEEN = {"model": {"resolved": "1" * 40}, "data_sha256": {"test.jsonl": "a" * 64, "dev.jsonl": "b" * 64}}
RUNG = {"rungs": {"bare": {"correct": 9, "n": 64, "levels": {}}}}
OWN = {"layout": "bare", "limit_share": 1.0, "stop_rule": "family", "strict": False}
GRID = {"own": OWN, "protocols": [{"protocol": OWN, "levels": {"": {"correct": 9, "n": 64}}}]}
TRIP = dict.fromkeys(("before", "after", "snapped", "random"), 0.5)
DRIFT = {"summary": {"mean_drift": 0.25, "nearest_token_unchanged": 7, "positions": 8}, "round_trip": None}


@pytest.mark.parametrize(
    ("name", "report", "reader"),
    [("ladder.json", RUNG, ladder_rows), ("recovery.json", GRID, rank), ("seed0/anchoring.json", DRIFT, prompt_rows)],
)
def test_analyses_of_another_model_data_or_prompt_are_not_mixed_in(run, name, report, reader):
    cells, results = run
    some = [cell for cell in cells if cell.name.startswith("sentiment/")]
    for cell in some:
        home = results / cell.dataset / cell.model
        change(home / "seed0" / "metrics.json", after=SEEN)
        write_json(home / name, report | SEEN)
    outcomes = collect(cells, results)
    for outcome in outcomes:
        for metrics in outcome.metrics:
            metrics["prompt"]["sha256"] = "c" * 64
    assert reader(outcomes, results)
    for other, told in (
        ({"model": {"resolved": "2" * 40}}, "revision 2222222222222222222 of the model, not 1111111111111111111"),
        ({"data_sha256": {"test.jsonl": "d" * 64}}, "a test.jsonl of sha256 dddddddddddd…, not aaaaaaaaaaaa…"),
        ({"round_trip": {"accuracy": TRIP, "data_sha256": "d" * 64}}, "a dev.jsonl of sha256 dddddddddddd…"),
        ({"prompt_sha256": "e" * 64}, "prompt eeeeeeeeeeee…, not cccccccccccc…"),
    ):
        for cell in some:
            write_json(results / cell.dataset / cell.model / name, report | SEEN | other)
        with pytest.raises(UserError) as caught:
            reader(outcomes, results)
        assert all(f"{cell.name}/{name} ({told}" in str(caught.value) for cell in some)


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
    """Sixteen hundred of them: never another number. A file cut within a line is told here, one cut between lines below."""
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
            # Whole line by line: what its lines are used for tells. Cut before the last line break: nothing lost.
            assert isinstance(sound, dict) or data[:length].endswith(b"\n") or not length
            assert found == (sound if isinstance(sound, dict) else sound[: len(found)])
    assert len(told) > 1500
    assert all(message.startswith(name) for name, message in told)


def cut(path, lines):
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]))


@pytest.mark.parametrize("name", ["sentiment/tiny-0.2m/before.jsonl", "sentiment/tiny-0.2m/seed0/after.jsonl"])
def test_answers_that_are_cut_at_the_end_of_a_line_are_refused(run, name):
    """As many answers as the metrics counted, and as many of each kind; so for every reader behind the metrics."""
    cells, folder = run
    outcomes = collect(cells, folder)
    one = next(outcome for outcome in outcomes if outcome.cell.name == "sentiment/tiny-0.2m")
    cut(folder / name, 20)
    readers = (
        lambda found, place: read_answers(one.cell, one.metrics[0], place),
        entropy,
        lambda found, place: examples(found[0], place),
    )
    for read in readers:
        with pytest.raises(UserError, match=rf"{name}: (20 answers, but metrics.json counted 64|44 of 64 items)"):
            read([one], folder)
    write_jsonl(folder / name, [])
    for read in readers:
        with pytest.raises(UserError, match=name):
            read([one], folder)


def test_answers_made_anew_behind_the_metrics_are_refused(run):
    cells, folder = run
    path = folder / "parity/tiny-0.2m/seed0/after.jsonl"
    rows = read_jsonl(path)
    wrong = next(row for row in rows if not row["correct"])
    wrong |= {"correct": True, "failure": "none", "extracted": "7"}
    write_jsonl(path, rows)
    one = next(o for o in collect(cells, folder) if o.cell.name == "parity/tiny-0.2m")
    with pytest.raises(UserError, match=r"parity/tiny-0\.2m/seed0/after\.jsonl: \d+ right answers of 64, but"):
        read_answers(one.cell, one.metrics[0], folder)


def test_a_history_that_is_cut_at_the_end_of_a_line_is_refused(run):
    """By the number of epochs that the optimisation noted, or by the sums in the metrics where it noted none."""
    cells, folder = run
    outcomes = collect(cells, folder)
    path = folder / cells[0].dataset / cells[0].model / "seed0" / "optimize.jsonl"
    cut(path, 3)
    with pytest.raises(UserError, match=r"optimize\.jsonl: 3 lines, but \d+ epochs were run"):
        training_curves(outcomes, folder)
    home = path.parent
    with pytest.raises(UserError, match=r"optimize\.jsonl: 3 lines, but \d+ epochs were run"):
        metrics_from_files(
            cells[0],
            0,
            test=folder / "data" / cells[0].task / "test.jsonl",
            before=folder / cells[0].task / cells[0].model / "before.jsonl",
            after=home / "after.jsonl",
            history=path,
            optimize_run=home / "optimize.run.json",
        )
    outcomes[0].metrics[0]["prompt"].pop("epochs_run")
    with pytest.raises(UserError, match=r"optimize\.jsonl: not the epochs that metrics\.json states"):
        training_curves(outcomes, folder)


def test_files_of_earlier_versions_are_still_read(tmp_path):
    (tmp_path / "old.json").write_text(json.dumps({"n": 1}))
    (tmp_path / "old.jsonl").write_text(json.dumps({"id": "a"}) + "\n")
    assert read_json(tmp_path / "old.json") == {"n": 1}
    assert read_jsonl(tmp_path / "old.jsonl") == [{"id": "a"}]
