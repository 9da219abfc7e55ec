"""A start displaced from the text at random: off by default, of the stated length, another draw for another seed or order."""

import pytest
import torch
from tiny import untouched_prompt
from torch.testing import assert_close

from embedgrad_core import PromptEmbedding, Settings, Slot, optimize, optimize_across_folds
from embedgrad_core.files import UserError
from embedgrad_core.training import optimization as OPTIMIZATION
from embedgrad_core.training.optimization import optimize_every_epoch

HALF = Settings(0.01, 1, initial_displacement=0.5, displacement_seed=3)


def start(frozen, items, settings):
    """The vectors before any step."""
    vectors, _ = optimize_every_epoch(frozen, untouched_prompt(frozen), items[:2], items[:1], settings)
    return vectors[0]


def test_the_moves_are_normal_with_the_stated_length():
    initial = torch.randn(400, 64, dtype=torch.float64).mul(3.0).float()
    slot = Slot.__new__(Slot)  # not looked at
    prompt = PromptEmbedding(initial.clone(), initial, slot)
    moves = (prompt.displaced(0.25, 3, 1) - initial).double()
    wanted = 0.25 * float(initial.double().norm(dim=1).mean())
    assert float(moves.square().sum(dim=1).mean().sqrt()) == pytest.approx(wanted, rel=0.02)
    one = moves / (wanted / 8)  # standard normal, then: of 25,600 draws, within 5 standard errors
    assert float(one.mean()) == pytest.approx(0, abs=5 / 160)
    assert float((one**4).mean()) == pytest.approx(3, abs=5 * 96**0.5 / 160)
    other = (prompt.displaced(0.25, 4, 1) - initial).double()
    assert abs(float((moves * other).sum() / moves.norm() / other.norm())) < 5 / 160


def test_no_displacement_is_the_text_itself(frozen, items):
    assert torch.equal(start(frozen, items, Settings(0.01, 1, displacement_seed=9)), untouched_prompt(frozen).vectors)


def test_the_start_follows_from_both_seeds_and_nothing_else(frozen, items):
    once = start(frozen, items, HALF)
    assert torch.equal(once, start(frozen, items, HALF))
    assert not torch.equal(once, untouched_prompt(frozen).vectors)
    assert not torch.equal(once, start(frozen, items, Settings(0.01, 1, initial_displacement=0.5, displacement_seed=4)))
    of_other_order = Settings(0.01, 1, seed=1, initial_displacement=0.5, displacement_seed=3)
    assert not torch.equal(once, start(frozen, items, of_other_order))


def test_drift_and_the_prompt_before_are_still_of_the_text(frozen, items):
    text = untouched_prompt(frozen)
    trained, history = optimize(frozen, text, items, items[:2], HALF)
    assert torch.equal(text.vectors, text.initial), "the caller's prompt is not touched"
    assert torch.equal(trained.initial, text.initial)
    started = start(frozen, items, HALF)
    assert history[0]["drift"] == pytest.approx(
        float(PromptEmbedding(started, text.initial, text.slot).drift.mean()), rel=1e-6
    )
    assert trained.header["settings"]["initial_displacement"] == 0.5


def test_across_folds_the_start_is_a_candidate_and_the_same(frozen, items, monkeypatch):
    monkeypatch.setattr(
        OPTIMIZATION,
        "_across",
        lambda histories, sizes: [{"epoch": epoch, "dev_loss": float(epoch), "train_loss": None} for epoch in (0, 1)],
    )
    trained, _ = optimize_across_folds(frozen, untouched_prompt(frozen), items, HALF, 2)
    assert_close(trained.vectors, start(frozen, items, HALF))


@pytest.mark.parametrize("wrong", [{"initial_displacement": -0.1}, {"initial_displacement": float("nan")}])
def test_no_length_is_refused(wrong):
    with pytest.raises(UserError, match="initial_displacement is"):
        Settings(**wrong)


def test_a_seed_below_zero_is_refused():
    with pytest.raises(UserError, match="displacement_seed is -1"):
        Settings(displacement_seed=-1)
