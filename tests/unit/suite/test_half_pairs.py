"""Half of a surrogate pair, which no UTF-8 can hold, wherever text comes in: refused in one line, or kept as it is."""

import json

import pytest
from commands import refused, tuning

import embedgrad
from embedgrad.cli import main
from embedgrad.planning.run_config import RunConfig
from embedgrad_core import Layout, PromptEmbedding, Slot, read_prompt_file
from embedgrad_core.files import Item, UserError, read_jsonl, write_jsonl

HALF = "a \ud83d b"


def own_data(home, prompt_file, folder):
    lines = [json.dumps({"text": text, "label": "positive"}) for text in ("a", HALF, "b")]
    (folder / "half.jsonl").write_text("\n".join(lines) + "\n")
    return tuning(home, folder / "p", "--data", folder / "half.jsonl")


def the_suites_items(home, prompt_file, folder):
    write_jsonl(folder / "suite.jsonl", [Item(str(k), text, "No", "No").row() for k, text in enumerate(("a", HALF))])
    both = ["--train", folder / "suite.jsonl", "--dev", folder / "suite.jsonl"]
    return [*tuning(home, folder / "p")[:5], *both, "--out", folder / "p"]


REFUSED = {
    "data of one's own": (own_data, "half.jsonl:2: column 'text' holds half of a surrogate pair"),
    "the suite's items": (the_suites_items, "suite.jsonl:2: 'input' holds half of a surrogate"),
    "a prompt": (
        lambda home, prompt_file, folder: [*tuning(home, folder / "p"), "--prompt", HALF],
        "argument --prompt: it is not UTF-8 text",
    ),
    "an input": (
        lambda home, prompt_file, folder: ["generate", "--prompt-file", prompt_file, "a", HALF],
        "an input is not UTF-8: ",
    ),
}


@pytest.mark.parametrize("source", REFUSED)
def test_half_of_a_surrogate_pair(home, prompt_file, tmp_path, no_model, capsys, source):
    words, told = REFUSED[source]
    refused(capsys, words(home, prompt_file, tmp_path), told)
    assert not (tmp_path / "p").exists()


def test_half_of_a_surrogate_pair_in_memory(frozen, items):
    with pytest.raises(UserError, match="surrogate"):
        embedgrad.optimize(frozen, HALF, items, evaluator="exact", max_new_tokens=9, log=lambda line: None)


def test_half_of_a_surrogate_pair_in_a_configuration(tmp_path):
    (tmp_path / "mine.yaml").write_text('run: "\\ud800"\n')
    with pytest.raises(UserError, match=r"mine\.yaml.*no command line can carry") as caught:
        RunConfig.read(tmp_path / "mine.yaml")
    assert "\n" not in str(caught.value)


def test_a_header_of_half_a_character_is_refused(frozen, tokenizer, tmp_path):
    path = tmp_path / "forged.safetensors"
    PromptEmbedding.from_text(frozen, Slot.place(tokenizer, Layout(), "Name it.")).save(path, {"note": "NOTE!!!"})
    # The metadata is a string inside a JSON header, hence two backslashes.
    path.write_bytes(path.read_bytes().replace(b"NOTE!!!", rb"\\ud800"))
    with pytest.raises(UserError, match="not a prompt file of this suite"):
        read_prompt_file(path)


def test_an_answer_with_half_a_pair_is_graded_and_kept(tmp_path):
    """It must not keep the other lines from being written, either."""
    outputs = {"b": "\\boxed{\ud800}", "c": "\\boxed{42}"}
    write_jsonl(tmp_path / "test.jsonl", [Item(key, "?", "42", "42").row() for key in outputs])
    row = {"n_tokens": 3, "stop": "eos", "entropy_bits": 0.1}
    lines = [json.dumps({"id": key, "output": text, **row}) for key, text in outputs.items()]
    (tmp_path / "out.jsonl").write_text("\n".join([*lines, ""]))
    files = ["--data", str(tmp_path / "test.jsonl"), "--outputs", str(tmp_path / "out.jsonl")]
    assert main(["grade", *files, "--evaluator", "boxed_math", "--out", str(tmp_path / "graded.jsonl")]) == 0
    graded = {line["id"]: line for line in read_jsonl(tmp_path / "graded.jsonl")}
    assert [graded[key]["failure"] for key in outputs] == ["wrong", "none"]
    assert graded["b"]["output"] == outputs["b"]
