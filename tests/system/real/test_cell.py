"""One cell from the data to the table on a real instruction-tuned model, and its answers against a plain loop.

The loop shares no code with the suite: it renders the chat template, reads the prompt file and takes argmax by itself.
"""

import csv

import pytest
import torch
import yaml
from commands import snakemake
from places import ROOT
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from embedgrad_core.files import read_json, read_jsonl

CONFIG = "tests/configs/real.yaml"
MODEL = "models/SmolLM2-135M-Instruct"
STEP = 8  # every eighth answer is checked: five of each side, of both classes


@pytest.fixture(scope="module")
def instruct(mirror):
    """The folder of the model, in mirrors that have it."""
    folder = mirror / MODEL
    if not folder.is_dir():
        pytest.skip(f"EMBEDGRAD_MIRROR holds no {MODEL}")
    return folder


@torch.inference_mode()
def plain_answer(network, tokenizer, sequence, limit):
    """Argmax after ``sequence`` (1, T, d) until an end token or ``limit`` tokens; the text, how many tokens, and why it ended."""
    cache, tokens = DynamicCache(config=network.config), []
    ends = {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|endoftext|>")}
    while len(tokens) < limit and not ends & set(tokens):
        logits = network(inputs_embeds=sequence, past_key_values=cache, use_cache=True).logits[0, -1]
        tokens.append(int(logits.argmax()))
        sequence = network.get_input_embeddings()(torch.tensor([[tokens[-1]]]))
    ended = tokens[-1] in ends
    return tokenizer.decode(tokens[:-1] if ended else tokens, skip_special_tokens=True), len(tokens), ended


def check_answers(folder, cell, items, prompt_text, limit):
    """Some of the suite's answers before and after, token for token those of the plain loop."""
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    embed = network.get_input_embeddings()
    prompt = load_file(cell / "prompt.safetensors")
    own, k = prompt["token_ids"].tolist(), len(prompt["token_ids"])
    assert torch.equal(prompt["initial"], embed(prompt["token_ids"]).detach())
    assert not torch.equal(prompt["initial"], prompt["vectors"])
    answers = {
        "initial": read_jsonl(cell.parents[2] / "imdb/smollm2-135m-instruct/before.outputs.jsonl"),
        "vectors": read_jsonl(cell / "after.outputs.jsonl"),
    }
    for which, rows in answers.items():
        assert len(rows) == 40
        for row in rows[::STEP]:
            turns = [
                {"role": "system", "content": ""},
                {"role": "user", "content": f"{prompt_text} {items[row['id']]['input']}"},
            ]
            text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            (place,) = (at for at in range(len(ids)) if ids[at : at + k] == own)
            before, after = embed(torch.tensor(ids[:place])), embed(torch.tensor(ids[place + k :]))
            found = plain_answer(network, tokenizer, torch.cat([before, prompt[which], after])[None], limit)
            assert found == (row["output"], row["n_tokens"], row["stop"] == "eos"), (which, row["id"])


@pytest.mark.mirror
@pytest.mark.workflow
def test_a_real_cell_from_the_data_to_the_table(checkout, mirror, instruct):
    arguments = ("results/real/table2.csv", "--configfile", CONFIG)
    run = snakemake(checkout, *arguments, mirror=mirror)
    assert run.returncode == 0, run.stdout + run.stderr
    home = checkout / "results/real"
    cell = home / "imdb/smollm2-135m-instruct/seed0"

    report = read_json(cell / "optimize.run.json")
    gate, items = report["gate"], report["items"]
    assert gate["items"] == items["train"] + items["dev"] == 40
    assert gate["seams"] == 0
    assert gate["max_logit_difference"] <= 1e-4
    assert gate["loss_difference"] <= 1e-4
    assert report["model"]["dequantised_from"] == "Q4_1"

    history = read_jsonl(cell / "optimize.jsonl")
    trained = [line["train_loss"] for line in history[1:]]
    assert trained[-1] < trained[0]
    best = min(history, key=lambda line: line["dev_loss"])
    assert best["epoch"] == report["best_epoch"] > 0
    assert best["dev_loss"] < history[0]["dev_loss"]

    with (home / "table2.csv").open(encoding="utf-8") as table:
        (row,) = csv.DictReader(table)
    assert (row["dataset"], row["model"], row["status"], row["n"]) == ("imdb", "smollm2-135m-instruct", "done", "40")

    task = yaml.safe_load((ROOT / CONFIG).read_text(encoding="utf-8"))["tasks"]["imdb"]
    test = {item["id"]: item for item in read_jsonl(home / "data/imdb/test.jsonl")}
    check_answers(instruct, cell, test, task["prompt"], task["max_new_tokens"])

    again = snakemake(checkout, *arguments, mirror=mirror)
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr
