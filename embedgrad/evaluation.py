"""Two prompts on the same items: which items may be counted, what the graded answers say, and whose numbers those are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from embedgrad.reporting.statistics import Paired, mcnemar, wilson
from embedgrad.tasks.own.data import fingerprint
from embedgrad_core.files import Item, UserError

if TYPE_CHECKING:
    from embedgrad_core import FrozenModel, PromptEmbedding


@dataclass(frozen=True)
class Evaluation:
    """One prompt before and after on the same items, or two texts; None stands for what a single one cannot have.

    Attributes:
        n: items.
        before: right answers of the text prompt.
        after: right answers of the optimised one.
        points: after − before in percentage points.
        interval: 95 % interval of ``points`` (Newcombe's paired method).
        p: two-sided p of the exact McNemar test.
        wilson: 95 % intervals of both accuracies, as fractions.
        failures: for both sides how many answers failed in which way.
        left_out: items that the prompt was trained on.
        measured: whose numbers these are, see :func:`measured`.
        rows: the graded answers of both sides, item by item.
    """

    n: int
    before: int
    after: int | None
    points: float | None
    interval: tuple[float, float] | None
    p: float | None
    wilson: dict[str, tuple[float, float]]
    failures: dict[str, dict[str, int]]
    left_out: int
    measured: dict
    rows: list[dict] = field(repr=False)

    def __str__(self) -> str:
        left = f" ({self.left_out} items that it was trained on are left out)" if self.left_out else ""
        left += f" ({self.measured['seen']} items are some that it was trained on)" if self.measured["seen"] else ""
        if self.after is None or self.interval is None:
            low, high = self.wilson["before"]
            return (
                f"right {self.before}/{self.n} ({100 * self.before / self.n:.1f} %), 95 % interval {100 * low:.1f} to "
                f"{100 * high:.1f} %"
            )
        return (
            f"before {self.before}/{self.n} ({100 * self.before / self.n:.1f} %), after {self.after}/{self.n} "
            f"({100 * self.after / self.n:.1f} %): {self.points:+.1f} points [{self.interval[0]:+.1f}, {self.interval[1]:+.1f}], "
            f"exact McNemar p = {self.p:.2g}{left}"
        )

    def row(self) -> dict:
        """As JSON, without the answers."""
        return {key: value for key, value in asdict(self).items() if key != "rows"}


def measured(
    frozen: "FrozenModel", prompt: "PromptEmbedding", items: Sequence[Item], data: str | Path | None, keep_seen: bool
) -> dict:
    """The key ``measured`` of what ``embedgrad evaluate --json`` prints.

    Returns:
        ``prompt``: hash of the prompt's vectors and tokens; ``model``: its name and what that was resolved to; ``data``: a file's
        name or a hub data set; ``keep_seen``: whether items that the prompt was trained on were kept, and ``seen`` how many of
        the answered ones they are, null where the prompt does not say what it was trained on.
    """
    trained_on = None if prompt.header.get("seen") is None else set(prompt.header["seen"])
    name = None if data is None else Path(data).name if Path(data).is_file() else str(data)
    return {
        "prompt": prompt.content_sha256(),
        "model": {"name": frozen.name, "resolved": frozen.resolved},
        "data": name,
        "keep_seen": keep_seen,
        "seen": None if trained_on is None else sum(fingerprint(item.input) in trained_on for item in items),
    }


def unseen(items: Sequence[Item], *prompts: "PromptEmbedding") -> list[Item]:
    """The items that none of the prompts was trained on.

    Raises:
        UserError: none is left.
    """
    seen = {one for prompt in prompts for one in prompt.header.get("seen", ())}
    left = [item for item in items if fingerprint(item.input) not in seen]
    if not left:
        raise UserError("the prompt was trained on every one of these items; give others, or keep them (--keep-seen).")
    return left


def evaluation_of(
    items: Sequence[Item], graded: dict[str, dict[str, dict]], left_out: int, measured: dict
) -> Evaluation:
    """The comparison of graded answers, ``before`` and ``after``, each by item id; or what can be said of ``before`` alone."""
    right = {side: [rows[item.id]["correct"] for item in items] for side, rows in graded.items()}
    pairs = Paired.of(right["before"], right["after"]) if "after" in right else None
    return Evaluation(
        n=len(items),
        before=sum(right["before"]),
        after=sum(right["after"]) if pairs else None,
        points=pairs.points if pairs else None,
        interval=pairs.interval if pairs else None,
        p=mcnemar(pairs.only_before, pairs.only_after)[0] if pairs else None,
        wilson={side: wilson(sum(found), len(found)) for side, found in right.items()},
        failures={side: dict(Counter(row["failure"] for row in rows.values())) for side, rows in graded.items()},
        left_out=left_out,
        measured=measured,
        rows=[{side: rows[item.id] for side, rows in graded.items()} for item in items],
    )
