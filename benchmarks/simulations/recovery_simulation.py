"""How often protocol recovery finds the protocol that was planted: its operating table.

    python benchmarks/simulations/recovery_simulation.py [--draws 200] [--seed 0] [--out TABLE.md]

No model runs: verdict vectors are drawn. Each of the paper's whole tasks and models has the protocols that the paper's run
searches (``config/paper.yaml``), and as many training items of ours as recovery takes. Under the planted protocol the text
prompt is as good as printed; every other value of a choice moves a cell's accuracy by a normal number of logits, whose standard
deviation is the effect. Verdicts under two protocols are of the same items (correlation of the latent normal numbers .8); the
printed count is drawn anew, of other items, as many as the paper's percentages allow. The stop rule changes no answer.

Each cell of the table: share of data sets in which the planted protocol has the largest posterior (values without effect aside)
/ how often a choice that was planted off the run's own is named rightly / how often a choice is named wrongly.
"""

import argparse
import itertools
import math
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.special import expit, logit, ndtri
from tqdm import tqdm

from embedgrad.reporting.printed.audit import printed_sizes
from embedgrad.reporting.recovery import LIKELIEST, Search, axes, printed_counts, ranked
from embedgrad.reporting.results.cells import Cell, read_cells
from embedgrad.reporting.results.collected import Outcome
from embedgrad.reporting.typeset import markdown_table

CELLS = Path(__file__).resolve().parents[2] / "config" / "cells.tsv"
EFFECTS = (0.0, 0.25, 0.5, 1.0)
SHARED = 0.8
# Items of the training halves, and what of them recovery takes at most.
OURS = {"math500": 249, "imdb": 84, "medd": 256, "causal_judgment": 95}
MEDD = 2080
NO_EFFECT = "stop_rule"
OWN = {
    "layout": "bare",
    "limit_share": 1.0,
    NO_EFFECT: "family",
    "strict": False,
    "box": "last",
    "system_message": "empty",
    "repetition_penalty": "none",
    "edition": "original",
}
PLANTED: dict[str, dict] = {
    "the run's own": {},
    "the template, with its own system message": {"layout": "chat", "system_message": "default"},
    "the shipped repetition penalty": {"repetition_penalty": "shipped"},
    "half the token limit": {"limit_share": 0.5},
    "strict labels": {"strict": True},
    "the first box": {"box": "first"},
    "MEDD's simplified edition": {"edition": "simplified"},
    "all of these": {
        "layout": "chat",
        "system_message": "default",
        "repetition_penalty": "shipped",
        "limit_share": 0.5,
        "strict": True,
        "box": "first",
        "edition": "simplified",
    },
}


@lru_cache
def searched(cell: Cell) -> list[tuple[dict, tuple]]:
    """The protocols of one task and model, each naming what makes a difference there, and what the answers depend on."""
    maths, ships = cell.task == "math500", "qwen2.5" in cell.model and cell.task != "math500"
    decodings = [
        {"layout": "bare"},
        *({"layout": "chat", "system_message": one} for one in ("empty", "default", "none")),
    ]
    choices: list[list[dict]] = [
        decodings,
        [{"limit_share": share} for share in (0.5, 1.0)],
        [{NO_EFFECT: rule} for rule in ("family", "checkpoint")],
        [{"strict": False, "box": box} for box in ("last", "first")]
        if maths
        else [{"strict": s} for s in (False, True)],
        [{"repetition_penalty": one} for one in ("none", "shipped")] if ships else [{}],
        [{"edition": one} for one in ("original", "simplified")] if cell.task == "medd" else [{}],
    ]
    found = [{key: value for part in parts for key, value in part.items()} for parts in itertools.product(*choices)]
    none = {NO_EFFECT, "strict"} if maths else {NO_EFFECT}  # a box is read in one way
    return [(one, tuple((key, value) for key, value in one.items() if key not in none)) for one in found]


def search(cell: Cell, items: int, planted: Mapping, effect: float, chance: np.random.Generator) -> Search:
    """One task and model: verdicts of ours under every protocol, and a printed count under the planted one."""
    ours, truth = OURS[cell.task], float(cell.before or 0) / 100
    protocols = searched(cell)
    moves: dict[tuple, float] = {}
    shares: dict[tuple, float] = {}
    for answers in dict.fromkeys(known for _, known in protocols):
        off = [pair for pair in answers if pair[1] != planted[pair[0]]]
        for pair in off:
            moves.setdefault(pair, chance.normal(0, effect))
        shares[answers] = float(expit(logit(truth) + math.fsum(moves[pair] for pair in off)))
    own = chance.standard_normal((len(shares), ours))
    latent = math.sqrt(SHARED) * chance.standard_normal(ours) + math.sqrt(1 - SHARED) * own
    right = (latent < ndtri(list(shares.values()))[:, None]).sum(axis=1).tolist()
    counts = dict(zip(shares, right, strict=True))
    rows = [{"protocol": one, "levels": {"": {"correct": counts[known], "n": ours}}} for one, known in protocols]
    return Search({"protocols": rows, "own": OWN}, "", (int(chance.binomial(items, truth)), items), cell.name)


def whole_cells() -> list[tuple[Cell, int]]:
    """The whole tasks of Table 2 with the number of printed items; MEDD's percentages allow none, so half of the data set."""
    read = read_cells(CELLS)
    sizes, counts = printed_sizes(read), printed_counts([Outcome(cell, (), {}) for cell in read])
    whole = [cell for cell in read if cell.level is None]
    return [(cell, counts.get((cell.dataset, cell.model), (0, sizes[cell.dataset] or MEDD))[1]) for cell in whole]


def outcome(cells: Sequence[tuple[Cell, int]], planted: Mapping, effect: float, chance: np.random.Generator) -> dict:
    """One data set: whether the planted protocol came first, and how each choice with an effect was named."""
    truth = OWN | planted
    rows = ranked([search(cell, items, truth, effect, chance) for cell, items in cells])
    # The bare layout has no system message.
    told = [key for key in OWN if key != NO_EFFECT and (key != "system_message" or truth["layout"] == "chat")]
    named = {row["choice"]: row["value"] for row in axes(rows) if row["word"] == LIKELIEST}
    off = [key for key in told if key in planted] or told
    return {
        "first": any(all(row[key] == truth[key] for key in told) for row in rows if row["rank"] == 1),
        "right": np.mean([named.get(key) == truth[key] for key in off]),
        "wrong": np.mean([key in named and named[key] != truth[key] for key in told]),
        "null": NO_EFFECT in named,
    }


def simulate(
    planted: Mapping, effect: float, draws: int, seed: int, cells: Sequence[tuple[Cell, int]]
) -> dict[str, float]:
    """Shares over data sets."""
    chance = np.random.default_rng([seed, round(100 * effect)])
    each = [outcome(cells, planted, effect, chance) for _ in range(draws)]
    return {key: float(np.mean([one[key] for one in each])) for key in each[0]}


def operating_table(draws: int, seed: int = 0) -> str:
    """All planted protocols as Markdown."""
    cells, body, null = whole_cells(), [], 0.0
    for name, planted in tqdm(PLANTED.items(), disable=None, leave=False):
        line = [name]
        for effect in EFFECTS:
            found = simulate(planted, effect, draws, seed, cells)
            null += found["null"]
            line.append(" / ".join(f"{100 * found[key]:.0f}" for key in ("first", "right", "wrong")))
        body.append(line)
        print(f"{name}: done", file=sys.stderr, flush=True)
    table = markdown_table(["planted", *(f"{effect:g} logits" for effect in EFFECTS)], body, {"planted"})
    share = null / len(PLANTED) / len(EFFECTS)
    return f"{table}\n\nThe stop rule, which changes no answer, is named in {100 * share:.1f} % of data sets."


def main() -> None:
    """Print, and keep where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200, help="data sets for each planted protocol and effect")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="also written here, as Markdown")
    arguments = parser.parse_args()
    table = operating_table(arguments.draws, arguments.seed)
    print(table)
    if arguments.out:
        arguments.out.write_text(table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
