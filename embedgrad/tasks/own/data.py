"""Data of one's own: a JSON-lines, CSV or TSV file, or a data set on the hub, as the suite's items.

Columns are found by their usual names or named by the caller. Every error names the line at fault.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from embedgrad.tasks.own.labels import Labels
from embedgrad.tasks.own.maths import kind_of_solution, value_and_solution
from embedgrad.tasks.own.rows import SUFFIXES, hub_rows, named_rows, rows_of, suffix_of
from embedgrad.tasks.splitting.duplicates import normalised, twin_groups
from embedgrad.tasks.splitting.split import choose
from embedgrad_core.files import Item, UserError, is_whole_text, sha256_of_bytes

INPUT_NAMES = ("input", "text", "sentence", "question", "problem", "review", "prompt")
ANSWER_NAMES = ("answer", "label", "output", "target", "class", "solution")
TARGET_NAMES = {"boxed_math": ("target", "solution")}
YES_NO = {"yes": "Yes", "no": "No"}


@dataclass(frozen=True)
class Columns:
    """Names of the columns; None looks for the usual ones."""

    input: str | None = None
    answer: str | None = None
    target: str | None = None


def read_own(
    source: str | Path | Sequence[Mapping],
    evaluator: str,
    labels: Labels | Mapping | Sequence[str] = (),
    columns: Columns | None = None,
    *,
    log: Callable[[str], None] = lambda line: None,
    revision: str | None = None,
    config: str | None = None,
    split: str | None = None,
) -> list[Item]:
    """Items of a file, of a hub data set, or of rows in memory.

    Args:
        source: a file (``own_rows.SUFFIXES``); ``owner/name`` on the hub; a ``datasets.Dataset``; or dictionaries.
        evaluator: ``label`` (answers must be among ``labels``), ``yes_no`` (Yes or No), ``boxed_math`` or ``exact``.
        labels: the classes of ``label``, as :meth:`~embedgrad.tasks.own.labels.Labels.of` takes them.
        columns: names of the columns.
        log: where to report how a file was read.
        revision: of a hub data set; ``main`` if None.
        config: of a hub data set.
        split: of a hub data set; ``train`` if None.

    Returns:
        Items with ids ``<file name>/<line>``, or the file's own where it has a column ``id``.

    Raises:
        UserError: no such file or data set, an unknown kind, a missing column, an empty input or answer, a label outside the
            list, two equal ids, or no usable row; names the file and the line. Labels that ``Labels.of`` refuses. A
            revision, config or split of what is not on the hub.
    """
    columns = columns or Columns()
    known = Labels.of(labels) if evaluator == "label" else None
    name, rows = _opened(source, revision, config, split, log)
    items: list[Item] = []
    seen: dict[str, str] = {}
    chosen: dict[str, str | None] | None = None
    for where, row in rows:
        if chosen is None:
            chosen = _find_columns(row, evaluator, columns, where)
            answer = row.get(chosen["answer"])
            if evaluator == "boxed_math" and isinstance(answer, str) and (kind := kind_of_solution(answer)):
                log(f"{name}: the answer is {kind} of column {chosen['answer']!r}, which is the target")
        item = _item(row, chosen, where, name, evaluator, known)
        if item.id in seen:
            raise UserError(f"{where}: id {item.id!r} stands at {seen[item.id]} too; ids must differ.")
        seen[item.id] = where
        items.append(item)
    if not items:
        raise UserError(f"{name}: no usable rows; give at least one row with an input and an answer.")
    return items


def _opened(
    source: str | Path | Sequence[Mapping],
    revision: str | None,
    config: str | None,
    split: str | None,
    log: Callable[[str], None],
) -> tuple[str, Iterable[tuple[str, Mapping]]]:
    """The name of a source and its rows, each with where it stands."""
    given = {"revision": revision, "config": config, "split": split}
    if not isinstance(source, str | Path):
        _refuse_hub_keys("data", given)
        return "data", ((f"data row {number}", row) for number, row in enumerate(named_rows(source), start=1))
    path = Path(source)
    if not path.exists() and suffix_of(path) not in SUFFIXES and str(source).count("/") == 1:
        return str(source), hub_rows(str(source), revision or "main", config, split or "train")
    _refuse_hub_keys(source, given)
    if path.exists() or suffix_of(path) in SUFFIXES:
        return path.name, rows_of(path, log)
    raise UserError(f"{source}: no such file; give a .jsonl, .csv or .tsv file, or owner/name of a hub data set.")


def _refuse_hub_keys(source: str | Path, given: Mapping[str, str | None]) -> None:
    if named := next((key for key, value in given.items() if value is not None), None):
        raise UserError(
            f"{source}: a {named} (--data-{named}) is a hub data set's, and this is not on the hub; leave it out."
        )


def split_own(items: Sequence[Item], dev_fraction: float, seed: int) -> tuple[list[Item], list[Item]]:
    """Train and dev, stratified by answer where answers repeat; items with one input stay on one side.

    Raises:
        UserError: a fraction out of range, or fewer than two different inputs.
    """
    if not 0 < dev_fraction < 1:
        raise UserError(f"dev fraction is {dev_fraction}; it must lie between 0 and 1.")
    flat = [Item(item.id, item.input, item.target, item.answer) for item in items]
    counts = Counter(item.answer for item in items)
    classes = [item.answer if 2 * len(counts) <= len(items) else "" for item in items]
    twins = twin_groups([item.input for item in items])
    bound = {place for group in twins for place in group}
    groups = [*twins, *([place] for place in range(len(items)) if place not in bound)]
    if len(groups) < 2:
        raise UserError(
            f"{len(items)} rows with {len(groups)} different input; training and dev need one each at least."
        )
    size = max(1, int(Fraction(str(dev_fraction)) * len(items) + Fraction(1, 2)))
    dev = choose(flat, classes, groups, {None: min(size, len(items) - 1)}, f"{seed}/own")
    return [item for place, item in enumerate(items) if place not in dev], [items[place] for place in sorted(dev)]


def fingerprint(text: str) -> str:
    """12 hexadecimal digits of an input's normalised text: enough to know whether an item was trained on."""
    return sha256_of_bytes(normalised(text).encode("utf-8", "surrogatepass"))[:12]


def _find_columns(row: Mapping, evaluator: str, columns: Columns, where: str) -> dict[str, str | None]:
    def find(role: str, named: str | None, usual: Sequence[str], required: bool) -> str | None:
        if named is not None:
            if named not in row:
                raise UserError(f"{where}: no column {named!r} (it has {', '.join(row)}); fix --{role}-column.")
            return named
        by_name = {str(key).casefold(): key for key in row}
        found = next((by_name[name] for name in usual if name in by_name), None)
        if found is None and required:
            raise UserError(
                f"{where}: no column for the {role}; looked for {', '.join(usual)}, found {', '.join(map(str, row))}. "
                f"Name it with --{role}-column."
            )
        return found

    chosen = {
        "input": find("input", columns.input, INPUT_NAMES, True),
        "answer": find("answer", columns.answer, ANSWER_NAMES, True),
    }
    usual = TARGET_NAMES.get(evaluator, ("target",))
    chosen["target"] = find("target", columns.target, usual, False)
    return chosen


def _item(row: Mapping, columns: Mapping, where: str, name: str, evaluator: str, known: Labels | None) -> Item:
    def text(role: str) -> str:
        column = columns[role]
        if column not in row:
            raise UserError(f"{where}: no column {column!r}; every row needs the {role}.")
        value = row[column]
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise UserError(f"{where}: column {column!r} must be text, found {type(value).__name__}.")
        if not str(value).strip() or value != value:  # NaN: how pandas writes an empty cell
            raise UserError(f"{where}: column {column!r} is empty; fill it in or delete the row.")
        if not is_whole_text(str(value)):
            raise UserError(
                f"{where}: column {column!r} holds half of a surrogate pair (\\ud800 to \\udfff), which is no character; "
                "fix the row."
            )
        return str(value)

    answer = text("answer").strip()
    own_target = columns["target"] and columns["target"] != columns["answer"]
    if evaluator == "boxed_math":
        answer, solution = value_and_solution(answer, where)
        target = text("target") if own_target else solution
    else:
        answer = _checked_answer(answer, where, evaluator, known)
        target = text("target") if own_target else answer
    identity = row.get("id")
    level = row.get("level")
    return Item(
        str(identity)
        if isinstance(identity, (str, int)) and str(identity)
        else f"{name}/{where.split(':')[-1].split()[-1]}",
        text("input"),
        target,
        answer,
        str(level) if isinstance(level, (str, int)) and str(level) else None,
        where,
    )


def _checked_answer(answer: str, where: str, evaluator: str, known: Labels | None) -> str:
    """The answer as the evaluator compares it."""
    if known:
        return known.find(answer, where)
    if evaluator == "yes_no":
        if answer.casefold() not in YES_NO:
            raise UserError(f"{where}: answer {answer[:60]!r} is neither Yes nor No.")
        return YES_NO[answer.casefold()]
    return answer
