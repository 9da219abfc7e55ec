"""Table 2: the paper's numbers beside ours, as CSV (every number, full precision), Markdown and LaTeX.

With one seed the statistics are those of its items: Newcombe's interval, McNemar's exact p. With several, gain, interval and p are
of a mixed model over items and seeds (``gain_*``), accuracy is mean and range; the CSV has the lowest seed's own statistics, too.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from embedgrad.files import FAILURES
from embedgrad.reporting.printed.references import Reference, References, spread, zero_shot
from embedgrad.reporting.results.collected import Outcome, weights_notes
from embedgrad.reporting.statistics import ALPHA, holm
from embedgrad.reporting.tables import csv_bytes
from embedgrad.reporting.typeset import latex_escape, markdown_table, short, short_p
from embedgrad.reporting.verdicts.rule import WORDS
from embedgrad_core.files import markdown_escape

_LETTERS = {"wrong": "W", "no_answer": "N", "truncated": "T", "loop": "L", "undecided": "U"}
_LEGEND = "W wrong, N no answer found, T cut at the token limit, L repetition loop, U undecided"


def numbers(outcomes: Sequence[Outcome]) -> list[dict]:
    """One flat row per cell, one number per key; accuracies are fractions 0-1, gains percentage points, missing is None."""
    adjusted = iter(holm([outcome.gain.p for outcome in outcomes if outcome.gain]))
    return [_flat(outcome, next(adjusted) if outcome.metrics else None) for outcome in outcomes]


def _flat(outcome: Outcome, p_holm: float | None) -> dict:
    cell, found = outcome.cell, outcome.metrics
    first = found[0] if found else None

    def get(*keys: str) -> Any:
        value: Any = first
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    row = {
        "task": cell.task,
        "dataset": cell.dataset,
        "level": cell.level,
        "model": cell.model,
        "status": ("partial" if outcome.missing else "done") if found else "missing",
        "missing_reason": outcome.reason if outcome.missing or not found else None,
        "seeds": len(found),
        "statistics_seed": get("cell", "seed"),
        "n": get("n"),
        "paper_before": cell.before,
        "paper_after": cell.after,
        "paper_delta": cell.delta,
    }
    for side in ("before", "after"):
        low, high = get(side, "wilson") or (None, None)
        row |= {
            f"{side}_correct": get(side, "correct"),
            f"{side}_accuracy": get(side, "accuracy"),
            f"{side}_wilson_low": low,
            f"{side}_wilson_high": high,
        }
    row |= _spread("after_accuracy", [metrics["after"]["accuracy"] for metrics in found])
    low, high = get("delta", "newcombe") or (None, None)
    row |= {"delta_points": get("delta", "points"), "delta_newcombe_low": low, "delta_newcombe_high": high}
    row |= _spread("delta_points", [metrics["delta"]["points"] for metrics in found])
    gain = outcome.gain
    low, high = gain.interval if gain else (None, None)
    row |= {"gain_points": gain and gain.points, "gain_low": low, "gain_high": high, "gain_p": gain and gain.p}
    row |= {"gain_of": ("mixed model" if outcome.pooled else "items of one seed") if gain else None}
    row |= {key: get("mcnemar", key) for key in ("only_before", "only_after", "p_exact", "p_mid")} | {"p_holm": p_holm}
    row |= {key: get("gain", key) for key in ("became_extractable", "became_right", "lost_extractable", "lost_right")}
    for side in ("before", "after"):
        row |= {f"{side}_{name}": get(side, "failures", name) for name in FAILURES}
        row[f"{side}_strict_correct"] = get(side, "strict_correct")
        row |= {f"{side}_entropy_{key}": get(side, "entropy_bits", key) for key in ("mean", "mean_without_loops")}
        row[f"{side}_mean_tokens"] = get(side, "mean_tokens")
    row |= {
        "verdict": _verdict(outcome),
        "verdict_reason": get("verdict", "reason"),
        "verdict_size": get("verdict", "size"),
    }
    row |= {"first_rule_verdict": get("verdict", "first_rule", "word")}
    return row | {"stopped": _stopped(outcome)}


def _stopped(outcome: Outcome) -> str | None:
    """Why the optimisation of some seed ended before its time."""
    words = [
        f"seed {metrics['cell']['seed']}: {reason}"
        for metrics in outcome.metrics
        if (reason := (metrics.get("prompt") or {}).get("stopped"))
    ]
    return "; ".join(words) or None


def _spread(name: str, values: Sequence[float]) -> dict[str, float | None]:
    if not values:
        return {f"{name}_{kind}": None for kind in ("mean", "min", "max")}
    return {f"{name}_mean": sum(values) / len(values), f"{name}_min": min(values), f"{name}_max": max(values)}


def _verdict(outcome: Outcome) -> str | None:
    """One word if the seeds agree, else how many say what."""
    words = Counter(metrics["verdict"].get("word") for metrics in outcome.metrics)
    if len(words) == 1:
        return next(iter(words))
    return ", ".join(f"{count}× {word}" for word, count in words.items()) or None


def _others(row: dict, references: References) -> list[Reference]:
    """What others got from the cell's untouched weights without examples, the highest first."""
    return zero_shot(references.get((row["dataset"], row["model"]), ()))


def as_csv(outcomes: Sequence[Outcome], references: References | None = None) -> str:
    """The flat rows; where something is known, with the best and the least that others got from untouched weights."""
    rows = numbers(outcomes)
    published = [_others(row, references or {}) for row in rows]
    for row, found in zip(rows, published, strict=True) if any(published) else ():
        keys = ("untouched_best", "untouched_best_n", "untouched_best_protocol", "untouched_least", "untouched_numbers")
        best = (
            (found[0].percent, found[0].n, found[0].protocol, found[-1].percent, len(found)) if found else (None,) * 5
        )
        row |= dict(zip(keys, best, strict=True))
    return csv_bytes(rows, list(rows[0])).decode("utf-8")


def markdown(outcomes: Sequence[Outcome], references: References | None = None) -> str:
    """The readable table, its legend, and the intervals and failures in full, as Markdown that reads well in a terminal too."""
    rows = numbers(outcomes)
    others = {place: spread(found) for place, row in enumerate(rows) if (found := _others(row, references or {}))}
    with_paper = any(outcome.cell.paper for outcome in outcomes)
    with_note = with_paper or any(row["status"] != "done" or row["stopped"] for row in rows)
    head = ["task", "dataset", "model", "n"]
    head += ["paper: before → after (Δ)"] if with_paper else []
    head += ["untouched, by others %"] if others else []
    head += ["before: k/n (%)", "after: k/n (%)", "Δ points [95 %]", "p", "failures"]
    head += ["verdict" if with_paper else "note"] if with_note else []
    left = {"task", "dataset", "model", "failures", "verdict", "note"}
    body = []
    for place, row in enumerate(rows):
        new = place == 0 or rows[place - 1]["task"] != row["task"]
        line = [row["task"] if new else "", row["dataset"], row["model"], _or_dash(row["n"])]
        line += [_paper(row)] if with_paper else []
        line += [others.get(place, "–")] if others else []
        line += _ours(row)
        line += [_note(row)] if with_note else []
        body.append([markdown_escape(field) for field in line])
    notes = [*_notes(rows, with_paper), *(f"- {markdown_escape(note)}" for note in weights_notes(outcomes))]
    if others:
        notes.append(
            "- Untouched, by others: published accuracies of the same weights without optimised prompt and without examples "
            "(config/references.tsv); other items, prompts and templates, so a range and not a target."
        )
    parts = ["# Table 2", "", markdown_table(head, body, left), "", *notes, ""]
    done = [row for row in rows if row["status"] != "missing"]
    if done:
        parts += ["## Intervals and failures in full", "", _in_full(done), ""]
    if any(row["verdict"] for row in done):
        parts += ["## Why these verdicts", "", _reasons(done)]
    return "\n".join(parts).rstrip("\n") + "\n"


def _in_full(rows: Sequence[dict]) -> str:
    head = ["dataset", "model", "before: % [Wilson 95 %]", "after: % [Wilson 95 %]"]
    head += [name.replace("_", " ") for name in _LETTERS]
    body = []
    for row in rows:
        intervals = [
            f"{100 * row[f'{side}_accuracy']:.2f} [{100 * row[f'{side}_wilson_low']:.1f}, "
            f"{100 * row[f'{side}_wilson_high']:.1f}]"
            for side in ("before", "after")
        ]
        counts = [f"{row[f'before_{name}']} → {row[f'after_{name}']}" for name in _LETTERS]
        body.append([row["dataset"], row["model"], *intervals, *counts])
    return markdown_table(head, body, {"dataset", "model"})


def _reasons(rows: Sequence[dict]) -> str:
    judged = [row for row in rows if row["verdict"]]
    return "\n".join(
        f"- {row['dataset']}, {row['model']}: **{row['verdict']}**. {markdown_escape(row['verdict_reason'])}{_beside(row)}"
        for row in judged
    )


def _beside(row: dict) -> str:
    """What stands beside the word: the gain's size against the printed one, and the word of the first rule."""
    size = f" Size of the gain: {row['verdict_size']}." if row["verdict_size"] else ""
    return size + (f" By the first rule: {row['first_rule_verdict']}." if row["first_rule_verdict"] else "")


def _notes(rows: Sequence[dict], with_paper: bool) -> list[str]:
    done = [row for row in rows if row["status"] != "missing"]
    lines = [
        "Δ is after - before in percentage points with Newcombe's paired interval; p is the exact McNemar test.",
        f"Failures, before→after: {_LEGEND}.",
    ]
    if any(row["seeds"] > 1 for row in done):
        lines.append(
            "Several seeds: after is the mean (least to most, number of seeds); Δ, its interval and p are of a mixed model with "
            "items and seeds as crossed random effects; failures are those of the lowest seed."
        )
    if done:
        kept = sum(row["p_holm"] < ALPHA for row in done)
        lines.append(f"After Holm's correction over {len(done)} cells, {kept} have p < .05.")
    if with_paper:
        words = Counter(row["verdict"] for row in done if row["verdict"])
        verdicts = ", ".join(f"{words[word]} {word}" for word in sorted(words, key=_rank)) or "none yet"
        lines.append(f"Verdicts (rule in docs/protocol.md): {verdicts}.")
    missing = len(rows) - len(done)
    if missing:
        lines.append(f"{missing} of {len(rows)} cells are missing.")
    return [f"- {line}" for line in lines]


def _rank(word: str) -> tuple[int, str]:
    """Best verdict first, mixed ones last."""
    return (WORDS.index(word) if word in WORDS else len(WORDS)), word


def _or_dash(value: object) -> str:
    return "–" if value is None else str(value)


def _paper(row: dict) -> str:
    if row["paper_before"] is None:
        return "–"
    return f"{row['paper_before']} → {row['paper_after']} ({row['paper_delta']})"


def _ours(row: dict) -> list[str]:
    """Before, after, gain, p and failures."""
    if row["status"] == "missing":
        return ["–"] * 5
    return [_side(row, "before"), _side(row, "after"), _delta(row), short_p(row["gain_p"]), _failures(row)]


def _side(row: dict, side: str) -> str:
    if side == "after" and row["seeds"] > 1:
        mean, low, high = (100 * row[f"after_accuracy_{kind}"] for kind in ("mean", "min", "max"))
        return f"{mean:.2f} ({low:.2f} to {high:.2f}, {row['seeds']} seeds)"
    return f"{row[f'{side}_correct']}/{row['n']} ({100 * row[f'{side}_accuracy']:.2f})"


def _delta(row: dict) -> str:
    return f"{row['gain_points']:+.2f} [{row['gain_low']:+.1f}, {row['gain_high']:+.1f}]"


def _failures(row: dict) -> str:
    pairs = [(letter, row[f"before_{name}"], row[f"after_{name}"]) for name, letter in _LETTERS.items()]
    return " ".join(f"{letter}{one}→{two}" for letter, one, two in pairs if one or two) or "none"


def _note(row: dict) -> str:
    if row["status"] == "missing":
        return f"missing: {short(row['missing_reason'])}"
    partly = f"; other seeds missing: {short(row['missing_reason'])}" if row["status"] == "partial" else ""
    stopped = f"; optimisation stopped early, best prompt kept ({short(row['stopped'])})" if row["stopped"] else ""
    notes = partly + stopped
    return row["verdict"] + notes if row["verdict"] else notes.removeprefix("; ") or "–"


def latex(outcomes: Sequence[Outcome]) -> str:
    """A ``table*`` for ``\\input`` (packages booktabs and graphicx)."""
    rows = numbers(outcomes)
    head = (
        r"Dataset & Model & $n$ & before & after & $\Delta$ & before & after & $\Delta$ [95\,\%] & $p$ "
        r"& Failures & Verdict \\"
    )
    lines = [
        r"% \usepackage{booktabs,graphicx}",
        r"\begin{table*}",
        r"\centering",
        r"\caption{Accuracy in percent before and after optimisation: the paper's and ours. $\Delta$ in percentage "
        r"points with Newcombe's paired 95\,\% interval; $p$ from the exact McNemar test. Failures, before$\to$after: "
        + latex_escape(_LEGEND)
        + ".}",
        r"\label{tab:table2}",
        r"\resizebox{\textwidth}{!}{%",
        r"\begin{tabular}{llrrrrrrrrll}",
        r"\toprule",
        r"& & & \multicolumn{3}{c}{Paper} & \multicolumn{4}{c}{Ours} & & \\",
        r"\cmidrule(lr){4-6} \cmidrule(lr){7-10}",
        head,
    ]
    task = None
    for row in rows:
        if row["task"] != task:
            lines.append(r"\midrule")
        task = row["task"]
        fields = [row["dataset"], row["model"], _or_dash(row["n"])]
        fields += [_or_dash(row[f"paper_{key}"]) for key in ("before", "after", "delta")]
        fields += [*_ours(row), _note(row)]
        escaped = [latex_escape(field) for field in fields]
        escaped[9] = re.sub(r"^(\d)e-0*(\d+)$", r"$\1\\cdot10^{-\2}$", fields[9])
        lines.append(" & ".join(escaped) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}}", r"\end{table*}"]
    return "\n".join(lines) + "\n"
