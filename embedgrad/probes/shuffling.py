"""Targets shuffled among the items, so that they tell nothing of the inputs and all else stays the same."""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from embedgrad.probes.applies import DoesNotApply
from embedgrad_core.files import Item

TRIES = 1000


def shuffled_targets(items: Sequence[Item], seed: int, closed: bool) -> list[Item]:
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

    Such a rounding of a table always exists (Bacharach 1966); here by the largest flow of what rounding down left over.
    """
    total, kinds = sum(counts), len(counts)
    whole = [[one * other // total for other in counts] for one in counts]
    left = [count - sum(row) for count, row in zip(counts, whole, strict=True)]
    given = [count - sum(column) for count, column in zip(counts, zip(*whole, strict=True), strict=True)]
    order = chance.sample(range(kinds), kinds)
    capacity = np.zeros((2 * kinds + 2, 2 * kinds + 2), dtype=np.int32)
    for row, one in enumerate(order):
        capacity[0, 1 + row] = left[one]
        capacity[1 + kinds + row, -1] = given[one]
        for column, other in enumerate(order):
            capacity[1 + row, 1 + kinds + column] = counts[one] * counts[other] % total > 0
    flow = maximum_flow(csr_array(capacity), 0, 2 * kinds + 1).flow.toarray()
    for row, one in enumerate(order):
        for column, other in enumerate(order):
            whole[one][other] += int(flow[1 + row, 1 + kinds + column])
    return whole


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
