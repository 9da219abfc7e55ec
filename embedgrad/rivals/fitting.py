"""Fit a rival, and answer with a fitted one: gradient rivals by the loop that fits EmbedGrad, the others in their own way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from math import ceil
from pathlib import Path
from typing import Any

from embedgrad.analyses.baselines.text_answers import text_vectors
from embedgrad.grading import Grading
from embedgrad.rivals.artefact import Artefact, anchor_of
from embedgrad.rivals.environment import check_library
from embedgrad.rivals.families import feedback
from embedgrad.rivals.families.at_test_time import METHODS, Answered, chosen_examples
from embedgrad.rivals.families.critic import Model, Task
from embedgrad.rivals.families.kept_answers import KeptAnswers
from embedgrad.rivals.families.method import Family, Served
from embedgrad.rivals.families.token_search import TokenSearch
from embedgrad.rivals.rival import Rival, check_settings
from embedgrad.rivals.table import TEXTS
from embedgrad.runtime.progress import Epochs, Progress, history_line
from embedgrad_core import Decoding, FrozenModel, Layout, Settings, Slot, decode
from embedgrad_core.decoding.kept_rows import KeptRows
from embedgrad_core.files import Item, UserError
from embedgrad_core.model.attention import check_attention
from embedgrad_core.objective import encode
from embedgrad_core.training.loop import best_epoch, fit


@dataclass(frozen=True)
class Fitting:
    """What a fit takes, whatever the rival.

    Attributes:
        layout: where the human prompt sits.
        text: the human prompt.
        train: training items.
        dev: items for early stopping and the choice of a rate; never the test split.
        settings: hyperparameters; ``seed`` also decides what is drawn at random before the first step.
        state: file for resuming.
        log: where plain lines go.
        grading: how an answer is checked; the text rivals with feedback need it.
        decoding: how answers and criticism are decoded; they need it too.
    """

    layout: Layout
    text: str
    train: Sequence[Item]
    dev: Sequence[Item]
    settings: Settings
    state: Path | None = None
    log: Callable[[str], None] = print
    grading: Grading | None = None
    decoding: Decoding | None = None


def fit_rival(
    frozen: FrozenModel, rival: Rival, fitting: Fitting, changes: Mapping[str, Any] | None = None
) -> tuple[Artefact, list[dict]]:
    """Fit a rival.

    Args:
        frozen: the model; it is not to be used for anything else afterwards, as modules may have been put into it.
        rival: which one.
        fitting: prompt, data and hyperparameters.
        changes: of the rival's own settings.

    Returns:
        The artefact of the best epoch, and the history; that of a rival without training is empty.

    Raises:
        UserError: what the rival or its loop refuse.
    """
    if not fitting.train or not fitting.dev:
        raise UserError(f"rival {rival.name}: fitting needs at least one training and one dev item.")
    rival = replace(rival, settings=check_settings(rival, changes or {}))
    check_library(rival)
    check_attention(frozen.network)
    slot = Slot.place(frozen.tokenizer, fitting.layout, fitting.text)
    header: dict[str, Any] = {
        "human_prompt": fitting.text,
        "optimisation": asdict(fitting.settings),
        "items": {"train": len(fitting.train), "dev": len(fitting.dev)},
        "trained_parameters": 0,
    }
    if rival.family == "at_test_time":
        header["examples"] = chosen_examples(fitting.layout, rival, fitting.train, fitting.settings.seed)
        return Artefact(rival, slot, {}, anchor_of(frozen, slot), header), []
    if rival.family in TEXTS:
        found, history = _by_text(frozen, rival, fitting)
        slot = Slot.place(frozen.tokenizer, fitting.layout, found)
        header["best_epoch"] = next(line["epoch"] for line in reversed(history) if line["best"])
        return Artefact(rival, slot, {}, anchor_of(frozen, slot), header), history
    return _by_gradient(frozen, rival, fitting, slot, header)


def _by_text(frozen: FrozenModel, rival: Rival, fitting: Fitting) -> tuple[str, list[dict]]:
    """The prompt that a search in words finds, and its history."""
    if rival.family == "token_search":
        own = (fitting.layout, fitting.text, rival, fitting.train, fitting.dev, fitting.settings, fitting.log)
        return TokenSearch(frozen, *own).run(fitting.state)
    if fitting.grading is None or fitting.decoding is None:
        raise UserError(f"rival {rival.name} goes by graded answers; say how they are checked (--task or --evaluator).")
    kept = KeptAnswers(fitting.state) if fitting.state else None
    model = Model(frozen, fitting.layout, fitting.decoding, kept)
    task = Task(fitting.train, fitting.dev, fitting.grading, fitting.settings.seed)
    return feedback.search(model, fitting.text, rival, task, fitting.log)


def _by_gradient(
    frozen: FrozenModel, rival: Rival, fitting: Fitting, slot: Slot, header: dict[str, Any]
) -> tuple[Artefact, list[dict]]:
    settings, log = fitting.settings, fitting.log
    anchor = anchor_of(frozen, slot)
    steps = settings.epochs * ceil(len(fitting.train) / settings.batch_size)
    begun = family_of(rival).begin(frozen, slot, rival, fitting.train, settings.seed, steps)
    trained = sum(leaf.numel() for leaf in begun.trainable.leaves.values())
    log(f"{rival.name}: {trained:,} trainable parameters")
    train, dev = (encode(slot, items, frozen.context) for items in (fitting.train, fitting.dev))
    with Epochs(settings.epochs, log) as epochs:

        def on_epoch(line: dict) -> None:
            epochs.end()
            log(history_line(line))

        best, history = fit(
            *(begun.trainable, train, dev, settings),
            state=fitting.state,
            on_epoch=on_epoch,
            log=log,
            on_progress=epochs.on_progress,
        )
    header |= {"best_epoch": best_epoch(history, settings), "trained_parameters": trained}
    return Artefact(rival, slot, begun.store(best), anchor, header), history


def family_of(rival: Rival) -> Family:
    """The module of a gradient rival."""
    module: Family = import_module(f"embedgrad.rivals.families.{rival.family}")
    return module


def serve(frozen: FrozenModel, artefact: Artefact) -> Served:
    """Put a fitted rival to work, a text by its own embeddings; ``frozen`` may have modules put into it.

    Raises:
        UserError: its tensors do not fit the model.
    """
    if artefact.rival.family in TEXTS:
        return Served(*text_vectors(frozen, artefact.slot.layout, artefact.slot.text))
    return family_of(artefact.rival).serve(frozen, artefact.slot, artefact.rival, artefact.tensors)


def answer(
    frozen: FrozenModel,
    artefact: Artefact,
    items: Sequence[Item],
    decoding: Decoding,
    *,
    kept: KeptRows | None = None,
    log: Callable[[str], None] = print,
) -> Answered:
    """Answer items with a fitted rival, by the native engine.

    Args:
        frozen: the model that it was fitted to.
        artefact: the fitted rival.
        items: what to answer.
        decoding: limits, batches, stop and loop rules.
        kept: where blocks of answers are kept for a start after a kill, those of every round of a rival that asks more than once.
        log: where plain lines go.
    """
    rival = artefact.rival
    if rival.family == "at_test_time":
        return METHODS[rival.settings["method"]](frozen, artefact, items, decoding, kept, log)
    served = serve(frozen, artefact)
    with Progress(f"{rival.name}, answers", len(items), log) as at:
        rows = decode(
            *(frozen, served.slot, served.vectors, items, decoding), past=served.past, kept=kept, log=log, **at.decoding
        )
    return Answered(rows, {row.id: 1 for row in rows}, served.positions)
