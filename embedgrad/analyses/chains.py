"""The model's own right chains of thought, as what the prompt is trained on (``target: own_chain``).

As rejection sampling does (STaR without its rationalisation: Zelikman et al. 2022, arXiv 2203.14465, Section 3.1), with one greedy
answer an item: the text prompt answers the training items, and those answers that end by themselves and are graded right become
their items' targets. Items without one are left out: beside chains, bare labels would teach a second form, and how many there
were would differ from model to model. Dev and test get no chains.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from embedgrad.analyses.baselines.text_answers import text_vectors
from embedgrad.grading import Grading
from embedgrad.runtime.progress import Progress
from embedgrad_core import Decoding, FrozenModel, Layout, decode
from embedgrad_core.decoding.kept_rows import KeptRows
from embedgrad_core.files import Item, UserError


def own_chains(
    frozen: FrozenModel,
    layout: Layout,
    prompt: str,
    items: Sequence[Item],
    grading: Grading,
    decoding: Decoding,
    *,
    kept: KeptRows | None = None,
    log: Callable[[str], None] = print,
) -> tuple[list[Item], dict]:
    """Answer training items with the text prompt and keep what is right.

    Args:
        layout: the run's own; a chain is trained behind its ``target_prefix``, blanks at the chain's ends aside.
        prompt: the human prompt.
        items: training items.
        grading: how answers are checked.
        decoding: limits and batches.
        kept: blocks that were answered before.
        log: where progress goes.

    Returns:
        The items that have a chain, in the order of ``items``, with it as target; and counts: ``items``, ``kept``, ``by_answer``
        (both, by gold answer) and ``left_out``, by reason.

    Raises:
        UserError: no item has a right chain, or an input and the token limit do not fit the context.
    """
    slot, vectors = text_vectors(frozen, layout, prompt)
    with Progress("own chains", len(items), log) as at:
        rows = decode(frozen, slot, vectors, items, decoding, kept=kept, log=log, **at.decoding)
    said = {row.id: row for row in rows}
    found, left_out = [], Counter[str]()
    for item in items:
        line = grading.line(said[item.id].row(), item.answer)
        if not line["correct"]:
            left_out[line["failure"]] += 1
        elif line["stop"] != "eos" or not line["output"].strip():
            left_out["right but without an end"] += 1  # its end token would be taught where the model put none
        else:
            found.append(replace(item, target=line["output"].strip()))
    if not found:
        raise UserError(
            f"none of {len(items)} training items has a right chain that ends by itself; use target label or sentence, or a "
            "larger token limit."
        )
    asked, mine = (Counter(item.answer for item in some) for some in (items, found))
    by_answer = {answer: {"items": asked[answer], "kept": mine[answer]} for answer in sorted(asked)}
    return found, {
        "items": len(items),
        "kept": len(found),
        "by_answer": by_answer,
        "left_out": dict(sorted(left_out.items())),
    }
