"""Fits and searches that are killed go on and end as if they had not been."""

from importlib import import_module

import pytest
import torch
from rival_samples import ITEMS, SETTINGS, TEXT, fitted, rival
from tiny import tiny_model

from embedgrad.rivals.families.token_search import TokenSearch
from embedgrad_core import Layout
from embedgrad_core.files import UserError, write_json


@pytest.fixture(scope="module", params=["adalora", "lora", "p_tuning_lstm", "prefix_tuning", "prefix_text"])
def uninterrupted(request, tokenizer):
    """A rival's name, what was fitted, and its history."""
    return request.param, *fitted(tokenizer, request.param)[1:]


@pytest.mark.parametrize("killed_in", [2, 5])
def test_a_killed_fit_ends_with_the_same_tensors(tokenizer, uninterrupted, killed_in, tmp_path, monkeypatch):
    name, whole, history = uninterrupted
    state, steps = tmp_path / "fit.state", []

    class Killed(torch.optim.Adam):
        def step(self, closure=None):
            steps.append(1)
            if len(steps) == 2 * killed_in:  # in the middle of an epoch
                raise KeyboardInterrupt
            return super().step(closure)

    monkeypatch.setitem(import_module("embedgrad_core.training.loop").OPTIMIZERS, "adam", Killed)
    with pytest.raises(KeyboardInterrupt):
        fitted(tokenizer, name, state=state)
    assert state.exists()
    _, again, lines = fitted(tokenizer, name, state=state)
    assert len(steps) == 2 * killed_in + (len(history) - 1) * 2 - (2 * killed_in - 1)
    assert [line["dev_loss"] for line in lines] == [line["dev_loss"] for line in history]
    assert all(torch.equal(again.tensors[key], whole.tensors[key]) for key in whole.tensors)


@pytest.mark.parametrize("name", ["autoprompt", "gcg"])
def test_a_killed_search_finds_the_same(tokenizer, name, tmp_path):
    frozen, state = tiny_model(tokenizer), tmp_path / "fit.state"
    whole = TokenSearch(frozen, Layout(), TEXT, rival(name), ITEMS, ITEMS, SETTINGS).run()

    def kill(line):
        if line["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TokenSearch(frozen, Layout(), TEXT, rival(name), ITEMS, ITEMS, SETTINGS).run(state, kill)
    text, history = TokenSearch(frozen, Layout(), TEXT, rival(name), ITEMS, ITEMS, SETTINGS).run(state)
    assert text == whole[0]
    keys = ("epoch", "dev_loss", "item_forwards", "text")
    assert [[line[key] for key in keys] for line in history] == [[line[key] for key in keys] for line in whole[1]]
    with pytest.raises(UserError, match="belongs to another model, data or setting"):
        TokenSearch(frozen, Layout(), TEXT, rival(name, candidates=3), ITEMS, ITEMS, SETTINGS).run(state)
    state.write_text(state.read_text().replace('"ids"', '"idz"'))
    with pytest.raises(UserError, match="does not fit its checksum"):
        TokenSearch(frozen, Layout(), TEXT, rival(name), ITEMS, ITEMS, SETTINGS).run(state)
    write_json(state, {"run": "x"})
    with pytest.raises(UserError, match="not the state of a search"):
        TokenSearch(frozen, Layout(), TEXT, rival(name), ITEMS, ITEMS, SETTINGS).run(state)
