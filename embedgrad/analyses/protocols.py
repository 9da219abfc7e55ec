"""Protocol search: what the text prompt scores under each protocol that the paper leaves open; nothing is trained.

Layout × token limit × stop rule × strictness. An item is decoded once per layout: an answer under a smaller limit or more
end tokens is the beginning of that answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from embedgrad.analyses.counts import by_level
from embedgrad.analyses.text_answers import TextAnswers, until
from embedgrad.grading import Grading
from embedgrad.runtime.progress import Progress
from embedgrad_core.decoding.answers import to_decoded
from embedgrad_core.decoding.settings import STOP_RULES
from embedgrad_core.files import Item


def protocol_grid(
    texts: TextAnswers,
    parts: Sequence[Sequence[Item]],
    grading: Grading,
    shares: Sequence[float],
    log: Callable[[str], None] = print,
) -> dict:
    """Decode once per layout, cut and grade.

    Args:
        texts: the text prompt's answers.
        parts: the items, part by part; a part that was answered before, as the ladder answers dev, is not answered again.
        grading: how answers are checked; strictly, too, where the evaluator can.
        shares: token limits, as shares of the run's own.
        log: where progress goes.

    Returns:
        ``protocols``: a row each with ``protocol`` and its counts by ``levels``; ``own``: the run's own protocol.

    Raises:
        UserError: an input and the token limit do not fit the context.
    """
    frozen, decoding = texts.frozen, texts.decoding
    gradings = [replace(grading, strict=strict) for strict in (False, True)][: 1 + grading.knows_strict]
    protocols = []
    for kind in texts.kinds:
        rows = []
        for items in filter(None, parts):
            with Progress(f"protocol search, {kind} layout", len(items), log) as at:
                rows += texts.rows(kind, items, log=log, **at.decoding)
        asked = [item for item, _ in rows]
        for rule in STOP_RULES:
            ends = frozen.stop_ids(rule)
            for share in shares:
                limit = max(1, round(decoding.max_new_tokens * share))
                cut = [(item, until(row, ends, limit)) for item, row in rows]
                answers = [to_decoded(frozen, item, row, ends, decoding.loop).row() for item, row in cut]
                for one in gradings:
                    lines = [one.line(row, item.answer) for item, row in zip(asked, answers, strict=True)]
                    protocol = {"layout": kind, "limit_share": share, "stop_rule": rule, "strict": one.strict}
                    protocols.append({"protocol": protocol, "levels": by_level(asked, lines)})
    strict = grading.strict and grading.knows_strict
    own = {"layout": texts.layout.kind, "limit_share": 1.0, "stop_rule": decoding.stop_rule, "strict": strict}
    return {"protocols": protocols, "own": own}
