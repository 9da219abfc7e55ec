"""What the commands for a prompt of one's own refuse: in one line, with exit status 2, before any model is loaded."""

import json
import os
import stat

import pytest
from commands import refused, tuning
from tiny import tiny_model

import embedgrad
from embedgrad.cli import main
from embedgrad.reporting.figures.drawing import save
from embedgrad_core import Decoding, LoopRule, Settings, decode
from embedgrad_core.files import UserError, write_whole
from embedgrad_core.model.loading import choose_device, load_model, use_threads

BAD = {
    "no labels": (["--evaluator", "label"], "needs --labels"),
    "no evaluator": ([], "--evaluator"),
    "prompt without tokens": (["--evaluator", "exact", "--prompt", " \t"], "argument --prompt: it is empty"),
    "no such column": (["--evaluator", "exact", "--input-column", "stars"], "reviews.csv:2: no column 'stars'"),
    "label outside": (["--evaluator", "label", "--labels", "good,bad"], "reviews.csv:2: label 'positive' is not among"),
    "both kinds of data": (["--evaluator", "exact", "--train", "x.jsonl"], "give --data"),
    "fraction": (["--evaluator", "exact", "--dev-fraction", "2"], "must lie between 0 and 1"),
    "target longer than the context": (["--evaluator", "exact", "--target-column", "long"], "reviews.csv:"),
    "no epoch": (["--evaluator", "exact", "--epochs", "0"], "argument --epochs: give a whole number from 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(home, case, capsys):
    flags, told = BAD[case]
    lines = (home / "reviews.csv").read_text().splitlines()
    (home / "bad").mkdir(exist_ok=True)
    long = "\n".join([lines[0] + ",long", *(line + "," + "word " * 1100 for line in lines[1:])])
    (home / "bad" / "reviews.csv").write_text(long + "\n")
    out = home / "bad" / "prompt.safetensors"
    base = ["optimize", "--model", str(home / "model"), "--data", str(home / "bad" / "reviews.csv"), "--out", str(out)]
    prompt = [] if "--prompt" in flags else ["--prompt", "Is it good?"]
    assert main([*base, *prompt, *flags]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert told in error
    assert not out.exists()


@pytest.mark.parametrize("value", ["0", "-3", "2.5", "x", "9" * 30, "9" * 5000])
@pytest.mark.parametrize(
    "flag",
    [
        "--max-new-tokens",
        "--decode-batch-size",
        "--block",
        "--loop-repeats",
        "--loop-tokens",
        "--stop-on-loop",
        "--batch-size",
        "--epochs",
        "--threads",
        "--token-budget",
    ],
)
def test_numbers_out_of_range(home, tmp_path, no_model, capsys, flag, value):
    refused(capsys, [*tuning(home, tmp_path / "p"), f"{flag}={value}"], f"argument {flag}: give a whole number from")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flag", ["--max-new-tokens", "--decode-batch-size", "--threads"])
@pytest.mark.parametrize(
    "command", [["evaluate", "--data", "x.csv", "--prompt-file"], ["generate", "x", "--prompt-file"]]
)
def test_numbers_out_of_range_with_a_prompt_file(prompt_file, no_model, capsys, command, flag):
    refused(capsys, [*command, prompt_file, flag, "0"], f"argument {flag}: give a whole number from 1")


@pytest.mark.parametrize(
    "changed", [{"max_new_tokens": 0}, {"max_new_tokens": -5}, {"batch_size": 0}, {"block": 0}, {"stop_on_loop": 0}]
)
def test_decoding_refuses_what_has_no_end(prompt_file, frozen, items, changed):
    (name,) = changed
    with pytest.raises(UserError, match=f"{name} is .*; it must be a whole number of at least 1"):
        decode(frozen, None, None, items, Decoding(**{"max_new_tokens": 5, **changed}))
    name = name.replace("batch_size", "decode_batch_size")
    if name in ("max_new_tokens", "decode_batch_size"):
        with pytest.raises(UserError, match="at least 1"):
            embedgrad.optimize(frozen, "Yes?", items, evaluator="exact", log=lambda line: None, **{name: 0})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": float("inf")}, "learning_rate is inf"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"weight_decay": float("nan")}, "weight_decay is nan"),
        ({"seed": 10**29}, "seed is 1"),
        ({"seed": -1}, "seed is -1"),
        ({"learning_rate": "0.01"}, "learning_rate is '0.01'; it must be a number"),
        ({"epochs": 2.5}, "epochs is 2.5; it must be a whole number"),
        ({"patience": None}, "patience is None; it must be a whole number"),
    ],
)
def test_settings_that_train_nothing(changed, told):
    with pytest.raises(UserError, match=told):
        Settings(**changed)


def test_machines_that_are_none():
    for name in ("mps", "meta", "cuda:99", "abacus"):
        with pytest.raises(UserError, match="device"):
            choose_device(name)
    with pytest.raises(UserError, match="threads is -1"):
        use_threads(-1)
    for rule in ((0, 24), (3, 0)):
        with pytest.raises(UserError, match="give at least 1"):
            LoopRule(*rule)


def test_a_file_in_place_of_a_models_folder(home):
    with pytest.raises(UserError, match=r"reviews.csv: is a file; give the folder"):
        load_model(str(home / "reviews.csv"), log=lambda line: None)


OUTPUTS = {
    "a folder": ("{t}", "is a folder; give the name of a file"),
    "a pipe": ("{t}/pipe", "is not an ordinary file"),
    "below a file": ("{t}/file/p", "is a file, not a folder"),
    "the data": ("{h}/reviews.csv", "is the file of --data too"),
    "nothing": ("", "is a folder; give the name of a file"),
}


@pytest.mark.parametrize("flag", ["--out", "--history", "--run-info", "--state"])
@pytest.mark.parametrize("case", OUTPUTS)
def test_outputs_are_checked_before_the_work(home, tmp_path, no_model, capsys, flag, case):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    path, told = OUTPUTS[case]
    before = (home / "reviews.csv").read_bytes()
    path = path.format(t=tmp_path, h=home)
    refused(capsys, tuning(home, tmp_path / "p.safetensors", flag, path), told)
    assert (home / "reviews.csv").read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "pipe"]


def test_two_outputs_in_one_file(home, tmp_path, no_model, capsys):
    refused(capsys, tuning(home, tmp_path / "p", "--history", tmp_path / "x" / ".." / "p"), "too; give another name")
    refused(capsys, tuning(home, tmp_path / "p.state"), "p.state is the file of --out too")


def test_evaluate_says_what_it_found_before_it_writes(home, prompt_file, tmp_path, capsys, monkeypatch):
    def full(path, rows):
        raise UserError(f"{path}: cannot be written (No space left on device)")

    monkeypatch.setattr("embedgrad.commands.evaluate.write_jsonl", full)
    data = ["--prompt-file", str(prompt_file), "--data", str(home / "more_reviews.csv")]
    assert main(["evaluate", *data, "--json", "--out", str(tmp_path / "rows.jsonl")]) == 2
    assert json.loads(capsys.readouterr().out)["n"] == 20


def test_nothing_is_renamed_over_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="not an ordinary file"), write_whole(tmp_path / "pipe"):
        pytest.fail("nothing is to be written")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize("name", ["drift", "drift.xyz", "png"])
def test_a_picture_of_no_kind(tmp_path, name):
    with pytest.raises(UserError, match="only"):
        save(None, tmp_path / name)


def test_endings_in_capitals(prompt_file, tmp_path):
    assert main(["inspect", str(prompt_file), "--png", str(tmp_path / "A.PNG")]) == 0
    assert (tmp_path / "A.PNG").read_bytes().startswith(b"\x89PNG")


def test_a_limit_that_nobody_chose_fits(home, tmp_path, tokenizer, items):
    """A model with few positions takes the default; only a number that the user gave is refused."""
    frozen = tiny_model(tokenizer)  # 256 positions
    tuned = embedgrad.optimize(frozen, "Yes?", items, evaluator="exact", epochs=1, log=lambda line: None)
    slot = tuned.prompt.slot
    longest = max(len(slot.body_ids(item.input)) for item in items)
    assert tuned.decoding.max_new_tokens == 256 - len(slot.head_ids) - slot.k - longest
    with pytest.raises(UserError, match="512 new tokens do not fit; lower --max-new-tokens to"):
        embedgrad.optimize(frozen, "Yes?", items, evaluator="exact", max_new_tokens=512, log=lambda line: None)
    roomy = tiny_model(tokenizer, max_position_embeddings=2048)
    tuned = embedgrad.optimize(roomy, "Yes?", items, evaluator="exact", epochs=1, log=lambda line: None)
    assert tuned.decoding.max_new_tokens == 512
