"""`embedgrad transfer` from end to end on tiny models, and what it refuses."""

import json
import shutil

import pytest
from commands import refused
from tiny import tiny_model

from embedgrad.cli import main
from embedgrad_core.prompt import read_prompt_file


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


def test_without_data_it_is_only_carried(home, prompt_file, larger):
    out = home / "only.safetensors"
    assert main([str(word) for word in ["transfer", "--prompt-file", prompt_file, "--to", larger, "--out", out]]) == 0
    assert read_prompt_file(out)[1]["carried_from"]["steps"] == 0


BAD = {
    "steps without data": (["--steps", 3], "--steps needs items; give --data FILE"),
    "report without test": (["--report", "r.json"], "--report needs items; give --test FILE"),
    "data without steps": (["--data", "reviews.csv"], "--data and --dev are for --steps"),
    "test without report": (["--test", "reviews.csv"], "--test is for --report"),
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
    assert not (home / "q.safetensors").exists()
