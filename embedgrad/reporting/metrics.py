"""``metrics.json``: everything the table and the figures say about one cell and seed.

Accuracies and intervals of accuracies are fractions 0-1; ``delta`` is in percentage points; entropies are bits a
token (Eq. 11). A graded line has DECODED_KEYS and ``extracted``, ``correct``, ``failure``; label tasks add
``strict_correct``.
"""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from embedgrad.files import FAILURES, read_items
from embedgrad.reporting.results.agreement import check_runs
from embedgrad.reporting.results.analyses import read_sidecar
from embedgrad.reporting.results.answers import loops, read_graded, view
from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.results.history import check_epochs, read_history, training
from embedgrad.reporting.statistics import Paired, mcnemar, wilson
from embedgrad.reporting.verdicts.rule import verdict
from embedgrad_core.files import Item, UserError, sha256_of_file, write_json

# What metrics.json repeats of optimize.run.json, as far as it is there.
_PROMPT_KEYS = ("best_epoch", "epochs_run", "stopped", "settings", "layout", "anchoring", "gate")


def build_metrics(
    cell: Cell,
    seed: int,
    test_items: Sequence[Item],
    before_rows: Sequence[dict],
    after_rows: Sequence[dict],
    optimize_history: Sequence[dict] = (),
    runs: dict[str, dict | None] | None = None,
    *,
    split_sha256: str | None = None,
    target: str | None = None,
    prompt_sha256: str | None = None,
    names: tuple[str, str, str] = ("test.jsonl", "before.jsonl", "after.jsonl"),
    printed_n: int | None = None,
) -> dict:
    """The metrics of one cell and seed.

    Args:
        cell: the cell; its level chooses the items.
        seed: of the optimisation.
        test_items: the task's whole test split, all levels.
        before_rows: graded lines of the whole test split (or of the cell's items at least).
        after_rows: graded lines of exactly the cell's items.
        optimize_history: lines of ``optimize.jsonl``.
        runs: the sidecars ``optimize``, ``before``, ``after`` as they are.
        split_sha256: hash of ``split.json``.
        target: what was trained on, as ``split.json`` says.
        prompt_sha256: hash of ``prompt.safetensors``.
        names: how messages call the three files.
        printed_n: items behind the paper's percentages; None takes ours.

    Returns:
        The content of ``metrics.json``; see docs/protocol.md for the keys.

    Raises:
        UserError: rows that do not fit the split or each other; names both files.
    """
    runs = {name: (runs or {}).get(name) for name in ("optimize", "before", "after")}
    known = {item.id for item in test_items}
    wanted = [item.id for item in test_items if cell.level is None or item.level == cell.level]
    if not wanted:
        raise UserError(f"{names[0]}: no item of level {cell.level!r}, which the cell {cell.name} needs.")
    before = view(before_rows, wanted, known, names[1], names[0])
    after = view(after_rows, wanted, set(wanted), names[2], names[0])
    n = len(wanted)
    one, two = _side(before, names[1]), _side(after, names[2])
    pairs = Paired.of((row["correct"] for row in before), (row["correct"] for row in after))
    p_exact, p_mid = mcnemar(pairs.only_before, pairs.only_after)
    return {
        "cell": {"dataset": cell.dataset, "task": cell.task, "level": cell.level, "model": cell.model, "seed": seed},
        "n": n,
        "before": one,
        "after": two,
        "delta": {"points": pairs.points, "newcombe": list(pairs.interval)},
        "mcnemar": {
            "only_before": pairs.only_before,
            "only_after": pairs.only_after,
            "p_exact": p_exact,
            "p_mid": p_mid,
        },
        "gain": _gain(before, after),
        "training": training(optimize_history),
        "paper": cell.paper,
        "verdict": verdict(pairs, cell.paper, printed_n),
        "prompt": _prompt(runs, prompt_sha256, names[2]),
        "split": {"sha256": split_sha256} | ({"target": target} if target else {}),
        "run": runs,
    }


def metrics_from_files(
    cell: Cell,
    seed: int,
    *,
    test: str | Path,
    before: str | Path,
    after: str | Path,
    history: str | Path | None = None,
    before_run: str | Path | None = None,
    after_run: str | Path | None = None,
    optimize_run: str | Path | None = None,
    split: str | Path | None = None,
    prompt: str | Path | None = None,
    out: str | Path | None = None,
    printed_n: int | None = None,
) -> dict:
    """``build_metrics`` from the files of a run; with ``out``, written there whole or not at all.

    Raises:
        UserError: a file that is missing, cut short, or does not fit the others.
    """
    runs = {"optimize": _sidecar(optimize_run), "before": _sidecar(before_run), "after": _sidecar(after_run)}
    graded = {name: read_graded(path, runs[name]) for name, path in (("before", before), ("after", after))}
    certificate = _sidecar(split) or {}
    check_runs(runs, certificate.get("files") or {}, _hash(test))
    epochs = read_history(history) if history else ()
    if history:
        check_epochs(epochs, (runs["optimize"] or {}).get("epochs_run"), history)
    metrics = build_metrics(
        cell,
        seed,
        read_items(test),
        graded["before"],
        graded["after"],
        epochs,
        runs,
        split_sha256=_hash(split),
        target=certificate.get("target"),
        prompt_sha256=_hash(prompt),
        names=(str(test), str(before), str(after)),
        printed_n=printed_n,
    )
    if out:
        write_json(out, metrics)
    return metrics


def _sidecar(path: str | Path | None) -> dict | None:
    return None if path is None else read_sidecar(path)


def _hash(path: str | Path | None) -> str | None:
    if path is None:
        return None
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file.")
    return sha256_of_file(path)


def _side(rows: Sequence[dict], name: str) -> dict:
    n = len(rows)
    correct = sum(row["correct"] for row in rows)
    failures = Counter(row["failure"] for row in rows)
    strict = [row["strict_correct"] for row in rows if "strict_correct" in row]
    if strict and len(strict) != n:
        raise UserError(f"{name}: {n - len(strict)} of {n} lines lack 'strict_correct'; grade again.")
    steady = [row for row in rows if not loops(row)]
    return {
        "correct": correct,
        "accuracy": correct / n,
        "wilson": list(wilson(correct, n)),
        "failures": {failure: failures[failure] for failure in FAILURES},
        "strict_correct": sum(strict) if strict else None,
        "entropy_bits": {
            "mean": _mean([row["entropy_bits"] for row in rows]),
            "mean_without_loops": _mean([row["entropy_bits"] for row in steady]),
            "n_without_loops": len(steady),
        },
        "mean_tokens": sum(row["n_tokens"] for row in rows) / n,
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """Mean of what is there: an answer of no tokens has no entropy."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _gain(before: Sequence[dict], after: Sequence[dict]) -> dict[str, int]:
    """The change in right answers, split exactly: net = became_* - lost_*.

    "Extractable" is format: the item had no answer on the other side. "Right" is content: it had one, a wrong one.
    """
    counts = dict.fromkeys(("became_extractable", "became_right", "lost_extractable", "lost_right"), 0)
    for one, two in zip(before, after, strict=True):
        if two["correct"] and not one["correct"]:
            counts["became_extractable" if one["extracted"] is None else "became_right"] += 1
        elif one["correct"] and not two["correct"]:
            counts["lost_extractable" if two["extracted"] is None else "lost_right"] += 1
    net = counts["became_extractable"] + counts["became_right"] - counts["lost_extractable"] - counts["lost_right"]
    return counts | {
        "net": net,
        "extracted_before": sum(row["extracted"] is not None for row in before),
        "extracted_after": sum(row["extracted"] is not None for row in after),
    }


def _prompt(runs: dict[str, dict | None], sha256: str | None, after_name: str) -> dict:
    used = (runs["after"] or {}).get("prompt_sha256")
    if used and sha256 and used != sha256:
        raise UserError(
            f"{after_name}: answered with the prompt {str(used)[:12]}…, but the cell's prompt file is {sha256[:12]}…; "
            "decode again."
        )
    optimize = runs["optimize"] or {}
    return {"sha256": sha256 or used} | {key: optimize[key] for key in _PROMPT_KEYS if key in optimize}
