"""The seeded split: test and dev sizes per level, classes in proportion, groups of items never torn apart.

Everything is integers and sha256, so a seed gives the same split on every machine, library version and order of rows.

Sizes (per level; a task without levels is one level): test = ceil(n / 2), which is what the paper's counts demand
(MATH-500: 22/45/53/64/67 of 43/90/105/128/134, together 251; causal judgment: 95 of 190; IMDB: 84 of 168). Dev is cut
from the train half in the same way: a share of it, at least one item per level.

Inside a level each class gets its share by largest remainders (Hamilton's method). Groups of two and more (twins, or
clusters of near-duplicates) are placed first, by coin flips that are then corrected until no flip of one group and no
exchange of two brings the sizes closer; single items fill what is left. So sizes are exact where single items suffice;
where they do not, the best of twenty starts is taken.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from embedgrad_core.files import Item, UserError

_STARTS = 20
SPLITS = ("train", "dev", "test")
Cell = tuple[str | None, str]  # (level, class)
Levels = Mapping[str | None, Mapping[Cell, int]]  # level → its cells → items
Cost = Callable[[Counter], tuple[int, int, int]]


def halve(
    items: Sequence[Item], classes: Sequence[str], groups: Sequence[Sequence[int]], *, seed: int, dev_fraction: float
) -> tuple[dict[str, list[int]], dict[str, dict]]:
    """Split into train, dev and test.

    Args:
        items: the pool; ids must differ.
        classes: one entry per item.
        groups: positions that must stay together; disjoint; items in none stand alone.
        seed: any integer.
        dev_fraction: share of the train half that becomes dev, between 0 and 1.

    Returns:
        ``{"train": positions, "dev": ..., "test": ...}`` sorted by id, and ``{"dev": {level: wanted}, "test": ...}``.

    Raises:
        UserError: ``dev_fraction`` out of range, or a level too small (or too much of one group) to fill all three.
    """
    if not 0 < dev_fraction < 1:
        raise UserError(f"dev_fraction is {dev_fraction}; it must lie between 0 and 1.")
    whole = _with_singles(groups, range(len(items)))
    test_sizes = {level: -(-n // 2) for level, n in Counter(item.level for item in items).items()}
    test = choose(items, classes, whole, test_sizes, f"{seed}/test")
    rest = [group for group in whole if group[0] not in test]
    left = Counter(items[place].level for group in rest for place in group)
    dev_sizes = {level: max(1, int(Fraction(str(dev_fraction)) * n + Fraction(1, 2))) for level, n in left.items()}
    dev = choose(items, classes, rest, dev_sizes, f"{seed}/dev")
    train = set(range(len(items))) - test - dev
    for name, chosen in zip(SPLITS, (train, dev, test), strict=True):
        empty = sorted(str(level) for level in test_sizes if level not in {items[place].level for place in chosen})
        if empty:
            where = "the task" if empty[0] == "None" else f"level {empty[0]}"
            raise UserError(
                f"{where} leaves no item for {name}; give it more items (three at least), "
                "or use split rule 'half' if near-duplicates bind them together."
            )
    by_id = {
        name: sorted(chosen, key=lambda place: items[place].id)
        for name, chosen in zip(SPLITS, (train, dev, test), strict=True)
    }
    return by_id, {"dev": dev_sizes, "test": test_sizes}


def draw(items: Sequence[Item], classes: Sequence[str], size: int, *, seed: int) -> list[int]:
    """Positions of a pool of ``size`` items, in proportion to levels and, inside them, to classes; ascending.

    Raises:
        UserError: ``size`` is not between 1 and the number of items.
    """
    if not 1 <= size <= len(items):
        raise UserError(f"pool is {size}; it must lie between 1 and the {len(items)} items of the task.")
    levels = Counter(item.level for item in items)
    sizes = largest_remainders(levels, size, f"{seed}/pool")
    return sorted(choose(items, classes, _with_singles([], range(len(items))), sizes, f"{seed}/pool"))


def largest_remainders(counts: Mapping, total: int, salt: str) -> dict:
    """Share ``total`` among the keys of ``counts`` in proportion, each within one of its exact share; ties by hash."""
    n = sum(counts.values())
    shares = {key: count * total // n for key, count in counts.items()}
    order = sorted(counts, key=lambda key: (-(counts[key] * total % n), _draw(salt, str(key))))
    for key in order[: total - sum(shares.values())]:
        shares[key] += 1
    return shares


def choose(
    items: Sequence[Item], classes: Sequence[str], groups: Sequence[Sequence[int]], sizes: Mapping, salt: str
) -> set[int]:
    """Positions of whole groups that together come as close as can be to ``sizes`` (level -> items).

    Closest means: first no level empty or exhausted, then the sizes, then each class's share of its level.
    """
    cells: dict[int, Cell] = {place: (items[place].level, classes[place]) for group in groups for place in group}
    counts = Counter(cells.values())
    levels = {level: {cell: n for cell, n in counts.items() if cell[0] == level} for level in sizes}
    quota: dict[Cell, int] = {}
    for level, inside in levels.items():
        quota |= largest_remainders(inside, sizes[level], salt)
    singles = defaultdict(list)
    bound = []
    for group in sorted(groups, key=lambda group: _draw(salt, min(items[place].id for place in group))):
        if len(group) == 1:
            singles[cells[group[0]]].append(group[0])
        else:
            bound.append(group)
    spare = {cell: len(singles[cell]) for cell in counts}
    weights = [Counter(cells[place] for place in group) for group in bound]

    def cost(taken: Counter) -> tuple[int, int, int]:
        filled = _fill(taken, levels, quota, spare, sizes, salt)
        total = {level: sum(taken[cell] + filled[cell] for cell in inside) for level, inside in levels.items()}
        ends = sum(not 0 < total[level] < sum(inside.values()) for level, inside in levels.items())
        off = sum(abs(total[level] - sizes[level]) for level in levels)
        return ends, off, sum(abs(taken[cell] + filled[cell] - quota[cell]) for cell in counts)

    def coin(start: int, group: Sequence[int]) -> bool:
        """Heads with the probability that an item of the group's level is wanted."""
        level = cells[group[0]][0]
        share = Fraction(sizes[level], sum(levels[level].values()))
        return Fraction(_draw(f"{salt}/{start}/coin", min(items[place].id for place in group)), 2**256) < share

    best: tuple[int, int, int] | None = None
    chosen: list[bool] = []
    taken: Counter[Cell] = Counter()
    for start in range(_STARTS):
        sides = [coin(start, group) for group in bound]
        found = _mended(weights, sides, cost)
        if best is None or found[0] < best:
            best, chosen, taken = found
        if best == (0, 0, 0) or not bound:
            break
    filled = _fill(taken, levels, quota, spare, sizes, salt)
    places = {place for group, yes in zip(bound, chosen, strict=True) if yes for place in group}
    return places.union(*(singles[cell][: filled[cell]] for cell in counts))


def _mended(
    weights: Sequence[Counter], chosen: list[bool], cost: Cost
) -> tuple[tuple[int, int, int], list[bool], Counter]:
    """From a start to where no move helps: (cost, chosen, items taken per cell)."""
    taken: Counter[Cell] = sum((weight for weight, yes in zip(weights, chosen, strict=True) if yes), Counter())
    best = cost(taken)
    while best > (0, 0, 0):
        move = _best_move(weights, chosen, taken, cost, best)
        if move is None:
            break
        best, flips, taken = move
        chosen = [yes != (place in flips) for place, yes in enumerate(chosen)]
    return best, chosen, taken


def _best_move(
    weights: Sequence[Counter], chosen: Sequence[bool], taken: Counter, cost: Cost, best: tuple[int, int, int]
) -> tuple[tuple[int, int, int], tuple[int, ...], Counter] | None:
    """The flip of one group or exchange of two that lowers the cost most, or None; groups of one shape are alike."""
    first: dict[tuple[bool, tuple], int] = {}
    for place, weight in enumerate(weights):
        first.setdefault((chosen[place], tuple(sorted(weight.items(), key=str))), place)
    inside = [place for (yes, _), place in first.items() if yes]
    outside = [place for (yes, _), place in first.items() if not yes]
    moves: list[tuple[int, ...]] = [(place,) for place in inside + outside]
    moves += [(one, other) for one in inside for other in outside]
    found = None
    for flips in moves:
        after = Counter(taken)
        for place in flips:
            (after.subtract if chosen[place] else after.update)(weights[place])
        reached = cost(after)
        if reached < best:
            best, found = reached, (reached, flips, after)
    return found


def _fill(
    taken: Counter, levels: Levels, quota: Mapping[Cell, int], spare: Mapping[Cell, int], sizes: Mapping, salt: str
) -> dict[Cell, int]:
    """How many single items each cell adds once the groups in ``taken`` are placed."""
    filled: dict[Cell, int] = {}
    for level, inside in levels.items():
        for cell in inside:
            filled[cell] = min(max(quota[cell] - taken[cell], 0), spare[cell])
        short = sizes[level] - sum(taken[cell] + filled[cell] for cell in inside)
        while short:
            step = 1 if short > 0 else -1
            able = [cell for cell in inside if 0 <= filled[cell] + step <= spare[cell]]
            if not able:
                break
            over = {cell: step * (taken[cell] + filled[cell] - quota[cell]) for cell in able}
            cell = min(able, key=lambda cell: (over[cell], _draw(salt, str(cell))))
            filled[cell] += step
            short -= step
    return filled


def _with_singles(groups: Sequence[Sequence[int]], places: range) -> list[list[int]]:
    inside = {place for group in groups for place in group}
    return [list(group) for group in groups] + [[place] for place in places if place not in inside]


def _draw(salt: str, name: str) -> int:
    """A uniform integer below 2**256 that depends on the two texts alone."""
    return int.from_bytes(hashlib.sha256(f"{salt}/{name}".encode()).digest())
