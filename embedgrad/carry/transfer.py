"""An optimised prompt for another model: each position's displacement through a map between the embedding tables.

v'_i = e'_i + (Σ_j A_ij (v_j − e_j)) W, with A the alignment of positions by characters and W the map: the target's own text prompt,
moved as the source's was.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path

import torch

from embedgrad.carry.alignment import alignment
from embedgrad.carry.maps import LinearMap, Table, fit_map
from embedgrad.runtime.progress import Epochs, history_line, waiting
from embedgrad.tasks.own.data import fingerprint
from embedgrad.tuning import check_room
from embedgrad_core import Decoding, FrozenModel, PromptEmbedding, Settings, Slot, check_step_zero, optimize
from embedgrad_core.files import Item, UserError
from embedgrad_core.prompt_header import recorded_decoding

LENGTHS = ("map", "relative")


@dataclass(frozen=True)
class Carried:
    """A prompt that was carried over.

    Attributes:
        prompt: of the target model, as any other: its slot, its text's own vectors, its header with the provenance.
        map: between the tables.
        weights: (m, k) the alignment.
    """

    prompt: PromptEmbedding
    map: LinearMap
    weights: torch.Tensor


def carry(
    source: Table,
    prompt: PromptEmbedding,
    target: FrozenModel,
    *,
    items: Sequence[Item] = (),
    decoding: Decoding | None = None,
    length: str = "map",
    seed: int = 0,
    log: Callable[[str], None] = print,
) -> Carried:
    """Carry an optimised prompt over to another model.

    Args:
        source: the table of the prompt's own model.
        prompt: the optimised prompt, k positions of width d.
        target: the other model.
        items: on which the target's step-0 gate is checked; without any, on the prompt's own text.
        decoding: how the target decodes answers, kept in the prompt's header; by default as the prompt's own model does.
        length: ``map``: a displacement is as long as the map makes it, and a ridge map shrinks what it does not know;
            ``relative``: as long as the source's was, each relative to its own model's embedding at its position.
        seed: of the tokens that are held out for the choice of the map.

    Raises:
        UserError: too few shared tokens, a layout that the target does not have, a token limit that leaves no room for any input
            there, or a target that fails the gate.
    """
    if length not in LENGTHS:
        raise UserError(f"length is {length!r}; it must be {' or '.join(LENGTHS)}.")
    try:
        slot = Slot.place(target.tokenizer, prompt.slot.layout, prompt.slot.text)
    except UserError as error:
        raise UserError(
            f"the prompt was optimised in layout {prompt.slot.layout.kind}, which {target.name} cannot take: {error}"
        ) from None
    own = PromptEmbedding.from_text(target, slot)
    weights = alignment(len(slot.text), prompt.slot.prompt_spans(), slot.prompt_spans())
    with waiting("map between the embedding tables", log):
        found = fit_map(source, Table.of(target), seed)
    penalty = "" if found.penalty is None else f" with penalty {found.penalty:g}"
    log(
        f"map: {found.kind}{penalty} on {found.shared} shared tokens; of {found.held_out['tokens']} held out it explains "
        f"{100 * found.held_out['r2']:.1f} % of the variance"
    )
    moved = (weights @ (prompt.vectors - prompt.initial).double()) @ found.weight
    if length == "relative":
        wanted = (weights @ prompt.drift.double()) * own.initial.double().norm(dim=1)
        moved = torch.nn.functional.normalize(moved, dim=1) * wanted[:, None]
    with waiting("step-0 gate", log):
        gate = check_step_zero(target, own, items or [Item("gate", slot.text, slot.text, slot.text)])
    if decoding or prompt.header.get("decoding"):
        decoding = decoding or recorded_decoding("the prompt", prompt.header)
        check_room(target, slot, items, decoding.max_new_tokens)
    kept = {key: prompt.header[key] for key in ("grading", "seen") if key in prompt.header}
    kept["decoding"] = decoding.row() if decoding else None
    origin = {
        "prompt": prompt.content_sha256(),
        "model": source.name,
        "resolved": source.resolved,
        "positions": prompt.slot.k,
        "map": found.kind,
        "penalty": found.penalty,
        "shared_tokens": found.shared,
        "r2": found.held_out["r2"],
        "length": length,
        "seed": seed,
        "steps": 0,
    }
    header = {**own.header, **kept, "gate": asdict(gate), "carried_from": origin}
    return Carried(PromptEmbedding((own.initial.double() + moved).float(), own.initial, slot, header), found, weights)


def train_on(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    train: Sequence[Item],
    dev: Sequence[Item],
    steps: int,
    settings: Settings,
    *,
    state: Path | None = None,
    log: Callable[[str], None] = print,
) -> tuple[PromptEmbedding, list[dict]]:
    """A few gradient steps from where a prompt is, by the suite's own loop; dev decides whether they are kept.

    Args:
        steps: as many as are taken: the loop's one epoch is of ``steps`` batches, whole passes over ``train`` one after the other.
        settings: learning rate, batch size and seed count.
        state: file for resuming.

    Raises:
        UserError: what :func:`embedgrad_core.optimize` refuses; fewer than one step.
    """
    if steps < 1:
        raise UserError(f"steps is {steps}; it must be a positive number.")
    wanted = steps * settings.batch_size
    passes = ceil(wanted / len(train)) if train else 0
    drawn: list[Item] = []
    for place in range(passes):
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + place)
        drawn += [train[index] for index in torch.randperm(len(train), generator=generator).tolist()]
    with Epochs(1, log) as epochs:

        def on_epoch(line: dict) -> None:
            epochs.end()
            log(history_line(line))

        trained, history = optimize(
            *(frozen, prompt, drawn[:wanted], dev, replace(settings, epochs=1, patience=0)),
            state=state,
            on_epoch=on_epoch,
            log=log,
            on_progress=epochs.on_progress,
        )
    taken = steps if trained.header["best_epoch"] else 0
    seen = {*trained.header.get("seen", ()), *(fingerprint(item.input) for item in (*train, *dev))}
    header = trained.header | {"seen": sorted(seen)}
    if "carried_from" in header:
        header["carried_from"] = {**header["carried_from"], "steps": taken}
    return replace(trained, header=header), history
