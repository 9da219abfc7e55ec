"""Memory: does the untouched model know the test inputs by heart?

Two readings of the inputs alone, without prompt or question:

* completion: after the first 60 % of an input's tokens, how much of the rest does the model write word for word (exact match, and
  ROUGE-L, Lin 2004, by the longest common subsequence of words)? So asked by Wu et al. 2025 (arXiv 2507.10532) of MATH-500;
* Min-K % probability: the mean log-likelihood of an input's 20 % least likely tokens (Shi et al. 2024, arXiv 2310.16789): a text
  that was seen often has no token that surprises.

Both say something only beside texts of the same form that the model cannot have seen. Tasks that are generated have such: new
draws. For others there is no true control; their own inputs with the sentences (or words) shuffled among them take its place, and
the result says so: those read less smoothly, so that a difference is expected without any memory, and none is no proof of its
absence.
"""

import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from embedgrad.analyses.baselines.rungs import without_prompt
from embedgrad.probes.applies import check_size
from embedgrad.probes.intervals import auroc_interval
from embedgrad.reporting.analyses import auroc
from embedgrad.reporting.statistics import wilson
from embedgrad.runtime.progress import Progress
from embedgrad_core import FrozenModel, Layout
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.likelihood import token_log_likelihoods
from embedgrad_core.objective import Example
from embedgrad_core.training.step import MicroBatching

GIVEN = 0.6
LEAST_LIKELY = 0.2
MOST_TOKENS = 256  # of an input that are read
FEWEST_TOKENS = 5  # of which three are given and two are left
_WORD = re.compile(r"[a-z0-9]+|[^\x00-\x7f\W]")
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s*(?=\S)")


@dataclass(frozen=True)
class Controls:
    """What the test inputs stand beside.

    Attributes:
        texts: like the inputs, and not among them.
        kind: ``fresh`` (new draws of a generated task) or ``resampled``.
        left_out: levels whose items are not read, since as many new ones of them cannot be drawn.
    """

    texts: Sequence[str]
    kind: str
    left_out: Sequence[str] = ()


def contamination(
    frozen: FrozenModel,
    inputs: Sequence[str],
    controls: Controls,
    *,
    batch_size: int = 16,
    log: Callable[[str], None] = print,
) -> dict:
    """Completion and Min-K % of the test inputs and of their controls.

    Args:
        frozen: the untouched model.
        inputs: texts of test items.
        controls: texts to compare with.
        batch_size: rows decoded together.
        log: where progress goes.

    Returns:
        ``control_kind``, ``true_control``, ``levels_left_out``; by side (``test``, ``control``) ``n``, ``exact`` (completions that
        equal the rest), ``exact_interval`` (Wilson), ``rouge_l`` (mean F, 0-1), ``min_k`` (mean, nats); ``auroc``: for ``rouge_l``
        and ``min_k`` the chance that a test input has more than a control, with its 95 % ``interval``; ``rows``, text by text.

    Raises:
        DoesNotApply: too few inputs of at least ``FEWEST_TOKENS`` tokens.
    """
    # In the order of their length, so that those which are decoded together have like limits; a side has no batch of its own.
    texts = [(side, text) for side, some in (("test", inputs), ("control", controls.texts)) for text in some]
    ids = [frozen.tokenizer(text, add_special_tokens=False)["input_ids"][:MOST_TOKENS] for _, text in texts]
    long_enough = [place for place, own in enumerate(ids) if len(own) >= FEWEST_TOKENS]
    order = sorted(long_enough, key=lambda place: (len(ids[place]), place))
    sides = {side: [place for place in order if texts[place][0] == side] for side in ("test", "control")}
    for places in sides.values():
        check_size(len(places))
    with Progress("contamination, texts", 2 * len(order), log, unit="texts") as at:
        completed = _completions(frozen, [ids[place] for place in order], batch_size, at)
        likelihoods = _likelihoods(frozen, [ids[place] for place in order], at)
    rows = [
        {"side": texts[place][0], "tokens": len(ids[place]), "min_k": min_k(values), **found}
        for place, found, values in zip(order, completed, likelihoods, strict=True)
    ]
    areas = {}
    for name in ("rouge_l", "min_k"):
        area = auroc([row[name] for row in rows], [row["side"] == "test" for row in rows])
        sizes = [len(places) for places in sides.values()]
        areas[name] = {"value": area, "interval": None if area is None else auroc_interval(area, *sizes)}
    return {
        "control_kind": controls.kind,
        "true_control": controls.kind == "fresh",
        "levels_left_out": list(controls.left_out),
        **{side: _summary([row for row in rows if row["side"] == side]) for side in sides},
        "auroc": areas,
        "rows": rows,
    }


def min_k(values: Sequence[float], share: float = LEAST_LIKELY) -> float:
    """Mean of the least likely ``share`` of log-likelihoods, one of them at least."""
    kept = sorted(values)[: max(1, int(share * len(values)))]
    return math.fsum(kept) / len(kept)


def words(text: str) -> list[str]:
    """Runs of ASCII letters and digits in lower case, as ``rouge-score`` has them, and every other letter by itself."""
    return _WORD.findall(text.lower())


def rouge_l(reference: Sequence[str], candidate: Sequence[str]) -> float:
    """F-measure of the longest common subsequence of two lists of words; 0 where one is empty."""
    if not reference or not candidate:
        return 0.0
    row = [0] * (len(candidate) + 1)
    for word in reference:
        before = row
        row = [0]
        for place, other in enumerate(candidate):
            row.append(before[place] + 1 if word == other else max(before[place + 1], row[place]))
    return 2 * row[-1] / (len(reference) + len(candidate))


def resampled(inputs: Sequence[str], seed: int = 0) -> Controls:
    """The sentences of all inputs shuffled among them, as many to each as it had; words where most inputs are of one sentence."""
    parted = [_SENTENCE.split(text) for text in inputs]
    glue = " "
    if sum(len(parts) > 1 for parts in parted) < len(inputs) / 2:
        glue = "" if sum(" " in text for text in inputs) < len(inputs) / 2 else " "
        parted = [text.split() if glue else list(text) for text in inputs]
    pool = [part for parts in parted for part in parts]
    random.Random(seed).shuffle(pool)
    dealt, taken = [], 0
    for parts in parted:
        dealt.append(glue.join(pool[taken : taken + len(parts)]))
        taken += len(parts)
    return Controls(dealt, "resampled")


def _completions(frozen: FrozenModel, ids: Sequence[list[int]], batch_size: int, at: Progress) -> list[dict]:
    slot, nothing = without_prompt(frozen, Layout(), "-")
    given = [own[: round(GIVEN * len(own))] for own in ids]
    left = [own[len(start) :] for own, start in zip(ids, given, strict=True)]
    found = []
    for first in range(0, len(ids), batch_size):
        part = slice(first, first + batch_size)
        limit = max(map(len, left[part]))
        rows = greedy(frozen, slot, nothing, given[part], limit, [], batch_size=batch_size)
        for row, wanted in zip(rows, left[part], strict=True):
            written = row.ids[: len(wanted)]
            texts = [words(frozen.tokenizer.decode(some)) for some in (wanted, written)]
            found.append({"exact": written == wanted, "rouge_l": rouge_l(*texts)})
        at.advance(len(rows))
    return found


def _likelihoods(frozen: FrozenModel, ids: Sequence[list[int]], at: Progress) -> list[list[float]]:
    """Of every token that has something before it: the first one only where the tokenizer puts a BOS token there."""
    slot, nothing = without_prompt(frozen, Layout(), "-")
    cut = 0 if slot.head_ids else 1
    examples = [Example("", own[:cut], own[cut:]) for own in ids]
    return token_log_likelihoods(frozen, slot, nothing, examples, MicroBatching(on_items=at.advance))


def _summary(rows: Sequence[dict]) -> dict:
    exact = sum(row["exact"] for row in rows)
    return {
        "n": len(rows),
        "exact": exact,
        "exact_interval": wilson(exact, len(rows)),
        "rouge_l": float(np.mean([row["rouge_l"] for row in rows])),
        "min_k": float(np.mean([row["min_k"] for row in rows])),
    }
