"""How often each verdict comes, were the paper's table true in one way or another: the rule's operating table.

    python benchmarks/simulations/verdict_simulation.py [--draws 400] [--phi 0.3] [--out TABLE.md]

Each of the 26 printed cells is repeated many times under a stated truth, on as many items as the paper had (the smallest test
size that its percentages allow; MEDD's allow none, so half of the data set). Items are drawn independently; an item right
before is likelier to be right after, with correlation ``--phi``. Each repeat is judged by today's rule and by the first one.
Printed: of 26 cells, how many are expected to get each word; how often today's three intervals at 95 % hold the difference; and
how often "replicated" comes where the test finds the true gain in at least 99 % of repeats.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from embedgrad.reporting.printed.audit import printed_sizes
from embedgrad.reporting.results.cells import Cell, read_cells
from embedgrad.reporting.statistics import Paired, power_of_gain
from embedgrad.reporting.typeset import markdown_table
from embedgrad.reporting.verdicts import first_rule, rule

CELLS = Path(__file__).resolve().parents[2] / "config" / "cells.tsv"
MEDD = 2080
SURE = 0.99
Truth = tuple[float, float]
# Of a scenario: the printed fractions and items, and a chance -> what the paper prints (fractions, items) and what is true for us.
Scenario = Callable[[Truth, int, float, np.random.Generator], tuple[Truth, Truth]]


def shares(truth: Truth, phi: float) -> np.ndarray:
    """The four cells of the paired table, as fractions that add up to 1: the correlation is cut where the margins forbid it."""
    before, after = truth
    both = before * after + phi * np.sqrt(before * (1 - before) * after * (1 - after))
    both = min(max(both, before + after - 1, 0.0), before, after)
    return np.clip([both, before - both, after - both, 1 - before - after + both], 0, 1)


def sample(truth: Truth, n: int, phi: float, chance: np.random.Generator) -> Paired:
    """n items of this truth."""
    p = shares(truth, phi)
    return Paired(*map(int, chance.multinomial(n, p / p.sum())))


def as_fractions(pairs: Paired) -> Truth:
    """Accuracy before and after."""
    return (pairs.both + pairs.only_before) / pairs.n, (pairs.both + pairs.only_after) / pairs.n


def exact(printed: Truth, n: int, phi: float, chance: np.random.Generator) -> tuple[Truth, Truth]:
    """The printed numbers are the truth to the last digit."""
    return printed, printed


def both_samples(printed: Truth, n: int, phi: float, chance: np.random.Generator) -> tuple[Truth, Truth]:
    """The truth is as printed, and the paper's own numbers are a sample of it as ours are."""
    return as_fractions(sample(printed, n, phi, chance)), printed


def on_half(printed: Truth, n: int, phi: float, chance: np.random.Generator) -> tuple[Truth, Truth]:
    """Both samples, but the paper had half as many items as its percentages suggest."""
    return as_fractions(sample(printed, (n + 1) // 2, phi, chance)), printed


def half_the_gain(printed: Truth, n: int, phi: float, chance: np.random.Generator) -> tuple[Truth, Truth]:
    """The text prompt is as good as printed, the gain half of what is printed."""
    return printed, (printed[0], (printed[0] + printed[1]) / 2)


def no_gain(printed: Truth, n: int, phi: float, chance: np.random.Generator) -> tuple[Truth, Truth]:
    """The text prompt is as good as printed, and the method gains nothing."""
    return printed, (printed[0], printed[0])


def of_answered(printed: Truth, n: int, phi: float, chance: np.random.Generator) -> tuple[Truth, Truth]:
    """The paper's percentages before leave out a fifth of the items, which have no answer; after, all have one."""
    return printed, (0.8 * printed[0], printed[1])


SCENARIOS: dict[str, Scenario] = {
    "the printed numbers are exact": exact,
    "both are samples of the printed numbers": both_samples,
    "both are samples, the paper's of half as many items": on_half,
    "half the printed gain": half_the_gain,
    "no gain": no_gain,
    "printed before is of answered items only (80 %)": of_answered,
}


def simulate(cells: Sequence[tuple[Cell, int]], scenario: Scenario, draws: int, phi: float, seed: int) -> dict:
    """Expected words of both rules over the cells, coverage of the intervals, and "replicated" where the gain is surely seen."""
    chance = np.random.default_rng(seed)
    words: Counter[str] = Counter()
    first: Counter[str] = Counter()
    held, replicated = 0, []
    for cell, n in tqdm(cells, leave=False, disable=None):
        printed = (float(cell.before or 0) / 100, float(cell.after or 0) / 100)
        here: Counter[str] = Counter()
        for _ in range(draws):
            stated, truth = scenario(printed, n, phi, chance)
            ours = sample(truth, n, phi, chance)
            paper = {"before": f"{100 * stated[0]:.2f}", "after": f"{100 * stated[1]:.2f}", "delta": ""}
            found = rule.verdict(ours, paper, n)
            here[found["word"]] += 1
            first[found["first_rule"]["word"]] += 1
            low, high = found["difference"]["interval"]
            held += low <= 0 <= high
        words += here
        _, one, two, _ = shares(truth, phi)
        if power_of_gain(n, float(two - one), float(one + two)) >= SURE:
            replicated.append(here[rule.REPLICATED] / draws)
    return {
        "words": {word: words[word] / draws for word in rule.WORDS},
        "first": {word: first[word] / draws for word in first_rule.WORDS},
        "held": held / draws / len(cells),
        "sure": (len(replicated), float(np.mean(replicated)) if replicated else None),
    }


def operating_table(draws: int, phi: float, seed: int = 0) -> str:
    """All scenarios as Markdown."""
    read = read_cells(CELLS)
    sizes = printed_sizes(read)
    cells = [(cell, sizes.get(cell.dataset) or MEDD) for cell in read]
    head = ["truth", *rule.WORDS, "gain's interval holds 0", "replicated where the gain is surely seen"]
    head += [f"first rule: {word}" for word in first_rule.WORDS]
    body = []
    for name, scenario in SCENARIOS.items():
        found = simulate(cells, scenario, draws, phi, seed)
        count, share = found["sure"]
        sure = "–" if share is None else f"{100 * share:.0f} % of {count} cells"
        line = [name, *(f"{value:.1f}" for value in found["words"].values()), f"{100 * found['held']:.1f} %", sure]
        body.append([*line, *(f"{value:.1f}" for value in found["first"].values())])
        print(f"{name}: done", file=sys.stderr, flush=True)
    return markdown_table(head, body, {"truth"})


def main() -> None:
    """Print, and keep where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=400, help="repeats of each cell under each truth")
    parser.add_argument("--phi", type=float, default=0.3, help="correlation of an item's two answers")
    parser.add_argument("--out", type=Path, help="also written here, as Markdown")
    arguments = parser.parse_args()
    table = operating_table(arguments.draws, arguments.phi)
    print(table)
    if arguments.out:
        arguments.out.write_text(table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
