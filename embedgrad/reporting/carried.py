"""What is left of optimised prompts on other models and in words: reports of `embedgrad transfer` and `distil`, side by side."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from embedgrad.reporting.results.carried import Report, read_transfer, read_words
from embedgrad.reporting.results.probes import Ranged, flat
from embedgrad.reporting.statistics import holm
from embedgrad.reporting.typeset import markdown_table, short_p
from embedgrad_core.files import markdown_escape

# The prompts of a report, as a table names them.
NAMES = {
    "text": "text prompt",
    "optimised": "optimised there",
    "transferred": "carried over",
    "random": "random displacement",
    "transferred_steps": "carried over, {steps} steps",
    "scratch_steps": "text prompt, {steps} steps",
    "distilled": "words",
    "random_words": "random words",
}

P_VALUES = ("p", "loss p", "label loss p")


def rows(reports: Iterable[Report]) -> list[dict]:
    """A line per prompt of each report, with its gain over the text prompt and share of the optimised one's; then one per contrast.

    ``p (Holm)`` is corrected over the reports, for each prompt and what it is held against by itself. Prompts carried to their own
    model are controls and no tests of that family, and have none; a test of prompts that come from no other model, which stands
    in the report of every model that its own takes a prompt from, is one test.
    """
    found = [(report, line) for report in reports for line in [*_arms(report), *_contrasts(report)]]
    families: dict[tuple[str, str, str], list[tuple[tuple, dict]]] = {}
    for report, line in found:
        for name in P_VALUES:
            if line.get(name) is not None and not report.is_control:
                family = families.setdefault((line["prompt"], line["over"], name), [])
                family.append((_test(report, line), line))
    for (*_, name), family in families.items():
        tests = {test: line[name] for test, line in family}
        adjusted = dict(zip(tests, holm([*tests.values()]), strict=True))
        for test, line in family:
            line[f"{name} (Holm)"] = adjusted[test]
    return [line for _, line in found]


def _test(report: Report, line: dict) -> tuple:
    """What makes a line's tests another report's: data set and model, where a prompt comes from, or the same numbers."""
    at_home = {_name(name, report) for name in ("text", "optimised", "scratch_steps")}
    if {line["prompt"], line["over"]} <= at_home:
        return report.dataset, report.model, *(line.get(name) for name in P_VALUES)
    return report.dataset, report.model, report.source


def _arms(report: Report) -> list[dict]:
    lines = []
    arms = report.found["arms"]
    for name in sorted(arms, key=[*NAMES, *arms].index):
        row = arms[name]
        line = report.where | {"prompt": _name(name, report), "over": "" if name == "text" else NAMES["text"]}
        if "tokens" in row:
            line["tokens"] = row["tokens"]
        line |= {"n": row["n"], "right": row["correct"], "loss": round(row["loss"], 4)}
        if "label_loss" in row:
            line["label loss"] = round(row["label_loss"], 4)
            line["AUROC"] = Ranged.of(row["auroc"], row["auroc_interval"], digits=2)
        if name != "text":
            line |= _gains(row)
        if kept := row.get("share"):
            names = {"loss": "loss", "label": "label loss", "accuracy": "accuracy"}
            line |= {f"share of {told}, %": _share(kept[one]) for one, told in names.items() if one in kept}
        if "divergence" in row:
            line["divergence"] = round(row["divergence"]["mean"], 4)
            line["note"] = row.get("words") or ""
        if name == "random":
            losses, below = report.found["controls"]["losses"], report.found["controls"]["below_transferred"]
            told = ", ".join(f"{one:.3f}" for one in losses)
            line["note"] = f"{len(losses)} of them: {told}; {below} below the carried prompt"
        lines.append(line)
    return lines


def _contrasts(report: Report) -> list[dict]:
    return [
        report.where | {"prompt": _name(one["of"], report), "over": _name(one["over"], report)} | _gains(one)
        for one in report.found["contrasts"]
    ]


def _gains(row: dict) -> dict:
    told = {"loss": "loss", "label": "label loss"}
    gains = {
        f"{name} gained": Ranged.of(row[f"{one}_gain"], row[f"{one}_interval"], digits=3)
        for one, name in told.items()
        if f"{one}_gain" in row
    }
    return {
        **gains,
        **{f"{name} p": row[f"{one}_p"] for one, name in told.items() if f"{one}_gain" in row},
        **_ranked(row),
        "points": Ranged.of(row["points"], row["interval"], digits=1),
        "p": row["p"],
    }


def _ranked(row: dict) -> dict:
    if "auroc_gain" not in row:
        return {}
    return {"AUROC gained": Ranged.of(row["auroc_gain"], row["auroc_gain_interval"], digits=2)}


def _share(found: dict) -> Ranged:
    # Without bounds the whole gain cannot be told from 0, and a share of it says nothing.
    return Ranged.of(found["value"] if found["interval"] else None, found["interval"], 100, 1)


def _name(name: str, report: Report) -> str:
    return NAMES.get(name, name).format(steps=report.found["settings"].get("steps", 0))


def csv_rows(lines: Sequence[dict]) -> list[dict]:
    """The lines with a column per number."""
    return [{key.replace(" ", "_").replace(",_%", ""): one for key, one in row.items()} for row in flat(lines)]


def markdown(lines: Sequence[dict], sentence: str) -> str:
    """The sentence, and the lines as a table; the p values after Holm's correction alone."""
    header = list(dict.fromkeys(key for line in lines for key in line if key not in (*P_VALUES, "note")))
    header += ["note"] if any("note" in line for line in lines) else []
    words = {key for line in lines for key, value in line.items() if isinstance(value, str)}
    body = [[markdown_escape(shown(key, line.get(key)) or "–") for key in header] for line in lines]
    return f"{sentence}\n\n{markdown_table(header, body, words)}\n\n{LEGEND}\n"


def shown(column: str, value: Any) -> str:
    """A field of a line as readers see it; empty where there is none."""
    if value is None:
        return ""
    return short_p(value) if column.removesuffix(" (Holm)") in P_VALUES else str(value)


LEGEND = (
    "- loss: of the target, nats per item; label loss: of the right label among the labels alone, which leaves out what it takes "
    "to say a label at all; gained: less than the other prompt's, item by item, with its 95 % interval; p of the paired t test. "
    "points: right answers more, with Newcombe's interval; p of McNemar's exact test. Holm: over "
    "the pairs of models (or the words) of one kind of line, each test once; a prompt carried to its own model is a control and "
    "has none.\n"
    "- Guessing among C labels costs ln C of label loss: 0.69 nats of two, 2.08 of eight. A prompt above that is surer of wrong "
    "labels than of right ones, and gains by whatever makes it less sure, random words as well. Right answers move with the label "
    "that a prompt leans to; AUROC (of several labels the mean of each against the rest; bootstrap intervals) does not.\n"
    "- share: of what the prompt optimised on that model gains over the text prompt, with Fieller's interval of the pairs; – where "
    "it has no bounds. Right answers are the likeliest labels where the answers are a closed set."
)


def transfer_sentence(reports: Sequence[Report]) -> str:
    """What prompts keep elsewhere, beside what must give 100 % and what chance gives."""
    away, home = ([one for one in reports if one.is_control is kind] for kind in (False, True))
    told = []
    if away:
        told.append(
            f"On another model a prompt keeps {_shares(away, 'transferred')} of the gain in loss that optimisation has there, a "
            f"random displacement as long {_shares(away, 'random')} ({_counted(len(away), 'pair')})."
        )
        told += _among_labels(away, "transferred", "random", "a random displacement", "pair")
        told += _ranking(away, "transferred", "pair")
        ahead = [_against(one, "transferred_steps", "scratch_steps") for one in away]
        if known := [one for one in ahead if one is not None]:
            told.append(
                f"After the same steps it is ahead of the text prompt in {sum(one > 0 for one in known)} and behind it in "
                f"{sum(one < 0 for one in known)} of {_counted(len(known), 'pair')} (paired t test of the loss, p < .05 before "
                "any correction)."
            )
    if home:
        kept = f"{_shares(home, 'transferred')} ({_counted(len(home), 'cell')})"
        told.append(f"Carried to its own model, where all must be left, it keeps {kept}.")
    return " ".join(told)


def words_sentence(reports: Sequence[Report]) -> str:
    """What is left in words, beside random words."""
    told = f"In words a prompt keeps {_shares(reports, 'distilled')} of its gain in loss, in random words "
    told += f"{_shares(reports, 'random_words')} ({_counted(len(reports), 'cell')})."
    among = _among_labels(reports, "distilled", "random_words", "random words", "cell")
    told = " ".join([told, *among, *_ranking(reports, "distilled", "cell")])
    own = sum(one.found["way"] == "text" for one in reports)
    return told + (f" For {own} of them nothing was nearer than the prompt's own text." if own else "")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _among_labels(reports: Sequence[Report], name: str, control: str, called: str, what: str) -> list[str]:
    """What is kept of the gain in label loss, where a report has it: the gain in loss is mostly that a label is said at all."""
    asked = [one for one in reports if "label" in one.found["arms"][name].get("share", {})]
    told = [one for one in asked if one.found["arms"][name]["share"]["label"]["interval"]]
    if not asked:
        return []
    where = f"can be told from 0 in {len(told)} of {_counted(len(asked), what)}"
    kept = (
        f": of it {_shares(told, name, 'label')} is kept, by {called} {_shares(told, control, 'label')}" if told else ""
    )
    return [f"The gain among the labels alone, which leaves out saying a label at all, {where}{kept}."]


def _ranking(reports: Sequence[Report], name: str, what: str) -> list[str]:
    """In how many reports a prompt ranks items better than the text prompt, whatever label either leans to."""
    known = [ends for one in reports if (ends := one.found["arms"][name].get("auroc_gain_interval"))]
    if not known:
        return []
    up, down = sum(low > 0 for low, _ in known), sum(high < 0 for _, high in known)
    return [
        f"It ranks items by their labels better than the text prompt in {up} and worse in {down} of {_counted(len(known), what)}."
    ]


def _shares(reports: Sequence[Report], name: str, of: str = "loss") -> str:
    found = [one.found["arms"][name].get("share", {}).get(of, {}) for one in reports]
    known = [100 * one["value"] for one in found if one.get("interval")]
    if not known:
        return "no share that could be told"
    low, high = f"{min(known):.0f}", f"{max(known):.0f}"
    return f"{low} %" if low == high else f"{low} to {high} % (median {median(known):.0f})"


def _against(report: Report, of: str, over: str) -> int | None:
    """1 where a prompt's loss is lower than another's beyond chance, -1 where higher, 0 where that cannot be told; or None."""
    for one in report.found["contrasts"]:
        if (one["of"], one["over"]) == (of, over):
            sure = one["loss_p"] is not None and one["loss_p"] < 0.05
            return (1 if one["loss_gain"] > 0 else -1) if sure else 0
    return None


@dataclass(frozen=True)
class Kind:
    """One of the two tables: how its reports are read, what it is called, what to see in it, and what it says."""

    title: str
    caption: str
    read: Callable[[str | Path], Report]
    sentence: Callable[[Sequence[Report]], str]


KINDS = {
    "transfer": Kind(
        "On another model",
        "Each prompt's displacement through a linear map between the embedding tables. It would mean nothing if random "
        "displacements as long did as well; it would be no start if the text prompt did as well after the same steps. Back on its "
        "own model all of the gain must be left. Hollow marks took steps on the model they answer with; lines are 95 % intervals.",
        read_transfer,
        transfer_sentence,
    ),
    "words": Kind(
        "In human words",
        "The words nearest to each prompt's answers that a search within its budget found on train and dev. Where random words do "
        "as well, they are no distillate.",
        read_words,
        words_sentence,
    ),
}
