"""`embedgrad transfer` from end to end on tiny models, and what it refuses."""

import json
import shutil

import pytest
from commands import refused
from tiny import tiny_model

from embedgrad.carry import scores
from embedgrad.cli import main
from embedgrad_core.prompt import read_prompt_file

PROMPT = "Determine whether the statement is positive or negative."


@pytest.fixture(scope="module")
def larger(home, tokenizer):
    """Another size with the same tokenizer."""
    folder = home / "larger"
    tiny_model(tokenizer, "llama", hidden_size=48, max_position_embeddings=1024).network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_prompt_is_carried_trained_reported_and_used(home, prompt_file, larger, capsys):
    out, report = home / "carried.safetensors", home / "carried.json"
    base = ["transfer", "--prompt-file", prompt_file, "--to", larger, "--threads", 1]
    more = ["--steps", 2, "--data", home / "reviews.csv", "--test", home / "more_reviews.csv", "--report", report]
    assert main([str(word) for word in [*base, "--out", out, *more, "--controls", 2]]) == 0
    header = read_prompt_file(out)[1]
    assert header["model"]["name"] == str(larger)
    assert header["carried_from"]["model"] == str(home / "model")
    assert header["grading"]["evaluator"] == "label"
    found = json.loads(report.read_text())
    assert set(found["arms"]) == {"text", "transferred", "random", "transferred_steps", "scratch_steps"}
    assert found["n"] == len(found["items"]) == 20, "the three rows that the prompt was trained on are left out"
    assert len(found["controls"]["losses"]) == 2
    assert found["arms"]["transferred"]["share"]["of"] == "scratch_steps"
    assert [row[0][0] for row in found["alignment"]] == list(range(len(found["alignment"])))
    assert not out.with_suffix(".state").exists()
    capsys.readouterr()
    assert main(["evaluate", "--prompt-file", str(out), "--data", str(home / "more_reviews.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 20
    assert main(["inspect", str(out), "--json"]) == 0


def test_carried_to_its_own_model_it_keeps_all_of_its_gain(home, prompt_file):
    """The control that must give 100 %; random displacements as long must not."""
    out, report = home / "same.safetensors", home / "same.json"
    base = ["transfer", "--prompt-file", prompt_file, "--to", home / "model", "--own", prompt_file, "--threads", 1]
    more = ["--steps", 1, "--data", home / "reviews.csv", "--test", home / "more_reviews.csv", "--report", report]
    assert main([str(word) for word in [*base, *more, "--out", out, "--state", home / "kept.state"]]) == 0
    found = json.loads(report.read_text())
    assert set(found["arms"]) == {"text", "optimised", "transferred", "random", "transferred_steps", "scratch_steps"}
    share = found["arms"]["transferred"]["share"]
    assert (share["of"], share["loss"]["value"]) == ("optimised", pytest.approx(1, abs=1e-3))
    assert found["arms"]["random"]["share"]["loss"]["value"] < 0.9
    assert found["map"]["held_out"]["r2"] == pytest.approx(1)
    pairs = [(row["of"], row["over"]) for row in found["contrasts"]]
    assert pairs[:2] == [("transferred", "random"), ("transferred_steps", "scratch_steps")]
    by_hand = found["arms"]["random"]["loss"] - found["arms"]["transferred"]["loss"]
    assert found["contrasts"][0]["loss_gain"] == pytest.approx(by_hand)
    assert not list(home.glob("kept*.state"))


class Killed(BaseException):
    """What no handler of the command takes for an error of its own."""


MORE = {
    "transfer": "--controls 1 --steps 1",
    "distil": "--answer-tokens 2 --candidates 3 --batch-size 4 --budget 120",
}


@pytest.mark.parametrize("command", MORE)
def test_a_report_that_was_ended_goes_on_with_the_next_prompt(home, prompt_file, command, monkeypatch):
    read, scored, stop = scores.continuation_log_likelihoods, [], -1

    def counted(*arguments, **named):
        if len(scored) == stop:
            raise Killed
        scored.append(arguments)
        return read(*arguments, **named)

    def run(folder):
        words = [
            command,
            "--prompt-file",
            prompt_file,
            "--data",
            home / "reviews.csv",
            "--threads",
            1,
            *MORE[command].split(),
        ]
        words += ["--to", home / "model", "--own", prompt_file] if command == "transfer" else []
        words += ["--test", home / "more_reviews.csv", "--out", folder / "out", "--report", folder / "report.json"]
        folder.mkdir(exist_ok=True)
        assert main([str(word) for word in words]) == 0
        return json.loads((folder / "report.json").read_text())["arms"]

    monkeypatch.setattr(scores, "continuation_log_likelihoods", counted)
    whole = run(home / f"{command}-whole")
    wanted, ended = len(scored), home / f"{command}-ended"
    scored.clear()
    stop = wanted - 2
    with pytest.raises(Killed):
        run(ended)
    stop = -1
    assert run(ended) == whole
    assert len(scored) == wanted, "nothing is scored twice"
    assert not list(ended.glob("*.state"))


def test_only_items_of_a_level_are_taken(home, prompt_file, larger, capsys):
    rows = [json.dumps({"text": f"Text number {n}.", "label": "positive", "level": str(n % 2)}) for n in range(8)]
    (home / "levels.jsonl").write_text("\n".join(rows))
    base = ["transfer", "--prompt-file", prompt_file, "--to", larger, "--out", home / "level.safetensors"]
    more = ["--test", home / "levels.jsonl", "--report", home / "level.json", "--controls", 1, "--level"]
    assert main([str(word) for word in [*base, *more, "1"]]) == 0
    assert [row["id"] for row in json.loads((home / "level.json").read_text())["items"]] == [
        f"levels.jsonl/{line}" for line in (2, 4, 6, 8)
    ]
    refused(capsys, [*base, *more, "3"], "levels.jsonl: no item has the level '3'")


def test_without_data_it_is_only_carried(home, prompt_file, larger):
    out = home / "only.safetensors"
    assert main([str(word) for word in ["transfer", "--prompt-file", prompt_file, "--to", larger, "--out", out]]) == 0
    assert read_prompt_file(out)[1]["carried_from"]["steps"] == 0


BAD = {
    "steps without data": (["--steps", 3], "--steps needs items; give --data FILE"),
    "report without test": (["--report", "r.json"], "--report needs items; give --test FILE"),
    "data without steps": (["--data", "reviews.csv"], "--data and --dev are for --steps"),
    "test without report": (["--test", "reviews.csv"], "--test is for --report"),
    "own without report": (["--own", "own.safetensors"], "--own is for --report"),
    "dev without data": (["--steps", 3, "--dev", "reviews.csv"], "give --data FILE"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_it_refuses_before_a_model_is_loaded(home, prompt_file, no_model, case, capsys):
    flags, told = BAD[case]
    refused(
        capsys, ["transfer", "--prompt-file", prompt_file, "--to", "x", "--out", home / "q.safetensors", *flags], told
    )


def test_a_model_that_is_not_there_and_a_prompt_of_another(home, prompt_file, larger, capsys):
    base = ["transfer", "--prompt-file", prompt_file, "--out", home / "q.safetensors"]
    refused(capsys, [*base, "--to", home / "nowhere"], "nowhere: no such folder")
    weightless = home / "weightless"
    shutil.copytree(larger, weightless)
    (weightless / "model.safetensors").unlink()
    refused(capsys, [*base, "--to", weightless], "weightless", "check its files")
    refused(capsys, [*base, "--to", larger, "--model", larger], "was made for", "not for")
    refused(capsys, [*base, "--to", larger, "--to-sha256", "0" * 64], "its files have", "wanted is")
    written = ["--model", home / "model", "--data", home / "reviews.csv", "--epochs", 1, "--max-new-tokens", 8]
    written += ["--evaluator", "label", "--labels", "positive,negative", "--threads", 1, "--out"]
    for what, flags in (("text", ["--prompt", "Is it good?"]), ("layout", ["--prompt", PROMPT, "--layout", "chat"])):
        assert main([str(word) for word in ["optimize", *flags, *written, home / f"{what}.safetensors"]]) == 0
        own = ["--to", home / "model", "--own", home / f"{what}.safetensors", "--report", home / "own.json"]
        refused(
            capsys, [*base, *own, "--test", home / "more_reviews.csv"], f"--own: it was optimised from another {what}"
        )
    more = ["--own", prompt_file, "--test", home / "more_reviews.csv", "--report", home / "own.json"]
    refused(capsys, [*base, "--to", larger, *more], "was made for", "not for")
    assert not (home / "q.safetensors").exists()
