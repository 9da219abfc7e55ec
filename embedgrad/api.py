"""The method for a prompt and data of one's own, in six lines of Python.

Example::

    import embedgrad

    model, prompt = "Qwen/Qwen2.5-0.5B-Instruct", "Positive or negative?"
    tuned = embedgrad.optimize(model, prompt, "reviews.csv", labels=["positive", "negative"], layout="chat")
    tuned.save("prompt.safetensors")
    print(tuned.evaluate("more_reviews.csv"))
    print(tuned.generate("A lovely film."))
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from embedgrad.evaluation import Evaluation, evaluation_of, measured, unseen
from embedgrad.grading import Grading, make_grading
from embedgrad.runtime.provenance import versions
from embedgrad.stored import stored_grading, stored_model
from embedgrad.tasks.own.data import Columns, read_own, split_own
from embedgrad.tasks.own.rows import named_rows
from embedgrad.tuning import fitting_limit, tune
from embedgrad_core import (
    Decoded,
    Decoding,
    FrozenModel,
    Layout,
    PromptEmbedding,
    Settings,
    decode,
    load_model,
    read_prompt_file,
)
from embedgrad_core.decoding.settings import LIMIT
from embedgrad_core.files import Item, UserError, is_whole_text
from embedgrad_core.prompt_header import recorded_decoding


@dataclass
class TunedPrompt:
    """An optimised prompt with its model: ask it, measure it, save it."""

    frozen: FrozenModel
    prompt: PromptEmbedding
    grading: Grading | None
    decoding: Decoding
    history: list[dict] = field(default_factory=list, repr=False)

    def save(self, path: str | Path) -> None:
        """Write the prompt file."""
        self.prompt.save(path, {"versions": versions()})

    def generate(
        self,
        text: str | Sequence[str],
        *,
        optimized: bool = True,
        where: Sequence[str] | None = None,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
        on_step: Callable[[float], None] = lambda begun: None,
    ) -> str | list[str]:
        """Answer one input, or each of several; with ``optimized=False`` by the text prompt.

        Args:
            text: what to answer.
            optimized: whether by the optimised prompt.
            where: what an error calls each of the inputs; by default ``input 1``, …
            on_progress: called with the answers so far and in all.
            on_step: called with what unfinished answers come to, as :func:`embedgrad_core.decode` does.

        Raises:
            UserError: an input that is empty, not text, or too long.
        """
        several = [text] if isinstance(text, str) else list(text)
        names = where or [f"input {place}" for place in range(1, len(several) + 1)]
        for name, one in zip(names, several, strict=True):
            if not isinstance(one, str) or not is_whole_text(one):
                raise UserError(f"{name} is not text that UTF-8 can encode; fix it.")
            if not one.strip():
                raise UserError(f"{name} is empty; write at least one word.")
        items = [Item(f"{place:08d}", one, "", "", None, names[place]) for place, one in enumerate(several)]
        side = "after" if optimized else "before"
        answers = [row.output for row in self._decoded(items, [side], on_progress, on_step)[side]]
        return answers[0] if isinstance(text, str) else answers

    def evaluate(
        self,
        data: str | Path | Sequence[Item | Mapping],
        *,
        columns: Columns | None = None,
        keep_seen: bool = False,
        revision: str | None = None,
        config: str | None = None,
        split: str | None = None,
        name: str | None = None,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
        on_step: Callable[[float], None] = lambda begun: None,
        log: Callable[[str], None] = print,
    ) -> Evaluation:
        """Answer and grade every item with the text prompt and with the optimised one.

        Args:
            data: a file or hub data set (``embedgrad.tasks.own.data``), items, or a dictionary per row.
            columns: names of the columns.
            keep_seen: also count items that the prompt was trained on.
            revision: of a hub data set.
            config: of a hub data set.
            split: of a hub data set.
            name: what to call items or rows that are given as such.
            on_progress: called with the answers so far and in all, both sides counted.
            on_step: called with what unfinished answers come to, as :func:`embedgrad_core.decode` does.
            log: where to report how a file was read.

        Raises:
            UserError: no evaluator, no item left, or data that cannot be read.
        """
        if self.grading is None:
            raise UserError("this prompt does not say how answers are checked; give an evaluator.")
        found = _items(data, self.grading, columns, log, revision=revision, config=config, split=split)
        items = found if keep_seen else unseen(found, self.prompt)
        gold = {item.id: item.answer for item in items}
        graded = {
            side: {row.id: self.grading.line(row.row(), gold[row.id]) for row in rows}
            for side, rows in self._decoded(items, ["before", "after"], on_progress, on_step).items()
        }
        name = str(data) if isinstance(data, str | Path) else name
        about = measured(self.frozen, self.prompt, items, name, keep_seen)
        return evaluation_of(items, graded, len(found) - len(items), about)

    def _decoded(
        self,
        items: Sequence[Item],
        sides: Sequence[str],
        on_progress: Callable[[int, int], None],
        on_step: Callable[[float], None],
    ) -> dict[str, list[Decoded]]:
        """Answers by the text prompt (``before``) or the optimised one (``after``)."""
        found: dict[str, list[Decoded]] = {}
        for side in sides:

            def count(done: int, past: int = len(items) * len(found)) -> None:
                on_progress(past + done, len(sides) * len(items))

            vectors = self.prompt.initial if side == "before" else self.prompt.vectors
            found[side] = decode(
                self.frozen, self.prompt.slot, vectors, items, self.decoding, on_progress=count, on_step=on_step
            )
        return found


def _items(
    data: str | Path | Sequence[Item | Mapping],
    grading: Grading,
    columns: Columns | None,
    log: Callable[[str], None],
    **hub: str | None,
) -> list[Item]:
    """Items as they are, all else read."""
    source: Any = data if isinstance(data, str | Path) else list(named_rows(data))
    if isinstance(source, list):
        if source and all(isinstance(row, Item) for row in source):
            return source
        if other := next((type(row).__name__ for row in source if not isinstance(row, Mapping)), None):
            raise UserError(f"data holds a {other}; give a file, a hub data set, items, or a dictionary per row.")
    return read_own(source, grading.evaluator, grading.labels, columns, log=log, **hub)


def optimize(
    model: str | FrozenModel,
    prompt: str,
    data: str | Path | Sequence[Item | Mapping],
    *,
    evaluator: str | None = None,
    labels: Mapping[int | str, str] | Sequence[str] | None = None,
    dev: str | Path | Sequence[Item | Mapping] | None = None,
    columns: Columns | None = None,
    layout: str | Layout = "bare",
    max_new_tokens: int | None = None,
    decode_batch_size: int | str = 16,
    dev_fraction: float = 0.2,
    folds: int = 0,
    revision: str = "main",
    device: str = "auto",
    dtype: str = "auto",
    device_map: str = "none",
    log: Callable[[str], None] = print,
    **settings: Any,
) -> TunedPrompt:
    """Optimise a prompt's embeddings on labelled items while the model stays frozen (Eq. 1-7).

    Args:
        model: hub id, local folder, or a model already loaded.
        prompt: the human prompt, verbatim.
        data: training items: a file or hub data set, items, or a dictionary per row.
        evaluator: ``label``, ``yes_no``, ``boxed_math`` or ``exact``.
        labels: the classes of ``label``: names, or ``{0: "negative", 1: "positive"}`` where the data have numbers.
        dev: items for early stopping; split off ``data`` if None.
        columns: names of the columns in ``data`` and ``dev``.
        layout: ``bare``; ``chat``, the template that an instruction-tuned model was trained with; or a :class:`Layout`.
        max_new_tokens: token limit of an answer; None: 512, or what the longest input leaves free.
        decode_batch_size: rows decoded together; ``auto``: as many as the GPU's memory holds.
        dev_fraction: share of ``data`` split off.
        folds: where dev has fewer than 20 items, the epoch is chosen across so many folds of all items; 0: never.
        revision: of a hub model.
        device, dtype: ``auto``; or ``cpu``, ``cuda``, ``cuda:N``, and ``float32``, ``bfloat16``, ``float16``.
        device_map: ``none``, or ``auto`` or ``balanced``: the layers over all visible GPUs.
        log: where lines about the work go.
        settings: any field of :class:`embedgrad_core.Settings`, e.g. ``learning_rate=0.01``, ``epochs=10``.

    Raises:
        UserError: anything about model, prompt or data that the user can fix.
    """
    _check_names(settings, (one.name for one in fields(Settings)), "optimize")
    grading = make_grading(evaluator, labels)
    chosen = Settings(**settings)
    if not prompt.strip():
        raise UserError("the prompt is empty; write at least one word.")
    limit = LIMIT if max_new_tokens is None else max_new_tokens
    decoding = Decoding(max_new_tokens=limit, batch_size=decode_batch_size)
    train = _items(data, grading, columns, log)
    if dev is None:
        train, held = split_own(train, dev_fraction, chosen.seed)
    else:
        held = _items(dev, grading, columns, log)
    if isinstance(layout, str):
        layout = Layout(layout, target_prefix="\n" if layout == "bare" else "")
    if isinstance(model, str):
        frozen = load_model(model, revision=revision, device=device, dtype=dtype, device_map=device_map, log=log)
    else:
        frozen = model
    if max_new_tokens is None:
        limit = fitting_limit(frozen, layout, prompt, [*train, *held])
    decoding = replace(decoding, max_new_tokens=limit, batch_size=frozen.rows_in_flight(decode_batch_size, limit))
    tuned = tune(frozen, layout, prompt, train, held, chosen, grading=grading, decoding=decoding, folds=folds, log=log)
    return TunedPrompt(frozen, tuned.prompt, grading, decoding, tuned.history)


def load(
    path: str | Path,
    model: str | FrozenModel | None = None,
    *,
    evaluator: str | None = None,
    labels: Mapping[int | str, str] | Sequence[str] | None = None,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    device_map: str = "none",
    log: Callable[[str], None] = print,
    **decoding: Any,
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
        log: where lines about the work go.
        decoding: fields to change, e.g. ``max_new_tokens=64``.

    Raises:
        UserError: no prompt file, or not this model's; a field of decoding that there is not.
    """
    _check_names(decoding, (one.name for one in fields(Decoding)), "load")
    header = read_prompt_file(path)[1]
    grading, stored = stored_grading(path, header), recorded_decoding(path, header)
    settings = replace(stored, **{key: value for key, value in decoding.items() if value is not None})
    if isinstance(model, FrozenModel):
        frozen = model
    else:
        name, revision = stored_model(path, header, model, revision)
        frozen = load_model(name, revision=revision, device=device, dtype=dtype, device_map=device_map, log=log)
    if evaluator is not None or labels is not None:
        grading = make_grading(evaluator, labels)
    return TunedPrompt(frozen, PromptEmbedding.load(path, frozen), grading, settings)


def _check_names(given: Mapping[str, object], known: Iterable[str], function: str) -> None:
    """Refuse a keyword that a function does not know.

    Raises:
        UserError: there is one; names the nearest that the function knows.
    """
    known = sorted(known)
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"it knows {', '.join(known)}."
            raise UserError(f"{function} knows no {name!r}; {hint}")


__all__ = ["Columns", "Evaluation", "Layout", "TunedPrompt", "load", "make_grading", "optimize"]
