"""The other edition of a data set that has two: the same items in other texts, for protocol recovery.

An edition that is not at hand is no error: the file then says why, and recovery goes on without that choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedgrad import tasks
from embedgrad.tasks.splitting.prepare import cut
from embedgrad_core.files import ANY, Item, UserError, misfit, read_json, write_json


@dataclass(frozen=True)
class Edition:
    """What a search knows of editions.

    Attributes:
        own: the edition that the run's items are of.
        name: the other one.
        inputs: item id → its text in the other edition; None where that is not at hand.
        why: why it is not.
    """

    own: str
    name: str
    inputs: Mapping[str, str] | None
    why: str = ""


def write_edition(
    task: str,
    items: Sequence[Item],
    out: str | Path,
    *,
    mirror: Path | None,
    own: str | None = None,
    input_last_words: int | None = None,
) -> Edition:
    """Look for the other edition's texts of ``items`` and write them, or why they are not at hand.

    Raises:
        UserError: a task without editions; a file of the mirror that is not the pinned one; an item that the edition lacks.
    """
    module = tasks.find(task)
    if not hasattr(module, "EDITIONS"):
        raise UserError(f"task {task} has no editions; leave the edition out.")
    own = own or next(iter(module.EDITIONS))
    name = next(one for one in module.EDITIONS if one != own)
    source = module.source_of(name)
    file = f"data/{source.file}"
    if mirror is not None and not (mirror / file).is_file():
        edition = Edition(own, name, None, f"not at hand: the mirror has no {file}")
    else:
        try:
            others = {item.id: item for item in module.load(mirror, edition=name).items}
            edition = Edition(own, name, _texts(name, items, others, input_last_words))
        except UserError as error:
            if mirror is not None:  # a file that is there and wrong
                raise
            edition = Edition(own, name, None, f"not at hand: {error}")
    found = {
        "task": task,
        "own": own,
        "edition": name,
        "source": source.hub_id,
        "sha256": source.sha256 if mirror else None,
    }
    write_json(
        out, found | ({"not_at_hand": edition.why} if edition.inputs is None else {"inputs": dict(edition.inputs)})
    )
    return edition


def read_edition(path: str | Path) -> Edition:
    """What :func:`write_edition` wrote.

    Raises:
        UserError: it cannot be read or is something else; names it.
    """
    found = read_json(path)
    text = {"not_at_hand": str} if isinstance(found, dict) and "not_at_hand" in found else {"inputs": {ANY: str}}
    if wrong := misfit(found, {"own": str, "edition": str} | text):
        raise UserError(f"{path}: key {wrong!r} is missing or of the wrong kind; make it again (embedgrad editions).")
    return Edition(found["own"], found["edition"], found.get("inputs"), found.get("not_at_hand", ""))


def _texts(name: str, items: Sequence[Item], others: Mapping[str, Item], words: int | None) -> dict[str, str]:
    found = {}
    for item in items:
        other = others.get(item.id)
        if other is None or other.answer != item.answer:
            raise UserError(
                f"{item.name}: the edition {name!r} has it not, or with another answer; prepare the data again."
            )
        found[item.id] = (other if words is None else cut(other, words)).input
    return found
