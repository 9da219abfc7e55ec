"""Targets shuffled among the items, so that they tell nothing of the inputs and all else stays the same."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from embedgrad.probes.applies import DoesNotApply
from embedgrad_core.files import Item

TRIES = 1000
Place = tuple[int, int]  # row and column of a table


def shuffled_targets(items: Sequence[Item], seed: int | str, closed: bool) -> list[Item]:
    """The items in their order, each with the target and answer of another.

    Each target is given as often as it was there. Of a closed set of answers each true answer gets every label in proportion,
    to less than one item, so that the dealt labels tell nothing of the true ones: a permutation in which no item keeps its label
    would teach the opposite of two labels, which is knowledge too. Of open answers no item keeps its own target.

    Args:
        items: whose targets are shuffled.
        seed: of the shuffling.
        closed: whether the answers are labels.

    Raises:
        DoesNotApply: all items have one target.
    """
    if len({item.target for item in items}) < 2:
        raise DoesNotApply("all training items have one target: there is nothing to deal out")
    chance = random.Random(seed)
    donors = _evenly(items, chance) if closed else _deranged(items, chance)
    return [replace(item, target=donor.target, answer=donor.answer) for item, donor in zip(items, donors, strict=True)]


def _evenly(items: Sequence[Item], chance: random.Random) -> list[Item]:
    places = defaultdict(list)
    for place, item in enumerate(items):
        places[item.answer].append(place)
    labels = sorted(places)
    table = shares([len(places[label]) for label in labels], chance)
    for label in labels:
        chance.shuffle(places[label])
    givers = {label: list(places[label]) for label in labels}
    donors: list[Item] = [items[0]] * len(items)
    for label, row in zip(labels, table, strict=True):
        dealt = [other for other, count in zip(labels, row, strict=True) for _ in range(count)]
        for place, other in zip(places[label], dealt, strict=True):
            donors[place] = items[givers[other].pop()]
    return donors


def shares(counts: Sequence[int], chance: random.Random) -> list[list[int]]:
    """How many items of each class (rows) get each label (columns): n_c n_d / n, rounded up or down so that all sums stay.

    Each cell is n_c n_d / n on average over ``chance``, so that over dealings no label is nearer to its own class than another:
    unbiased controlled rounding (Cox 1987, Journal of the American Statistical Association 82, 520-524).
    """
    total = sum(counts)
    exact = [[Fraction(one * other, total) for other in counts] for one in counts]
    while broken := _fractions(exact):
        cycle = _cycle(broken, chance)
        up, down = cycle[::2], cycle[1::2]
        # As far as one cell of the cycle becomes whole, this way or that; how often each keeps every cell's mean.
        most = min(_above(exact, up, down))
        least = min(_above(exact, down, up))
        step = most if chance.random() < least / (most + least) else -least
        for row, column in up:
            exact[row][column] += step
        for row, column in down:
            exact[row][column] -= step
    return [[int(share) for share in row] for row in exact]


def _fractions(table: list[list[Fraction]]) -> set[Place]:
    """The cells that are no whole number yet; a row or column that has one has two, as its sum is whole."""
    return {
        (row, column) for row, some in enumerate(table) for column, share in enumerate(some) if share.denominator > 1
    }


def _above(table: list[list[Fraction]], up: Sequence[Place], down: Sequence[Place]) -> Iterator[Fraction]:
    """How far each cell is from the next whole number, ``up`` from the one above and ``down`` from the one below."""
    for row, column in up:
        yield 1 - table[row][column] % 1
    for row, column in down:
        yield table[row][column] % 1


def _cycle(places: set[Place], chance: random.Random) -> list[Place]:
    """Places that go round, along a row and along a column in turn: every second one can gain what the others lose."""
    path = [chance.choice(sorted(places))]
    while True:
        here, along = path[-1], (len(path) + 1) % 2  # a row first
        path.append(chance.choice(sorted(place for place in places - {here} if place[along] == here[along])))
        for begin in range(len(path) % 2, len(path) - 2, 2):
            if path[begin][1 - along] == path[-1][1 - along]:
                return path[begin:]


def _deranged(items: Sequence[Item], chance: random.Random) -> list[Item]:
    """A permutation drawn until no item keeps its target; the one with the fewest that do, where that takes too long."""
    best, least = list(items), len(items)
    for _ in range(TRIES):
        drawn = chance.sample(items, len(items))
        same = sum(one.target == other.target for one, other in zip(items, drawn, strict=True))
        if same < least:
            best, least = drawn, same
        if not least:
            break
    return best


def agreement(items: Sequence[Item], dealt: Sequence[Item]) -> dict:
    """How many items kept their answer, and how many would by chance: the sum of squared frequencies."""
    counts = Counter(item.answer for item in items)
    same = sum(one.answer == other.answer for one, other in zip(items, dealt, strict=True))
    return {"same": same, "expected": sum(count**2 for count in counts.values()) / len(items), "n": len(items)}
