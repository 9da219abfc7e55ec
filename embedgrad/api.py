"""The method for a prompt and data of one's own, in five lines of Python.

Example::

    import embedgrad

    model, prompt = "Qwen/Qwen2.5-0.5B-Instruct", "Positive or negative?"
    tuned = embedgrad.optimize(model, prompt, "reviews.csv", labels=["positive", "negative"])
    tuned.save("prompt.safetensors")
    print(tuned.evaluate("more_reviews.csv"))
    print(tuned.generate("A lovely film."))
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from contracts import Item, UserError
from embedgrad.grading import Grader
from embedgrad.provenance import versions
from embedgrad.stored import stored_decoding, stored_grader
from embedgrad.tuning import tune
from embedgrad_core import (
    FrozenModel,
    Layout,
    LoopRule,
    PromptEmbedding,
    Settings,
    decode,
    load_model,
    read_prompt_file,
)
from reporting.statistics import mcnemar, newcombe_paired, wilson
from tasks.own import Columns, fingerprint, label_names, read_own, split_own


@dataclass(frozen=True)
class Evaluation:
    """One prompt before and after on the same items.

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
        rows: the graded answers of both sides, item by item.
    """

    n: int
    before: int
    after: int
    points: float
    interval: tuple[float, float]
    p: float
    wilson: dict[str, tuple[float, float]]
    failures: dict[str, dict[str, int]]
    left_out: int
    rows: list[dict] = field(repr=False)

    def __str__(self) -> str:
        left = f" ({self.left_out} items that it was trained on are left out)" if self.left_out else ""
        return (
            f"before {self.before}/{self.n} ({100 * self.before / self.n:.1f} %), after {self.after}/{self.n} "
            f"({100 * self.after / self.n:.1f} %): {self.points:+.1f} points [{self.interval[0]:+.1f}, {self.interval[1]:+.1f}], "
            f"exact McNemar p = {self.p:.2g}{left}"
        )

    def row(self) -> dict:
        """As JSON, without the answers."""
        return {key: value for key, value in asdict(self).items() if key != "rows"}


@dataclass
class TunedPrompt:
    """An optimised prompt with its model: ask it, measure it, save it."""

    frozen: FrozenModel
    prompt: PromptEmbedding
    grader: Grader | None
    decoding: dict
    history: list[dict] = field(default_factory=list, repr=False)

    def save(self, path: str | Path) -> None:
        """Write the prompt file."""
        self.prompt.save(path, {"versions": versions()})

    def generate(self, text: str | Sequence[str], *, optimized: bool = True) -> str | list[str]:
        """Answer one input, or each of several; with ``optimized=False`` by the text prompt."""
        several = [text] if isinstance(text, str) else list(text)
        if empty := [place for place, one in enumerate(several, start=1) if not one.strip()]:
            raise UserError(f"input {empty[0]} is empty; write at least one word.")
        items = [Item(f"{place:08d}", one, "", "") for place, one in enumerate(several)]
        vectors = self.prompt.vectors if optimized else self.prompt.initial
        answers = [row.output for row in decode(self.frozen, self.prompt.slot, vectors, items, **self.decoding)]
        return answers[0] if isinstance(text, str) else answers

    def evaluate(
        self, data: str | Path | Sequence[Item], *, columns: Columns | None = None, keep_seen: bool = False, **hub: str
    ) -> Evaluation:
        """Answer and grade every item with the text prompt and with the optimised one.

        Args:
            data: a file or hub data set (``tasks.own``), or items.
            columns: of a file or hub data set.
            keep_seen: also count items that the prompt was trained on.
            hub: ``revision``, ``config`` and ``split`` of a hub data set.

        Raises:
            UserError: no grader, no item left, or data that cannot be read.
        """
        if self.grader is None:
            raise UserError("this prompt does not say how answers are checked; give an evaluator.")
        if isinstance(data, (str, Path)):
            data = read_own(data, self.grader.evaluator, self.grader.options.get("labels", ()), columns, **hub)
        seen = set() if keep_seen else set(self.prompt.header.get("seen", ()))
        items = [item for item in data if fingerprint(item.input) not in seen]
        if not items:
            raise UserError(
                "the prompt was trained on every one of these items; give others, or keep them (--keep-seen)."
            )
        graded: dict[str, dict[str, dict]] = {}
        gold = {item.id: item.answer for item in items}
        for side, vectors in (("before", self.prompt.initial), ("after", self.prompt.vectors)):
            rows = decode(self.frozen, self.prompt.slot, vectors, items, **self.decoding)
            graded[side] = {row.id: self.grader.line(row.row(), gold[row.id]) for row in rows}
        return _evaluation(items, graded, len(data) - len(items))


def _evaluation(items: Sequence[Item], graded: dict[str, dict[str, dict]], left_out: int) -> Evaluation:
    pairs = Counter((graded["before"][item.id]["correct"], graded["after"][item.id]["correct"]) for item in items)
    both, lost, won, neither = (pairs[key] for key in ((True, True), (True, False), (False, True), (False, False)))
    n = len(items)
    low, high = newcombe_paired(both, lost, won, neither)
    return Evaluation(
        n=n,
        before=both + lost,
        after=both + won,
        points=100 * (won - lost) / n,
        interval=(100 * low, 100 * high),
        p=mcnemar(lost, won)[0],
        wilson={"before": wilson(both + lost, n), "after": wilson(both + won, n)},
        failures={side: dict(Counter(row["failure"] for row in rows.values())) for side, rows in graded.items()},
        left_out=left_out,
        rows=[{"before": graded["before"][item.id], "after": graded["after"][item.id]} for item in items],
    )


def make_grader(evaluator: str | None, labels: Sequence[str] | None, strict: bool = False) -> Grader:
    """The grader of ``evaluator``; ``label`` where only labels are given.

    Raises:
        UserError: neither is given, an unknown evaluator, or labels that ``tasks.own.label_names`` refuses.
    """
    evaluator = evaluator or ("label" if labels else None)
    if evaluator not in ("label", "yes_no", "boxed_math", "exact"):
        raise UserError(f"evaluator is {evaluator!r}; give label (with labels), yes_no, boxed_math or exact.")
    if evaluator == "label":
        label_names(labels or ())
    return Grader(evaluator, {"labels": list(labels)} if evaluator == "label" else {}, strict)


def optimize(
    model: str | FrozenModel,
    prompt: str,
    data: str | Path | Sequence[Item],
    *,
    evaluator: str | None = None,
    labels: Sequence[str] | None = None,
    dev: str | Path | Sequence[Item] | None = None,
    columns: Columns | None = None,
    layout: str | Layout = "bare",
    max_new_tokens: int = 512,
    decode_batch_size: int = 16,
    dev_fraction: float = 0.2,
    revision: str = "main",
    device: str = "auto",
    dtype: str = "auto",
    device_map: str = "none",
    say: Callable[[str], None] = print,
    **settings: object,
) -> TunedPrompt:
    """Optimise a prompt's embeddings on labelled items while the model stays frozen (Eq. 1-7).

    Args:
        model: hub id, local folder, or a model already loaded.
        prompt: the human prompt, verbatim.
        data: training items: a file or hub data set, or items.
        evaluator: ``label``, ``yes_no``, ``boxed_math`` or ``exact``.
        labels: the classes of ``label``.
        dev: items for early stopping; split off ``data`` if None.
        columns: names of the columns in ``data`` and ``dev``.
        layout: ``bare``, ``chat``, or a :class:`Layout`.
        max_new_tokens: token limit of an answer.
        decode_batch_size: rows decoded together.
        dev_fraction: share of ``data`` split off.
        revision: of a hub model.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        device_map: ``none``, or ``auto`` or ``balanced``: the layers over all visible cards.
        say: where plain lines go.
        settings: any field of :class:`embedgrad_core.Settings`, e.g. ``learning_rate=0.01``, ``epochs=10``.

    Raises:
        UserError: anything about model, prompt or data that the user can mend.
    """
    grader = make_grader(evaluator, labels)
    chosen = Settings(**settings)

    def items(source: str | Path | Sequence[Item]) -> list[Item]:
        if isinstance(source, (str, Path)):
            return read_own(source, grader.evaluator, grader.options.get("labels", ()), columns)
        return list(source)

    train = items(data)
    train, held = split_own(train, dev_fraction, chosen.seed) if dev is None else (train, items(dev))
    if isinstance(layout, str):
        layout = Layout(layout, target_prefix="\n" if layout == "bare" else "")
    frozen = model
    if isinstance(model, str):
        frozen = load_model(model, revision=revision, device=device, dtype=dtype, device_map=device_map, say=say)
    decoding = {
        "max_new_tokens": max_new_tokens,
        "batch_size": decode_batch_size,
        "stop_rule": "family",
        "engine": "native",
        "stop_on_loop": None,
        "loop": LoopRule(),
    }
    with_accuracy = chosen.early_stop == "dev_accuracy"
    tuned = tune(
        frozen,
        layout,
        prompt,
        train,
        held,
        chosen,
        grader=grader,
        decoding=decoding,
        dev_accuracy=with_accuracy,
        say=say,
    )
    return TunedPrompt(frozen, tuned.prompt, grader, decoding, tuned.history)


def load(
    path: str | Path,
    model: str | FrozenModel | None = None,
    *,
    evaluator: str | None = None,
    labels: Sequence[str] | None = None,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    device_map: str = "none",
    say: Callable[[str], None] = print,
    **decoding: object,
) -> TunedPrompt:
    """Read a prompt file and the model it was made for.

    Args:
        path: the prompt file.
        model: another place of the same model than the header names.
        evaluator: in place of the header's.
        labels: in place of the header's.
        revision: in place of the header's.
        device: as in :func:`optimize`.
        dtype: as in :func:`optimize`.
        device_map: as in :func:`optimize`.
        say: where plain lines go.
        decoding: fields to change, e.g. ``max_new_tokens=64``.

    Raises:
        UserError: no prompt file, or not this model's.
    """
    header = read_prompt_file(path)[1]
    made_for = header.get("model") or {}
    frozen = model or made_for.get("name")
    if not frozen:
        raise UserError(f"{path}: does not say which model it was made for; name it (--model).")
    if isinstance(frozen, str):
        revision = revision or _commit(made_for) or made_for.get("revision") or "main"
        frozen = load_model(frozen, revision=revision, device=device, dtype=dtype, device_map=device_map, say=say)
    grader, settings = stored_grader(path, header), stored_decoding(path, header)
    if evaluator or labels:
        grader = make_grader(evaluator, labels)
    settings |= {key: value for key, value in decoding.items() if value is not None}
    return TunedPrompt(frozen, PromptEmbedding.load(path, frozen), grader, settings)


def _commit(made_for: dict) -> str | None:
    resolved = made_for.get("resolved") or ""
    return resolved if len(resolved) == 40 and not resolved.startswith("sha256") else None


__all__ = ["Columns", "Evaluation", "Layout", "TunedPrompt", "load", "make_grader", "optimize"]
