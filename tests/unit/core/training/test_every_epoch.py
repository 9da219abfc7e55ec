"""All epochs of an optimisation kept, none chosen; resumable like any other."""

import pytest
import torch
from tiny import untouched_prompt, without_measurements

from embedgrad_core import Settings, optimize
from embedgrad_core.files import UserError
from embedgrad_core.training.every_epoch import kept_epochs
from embedgrad_core.training.optimization import optimize_every_epoch

SETTINGS = Settings(0.01, 3, batch_size=3, seed=2)


def test_each_epoch_is_the_end_of_a_run_of_so_many(frozen, items):
    vectors, history = optimize_every_epoch(frozen, untouched_prompt(frozen), items[:4], items[4:], SETTINGS)
    assert len(vectors) == len(history) == SETTINGS.epochs + 1
    assert torch.equal(vectors[0], untouched_prompt(frozen).vectors)
    seen = {}
    settings = Settings(0.01, SETTINGS.epochs, batch_size=3, seed=2, patience=0)
    best, lines = optimize(
        frozen, untouched_prompt(frozen), items[:4], items[4:], settings, on_epoch=lambda line: seen.update(line)
    )
    assert without_measurements(history) == without_measurements(lines)
    assert torch.equal(vectors[best.header["best_epoch"]], best.vectors)
    assert not torch.equal(vectors[-1], vectors[-2])


def test_nothing_is_chosen_by_the_other_items(frozen, items):
    one, other = (
        optimize_every_epoch(frozen, untouched_prompt(frozen), items[:4], dev, SETTINGS)[0]
        for dev in (items[4:5], items[5:])
    )
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("at", [1, 3])
def test_interrupted_it_keeps_the_epochs_before(frozen, items, tmp_path, at):
    whole, lines = optimize_every_epoch(frozen, untouched_prompt(frozen), items, items, SETTINGS)

    def interrupt(line):
        if line["epoch"] == at:
            raise KeyboardInterrupt

    state = tmp_path / "run.state"
    with pytest.raises(KeyboardInterrupt):
        optimize_every_epoch(frozen, untouched_prompt(frozen), items, items, SETTINGS, state=state, on_epoch=interrupt)
    assert kept_epochs(state).exists()
    again, after = optimize_every_epoch(frozen, untouched_prompt(frozen), items, items, SETTINGS, state=state)
    assert all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))
    assert without_measurements(lines) == without_measurements(after)


def test_a_state_without_its_epochs_is_refused(frozen, items, tmp_path):
    state = tmp_path / "run.state"
    optimize_every_epoch(frozen, untouched_prompt(frozen), items, items, SETTINGS, state=state)
    kept_epochs(state).unlink()
    with pytest.raises(UserError, match="lacks epoch 0"):
        optimize_every_epoch(frozen, untouched_prompt(frozen), items, items, SETTINGS, state=state)
    kept_epochs(state).write_bytes(b"x")
    with pytest.raises(UserError, match="unreadable"):
        optimize_every_epoch(frozen, untouched_prompt(frozen), items, items, SETTINGS, state=state)
