"""Items to train on, to choose by and to report on, for commands that go on from an optimised prompt."""

import argparse
from typing import TYPE_CHECKING

from embedgrad.commands.arguments import add_own_data_arguments, own_items_from
from embedgrad_core.files import UserError

if TYPE_CHECKING:
    from embedgrad.grading import Grading
    from embedgrad_core.files import Item


def add_split_arguments(
    parser: argparse.ArgumentParser, about: str, *, data: str, dev: str, required: bool = False
) -> None:
    """--data, --dev and --test, and how to read them; ``data`` and ``dev`` say what the items are for."""
    group = parser.add_argument_group("data", about)
    group.add_argument("--data", required=required, help=data)
    group.add_argument("--dev", help=f"{dev}; default: a fifth of --data")
    group.add_argument("--test", help="items for --report")
    group.add_argument("--level", help="only the items of this level")
    group.add_argument("--keep-seen", action="store_true", help="report on items that a prompt was trained on, too")
    add_own_data_arguments(group)


def splits_from(arguments: argparse.Namespace, grading: "Grading") -> "tuple[list[Item], list[Item], list[Item]]":
    """The items of --data, --dev and --test, of --level if it is named; without --dev a fifth of --data is split off.

    Raises:
        UserError: what reading them refuses, or a level that no item of a file has.
    """
    from embedgrad.tasks.own.data import split_own

    train, dev, test = (
        _of_level(own_items_from(arguments, source, grading), arguments.level, source) if source else []
        for source in (arguments.data, arguments.dev, arguments.test)
    )
    if train and not dev:
        train, dev = split_own(train, 0.2, arguments.seed)
    return train, dev, test


def _of_level(items: "list[Item]", level: str | None, source: str) -> "list[Item]":
    found = [item for item in items if level is None or item.level == level]
    if not found:
        raise UserError(f"{source}: no item has the level {level!r}; fix --level, or leave it out.")
    return found
