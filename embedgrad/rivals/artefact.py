"""What a rival leaves behind: one safetensors file with its tensors or its text, and all that answering with it needs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open

from embedgrad.rivals.rival import Rival, check_settings
from embedgrad.rivals.table import rival_named
from embedgrad_core import FrozenModel, Slot
from embedgrad_core.files import UserError, checksum, parse_json
from embedgrad_core.layout import layout_from_header
from embedgrad_core.prompt import tensors_sha256, write_tensors

FORMAT = 1
# What the untouched model computes of the text prompt: names can lie and folders move, this depends on every weight.
ANCHOR = "text prompt's last hidden state"
# Relative difference that a change of dtype makes; another model's differs by about its length.
TOLERANCE = 0.1


@dataclass
class Artefact:
    """A fitted rival.

    Attributes:
        rival: name, family and the settings that it was fitted with.
        slot: the human prompt's place.
        tensors: what answering needs, by name, float32.
        anchor: :func:`anchor_of` the model that it was fitted to, before anything was put into it.
        header: what the file says besides: model, hyperparameters, costs.
    """

    rival: Rival
    slot: Slot
    tensors: Mapping[str, torch.Tensor]
    anchor: torch.Tensor
    header: dict = field(default_factory=dict)

    @property
    def stored_bytes(self) -> int:
        """Of the tensors alone."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors.values())

    def save(self, path: str | Path, frozen: FrozenModel) -> None:
        """Write the file, whole or not at all; equal artefacts give equal bytes."""
        tensors = {name: tensor.float().cpu().contiguous() for name, tensor in self.tensors.items()}
        tensors[ANCHOR] = self.anchor
        header = {
            **self.header,
            **self.slot.header(),
            "format": FORMAT,
            "rival": self.rival.name,
            "settings": dict(self.rival.settings),
            "model": frozen.identity(),
            "tensors": tensors_sha256(tensors),
        }
        text = json.dumps(header | {"check": checksum(header)}, sort_keys=True, ensure_ascii=False, allow_nan=False)
        write_tensors(path, tensors, text)

    @classmethod
    def load(cls, path: str | Path, frozen: FrozenModel) -> Self:
        """Read a file and check that it belongs to ``frozen``.

        Raises:
            UserError: not such a file, changed since it was written, or made for another model; names both sides.
        """
        tensors, header = read_fitted(path)
        rival = rival_of(path)
        mismatch = f"{path}: this rival was fitted to {(header['model'] or {}).get('name')}, not to {frozen.name}"
        try:
            slot = Slot.place(frozen.tokenizer, layout_from_header(header), header["text"])
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        anchor, here = tensors.pop(ANCHOR), anchor_of(frozen, slot)
        if anchor.shape != here.shape or not (anchor - here).norm() <= TOLERANCE * anchor.norm():
            raise UserError(f"{mismatch}: the two compute different hidden states of the text prompt.")
        if slot.header()["template"] != header["template"]:
            raise UserError(f"{mismatch}: the chat template around the prompt has changed since.")
        return cls(rival, slot, tensors, anchor, header)


@torch.no_grad()
def anchor_of(frozen: FrozenModel, slot: Slot) -> torch.Tensor:
    """(d,) float32: the last hidden state of the text prompt, of a network into which nothing has been put yet."""
    ids = torch.tensor([[*slot.head_ids, *slot.prompt_ids]], device=frozen.device)
    return frozen.network.base_model(input_ids=ids, use_cache=False).last_hidden_state[0, -1].float().cpu().clone()


def rival_of(path: str | Path) -> Rival:
    """The rival of a file with the settings that it was fitted with; no model has to be loaded.

    Raises:
        UserError: not such a file, or settings that the rival does not have.
    """
    header = read_fitted(path)[1]
    rival = rival_named(header["rival"])
    return replace(rival, settings=check_settings(rival, _as_written(header["settings"], rival)))


def _as_written(settings: Mapping[str, Any], rival: Rival) -> dict[str, Any]:
    """JSON has no tuples."""
    return {
        key: tuple(value) if isinstance(value, list) and isinstance(rival.settings.get(key), tuple) else value
        for key, value in settings.items()
    }


def read_fitted(path: str | Path) -> tuple[dict[str, torch.Tensor], dict]:
    """The tensors of a file, float32, and its header; no model has to be loaded.

    Raises:
        UserError: not such a file, or changed since it was written.
    """
    again = "fit it again or take a whole copy"
    try:
        with safe_open(path, framework="pt") as source:
            tensors = {name: source.get_tensor(name) for name in source.keys()}  # noqa: SIM118 (not a mapping)
            header = parse_json((source.metadata() or {})["embedgrad"])
        sound = (
            header["format"] == FORMAT
            and all(isinstance(header[key], str) for key in ("rival", "text", "template"))
            and all(isinstance(header[key], dict) for key in ("settings", "layout", "model"))
            and all(tensor.dtype == torch.float32 and torch.isfinite(tensor).all() for tensor in tensors.values())
            and ANCHOR in tensors
            and header.pop("check") == checksum(header)
            and header.pop("tensors") == tensors_sha256(tensors)
        )
    except FileNotFoundError:
        raise UserError(f"{path}: no such file.") from None
    # A file that lies about its shapes or types can make the library raise almost anything; none of it is ours.
    except (SafetensorError, OSError, ValueError, TypeError, LookupError, RuntimeError, AttributeError) as error:
        raise UserError(f"{path}: not a fitted rival ({type(error).__name__}: {error}); {again}.") from None
    if not sound:
        raise UserError(
            f"{path}: a fitted rival that was changed since, or of a format this version does not know; {again}."
        )
    return tensors, header
