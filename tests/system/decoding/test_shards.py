"""Shards of a decoding and of baselines, by their commands: one, two or seven give the same bytes."""

import pytest
from tiny import tiny_model

from embedgrad.cli import main
from embedgrad_core.files import read_json, read_jsonl, write_json, write_jsonl


@pytest.fixture
def embedgrad(capsys):
    """The command, in this process: exit status and what it said on standard error."""

    def run(*words):
        capsys.readouterr()
        return main(list(map(str, words))), capsys.readouterr().err

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer):
    folder = tmp_path_factory.mktemp("shards")
    frozen = tiny_model(tokenizer)
    frozen.network.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    rows = [
        {"id": f"t/{n:02}", "input": f"{n} + {n % 7}", "target": "1", "answer": "1", "level": "12"[n % 2]}
        for n in range(23)
    ]
    write_jsonl(folder / "test.jsonl", rows)
    return folder


def answer(embedgrad, folder, count):
    """The shards' outputs and run files."""
    outputs = [folder / f"{number}-of-{count}.jsonl" for number in range(1, count + 1)]
    runs = [path.with_suffix(".run.json") for path in outputs]
    for number, (out, run) in enumerate(zip(outputs, runs, strict=True), start=1):
        status, said = embedgrad(
            *("decode", "--model", folder / "model", "--prompt", "step by step", "--max-new-tokens", 8, "--block", 3),
            *("--device", "cpu", "--decode-batch-size", 2, "--shard", f"{number}-of-{count}", "--threads", 1),
            *("--data", folder / "test.jsonl", "--out", out, "--run-info", run),
        )
        assert status == 0, said
    return outputs, runs


def gather(embedgrad, folder, outputs, runs):
    words = [
        "--outputs",
        *outputs,
        "--runs",
        *runs,
        "--out",
        folder / "all.jsonl",
        "--run-info",
        folder / "all.run.json",
    ]
    return embedgrad("gather", "--data", folder / "test.jsonl", *words)


def test_one_two_and_seven_shards_give_the_same_bytes(embedgrad, folder):
    whole, two, seven = (answer(embedgrad, folder, count) for count in (1, 2, 7))
    for outputs, runs in (whole, two, seven):
        assert gather(embedgrad, folder, outputs, runs) == (0, "")
        assert (folder / "all.jsonl").read_bytes() == whole[0][0].read_bytes()
        run = read_json(folder / "all.run.json")
        assert (run["items"], run["shards"]) == (23, len(outputs))
        assert run["answers_sha256"] == read_json(whole[1][0])["answers_sha256"]
        assert run["seconds"] == pytest.approx(sum(read_json(path)["seconds"] for path in runs), abs=0.01)


def test_shards_that_do_not_belong_together_are_refused(embedgrad, folder):
    outputs, runs = answer(embedgrad, folder, 2)
    for path in folder.glob("all.*"):
        path.unlink()
    other, foreign = folder / "other.run.json", folder / "foreign.jsonl"
    write_json(other, read_json(runs[1]) | {"engine": "vllm"})
    write_jsonl(foreign, [row | {"id": f"u/{n}"} for n, row in enumerate(read_jsonl(outputs[1]))])
    for some, theirs, expected in (
        (outputs[:1], runs[:1], "is answered by no shard"),
        ([outputs[0], outputs[0]], runs, "answers as well; decode again"),
        ([outputs[0], foreign], runs, "which is not in"),
        (outputs, [runs[0], other], f"{other}: engine is not that of {runs[0]}; decode the shards again together."),
        (outputs, runs[:1], "one for each shard"),
    ):
        status, said = gather(embedgrad, folder, some, theirs)
        assert (status, said.count("\n")) == (2, 1)
        assert expected in said
        assert not list(folder.glob("all.*"))


def test_a_shard_for_which_nothing_is_left_is_empty(embedgrad, folder):
    words = [
        "--model",
        folder / "model",
        "--prompt",
        "x",
        "--data",
        folder / "test.jsonl",
        "--out",
        folder / "none.jsonl",
    ]
    assert embedgrad("decode", *words, "--shard", "1-of-3", "--device", "cpu") == (0, "")
    assert (folder / "none.jsonl").read_bytes() == b""
    assert embedgrad("decode", *words, "--shard", "two") == (2, "embedgrad decode: --shard two: write it as 2-of-7.\n")


def baselines(embedgrad, folder, count):
    """Ladder and recovery of ``count`` shards, added up."""
    words = [
        "--model",
        folder / "model",
        "--prompt",
        "step by step",
        "--max-new-tokens",
        6,
        "--block",
        3,
        "--device",
        "cpu",
    ]
    words += [
        "--data",
        folder / "test.jsonl",
        "--train",
        folder / "test.jsonl",
        "--dev",
        folder / "test.jsonl",
        "--evaluator",
        "exact",
        "--threads",
        1,
    ]
    parts = [(folder / f"{n}-{count}.ladder.json", folder / f"{n}-{count}.recovery.json") for n in range(1, count + 1)]
    for number, (ladder, recovery) in enumerate(parts, start=1):
        shard_ = ["--shard", f"{number}-of-{count}", "--ladder", ladder, "--recovery", recovery]
        shard_ += ["--answers", ladder.with_suffix(".jsonl")]
        assert embedgrad("baselines", *words, *shard_) == (0, "")
    ladders, recoveries = zip(*parts, strict=True)
    return ladders, recoveries, _gather_baselines(embedgrad, folder, ladders, recoveries)


def _gather_baselines(embedgrad, folder, ladders, recoveries):
    out = folder / "ladder.json", folder / "recovery.json"
    words = ["--ladders", *ladders, "--recoveries", *recoveries, "--ladder", out[0], "--recovery", out[1]]
    words += [
        "--answers",
        *(path.with_suffix(".jsonl") for path in ladders),
        "--ladder-answers",
        folder / "ladder.jsonl",
    ]
    status, said = embedgrad("gather-baselines", *words)
    return status, said, [path.read_bytes() for path in out if path.exists()]


def test_baselines_of_shards_add_up_to_those_of_the_whole(embedgrad, folder):
    (ladder,), (recovery,), (status, *_, whole) = baselines(embedgrad, folder, 1)
    assert status == 0
    assert whole == [ladder.read_bytes(), recovery.read_bytes()]
    rungs = read_json(ladder)["rungs"]
    assert {rung["n"] for rung in rungs.values()} == {23}
    assert {level: row["n"] for level, row in rungs["bare"]["levels"].items()} == {"1": 12, "2": 11}
    for count in (9, 2, 7):  # of nine one is empty: there are eight blocks
        ladders, recoveries, (status, said, gathered) = baselines(embedgrad, folder, count)
        assert (status, said) == (0, "")
        assert gathered == whole
    for path in (folder / "ladder.json", folder / "recovery.json"):
        path.unlink()
    other = folder / "other.ladder.json"
    write_json(other, read_json(ladders[1]) | {"decoding": {}})
    status, said, gathered = _gather_baselines(embedgrad, folder, [ladders[0], other], recoveries[:2])
    assert (status, gathered) == (2, [])
    assert f"{other}: was made differently from {ladders[0]}" in said
    write_json(other, read_json(ladders[1]) | {"model": 3})
    status, said, gathered = _gather_baselines(embedgrad, folder, [ladders[0], other], recoveries[:2])
    assert (status, gathered) == (2, [])
    assert f"{other}: key 'model' is missing or of the wrong kind" in said
    left = folder / "left.ladder.json"
    left.with_suffix(".jsonl").write_bytes(ladders[1].with_suffix(".jsonl").read_bytes())
    write_json(left, read_json(ladders[1]) | {"rungs": rungs | {"few_shot": {"left_out": "too long"}}})
    assert _gather_baselines(embedgrad, folder, [ladders[0], left], recoveries[:2])[0] == 0
    assert read_json(folder / "ladder.json")["rungs"]["few_shot"] == {"left_out": "too long"}


@pytest.mark.parametrize(("which", "again"), [("1-of-8", 2), ("8-of-8", 2), ("1-of-9", 0)])
def test_a_shard_is_answered_again_one_at_a_time_even_if_nothing_was_left_for_it(embedgrad, folder, which, again):
    run = folder / "checked.run.json"
    status, said = embedgrad(
        *("decode", "--model", folder / "model", "--prompt", "step by step", "--max-new-tokens", 4, "--block", 3),
        *("--device", "cpu", "--shard", which, "--threads", 1, "--batch-invariance-check", 2),
        *("--data", folder / "test.jsonl", "--out", folder / "checked.jsonl", "--run-info", run),
    )
    assert status == 0, said
    assert read_json(run)["batch_invariance"] == {"items": again, "flipped": 0, "rate": 0.0, "ids": []}
