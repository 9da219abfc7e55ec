"""Protocol search: what the text prompt scores under each protocol that the paper leaves open; nothing is trained.

Layout × token limit × stop rule × reading (strict or lenient labels, the last box or the first). An item is decoded once per
layout: an answer under a smaller limit or more end tokens is the beginning of that answer, and readings are of the same answers.
The axes of ``AXES`` (:mod:`embedgrad.planning.work`) cost decodings, and are searched where they are asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from embedgrad.analyses.baselines.counts import by_level
from embedgrad.analyses.baselines.text_answers import TextAnswers, until
from embedgrad.analyses.baselines.variants import variants
from embedgrad.grading import Grading
from embedgrad.runtime.progress import Progress
from embedgrad.tasks.editions import Edition
from embedgrad_core.decoding.answers import to_decoded
from embedgrad_core.decoding.settings import STOP_RULES
from embedgrad_core.files import Item
from evaluators.boxed_math import FIRST, LAST


def protocol_grid(
    texts: TextAnswers,
    parts: Sequence[Sequence[Item]],
    grading: Grading,
    shares: Sequence[float],
    *,
    axes: Sequence[str] = (),
    edition: Edition | None = None,
    log: Callable[[str], None] = print,
) -> dict:
    """Decode once per layout and variant, cut and grade.

    Args:
        texts: the text prompt's answers.
        parts: the items, part by part; a part that was answered before, as the ladder answers dev, is not answered again.
        grading: how answers are checked; in its other readings, too, where the evaluator has some.
        shares: token limits, as shares of the run's own.
        axes: of those that cost decodings, which are searched.
        edition: the data set's other edition, for the axis of that name.
        log: where progress goes.

    Returns:
        ``protocols``: a row each with ``protocol`` and its counts by ``levels``; ``own``: the run's own protocol; ``left_out``,
        where axes were asked for: those that this model or data set does not have, and why. A protocol names only what makes a
        difference: a box for maths alone, a system message in the chat template alone.

    Raises:
        UserError: an input and the token limit do not fit the context; an edition that lacks an item.
    """
    frozen, decoding = texts.frozen, texts.decoding
    found, own, left_out = variants(texts, axes, edition, log)
    protocols: list[dict] = []
    for variant in found:
        rows = []
        for items in filter(None, map(variant.shown, parts)):
            with Progress(f"protocol search, {variant.name}", len(items), log) as at:
                rows += texts.rows(variant.layout, items, penalty=variant.penalty, log=log, **at.decoding)
        asked = [item for item, _ in rows]
        for rule in STOP_RULES:
            ends = frozen.stop_ids(rule)
            for share in shares:
                limit = max(1, round(decoding.max_new_tokens * share))
                cut = [(item, until(row, ends, limit)) for item, row in rows]
                answers = [to_decoded(frozen, item, row, ends, decoding.loop).row() for item, row in cut]
                for reading, one in readings(grading):
                    lines = [one.line(row, item.answer) for item, row in zip(asked, answers, strict=True)]
                    protocol = {"layout": variant.layout.kind, "limit_share": share, "stop_rule": rule} | reading
                    protocols.append({"protocol": protocol | variant.protocol, "levels": by_level(asked, lines)})
    mine = {"layout": texts.layout.kind, "limit_share": 1.0, "stop_rule": decoding.stop_rule}
    mine |= {"strict": grading.strict and grading.knows_strict}
    mine |= {"box": grading.options.get("box", LAST)} if grading.knows_boxes else {}
    return {"protocols": protocols, "own": mine | own} | ({"left_out": left_out} if axes else {})


def readings(grading: Grading) -> list[tuple[dict, Grading]]:
    """The ways in which the same answer may be read, as a protocol names them."""
    if grading.knows_boxes:
        boxed = [(box, replace(grading, options={**grading.options, "box": box})) for box in (LAST, FIRST)]
        return [({"strict": False, "box": box}, one) for box, one in boxed]
    strict = [replace(grading, strict=strict) for strict in (False, True)][: 1 + grading.knows_strict]
    return [({"strict": one.strict}, one) for one in strict]
