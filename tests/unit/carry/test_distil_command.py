"""`embedgrad distil` from end to end on a tiny model, and what it refuses."""

import json

import pytest
from commands import refused
from tiny import tiny_model

from embedgrad.cli import main
from embedgrad_core import FrozenModel, Slot
from embedgrad_core.layout import layout_from_header
from embedgrad_core.prompt import read_prompt_file

SMALL = ["--answer-tokens", 3, "--candidates", 3, "--batch-size", 4, "--threads", 1]


def test_words_are_found_written_and_reported(home, prompt_file, tokenizer):
    out, report = home / "words.txt", home / "words.json"
    base = ["distil", "--prompt-file", prompt_file, "--data", home / "reviews.csv", "--budget", 160, "--out", out]
    more = ["--test", home / "more_reviews.csv", "--report", report]
    assert main([str(word) for word in [*base, *SMALL, *more]]) == 0
    found = json.loads(report.read_text())
    text = out.read_text().removesuffix("\n")
    assert text == found["arms"]["distilled"]["words"]
    assert text in [row["text"] for row in found["finalists"]]
    slot = Slot.place(tokenizer, layout_from_header(read_prompt_file(prompt_file)[1]), text)
    assert slot.k == found["arms"]["distilled"]["tokens"]
    assert set(found["arms"]) == {"text", "optimised", "distilled", "random_words"}
    assert found["n"] == len(found["items"]) == 20, "the three rows that the prompt was trained on are left out"
    assert found["spent"] <= found["settings"]["budget"] == 160
    assert found["arms"]["distilled"]["share"]["of"] == "optimised"


BAD = {
    "no budget": (["--budget", 0], "--budget", "whole number from 1"),
    "report without test": (["--report", "r.json"], "--report needs items"),
    "test without report": (["--test", "reviews.csv"], "--test is for --report"),
    "fluency": (["--fluency", "-1"], "--fluency is -1.0; it must be 0 or a positive number"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_it_refuses_before_a_model_is_loaded(home, prompt_file, no_model, case, capsys):
    flags, *told = BAD[case]
    base = ["distil", "--prompt-file", prompt_file, "--data", home / "reviews.csv", "--out", home / "x.txt"]
    refused(capsys, [*base, *flags], *told)
    assert not (home / "x.txt").exists()


def test_a_prompt_of_another_model_and_a_test_of_nothing_new(home, prompt_file, tokenizer, capsys):
    other = home / "turned"
    wider: FrozenModel = tiny_model(tokenizer, "llama", hidden_size=48, max_position_embeddings=1024)
    wider.network.save_pretrained(other)
    tokenizer.save_pretrained(other)
    base = ["distil", "--prompt-file", prompt_file, "--data", home / "reviews.csv", "--out", home / "y.txt"]
    refused(capsys, [*base, "--model", other], "was made for", "not for")
    kept = ["--keep-seen", "--test", home / "reviews.csv", "--report", home / "y.json"]
    refused(capsys, [*base, *kept], "--test: every item is one of --data or --dev")
    refused(capsys, [*base, "--budget", 3], "budget 3 does not reach", "forward passes")
    assert not (home / "y.txt").exists()
