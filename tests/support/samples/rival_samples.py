"""Rivals on tiny models: fitted, searched for, or only begun, as several tests need them."""

from dataclasses import replace
from importlib import import_module

import pytest
import torch
from tiny import REVIEWS, tiny_model

from embedgrad.rivals.fitting import Fitting, fit_rival
from embedgrad.rivals.table import GRADIENT, RIVALS, rival_named
from embedgrad_core import Layout, Settings, Slot
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.files import Item
from embedgrad_core.objective import encode, target_loss

TEXT = "positive or negative?"
ITEMS = [Item(f"r/{n}", text, label, label) for n, (text, label) in enumerate(REVIEWS)]
SETTINGS = Settings(0.01, 4, batch_size=2, patience=0, seed=3)
ON_TINY = [
    name for name, rival in RIVALS.items() if rival.family in GRADIENT and name != "qlora" and not rival.environment
]
STEPS = 24


def alternating(*families):
    """Each rival with one family, the families in turn."""
    return [(families[place % len(families)], name) for place, name in enumerate(ON_TINY)]


def fitted(tokenizer, name, rate=None, epochs=6, **more):
    rival = rival_named(name)
    settings = Settings(rate or rival.rates[-1], epochs, batch_size=2, patience=0, seed=1)
    frozen = tiny_model(tokenizer)
    fitting = Fitting(Layout(), TEXT, ITEMS, ITEMS, settings, log=lambda line: None, **more)
    artefact, history = fit_rival(frozen, rival, fitting)
    return frozen, artefact, history


def rival(name, **changes):
    found = rival_named(name)
    return replace(found, settings={**found.settings, "top": 20, **changes})


def family_of(rival):
    return import_module(f"embedgrad.rivals.families.{rival.family}")


def begun(frozen, name, items):
    slot = Slot.place(frozen.tokenizer, Layout(), "please reason step by step.")
    rival = RIVALS[name]
    return rival, slot, family_of(rival).begin(frozen, slot, rival, items, 3, STEPS)


def stored_answers_as_trained(fresh, name, items):
    """A rival that has moved: what its file holds gives its loss in another model, and the same answers in any batch."""
    rival, slot, trained = begun(fresh, name, items)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for leaf in trained.trainable.leaves.values():
            leaf.add_(0.05 * torch.randn(leaf.shape, generator=generator))
        best = {key: leaf.detach().clone() for key, leaf in trained.trainable.leaves.items()}
        examples = encode(slot, items, fresh.context)
        loss, _ = trained.trainable.loss(examples)
    other = tiny_model(fresh.tokenizer, fresh.network.config.model_type)
    served = family_of(rival).serve(other, slot, rival, trained.store(best))
    with torch.no_grad():
        again, _ = target_loss(other, served.slot, served.vectors, examples, served.past)
    assert again.item() == pytest.approx(loss.item(), rel=1e-5)
    bodies = [served.slot.body_ids(item.input) for item in items]
    rows = greedy(other, served.slot, served.vectors, bodies, 8, [], batch_size=3, past=served.past)
    alone = [greedy(other, served.slot, served.vectors, [body], 8, [], past=served.past)[0] for body in bodies[::2]]
    assert [row.ids for row in rows[::2]] == [row.ids for row in alone]
