"""The split's rules as properties, with brute force as the oracle where groups bind."""

import itertools
from collections import Counter
from fractions import Fraction

import pytest
from budget import times
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from embedgrad.tasks.splitting.split import choose, draw, halve, largest_remainders
from embedgrad_core.files import Item, UserError

LEVELS = st.sampled_from([None, "1", "2", "10"])
CLASSES = st.sampled_from(["sad", "happy", "calm"])


def pool_of(shape):
    """Items with readable ids from (level, class) pairs."""
    items = [Item(f"t/{i:04d}", f"text {i}", "x", "x", level) for i, (level, _) in enumerate(shape)]
    return items, [name for _, name in shape]


def levelled(minimum):
    """Pools in which each level that occurs holds at least ``minimum`` items."""
    level = st.tuples(LEVELS, st.lists(CLASSES, min_size=minimum, max_size=30))
    return st.lists(level, min_size=1, max_size=3, unique_by=lambda one: one[0]).map(
        lambda levels: pool_of([(name, kind) for name, kinds in levels for kind in kinds])
    )


@settings(deadline=None, max_examples=times(150))
@given(levelled(4), st.integers(0, 99), st.sampled_from([0.1, 0.2, 0.5]))
def test_a_split_of_single_items_is_a_stratified_partition_with_exact_sizes(pool, seed, dev_fraction):
    items, classes = pool
    sides, wanted = halve(items, classes, [], seed=seed, dev_fraction=dev_fraction)
    assert sorted(itertools.chain(*sides.values())) == list(range(len(items)))
    for level, n in Counter(item.level for item in items).items():
        of = {name: [i for i in places if items[i].level == level] for name, places in sides.items()}
        assert len(of["test"]) == (n + 1) // 2 == wanted["test"][level]
        half = n // 2
        expected = max(1, int(Fraction(str(dev_fraction)) * half + Fraction(1, 2)))
        assert len(of["dev"]) == expected == wanted["dev"][level]
        for name in set(classes):
            inside = sum(items[i].level == level and classes[i] == name for i in range(len(items)))
            share = Fraction(inside * len(of["test"]), n)
            assert abs(sum(classes[i] == name for i in of["test"]) - share) < 1


@settings(deadline=None, max_examples=times(80))
@given(levelled(8), st.integers(0, 99), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(pool, seed, random):
    items, classes = pool
    order = list(range(len(items)))
    random.shuffle(order)
    groups = [[0, 1]]
    moved = [[order.index(0), order.index(1)]]
    once, _ = halve(items, classes, groups, seed=seed, dev_fraction=0.2)
    again, _ = halve([items[i] for i in order], [classes[i] for i in order], moved, seed=seed, dev_fraction=0.2)
    assert {k: [items[i].id for i in v] for k, v in once.items()} == {
        k: [items[order[i]].id for i in v] for k, v in again.items()
    }


@st.composite
def grouped_pool(draw_):
    """One or two levels of classes, with disjoint groups of two to four that may span levels and classes."""
    items, classes = draw_(levelled(8))
    sizes = draw_(st.lists(st.integers(2, 4), max_size=5))
    order = draw_(st.permutations(range(len(items))))
    groups, start = [], 0
    for size in sizes:
        if start + size <= len(items) // 2:
            groups.append(list(order[start : start + size]))
            start += size
    return items, classes, groups


@settings(deadline=None, max_examples=times(200))
@given(grouped_pool(), st.integers(0, 99))
def test_groups_stay_together_and_every_split_holds_each_level(case, seed):
    items, classes, groups = case
    try:
        sides, _ = halve(items, classes, groups, seed=seed, dev_fraction=0.2)
    except UserError:
        reject()  # groups may bind a whole level; that case has its own test
    side = {i: name for name, places in sides.items() for i in places}
    assert len(side) == len(items)
    for group in groups:
        assert len({side[i] for i in group}) == 1
    for places in sides.values():
        assert {items[i].level for i in places} == {item.level for item in items}


@settings(deadline=None, max_examples=times(150))
@given(st.lists(CLASSES, min_size=14, max_size=40), st.lists(st.integers(2, 5), max_size=8), st.integers(0, 99))
def test_sizes_are_exact_while_single_items_suffice(kinds, sizes, seed):
    items, classes = pool_of([(None, kind) for kind in kinds])
    groups, start = [], 0
    for size in sizes:
        if len(items) - start - size >= 5:  # as many single items as the largest group
            groups.append(list(range(start, start + size)))
            start += size
    target = (len(items) + 1) // 2
    whole = groups + [[i] for i in range(start, len(items))]
    assert len(choose(items, classes, whole, {None: target}, str(seed))) == target


@settings(deadline=None, max_examples=times(300))
@given(st.lists(st.integers(1, 6), min_size=2, max_size=8), st.integers(0, 99))
def test_sizes_come_as_close_as_brute_force_can(sizes, seed):
    n = sum(sizes)
    items, classes = pool_of([(None, "one")] * n)
    ends = [0, *itertools.accumulate(sizes)]
    groups = [list(range(a, b)) for a, b in itertools.pairwise(ends)]
    target = (n + 1) // 2
    totals = {sum(part) for k in range(1, len(sizes)) for part in itertools.combinations(sizes, k)}
    reached = len(choose(items, classes, groups, {None: target}, str(seed)))
    assert abs(reached - target) == min(abs(total - target) for total in totals)


@given(st.dictionaries(CLASSES, st.integers(1, 50), min_size=1), st.data())
def test_largest_remainders_share_all_and_stay_within_one(counts, data):
    n = sum(counts.values())
    total = data.draw(st.integers(0, n))
    shares = largest_remainders(counts, total, "salt")
    assert sum(shares.values()) == total
    for key, count in counts.items():
        assert abs(shares[key] - Fraction(count * total, n)) < 1


def test_largest_remainders_match_a_worked_table():
    # 43 problems of level 1 to 22 places; remainders .23 .53 .21 .02 -> Hamilton gives the missing place to the largest
    counts = {"algebra": 22, "number": 11, "geometry": 8, "counting": 2}
    assert largest_remainders(counts, 22, "x") == {"algebra": 11, "number": 6, "geometry": 4, "counting": 1}


def test_seeds_differ_and_one_seed_repeats():
    items, classes = pool_of([(None, "a"), (None, "b")] * 20)
    splits = [halve(items, classes, [], seed=seed, dev_fraction=0.2)[0]["test"] for seed in (0, 0, 1, 2)]
    assert splits[0] == splits[1]
    assert len({tuple(split) for split in splits}) == 3


def test_each_item_is_drawn_equally_often():
    items, classes = pool_of([(None, "a")] * 12)
    hits = Counter(
        i for seed in range(400) for i in halve(items, classes, [[0, 1]], seed=seed, dev_fraction=0.2)[0]["test"]
    )
    # binomial(400, 1/2): mean 200, sd 10
    assert all(150 < hits[i] < 250 for i in range(12)), hits


def test_the_pool_is_drawn_in_proportion():
    items, classes = pool_of([("1", "a")] * 30 + [("1", "b")] * 10 + [("2", "a")] * 40)
    places = draw(items, classes, 20, seed=0)
    assert places == sorted(set(places))
    assert Counter((items[i].level, classes[i]) for i in places) == {("1", "a"): 8, ("1", "b"): 2, ("2", "a"): 10} or (
        Counter((items[i].level, classes[i]) for i in places) == {("1", "a"): 7, ("1", "b"): 3, ("2", "a"): 10}
    )


@pytest.mark.parametrize(("size", "said"), [(0, "pool is 0"), (5, "pool is 5")])
def test_a_pool_out_of_range_is_named(size, said):
    items, classes = pool_of([(None, "a")] * 4)
    with pytest.raises(UserError, match=said):
        draw(items, classes, size, seed=0)


def test_a_level_too_small_for_three_splits_is_named():
    items, classes = pool_of([("1", "a")] * 9 + [("2", "a")] * 2)
    with pytest.raises(UserError, match="level 2 leaves no item for train"):
        halve(items, classes, [], seed=0, dev_fraction=0.2)
    with pytest.raises(UserError, match="leaves no item"):
        halve(items[:9], classes[:9], [list(range(9))], seed=0, dev_fraction=0.2)


@pytest.mark.parametrize("fraction", [0, 1, -0.1])
def test_a_dev_fraction_out_of_range_is_named(fraction):
    items, classes = pool_of([(None, "a")] * 9)
    with pytest.raises(UserError, match="dev_fraction"):
        halve(items, classes, [], seed=0, dev_fraction=fraction)
