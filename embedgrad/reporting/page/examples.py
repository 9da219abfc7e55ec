"""Ten answers of a cell before and after, the ones that say most first, the difference marked word by word."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from embedgrad.files import read_items
from embedgrad.reporting.results.answers import answer_files, read_answers
from embedgrad.reporting.results.collected import Outcome
from embedgrad_core.files import Item, UserError

COUNT, LIMIT = 10, 2000


def examples(outcome: Outcome, folder: Path) -> tuple[list[dict], str]:
    """The examples of a cell's lowest seed; or none and a sentence that says why.

    Each has what was asked, the gold answer, and both outputs as (text, changed) pieces: plain text, not HTML.

    Raises:
        UserError: answers or items that are there and cannot be read, or are not those of the metrics.
    """
    cell, metrics = outcome.cell, outcome.metrics[0]
    files = answer_files(cell, metrics["cell"]["seed"], folder)
    test = folder / "data" / cell.task / "test.jsonl"
    missing = [path for path in (*files.values(), test) if not path.exists()]
    if missing:
        return [], f"No examples: {missing[0]} is not there."
    answers = read_answers(cell, metrics, folder)
    items = answered_items(test, answers["after"])
    pairs = [(one, two, items[two["id"]]) for one, two in zip(answers["before"], answers["after"], strict=True)]

    def rank(pair: tuple[dict, dict, Item]) -> tuple[int, str]:
        was, now = pair[0]["correct"], pair[1]["correct"]
        return ({(False, True): 0, (True, False): 1, (False, False): 2}.get((was, now), 3), pair[1]["id"])

    # Not ten of one kind: half of them gains, if there are as many, then losses, failures and the rest in turn.
    ordered = sorted(pairs, key=rank)
    gains = [pair for pair in ordered if rank(pair)[0] == 0]
    chosen = gains[: COUNT // 2] + [pair for pair in ordered if rank(pair)[0] != 0]
    chosen = (chosen + gains[COUNT // 2 :])[:COUNT]
    return [_example(*pair) for pair in chosen], ""


def answered_items(test: Path, rows: Sequence[dict]) -> dict[str, Item]:
    """The items of ``rows`` by id, in the order of the file.

    Raises:
        UserError: one that was answered is not there.
    """
    items = {item.id: item for item in read_items(test)}
    answered = {row["id"] for row in rows}
    if unknown := [row["id"] for row in rows if row["id"] not in items]:
        raise UserError(
            f"{test}: lacks item {unknown[0]}, which was answered; the file was cut short. Prepare the data again."
        )
    return {identity: item for identity, item in items.items() if identity in answered}


def _example(before: dict, after: dict, item: Item) -> dict:
    was, now = (_cut(row["output"]) for row in (before, after))
    word = {True: "right", False: "wrong"}
    left, right = marked(was, now)
    return {
        "id": item.id,
        "question": _cut(item.input),
        "gold": _cut(item.answer),
        "kind": f"{word[before['correct']]} → {word[after['correct']]}",
        "before": left,
        "after": right,
        "before_note": _note(before),
        "after_note": _note(after),
    }


def _note(row: dict) -> str:
    read = row.get("extracted")
    verdict = "right" if row["correct"] else str(row.get("failure")).replace("_", " ")
    found = "nothing read" if read is None else f"read as {_cut(str(read), 80)!r}"
    return f"{verdict}; {found}; {row.get('n_tokens')} tokens, {row.get('stop')}"


def _cut(text: str, limit: int = LIMIT) -> str:
    return text if len(text) <= limit else f"{text[:limit]} … [{len(text) - limit:,} more characters]"


def marked(before: str, after: str) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Both texts in pieces, each with whether it differs from the other text."""
    left, right = (re.findall(r"\s+|\w+|[^\w\s]", text) for text in (before, after))
    matcher = difflib.SequenceMatcher(None, left, right)
    pieces: tuple[list, list] = ([], [])
    for kind, a, b, c, d in matcher.get_opcodes():
        for side, words in ((0, left[a:b]), (1, right[c:d])):
            if words:
                pieces[side].append(("".join(words), kind != "equal"))
    return pieces
