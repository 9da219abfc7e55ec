"""What the card of an export says: the numbers, what is held out, and strangers' text in its place."""

from dataclasses import replace

import pytest
import yaml
from families import moved
from markdown_it import MarkdownIt
from tiny import tiny_model

from embedgrad_core import Layout, PromptEmbedding, Slot, load_model
from embedgrad_core.export import export
from embedgrad_core.export.card import card
from embedgrad_core.files import UserError

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
    frozen = load_model(str(tmp_path / "model"), device="cpu", dtype="float32", log=lambda line: None)
    return frozen, moved(frozen, Layout())


def evaluated(frozen, prompt, **measured):
    """What `embedgrad evaluate --json` prints."""
    model = {"name": frozen.name, "resolved": frozen.resolved}
    about = {"prompt": prompt.content_sha256(), "model": model, "data": "more.csv", "keep_seen": False, "seen": 0}
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
    frozen, prompt = small
    for wrong in ("mit\nbase_model: evil", " ", ""):
        with pytest.raises(UserError, match="in one line"):
            export("vllm", frozen, prompt, tmp_path / "out", licence=wrong)
    export("vllm", frozen, prompt, tmp_path / "out", licence="mit: #1 | mine")
    card = (tmp_path / "out" / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["license"] == "mit: #1 | mine"
    assert (front["base_model"], front["library_name"]) == ("model", "vllm")
    assert "| licence | mit: #1 \\| mine |" in card
