"""Exports on three architectures, tied and untied: what other tools read answers as ours does, token for token."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import reference
import torch
import yaml
from families import FAMILIES, model_of, moved
from markdown_it import MarkdownIt
from places import ROOT
from tiny import tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from embedgrad_core import Layout, PromptEmbedding, Slot, load_model
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.export import export
from embedgrad_core.export.card import card
from embedgrad_core.export.folder import before_input, reading
from embedgrad_core.files import UserError
from embedgrad_core.prompt import content_sha256

TEXTS = ["12 + 30", "the statement is positive", "No", "x y, and then\nnothing"]
STEPS = 64
MODELS = {
    "qwen2 tied": lambda tokenizer: tiny_model(tokenizer, "qwen2"),
    "llama untied": lambda tokenizer: tiny_model(tokenizer, "llama"),
    "llama tied": lambda tokenizer: tiny_model(tokenizer, "llama", tie_word_embeddings=True),
    # No spare rows in the table: it has to grow.
    "qwen2 tied, full table": lambda tokenizer: tiny_model(tokenizer, "qwen2", vocab_size=len(tokenizer)),
    "gemma tied, scaled": lambda tokenizer: model_of("gemma", tokenizer, **FAMILIES["gemma"]),
    "phi untied, with bias": lambda tokenizer: model_of("phi", tokenizer),
    "gpt2 tied, absolute positions": lambda tokenizer: model_of("gpt2", tokenizer, n_positions=256),
}


@pytest.fixture(scope="module", params=MODELS)
def saved(request, tokenizer, tmp_path_factory):
    """A model as a folder, loaded the way users load it, with a prompt that has moved."""
    folder = tmp_path_factory.mktemp("base") / "model"
    network = MODELS[request.param](tokenizer).network
    with torch.no_grad():  # rows without a token, as real checkpoints pad their tables, are never an answer there
        network.get_output_embeddings().weight[len(tokenizer) :] = 0
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_model(str(folder), device="cpu", dtype="float32", say=lambda line: None)


def ours(frozen, prompt):
    bodies = [prompt.slot.body_ids(text) for text in TEXTS]
    return [row.ids for row in greedy(frozen, prompt.slot, prompt.vectors, bodies, STEPS, ())]


def generated(model, ids):
    """transformers' own greedy generate, told never to stop."""
    with torch.inference_mode():
        settings = {"do_sample": False, "max_new_tokens": STEPS, "eos_token_id": None, "pad_token_id": 0}
        return model.generate(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), **settings)[
            0, len(ids) :
        ].tolist()


@pytest.mark.parametrize("kind", ["bare", "chat"])
def test_the_merged_checkpoint_answers_plain_text_as_ours(saved, kind, tmp_path):
    prompt = moved(saved, Layout(kind, suffix=" ="))
    export("merged", saved, prompt, tmp_path / "merged")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    text = (tmp_path / "merged" / "prompt.txt").read_text()
    slot = Slot.place(tokenizer, prompt.slot.layout, text)
    for body, wanted in zip(TEXTS, ours(saved, prompt), strict=True):
        assert generated(model, slot.text_path_ids(body)) == wanted
    added = tokenizer.convert_tokens_to_ids([f"<|eg_{place}|>" for place in range(slot.k)])
    assert model.generation_config.suppress_tokens == added


def test_added_tokens_are_never_the_largest_logit(saved, tmp_path):
    prompt = moved(saved, Layout())
    export("merged", saved, prompt, tmp_path / "merged")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    added = AutoTokenizer.from_pretrained(tmp_path / "merged").convert_tokens_to_ids(["<|eg_0|>", "<|eg_1|>"])
    hidden = 5 * torch.randn(500, saved.width, generator=torch.Generator().manual_seed(0))
    logits = model.get_output_embeddings()(hidden)
    others = [token for token in range(logits.shape[1]) if token not in added]
    assert bool((logits[:, added].max(dim=1).values < logits[:, others].max(dim=1).values).all())
    assert torch.allclose(saved.embed(torch.arange(40)), model.get_input_embeddings()(torch.arange(40))), (
        "old rows stay"
    )


def test_the_peft_adapter_gives_our_logits_and_text(saved, tmp_path):
    from peft import PeftModel

    prompt = moved(saved, Layout(suffix=" ="))
    export("peft", saved, prompt, tmp_path / "adapter")
    base = AutoModelForCausalLM.from_pretrained(saved.name, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    for text, wanted in zip(TEXTS, ours(saved, prompt), strict=True):
        body = prompt.slot.body_ids(text)
        embeds = torch.cat([before_input(saved, prompt), saved.embed(torch.tensor(body))])[None]
        with torch.no_grad():
            expected = saved.network(inputs_embeds=embeds).logits[0, -1]
            found = model(input_ids=torch.tensor([body])).logits[0, -1]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        assert generated(model, body) == wanted


def test_a_bos_token_becomes_a_virtual_token(tmp_path, mirror):
    from peft import PeftModel

    frozen = load_model(str(mirror / "models" / "stories3M"), device="cpu", dtype="float32", say=lambda line: None)
    prompt = moved(frozen, Layout())
    assert prompt.slot.head_ids == (1,)
    export("peft", frozen, prompt, tmp_path / "adapter")
    export("merged", frozen, prompt, tmp_path / "merged")
    assert (
        json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["num_virtual_tokens"]
        == prompt.slot.k + 1
    )
    base = AutoModelForCausalLM.from_pretrained(frozen.name, dtype=torch.float32)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    text = (tmp_path / "merged" / "prompt.txt").read_text()
    rows = ours(frozen, prompt)
    for body, wanted in zip(TEXTS, rows, strict=True):
        assert generated(merged, tokenizer(f"{text} {body}")["input_ids"]) == wanted
    model = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    for body, wanted in zip(TEXTS, rows, strict=True):
        assert generated(model, prompt.slot.body_ids(body)) == wanted


def test_the_cards_own_lines_answer_as_ours(tokenizer, tmp_path):
    """The Python of each card, run in a process of its own from the folder above the export."""
    folder = tmp_path / "model"
    tiny_model(tokenizer, "qwen2").network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    check_cards(load_model(str(folder), device="cpu", dtype="float32", say=lambda line: None), tmp_path)


def test_the_cards_lines_read_a_sentencepiece_text_in_one_piece(mirror, tmp_path):
    """Such a tokenizer reads " day" otherwise at the start of a text than behind other words."""
    check_cards(
        load_model(str(mirror / "models/stories3M"), device="cpu", dtype="float32", say=lambda line: None), tmp_path
    )


def test_a_prompt_that_merges_with_its_separator_is_read_apart(mirror):
    qwen = AutoTokenizer.from_pretrained(mirror / "tokenizers/qwen2.5")
    found = reading(Slot.place(qwen, Layout(separator="\n"), "Answer."))
    assert found == {"before": "\n", "special": False, "start": 0, "tail": ""}
    found = reading(Slot.place(qwen, Layout(suffix=" ="), "Answer."))
    assert found == {"before": "Answer. ", "special": True, "start": 2, "tail": " ="}


def check_cards(frozen, home):
    prompt = moved(frozen, Layout(suffix='\n"A":\t'))
    body = prompt.slot.body_ids("your input")
    stops = frozen.stop_ids()
    wanted, _ = reference.greedy(
        frozen.network, prompt.vectors, prompt.slot.head_ids, body, max_new_tokens=64, stop_ids=stops
    )
    if wanted[-1] in stops:
        wanted = wanted[:-1]
    for kind in ("peft", "merged"):
        export(kind, frozen, prompt, home / kind, licence="mit")
        card = (home / kind / "README.md").read_text()
        code = card.partition("```python\n")[2].partition("```")[0]
        run = subprocess.run(
            [sys.executable, "-c", code],
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
        )
        assert run.stdout == frozen.tokenizer.decode(wanted, skip_special_tokens=True) + "\n", run.stderr[-800:]
        assert "license: mit" in card
        assert "please reason step by step." in card


def test_vectors_for_vllm(saved, tmp_path):
    from safetensors.torch import load_file

    prompt = moved(saved, Layout("chat"))
    export("vllm", saved, prompt, tmp_path / "vllm")
    before = load_file(tmp_path / "vllm" / "prompt_embeds.safetensors")["before"]
    head = len(prompt.slot.head_ids)
    assert torch.equal(before[head:], prompt.vectors)
    assert torch.equal(before[:head], saved.embed(torch.tensor(prompt.slot.head_ids)))


def test_what_cannot_be_exported_is_refused_and_nothing_is_left(tokenizer, tmp_path):
    folder = tmp_path / "model"
    tiny_model(tokenizer).network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    frozen = load_model(str(folder), device="cpu", dtype="float32", say=lambda line: None)
    with pytest.raises(UserError, match="inside the chat template"):
        export("peft", frozen, moved(frozen, Layout("chat")), tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    with pytest.raises(UserError, match="exists already"):
        export("vllm", frozen, moved(frozen, Layout()), tmp_path / "full")
    with pytest.raises(UserError, match="neither a cell's"):
        export("vllm", frozen, moved(frozen, Layout()), tmp_path / "out", metrics={"n": 3})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "model"]
    export("merged", frozen, moved(frozen, Layout()), tmp_path / "once")
    twice = load_model(str(tmp_path / "once"), device="cpu", dtype="float32", say=lambda line: None)
    with pytest.raises(UserError, match="already holds"):
        export("merged", twice, moved(twice, Layout()), tmp_path / "twice")


MARKUP = "2 |\n\n# Owned\n\n[click](javascript:alert(1)) ![t](http://evil/x) <b>\n\n```python\nimport os\n```\n\u202e"


def test_a_prompt_from_elsewhere_writes_nothing_of_its_own_into_the_card(tokenizer):
    """Its words, its header and the names around it are shown as they are, in their places."""
    text = "Name it.\r\r# Injected\r\r<img src=http://evil/x>\n```\n````\n\x1b[2J" + MARKUP
    frozen = replace(tiny_model(tokenizer), name=f"me/x\nlicense: evil\n{MARKUP}", resolved=MARKUP)
    prompt = PromptEmbedding.from_text(frozen, Slot.place(tokenizer, Layout(separator=MARKUP), text))
    data = {"train": 1, "dev": 1, "task": MARKUP, "level": MARKUP}
    prompt.header |= {"versions": {"torch": MARKUP}, "settings": {MARKUP: MARKUP}, "data": data}
    whole = card("peft", frozen, prompt, "code()", licence=f"mit\nname: evil\n{MARKUP}")
    _, about, body = whole.split("---\n", 2)
    assert yaml.safe_load(about).keys() == {"base_model", "license", "library_name", "pipeline_tag", "tags"}
    assert yaml.safe_load(about)["base_model"] == frozen.name
    tokens = MarkdownIt("commonmark").enable("table").parse(body)
    titles = [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open"]
    assert titles[0].startswith("An optimised prompt for me/x")
    assert titles[1:] == ["How good it is", "How to load it"]
    blocks = [token.content for token in tokens if token.type == "fence"]
    assert len(blocks) == 2
    assert blocks[0].startswith("Name it.\\r\\r# Injected")
    assert blocks[1] == "code()\n"
    inline = {inner.type for token in tokens for inner in token.children or []}
    assert inline <= {"text", "softbreak", "code_inline", "em_open", "em_close"}
    assert not [token for token in tokens if token.type == "html_block"]
    assert not set("\r\x1b\u202e") & set(whole)


@pytest.fixture
def small(tokenizer, tmp_path):
    """A model as a folder, with a moved prompt."""
    tiny_model(tokenizer).network.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    frozen = load_model(str(tmp_path / "model"), device="cpu", dtype="float32", say=lambda line: None)
    return frozen, moved(frozen, Layout())


def evaluated(frozen, prompt, **measured):
    """What `embedgrad evaluate --json` prints."""
    model = {"name": frozen.name, "resolved": frozen.resolved}
    about = {"prompt": content_sha256(prompt), "model": model, "data": "more.csv", "keep_seen": False, "seen": 0}
    return {
        "n": 80, "before": 40, "after": 60, "points": 25.0, "interval": [10.0, 40.0], "p": 0.001, "left_out": 2,
        "wilson": {"before": [0.39, 0.61], "after": [0.64, 0.83]}, "measured": about | measured,
    }  # fmt: skip


def of_a_cell(frozen, sha256):
    return {
        "n": 80, "cell": {"dataset": "imdb"}, "prompt": {"sha256": sha256}, "run": {"after": {"model": frozen.identity()}},
        "before": {"correct": 40, "wilson": [0.39, 0.61]}, "after": {"correct": 60, "wilson": [0.64, 0.83]},
        "delta": {"points": 25.0, "newcombe": [10.0, 40.0]}, "mcnemar": {"p_exact": 0.001},
    }  # fmt: skip


def test_the_card_shows_both_kinds_of_metrics(small, tmp_path):
    export("vllm", *small, tmp_path / "out", metrics=evaluated(*small))
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| text prompt | 40 of 80 | 50.0 % | 39.0–61.0 % |" in card
    assert "Change +25.0 points, 95 % interval +10.0 to +40.0" in card
    assert "80 held-out items of more.csv (2 more, which the prompt was trained on, are left out); greedy" in card
    cell = of_a_cell(small[0], "a" * 64)
    export("vllm", *small, tmp_path / "out2", metrics=cell, prompt_sha256="a" * 64)
    assert "80 held-out items of imdb; greedy" in (tmp_path / "out2" / "README.md").read_text()


@pytest.mark.parametrize(
    ("seen", "told"), [(12, "80 items of more.csv, **12 of which"), (None, "does not say whether")]
)
def test_the_card_calls_nothing_held_out_that_is_not(small, seen, told, tmp_path):
    export("vllm", *small, tmp_path / "out", metrics=evaluated(*small, keep_seen=True, seen=seen))
    card = (tmp_path / "out" / "README.md").read_text()
    assert told in card
    assert "held-out items" not in card


def test_metrics_of_another_prompt_or_model_or_of_nothing_are_refused(small, tmp_path):
    frozen, prompt = small
    good, other = evaluated(frozen, prompt), evaluated(frozen, moved(frozen, Layout()))
    other["measured"]["prompt"] = "b" * 64
    model = {"name": "another", "resolved": "c" * 40}
    cell = of_a_cell(frozen, "a" * 64)
    cases = [
        ({}, "m.json: neither a cell's"),
        (good | {"n": 0}, "m.json: key 'n' is 0"),
        (good | {"after": 81}, "81 right answers after of 80"),
        ({key: value for key, value in good.items() if key != "measured"}, "'measured'"),
        (other, "m.json: these metrics are another prompt's"),
        (evaluated(frozen, prompt, model=model), "another model's \\(another at cccc"),
        (cell, "its file has sha256 aaaaaaaaaaaa…, this one dddddddddddd…"),
        (cell | {"prompt": {"sha256": None}}, "nothing says which prompt file"),
        (cell | {"run": {"after": {"model": model}}, "prompt": {"sha256": "d" * 64}}, "another model's"),
    ]
    for metrics, told in cases:
        with pytest.raises(UserError, match=told):
            export("vllm", *small, tmp_path / "out", metrics=metrics, metrics_name="m.json", prompt_sha256="d" * 64)
    assert not (tmp_path / "out").exists()


def test_a_licence_stays_in_its_line(small, tmp_path):
    for wrong in ("mit\nbase_model: evil", " ", ""):
        with pytest.raises(UserError, match="in one line"):
            export("vllm", *small, tmp_path / "out", licence=wrong)
    export("vllm", *small, tmp_path / "out", licence="mit: #1 | mine")
    card = (tmp_path / "out" / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["license"] == "mit: #1 | mine"
    assert (front["base_model"], front["library_name"]) == ("model", "vllm")
    assert "| licence | mit: #1 \\| mine |" in card
