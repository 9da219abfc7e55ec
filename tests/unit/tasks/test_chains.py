"""The model's own right chains of thought as targets: what is kept, what is left out and why, what is counted."""

import pytest
import torch
from commands import refused
from tiny import tiny_model

from embedgrad.analyses.chains import own_chains
from embedgrad.cli import main
from embedgrad.files import read_items
from embedgrad.grading import make_grading
from embedgrad_core import Decoding, Layout, Slot
from embedgrad_core.decoding.kept_rows import KeptRows
from embedgrad_core.decoding.settings import LoopRule
from embedgrad_core.files import Item, UserError, read_json, sha256_of_file, write_jsonl

PROMPT, LABELS = "Let’s think step by step.", ["positive", "negative"]
LAYOUT, LIMIT = Layout(target_prefix="\n"), 24
DECODING = Decoding(max_new_tokens=LIMIT, loop=LoopRule(tokens=8))
LOOP = " ".join(["step by"] * 9)
# Of each item its right answer, what the model is taught to say of it, whether it ends there, and why that is no chain.
TAUGHT = [
    ("a", "positive", "  We add the statement and get positive ", True, None),
    ("b", "positive", "We get negative", True, "wrong"),
    ("c", "negative", "negative", True, None),
    ("d", "positive", "What is negative", True, "wrong"),
    ("e", "negative", "What is the answer", True, "no_answer"),
    ("f", "positive", f"positive, {LOOP}", False, "right but without an end"),
    ("g", "negative", f"We {LOOP}", False, "loop"),
    ("h", "positive", "Determine whether the statement is positive", True, None),
]
ITEMS = [Item(name, f"item {name}", gold, gold, None) for name, gold, *_ in TAUGHT]
CHAINS = {name: said.strip() for name, _, said, _, why in TAUGHT if why is None}
COUNTS = {
    "items": 8,
    "kept": 3,
    "by_answer": {"negative": {"items": 3, "kept": 1}, "positive": {"items": 5, "kept": 2}},
    "left_out": {"loop": 1, "no_answer": 1, "right but without an end": 1, "wrong": 2},
}


@pytest.fixture(scope="module")
def taught(tokenizer):
    """A tiny model, trained until it says what the table has."""
    frozen = tiny_model(tokenizer)
    network = frozen.network.requires_grad_(True)
    asked = [tokenizer(f"{PROMPT} {item.input}")["input_ids"] for item in ITEMS]
    said = [tokenizer("\n" + text)["input_ids"] + [tokenizer.eos_token_id] * ends for _, _, text, ends, _ in TAUGHT]
    ids = torch.full((len(ITEMS), max(map(len, asked)) + max(map(len, said))), tokenizer.pad_token_id)
    labels = torch.full_like(ids, -100)
    for row, (question, answer) in enumerate(zip(asked, said, strict=True)):
        ids[row, : len(question) + len(answer)] = torch.tensor(question + answer)
        labels[row, len(question) : len(question) + len(answer)] = torch.tensor(answer)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(200):
        loss = network(input_ids=ids, labels=labels).loss
        if loss < 0.01:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.requires_grad_(False)
    return frozen


def chains(taught, items, **options):
    quiet = {"log": lambda line: None} | options
    return own_chains(taught, LAYOUT, PROMPT, items, make_grading("label", LABELS), DECODING, **quiet)


def test_right_answers_that_end_become_the_targets_and_nothing_else_changes(taught):
    found, counts = chains(taught, ITEMS)
    assert {item.id: item.target for item in found} == CHAINS
    assert [item.row() | {"target": item.answer} for item in found] == [i.row() for i in ITEMS if i.id in CHAINS]
    assert counts == COUNTS


def test_what_is_trained_is_what_the_model_wrote(taught):
    """Token for token where it wrote no blank of its own: the line break before, the chain, the end."""
    slot, (item,) = Slot.place(taught.tokenizer, LAYOUT, PROMPT), chains(taught, ITEMS[2:3])[0]
    assert slot.target_ids(item) == [*taught.tokenizer("\nnegative")["input_ids"], taught.tokenizer.eos_token_id]
    asked = torch.tensor([taught.tokenizer(f"{PROMPT} {item.input}")["input_ids"]])
    written = taught.network.generate(asked, max_new_tokens=LIMIT, do_sample=False)[0, asked.shape[1] :]
    assert written.tolist() == slot.target_ids(item)


def test_no_right_chain_is_one_error_and_counts_follow_the_items(taught):
    with pytest.raises(UserError, match=r"none of 5 training items has a right chain .*; use target label or sentence"):
        chains(taught, [item for item in ITEMS if item.id not in CHAINS])
    assert chains(taught, ITEMS[:2])[1] == {
        "items": 2,
        "kept": 1,
        "by_answer": {"positive": {"items": 2, "kept": 1}},
        "left_out": {"wrong": 1},
    }


def test_blocks_that_were_answered_before_are_not_answered_again(taught, tmp_path):
    first = chains(taught, ITEMS, kept=KeptRows(tmp_path / "chains.state"))
    forwards = []
    with taught.network.register_forward_pre_hook(lambda *_: forwards.append(1)):
        assert chains(taught, ITEMS, kept=KeptRows(tmp_path / "chains.state")) == first
    assert not forwards


@pytest.fixture
def words(taught, tmp_path):
    """A whole command, and its folder with training items, dev and test."""
    taught.network.save_pretrained(tmp_path / "model")
    taught.tokenizer.save_pretrained(tmp_path / "model")
    for name, some in (("train", ITEMS), ("dev", ITEMS[:2]), ("test", ITEMS[1:2])):
        write_jsonl(tmp_path / f"{name}.jsonl", [item.row() for item in some])
    model = ["--model", tmp_path / "model", "--dtype", "float32", "--device", "cpu", "--threads", 1]
    graded = ["--evaluator", "label", "--labels", ",".join(LABELS), "--max-new-tokens", LIMIT, "--loop-tokens", 8]
    files = ["--out", tmp_path / "train.own_chain.jsonl", "--report", tmp_path / "chains.json"]
    return ["chains", *model, "--prompt", PROMPT, *graded, "--state", tmp_path / "chains.state", *files, "--data"]


def test_the_command_writes_items_and_counts_and_leaves_the_splits_alone(words, tmp_path):
    splits = {name: tmp_path / f"{name}.jsonl" for name in ("train", "dev", "test")}
    before = {name: sha256_of_file(path) for name, path in splits.items()}
    assert main([str(word) for word in [*words, splits["train"]]]) == 0
    assert {name: sha256_of_file(path) for name, path in splits.items()} == before
    out, report = tmp_path / "train.own_chain.jsonl", read_json(tmp_path / "chains.json")
    assert {item.id: item.target for item in read_items(out)} == CHAINS
    assert {key: report[key] for key in COUNTS} == COUNTS
    assert report["data_sha256"] == {"train.jsonl": before["train"], out.name: sha256_of_file(out)}
    assert report["decoding"]["max_new_tokens"] == LIMIT
    assert not (tmp_path / "chains.state").exists()


def test_without_a_right_chain_the_command_writes_nothing(words, tmp_path, capsys):
    refused(capsys, [*words, tmp_path / "test.jsonl"], "none of 1 training items has a right chain")
    assert not (tmp_path / "train.own_chain.jsonl").exists()
    assert not (tmp_path / "chains.json").exists()


def test_chains_of_a_shard_are_refused_before_a_model_is_loaded(words, tmp_path, capsys, no_model):
    refused(capsys, [*words, tmp_path / "train.jsonl", "--shard", "1/2"], "--shard: chains are of all training items")
