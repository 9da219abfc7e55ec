"""The epoch chosen across folds: by items left out, the prompt trained on all of them; resumable like any optimisation."""

import pytest
import torch
from tiny import untouched_prompt, without_measurements

from embedgrad_core import Settings, optimize, optimize_across_folds
from embedgrad_core.files import UserError
from embedgrad_core.training import optimization as OPTIMIZATION
from embedgrad_core.training.optimization import fold_state

SETTINGS = Settings(0.01, 3, batch_size=3, seed=2)


def test_the_epoch_is_the_best_over_all_items_left_out(frozen, items):
    trained, lines = optimize_across_folds(frozen, untouched_prompt(frozen), items, SETTINGS, 3)
    parts = OPTIMIZATION._folds(items, 3, SETTINGS.seed)
    assert sorted(item.id for part in parts for item in part) == sorted(item.id for item in items)
    losses = [[0.0] * len(items) for _ in range(4)]
    for part in parts:
        others = [item for item in items if item not in part]
        order = [item for other in parts if other is not part for item in other]
        assert {item.id for item in order} == {item.id for item in others}
        _, history = optimize(
            frozen, untouched_prompt(frozen), order, part, Settings(0.01, 3, batch_size=3, seed=2, patience=0)
        )
        for epoch, line in enumerate(history):
            for item in part:
                losses[epoch][items.index(item)] = line["dev_loss"]
    expected = [sum(epoch) / len(items) for epoch in losses]
    assert [line["dev_loss"] for line in lines] == pytest.approx(expected, rel=1e-6)
    best = expected.index(min(expected))
    assert trained.header["best_epoch"] == best
    assert [line["best"] for line in lines] == [epoch == best for epoch in range(4)]
    assert trained.header["settings"]["folds"] == 3


def test_the_prompt_is_trained_on_all_items_for_that_many_epochs(frozen, items, monkeypatch):
    def across(histories, sizes):
        return [
            {"epoch": epoch, "dev_loss": loss, "train_loss": None} for epoch, loss in enumerate((3.0, 2.0, 1.0, 2.5))
        ]

    monkeypatch.setattr(OPTIMIZATION, "_across", across)
    trained, lines = optimize_across_folds(frozen, untouched_prompt(frozen), items, SETTINGS, 2)
    seen = []
    optimize(
        frozen,
        untouched_prompt(frozen),
        items,
        items,
        Settings(0.01, 2, batch_size=3, seed=2, patience=0),
        on_epoch=seen.append,
    )
    assert trained.header["best_epoch"] == 2
    assert [line["train_loss"] for line in lines] == [*(line["train_loss"] for line in seen), None]
    assert lines[2]["drift"] == seen[2]["drift"] > 0
    assert float(trained.drift.mean()) == pytest.approx(seen[2]["drift"], rel=1e-5)


def test_the_text_itself_may_be_the_best(frozen, items, monkeypatch):
    monkeypatch.setattr(
        OPTIMIZATION,
        "_across",
        lambda histories, sizes: [{"epoch": 0, "dev_loss": 1.0, "train_loss": None}, {"epoch": 1, "dev_loss": 2.0}],
    )
    prompt = untouched_prompt(frozen)
    trained, _ = optimize_across_folds(frozen, prompt, items, Settings(0.01, 1), 2)
    assert trained.header["best_epoch"] == 0
    assert torch.equal(trained.vectors, prompt.vectors)


@pytest.mark.parametrize("at", [2, 6, 9])
def test_interrupted_anywhere_it_ends_with_the_same_prompt(frozen, items, tmp_path, at):
    whole, lines = optimize_across_folds(
        frozen, untouched_prompt(frozen), items, SETTINGS, 2, state=tmp_path / "whole.state"
    )
    ended = 0

    def interrupt(line):
        nonlocal ended
        ended += 1
        if ended == at:
            raise KeyboardInterrupt

    state = tmp_path / "killed.state"
    with pytest.raises(KeyboardInterrupt):
        optimize_across_folds(frozen, untouched_prompt(frozen), items, SETTINGS, 2, state=state, on_epoch=interrupt)
    assert fold_state(state, 1).exists()
    again, after = optimize_across_folds(frozen, untouched_prompt(frozen), items, SETTINGS, 2, state=state)
    assert torch.equal(again.vectors, whole.vectors)
    assert without_measurements(lines) == without_measurements(after)


def test_labels_are_dealt_evenly(items):
    labelled = [type(items[0])(f"{n:02}", "q", "t", "yes" if n < 8 else "no", None) for n in range(12)]
    parts = OPTIMIZATION._folds(labelled, 4, 0)
    assert [len(part) for part in parts] == [3, 3, 3, 3]
    assert {sum(item.answer == "yes" for item in part) for part in parts} == {2}
    assert OPTIMIZATION._folds(labelled, 4, 0) == parts
    assert OPTIMIZATION._folds(labelled, 4, 1) != parts


def test_what_cannot_be_is_refused(frozen, items):
    for folds in (1, len(items) + 1):
        with pytest.raises(UserError, match="must be 2 to the number of items"):
            optimize_across_folds(frozen, untouched_prompt(frozen), items, SETTINGS, folds)
    with pytest.raises(UserError, match="by dev loss"):
        optimize_across_folds(frozen, untouched_prompt(frozen), items, Settings(0.01, 1, early_stop="dev_accuracy"), 2)
