"""How a prompt does on each of some items: what the target costs, and whether the answer is right."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from embedgrad.analyses.baselines.rungs import label_targets
from embedgrad.files.kept import KeptResults
from embedgrad.grading import Grading
from embedgrad.runtime.progress import Progress
from embedgrad_core import Decoding, FrozenModel, Slot, decode
from embedgrad_core.files import Item, sha256_of_bytes
from embedgrad_core.likelihood import continuation_log_likelihoods
from embedgrad_core.objective import chunked_logits, encode, target_hidden
from embedgrad_core.training.step import MicroBatching


@dataclass(frozen=True)
class Scores:
    """A prompt on n items, in their order.

    Attributes:
        losses: minus the log-likelihood of each item's target, nats.
        correct: whether each answer is right.
        by: ``likelihood`` where the answers are a closed set: the likeliest counts, and end tokens do not; else ``decoding``.
        label_losses: minus the log of the right label's share among the labels, nats, where the answers are a closed set: what is
            left of the loss when some label is said for certain. Guessing among C labels costs ln C.
        chances: the share of each of the C labels, n lists, there.
        own: which of them is right, there.
    """

    losses: list[float]
    correct: list[bool]
    by: str
    label_losses: list[float] | None = None
    chances: list[list[float]] | None = None
    own: list[int] | None = None

    @property
    def loss(self) -> float:
        """Mean, nats per item."""
        return sum(self.losses) / len(self.losses)

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return sum(self.correct) / len(self.correct)


def scores_of(
    name: str,
    frozen: FrozenModel,
    slot: Slot,
    vectors: torch.Tensor,
    items: Sequence[Item],
    grading: Grading,
    decoding: Decoding,
    labels: Sequence[Item] = (),
    log: Callable[[str], None] = print,
    kept: KeptResults | None = None,
) -> Scores:
    """Score a prompt.

    Args:
        name: of the prompt, for the log.
        vectors: (k, d) in the place of the slot's tokens.
        items: n items.
        grading: how answers are checked; one of a closed set of answers needs no decoding.
        decoding: how answers are decoded where they are not.
        labels: items that show the closed set's answers besides ``items``.
        kept: where scores are kept (:func:`kept_scores`).

    Raises:
        UserError: an item that does not fit, or one answer that is trained as two texts.
    """
    if kept is not None:
        place = sha256_of_bytes(repr(slot.prompt_ids).encode() + vectors.float().cpu().numpy().tobytes())
        settings = (frozen, slot, vectors, items, grading, decoding, labels, log)
        return Scores(**kept.get(f"{name}, vectors {place[:16]}", lambda: asdict(scores_of(name, *settings))))
    if grading.knows_strict:
        targets = label_targets([*labels, *items])
        answers = list(targets)
        with Progress(f"{name}, label likelihood", len(items), log, last=False) as at:
            found, _ = continuation_log_likelihoods(
                *(frozen, slot, vectors, [item.input for item in items], list(targets.values())), on_progress=at.update
            )
        own = [answers.index(item.answer) for item in items]
        losses = [-float(row[place]) for row, place in zip(found, own, strict=True)]
        correct = [int(row.argmax()) == place for row, place in zip(found, own, strict=True)]
        among = [-float(row.log_softmax(dim=0)[place]) for row, place in zip(found, own, strict=True)]
        return Scores(losses, correct, "likelihood", among, found.softmax(dim=1).tolist(), own)
    with Progress(f"{name}, answers", len(items), log, last=False) as at:
        rows = decode(frozen, slot, vectors, items, decoding, log=log, **at.decoding)
    outputs = {row.id: row.output for row in rows}
    correct = [grading.grade(outputs[item.id], item.answer).status == "correct" for item in items]
    with Progress(f"{name}, loss", len(items), log, last=False) as at:
        losses = target_losses(frozen, slot, vectors, items, at.update)
    return Scores(losses, correct, "decoding")


def kept_scores(
    state: Path | None,
    frozen: FrozenModel,
    items: Sequence[Item],
    grading: Grading,
    decoding: Decoding,
    labels: Sequence[Item] = (),
    log: Callable[[str], None] = print,
) -> KeptResults:
    """Where a report keeps the scores of each prompt, so that one that was ended goes on with the next.

    Args:
        state: the file; None keeps nothing.
        frozen, items, grading, decoding, labels: as they go to :func:`scores_of`.

    Raises:
        UserError: the file is of another model, data or settings.
    """
    model = (frozen.resolved, str(frozen.dtype), frozen.device.type)
    kept = KeptResults(state, [model, [one.row() for one in (*items, *labels)], grading.row(), decoding.row()])
    if kept.known:
        log(f"{state}: {kept.known} prompts have been scored; it goes on from them")
    return kept


@torch.inference_mode()
def target_losses(
    frozen: FrozenModel,
    slot: Slot,
    vectors: torch.Tensor,
    items: Sequence[Item],
    on_progress: Callable[[int], None] = lambda done: None,
) -> list[float]:
    """Eq. 6 of each item by itself, nats; ``on_progress`` is called with the number of items done so far."""
    examples = encode(slot, items, frozen.context)
    found: dict[str, float] = {}
    for part in MicroBatching().cut(len(slot.head_ids) + slot.k, examples):
        hidden = target_hidden(frozen, slot, vectors, part)
        for example, states in zip(part, hidden.split([len(one.target) for one in part]), strict=True):
            chances = torch.cat([logits.log_softmax(dim=1) for logits in chunked_logits(frozen, states)])
            wanted = torch.tensor(example.target, device=chances.device)
            found[example.id] = -float(chances.gather(1, wanted[:, None]).double().sum())
        on_progress(len(found))
    return [found[item.id] for item in items]
