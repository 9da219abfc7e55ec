"""TextGrad and GEPA over our decoder. The critic's replies are scripted: no model of this size can follow such a request."""

import importlib.util
from dataclasses import replace

import pytest
from tiny import REVIEWS, tiny_model

from embedgrad.grading import make_grading
from embedgrad.rivals.families import feedback
from embedgrad.rivals.families.critic import Model, Task
from embedgrad.rivals.table import rival_named
from embedgrad_core import Decoding, Layout
from embedgrad_core.files import Item, UserError

TEXT = "positive or negative?"
ITEMS = [Item(f"r/{n}", text, label, label) for n, (text, label) in enumerate(REVIEWS)]
BETTER = "say which"
installed = pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")
        )
        for name in ("textgrad", "gepa")
    ],
)


class Scripted(Model):
    """Answers right behind the better prompt alone; criticises and rewrites as it is told."""

    reply = f"<IMPROVED_VARIABLE>{BETTER}</IMPROVED_VARIABLE> ```\n{BETTER}\n```"

    def answers(self, prompt, items):
        real = super().answers(prompt, items)
        return {item.id: item.answer if prompt == BETTER else "neither" for item in items} if real else {}

    def ask(self, text, system=""):
        if text in self.primed:
            return self.primed.pop(text)
        self.requests.append((text, system))
        self.calls, self.tokens = self.calls + 1, self.tokens + 7
        return self.reply


@pytest.fixture
def model(tokenizer):
    made = Scripted(tiny_model(tokenizer), Layout(), Decoding(max_new_tokens=3))
    made.requests = []
    return made


def task(seed=0):
    return Task(ITEMS, ITEMS, make_grading("label", ["positive", "negative"]), seed)


def run(model, name, tmp_path=None, **changes):
    rival = rival_named(name)
    settings = {**rival.settings, "steps": 3, "graded_answers": 20, **changes}
    own = replace(rival, settings={key: settings[key] for key in rival.settings})
    state = tmp_path / "fit.state" if tmp_path else None
    return feedback.search(model, TEXT, own, task(), state, log=lambda line: None)


@installed
def test_a_better_proposal_is_found_and_kept(model, name):
    text, history = run(model, name)
    assert text == BETTER
    assert (history[0]["dev_accuracy"], history[-1]["dev_accuracy"]) == (0.0, 1.0)
    assert any(TEXT in request for request, _ in model.requests), "the critic sees the prompt"
    assert any(ITEMS[0].input in request or ITEMS[1].input in request for request, _ in model.requests), "and inputs"
    assert history[-1]["generated_tokens"] == model.tokens > 0
    assert history[-1]["calls"] == model.calls


@installed
def test_replies_without_a_prompt_are_counted_and_change_nothing(model, name, monkeypatch):
    monkeypatch.setattr(Scripted, "reply", "" if name == "textgrad" else TEXT)
    text, history = run(model, name)
    assert text == TEXT
    assert all(line["proposal"] is None for line in history)


@pytest.mark.skipif(importlib.util.find_spec("textgrad") is None, reason="textgrad is not installed")
def test_a_killed_search_goes_on_and_ends_the_same(tokenizer, tmp_path, monkeypatch):
    def fresh():
        made = Scripted(tiny_model(tokenizer), Layout(), Decoding(max_new_tokens=3))
        made.requests = []
        return made

    whole, lines = run(fresh(), "textgrad")
    first, asked = fresh(), []
    real = Scripted.ask

    def killed(self, text, system=""):
        asked.append(text)
        if len(asked) == 12:
            raise KeyboardInterrupt
        return real(self, text, system)

    with monkeypatch.context() as patch:
        patch.setattr(Scripted, "ask", killed)
        with pytest.raises(KeyboardInterrupt):
            run(first, "textgrad", tmp_path)
    text, again = run(fresh(), "textgrad", tmp_path)
    assert text == whole
    keys = ("epoch", "dev_accuracy", "proposal", "calls", "generated_tokens", "text", "best")
    assert [[line[key] for key in keys] for line in again] == [[line[key] for key in keys] for line in lines]
    with pytest.raises(UserError, match="belongs to another model, data or setting"):
        run(fresh(), "textgrad", tmp_path, batch=2)


def test_a_request_that_does_not_fit_has_an_empty_reply(tokenizer):
    small = Model(tiny_model(tokenizer, max_position_embeddings=64), Layout(), Decoding(max_new_tokens=8))
    assert small.ask("please reason " * 100) == ""
    assert (small.calls, small.tokens) == (0, 0)
    assert small.ask("please reason step by step") != ""
    assert small.calls == 1


def test_a_prompt_that_leaves_no_room_has_no_accuracy(tokenizer):
    small = Model(tiny_model(tokenizer, max_position_embeddings=64), Layout(), Decoding(max_new_tokens=8))
    assert small.accuracy("please reason " * 100, task()) == 0.0
    assert small.usable("  ") is None
    assert small.usable(" words ") == "words"
