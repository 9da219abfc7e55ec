"""How often the intervals of the probe ``variance`` hold the truth: planted components, drawn tables.

    python benchmarks/simulations/variance_simulation.py [--tables 200] [--seed 0]

No model runs: gains in points are drawn from normal effects. Each line is a design: three orders of one split, and five splits with
three orders each, every split's test half half of the items. ``below`` is how often an interval ends below the planted standard
deviation, ``above`` how often it begins above it.
"""

import argparse
import math

import numpy as np
from scipy.stats import t
from tqdm import tqdm

from embedgrad.probes.variance.components import Design
from embedgrad.reporting.statistics import ALPHA
from embedgrad.reporting.typeset import markdown_table

PLANTED = {"item": 30.0, "rest": 35.0}
IN_SPLIT = 12.0
# Splits, orders of each, items of a test half, planted standard deviations of split and order in points.
DESIGNS = ((1, 3, 84, 0.0, 15.0), (1, 3, 84, 0.0, 3.0), (5, 3, 30, 8.0, 5.0), (5, 3, 30, 0.0, 0.0))


def drawn(
    chance: np.random.Generator, splits: int, orders: int, half: int, of_split: float, of_order: float
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Outcomes of one table, (N,), and each outcome's level of every factor."""
    items = 2 * half if splits > 1 else half
    hard = chance.normal(0, PLANTED["item"], items)
    values, rows = [], []
    for split in range(splits):
        tested = chance.permutation(items)[:half]
        here = hard + chance.normal(0, of_split) + (chance.normal(0, IN_SPLIT, items) if splits > 1 else 0)
        for order in range(orders):
            values.append(here[tested] + chance.normal(0, of_order) + chance.normal(0, PLANTED["rest"], half))
            rows += [(item, split, split * orders + order, item + items * split) for item in tested]
    names = ("item", "split", "order", "item in split") if splits > 1 else ("item", "order")
    columns = np.array(rows).T if splits > 1 else np.array(rows).T[[0, 2]]
    levels = {name: np.unique(column, return_inverse=True)[1] for name, column in zip(names, columns, strict=True)}
    return np.concatenate(values), levels


def coverage(design: tuple[int, int, int, float, float], tables: int, seed: int) -> dict:
    """One line: how often each interval held what was planted."""
    chance = np.random.default_rng(seed)
    splits, orders, half, of_split, of_order = design
    planted = {"split": of_split, "order": of_order}
    missed = {name: [0, 0] for name in planted if splits > 1 or name == "order"}
    held = 0
    for table in tqdm(range(tables), desc=f"{splits} x {orders}", leave=False):
        values, factors = drawn(chance, *design)
        layout = Design(factors)
        found = layout.estimates(values)
        errors = layout.errors(found, table)
        for name, counts in missed.items():
            low, high = errors.intervals[name]
            counts[0] += high is not None and high < planted[name]
            counts[1] += low > planted[name]
        reach = t.ppf(1 - ALPHA / 2, errors.freedom) * math.sqrt(layout.of_mean(found))
        held += abs(values.mean()) <= reach
    line = {"splits": splits, "orders": orders, "items": half, "sd of splits": of_split, "sd of orders": of_order}
    line["mean held"] = f"{held / tables:.3f}"
    for name in ("split", "order"):
        below, above = missed.get(name, (None, None))
        line[f"{name}: held"] = "–" if below is None else f"{1 - (below + above) / tables:.3f}"
        line[f"{name}: below, above"] = "–" if below is None else f"{below / tables:.3f}, {above / tables:.3f}"
    return line


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    lines = [coverage(design, arguments.tables, arguments.seed) for design in DESIGNS]
    print(markdown_table(list(lines[0]), [[str(value) for value in line.values()] for line in lines], ()))


if __name__ == "__main__":
    main()
