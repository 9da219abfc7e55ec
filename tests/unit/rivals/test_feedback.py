"""TextGrad and GEPA over our decoder. The critic's replies are scripted: no model of this size can follow such a request."""

import importlib.util
from dataclasses import replace

import pytest
from tiny import REVIEWS, tiny_model

from embedgrad.grading import make_grading
from embedgrad.rivals.families import critic, feedback
from embedgrad.rivals.families.critic import Model, Task
from embedgrad.rivals.families.kept_answers import KeptAnswers
from embedgrad.rivals.table import rival_named
from embedgrad_core import Decoding, Layout
from embedgrad_core.decoding.answers import Decoded
from embedgrad_core.files import Item

TEXT = "positive or negative?"
ITEMS = [Item(f"r/{n}", text, label, label) for n, (text, label) in enumerate(REVIEWS)]
DEV = [replace(item, id=f"dev/{item.id}") for item in ITEMS]
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


REPLY = f"<IMPROVED_VARIABLE>{BETTER}</IMPROVED_VARIABLE> ```\n{BETTER}\n```"


class Script:
    """In the decoder's place: answers right behind the better prompt alone; criticises and rewrites as it is told."""

    def __init__(self, reply=REPLY):
        self.reply, self.requests, self.answered, self.left = reply, [], [], 10**6

    def decode(self, frozen, slot, vectors, items, decoding):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        if [item.id for item in items] == ["reply"]:
            self.requests.append(slot.text)
            return [Decoded("reply", self.reply, 7, "eos", 0.0)]
        self.answered.append(sorted(item.id for item in items))
        right = slot.text == BETTER
        return [Decoded(item.id, item.answer if right else "neither", 3, "eos", 0.0) for item in items]


@pytest.fixture
def script(monkeypatch):
    made = Script()
    monkeypatch.setattr(critic, "decode", lambda *asked: made.decode(*asked))
    return made


def fresh(tokenizer, kept=None):
    frozen = tiny_model(tokenizer, max_position_embeddings=16384)
    return Model(frozen, Layout(), Decoding(max_new_tokens=3), kept and KeptAnswers(kept))


@pytest.fixture
def model(tokenizer, script):
    return fresh(tokenizer)


def task(seed=0):
    return Task(ITEMS, DEV, make_grading("label", ["positive", "negative"]), seed)


def run(model, name, **changes):
    rival = rival_named(name)
    settings = {**rival.settings, "steps": 3, "graded_answers": 20, **changes}
    own = replace(rival, settings={key: settings[key] for key in rival.settings})
    return feedback.search(model, TEXT, own, task(), log=lambda line: None)


@installed
def test_a_better_proposal_is_found_and_kept(model, script, name):
    text, history = run(model, name)
    assert text == BETTER
    assert (history[0]["dev_accuracy"], history[-1]["dev_accuracy"]) == (0.0, 1.0)
    assert any(TEXT in request for request in script.requests), "the critic sees the prompt"
    assert any(ITEMS[0].input in request or ITEMS[1].input in request for request in script.requests), "and inputs"
    assert history[-1]["generated_tokens"] == model.search.tokens > 0
    assert history[-1]["calls"] == model.search.calls
    assert (history[0]["best"], history[-1]["best"]) == (name == "textgrad", True)


@installed
def test_replies_without_a_prompt_are_counted_and_change_nothing(model, script, name):
    script.reply = "" if name == "textgrad" else TEXT
    text, history = run(model, name)
    assert text == TEXT
    assert all(line["proposal"] is None for line in history)
    assert [line["epoch"] for line in history if line["best"]][-1] == 0, "the human prompt won, and the history says so"


@installed
def test_looks_at_dev_are_counted_apart(model, script, name):
    """TextGrad looks at dev before its first step and after every proposal, GEPA at the human prompt and at what it keeps."""
    _, history = run(model, name)
    looks = script.answered.count(sorted(item.id for item in DEV))
    assert looks == {"textgrad": 4, "gepa": 2}[name]
    last = history[-1]
    assert (last["dev_calls"], last["dev_tokens"]) == (looks * len(DEV), 3 * looks * len(DEV))
    others = sum(map(len, script.answered)) - looks * len(DEV)
    assert last["calls"] == others + len(script.requests)
    assert last["generated_tokens"] == 3 * others + 7 * len(script.requests)
    assert sum(line["train_seconds"] for line in history) == pytest.approx(model.search.seconds, abs=0.01)
    assert sum(line["seconds"] for line in history) == pytest.approx(model.search.seconds + model.dev.seconds, abs=0.01)


@installed
def test_a_killed_search_goes_on_and_ends_the_same(tokenizer, tmp_path, script, name):
    text, whole = run(fresh(tokenizer), name)
    asked, kept = len(script.requests), tmp_path / "fit.state"
    script.left, script.requests = {"textgrad": 9, "gepa": 4}[name], []
    with pytest.raises(KeyboardInterrupt):
        run(fresh(tokenizer, kept), name)
    script.left = 10**6
    again = run(fresh(tokenizer, kept), name)
    assert len(script.requests) == asked, "no request is made twice"
    keys = ("epoch", "dev_accuracy", "proposal", "calls", "generated_tokens", "text", "best")
    assert again[0] == text
    assert [[line[key] for key in keys] for line in again[1]] == [[line[key] for key in keys] for line in whole]


def test_answers_are_kept_for_the_very_same_request(tokenizer, tmp_path, monkeypatch):
    """By a file that a kill cut short: the same model, prompt, items and limits find their answers and count them again."""
    first = fresh(tokenizer, tmp_path / "kept")
    answers, reply = first.answers(TEXT, ITEMS), first.ask("please")
    (tmp_path / "kept").write_bytes((tmp_path / "kept").read_bytes() + b'{"key": "abc", "rows": [{"i')
    seen = []
    real = critic.decode
    monkeypatch.setattr(critic, "decode", lambda *asked: (seen.append(asked[1].text), real(*asked))[1])
    again = fresh(tokenizer, tmp_path / "kept")
    assert (again.answers(TEXT, ITEMS), again.ask("please")) == (answers, reply)
    assert again.search == first.search
    assert (again.search.calls, again.search.seconds > 0) == (5, True)
    assert not seen
    again.answers(BETTER, ITEMS)
    again.answers(TEXT, ITEMS[:3])
    replace(again, decoding=Decoding(max_new_tokens=2)).ask("please")
    assert seen == [BETTER, TEXT, "please"]


def test_a_request_that_does_not_fit_has_an_empty_reply(tokenizer):
    small = Model(tiny_model(tokenizer, max_position_embeddings=64), Layout(), Decoding(max_new_tokens=8))
    assert small.ask("please reason " * 100) == ""
    assert (small.search.calls, small.search.tokens) == (0, 0)
    assert small.ask("please reason step by step") != ""
    assert small.search.calls == 1


def test_a_prompt_that_leaves_no_room_has_no_accuracy(tokenizer):
    small = Model(tiny_model(tokenizer, max_position_embeddings=64), Layout(), Decoding(max_new_tokens=8))
    assert small.accuracy("please reason " * 100, task()) == 0.0
    assert small.usable("  ") is None
    assert small.usable(" words ") == "words"
