"""Made-up results of every probe, for what is shown of them; by the probe itself where that needs no model."""

import json
import math
import random

import numpy as np

from embedgrad.probes.calibration import calibration
from embedgrad.probes.cost import cost
from embedgrad.probes.shuffled import split_gain
from embedgrad.probes.trajectory import overfitting
from embedgrad.probes.variance.gain import variance
from embedgrad.probes.variance.runs import CellRun
from embedgrad.reporting.statistics import wilson

LABELS = ["positive", "negative"]
TASKS = ("sentiment", "parity", "arithmetic")


def contamination(true_control=True, exact=1):
    """Test inputs that are told apart from their controls."""
    side = {"n": 64, "exact": exact, "exact_interval": list(wilson(exact, 64)), "rouge_l": 0.31, "min_k": -6.25}
    return {
        "control_kind": "fresh" if true_control else "dealt out",
        "true_control": true_control,
        "levels_left_out": [],
        "test": side,
        "control": side | {"exact": 0, "exact_interval": list(wilson(0, 64)), "min_k": -7.5},
        "auroc": {
            "rouge_l": {"value": 0.55, "interval": [0.45, 0.65]},
            "min_k": {"value": 0.75, "interval": [0.66, 0.83]},
        },
    }


def robustness():
    """One change that costs the optimised prompt more, one that costs it less, one not asked, an injection and its control."""

    def told(plain, changed, lost, interval, p):
        def side(name):
            drop = 100 * (plain[name] - changed[name]) / 32
            return {"plain": plain[name], "changed": changed[name], "drop": drop, "interval": [drop - 9, drop + 9]}

        sides = {name: side(name) for name in ("text", "optimised")}
        return {"n": 32, "n_plain": 32, **sides, "lost": {"points": lost, "interval": interval, "p": p}, "obeyed": None}

    plain = {"text": 16, "optimised": 28}
    worse = told(plain, {"text": 15, "optimised": 20}, 21.875, [5.0, 38.0], 0.0123)
    better = told(plain, {"text": 4, "optimised": 28}, -37.5, [-55.0, -19.0], 0.0001)

    def given(text, optimised, beyond, p):
        sides = {
            name: {"asked": asked, "rate_interval": list(wilson(asked, 32)), "not_asked": 4, "beyond": beyond}
            for name, asked in (("text", text), ("optimised", optimised))
        }
        even = told(plain, {"text": 14, "optimised": 26}, 0.0, [-20.0, 20.0], 1.0)
        apart = {"points": -50.0, "interval": [-68.0, -28.0]}
        return even | {"obeyed": sides | {"difference": apart, "difference_of_changes": apart | {"p": p}}}

    even = given(24, 8, {"points": 6.25, "interval": [-9.0, 21.0]}, 0.00123)
    named = given(22, 6, None, 0.04)
    other = told(plain, {"text": 9, "optimised": 12}, 28.1, [-3.0, 57.0], 0.081)
    other |= {side: other[side] | {"drop": None, "interval": None} for side in ("text", "optimised")}
    found = {"paraphrase": better, "typos": worse, "label_order": None, "other_domain": other}
    found |= {"mention": named, "injection": even}
    what = "what was changed, and in how many of the words of the items that were asked"
    return {
        "n": 32,
        "conditions": {
            name: {"what": what, "reason": None if one else "the prompt names fewer than two label words", "found": one}
            for name, one in found.items()
        },
    }


def transfer_matrix(own="sentiment", gains=(30.0, -6.25, 3.125)):
    """A prompt that helps on its own task; one task does not fit the context."""
    asked = []
    for task, gain in zip(TASKS, gains, strict=True):
        for reading in ("generated", "likelihood"):
            text, n = 12, 32
            optimised = text + round(gain * n / 100)
            numbers = {"n": n, "text": text, "optimised": optimised, "interval": list(wilson(optimised, n))}
            numbers |= {"gain": gain, "gain_interval": [gain - 14.0, gain + 14.0]}
            numbers["p"] = 0.0012 if gain > 15 else 0.02 if gain > 9 else 0.5
            fits = not (task == "arithmetic" and reading == "likelihood")
            left_out = None if fits else "its answers are open"
            asked.append({"task": task, "reading": reading, "left_out": left_out, "found": numbers if fits else None})
    first = sorted(asked, key=lambda one: one["task"] != own)
    return {"asked": first}


def split_variance(splits=4, orders=2):
    """Runs of several splits of a cell of 80 items."""
    chance = np.random.default_rng(2)
    runs = []
    for split in range(splits):
        half = chance.permutation(80)[:40]
        for order in range(orders):
            after = chance.random(40) < 0.2 + 0.15 * split
            verdicts = {f"i{item}": (False, bool(right)) for item, right in zip(half, after, strict=True)}
            runs.append(CellRun(split, order, None, verdicts))
    return json.loads(json.dumps(variance(runs)))  # its tuples as lists


def label_forecasts():
    """A text prompt that knows nothing, an optimised one that knows most."""
    chance = np.random.default_rng(1)
    truth = chance.integers(2, size=60)
    readings = {
        "text prompt": chance.normal(-9, 1, (60, 2)),
        "optimised prompt": np.log(np.eye(2)[truth] * 0.6 + 0.1),
        "rewrite": np.log(np.eye(2)[truth] * 0.3 + 0.2 + 0.1 * chance.random((60, 2))),
    }
    answers = [LABELS[one] for one in truth]
    return calibration(LABELS, answers, answers, {name: one.tolist() for name, one in readings.items()}, [1, 2])


def shuffled():
    """Half of the gain is format."""

    def graded(right):
        return [{"correct": ok, "extracted": "x", "failure": "none" if ok else "wrong"} for ok in right]

    sides = {"before": 0, "shuffled": 32, "after": 60}
    before, dealt, after = (graded([place < right for place in range(64)]) for right in sides.values())
    found = split_gain(before, [dealt, dealt[::-1], dealt], after)
    for one in found["dealings"]:
        one |= {"dealt": {"same": 25, "expected": 25.0, "n": 50}, "likeliest": 33}
    return found | {"epochs": 4, "seed": 0, "likeliest_before": 40}


def trajectory(epochs=20):
    """The test loss turns after the fifth epoch."""
    chance = random.Random(4)
    curve = [0.4 + 2 * math.exp(-epoch / 2) + 0.05 * max(0, epoch - 5) for epoch in range(epochs + 1)]
    dev, test = ([[one + chance.gauss(0, 0.1) for _ in range(n)] for one in curve] for n in (20, 64))
    rows = []
    for epoch, (one, other) in enumerate(zip(dev, test, strict=True)):
        read = {
            name: {"loss": sum(some) / len(some), "accuracy": 0.5 + epoch / 50, "written": 0.4, "entropy_bits": 0.7}
            for name, some in (("dev", one), ("test", other))
        }
        nearest = {"4": [" positive", " lovely"]} if epoch > 3 else {}
        row = {"epoch": epoch, "train_loss": curve[epoch] if epoch else None, "drift": epoch / 10, "tokens_kept": 9}
        rows.append(row | {"nearest": nearest} | read)
    return {"n": {"dev": 20, "test": 64}, "positions": 10, "epochs": rows, **overfitting(dev, test)}


def costs():
    """A gain of ten points in twenty seconds."""
    runs = {"optimize": {"seconds": 20.0, "peak_memory_bytes": 4e8}, "before": {"seconds": 6.0, "new_tokens": 900}}
    runs |= {"after": {"seconds": 5.0, "new_tokens": 700}, "analyse": {"seconds": 9.0}}
    metrics = {"n": 84, "run": runs, "delta": {"points": 10.0, "newcombe": [5.0, 20.0]}}
    return cost(metrics, [{"epoch": 1, "seconds": 18.0, "tokens_per_s": 500.0}], {"baselines": [{"s": 14.0}]})


RESULTS = {
    "calibration": label_forecasts,
    "shuffled": shuffled,
    "trajectory": trajectory,
    "contamination": contamination,
    "robustness": robustness,
    "variance": split_variance,
    "transfer_matrix": transfer_matrix,
    "cost": costs,
}
