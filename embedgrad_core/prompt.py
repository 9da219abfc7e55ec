"""PromptEmbedding: k×d vectors that start as the text's own embeddings (Section 3.2, "Initialization")."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from embedgrad_core.files import UserError, checksum, parse_json, write_whole
from embedgrad_core.layout import Slot, layout_from_header
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.prompt_header import check_header

FORMAT = 1


@dataclass
class PromptEmbedding:
    """The prompt in embedding space.

    Attributes:
        vectors: (k, d) float32, the trained master copy; cast to the model's dtype in each forward pass.
        initial: (k, d) float32, the text's own embeddings E_p^(0).
        slot: the text, its tokens and where they sit.
        header: what the file says besides: model, hyperparameters, versions.
    """

    vectors: torch.Tensor
    initial: torch.Tensor
    slot: Slot
    header: dict = field(default_factory=dict)

    @classmethod
    def from_text(cls, frozen: FrozenModel, slot: Slot) -> Self:
        """E_p^(0): the rows that the model feeds its first layer for the prompt's tokens."""
        with torch.no_grad():
            initial = frozen.embed(torch.tensor(slot.prompt_ids)).float().cpu().clone()
        return cls(initial.clone(), initial, slot, {**slot.header(), "model": frozen.identity()})

    @property
    def drift(self) -> torch.Tensor:
        """(k,) relative displacement ‖v − e‖ / ‖e‖ of each position."""
        return (self.vectors - self.initial).norm(dim=1) / self.initial.norm(dim=1).clamp_min(1e-12)

    def displaced(self, relative: float, *seeds: int) -> torch.Tensor:
        """The vectors moved at random, each coordinate by a normal number of the same variance; (k, d) float32.

        Args:
            relative: root mean square length of a position's move, in units of the mean length of the ``initial`` vectors.
            seeds: other seeds give another draw.
        """
        if not relative:
            return self.vectors
        noise = torch.from_numpy(np.random.default_rng(seeds).standard_normal(tuple(self.initial.shape)))
        length = relative * float(self.initial.double().norm(dim=1).mean())
        return (self.vectors.double() + noise * (length / self.initial.shape[1] ** 0.5)).float()

    def save(self, path: str | Path, extra: Mapping | None = None) -> None:
        """Write a safetensors file, whole or not at all; equal prompts give equal bytes.

        All metadata is one JSON string with sorted keys: safetensors keeps several keys in a hash map of random order.
        """
        header = {**self.header, **(extra or {}), "format": FORMAT}
        tensors = self._tensors()
        header |= {"tensors": tensors_sha256(tensors)}
        header |= {"check": checksum(header)}
        text = json.dumps(header, sort_keys=True, ensure_ascii=False, allow_nan=False)
        write_tensors(path, tensors, text)

    def _tensors(self) -> dict[str, torch.Tensor]:
        return {
            "vectors": self.vectors.detach().float().cpu().contiguous(),
            "initial": self.initial.float().cpu().contiguous(),
            "token_ids": torch.tensor(self.slot.prompt_ids, dtype=torch.int64),
        }

    def content_sha256(self) -> str:
        """Hash of vectors and tokens, the same before the prompt is saved and after it is loaded."""
        return tensors_sha256(self._tensors())

    @classmethod
    def load(cls, path: str | Path, frozen: FrozenModel) -> Self:
        """Read a prompt file and check that it belongs to ``frozen``.

        Raises:
            UserError: not a prompt file, cut short, not finite, or made for another model; names both sides.
        """
        tensors, header = read_prompt_file(path)
        vectors, initial, ids = tensors["vectors"], tensors["initial"], tensors["token_ids"]
        made_for = (header.get("model") or {}).get("name") or "an unnamed model"
        mismatch = f"{path}: this prompt was made for {made_for}, not for {frozen.name}"
        if vectors.shape[1] != frozen.width:
            raise UserError(
                f"{mismatch}: its vectors have {vectors.shape[1]} dimensions, the model has {frozen.width}."
            )
        if int(ids.max()) >= frozen.network.get_input_embeddings().num_embeddings or int(ids.min()) < 0:
            raise UserError(f"{mismatch}: token id {int(ids.max())} is outside the model's vocabulary.")
        with torch.no_grad():
            rows = frozen.embed(ids).float().cpu()
        # Names can lie and folders move; the rows that the prompt started from cannot. The tolerance covers a change
        # of dtype between optimisation and use, nothing more.
        if not torch.allclose(rows, initial, rtol=2e-2, atol=1e-3 * float(initial.abs().max())):
            raise UserError(f"{mismatch}: the model's embeddings of the prompt's tokens differ from the stored ones.")
        try:
            slot = Slot.place(frozen.tokenizer, layout_from_header(header), header["text"])
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        if slot.prompt_ids != tuple(ids.tolist()):
            raise UserError(f"{mismatch}: the tokenizer now reads the prompt text as other tokens.")
        if slot.header()["template"] != header["template"]:
            raise UserError(f"{mismatch}: the chat template around the prompt has changed since.")
        return cls(vectors, initial, slot, header)


def read_prompt_file(path: str | Path) -> tuple[dict[str, torch.Tensor], dict]:
    """The tensors and the header of a prompt file, checked for shape and finiteness, no model needed.

    Raises:
        UserError: names the file and what is wrong with it.
    """
    again = "optimise it again or take a whole copy"
    try:
        with safe_open(path, framework="pt") as source:
            tensors = {name: source.get_tensor(name) for name in source.keys()}  # noqa: SIM118 (not a mapping)
            metadata = source.metadata() or {}
    except FileNotFoundError:
        raise UserError(f"{path}: no such prompt file.") from None
    # A file that lies about its shapes or types can make the library raise almost anything; none of it is ours.
    except (SafetensorError, OSError, ValueError, TypeError, LookupError, RuntimeError, AttributeError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error}); {again}.") from None
    try:
        header = parse_json(metadata["embedgrad"])
        vectors, initial, ids = tensors["vectors"], tensors["initial"], tensors["token_ids"]
        sound = (
            header["format"] == FORMAT
            and isinstance(header["text"], str)
            and isinstance(header["template"], str)
            and isinstance(header["layout"], dict)
            and vectors.dim() == 2
            and vectors.shape[1] > 0
            and vectors.shape == initial.shape
            and vectors.dtype == initial.dtype == torch.float32
            and ids.dtype == torch.int64
            and ids.shape == vectors.shape[:1]
            and len(ids) > 0
        )
        json.dumps(header, ensure_ascii=False).encode()  # half of a surrogate pair could be written nowhere
        # Files of earlier versions carry no checksum.
        intact = "check" not in header or (
            header.pop("check") == checksum(header) and header.pop("tensors") == tensors_sha256(tensors)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: not a prompt file of this suite ({type(error).__name__}: {error}); {again}."
        ) from None
    if not sound:
        raise UserError(f"{path}: a prompt file with shapes or a format this version does not know; {again}.")
    if not intact:
        raise UserError(f"{path}: the content does not fit its checksum, so it was changed since; {again}.")
    check_header(path, header)
    if not (torch.isfinite(vectors).all() and torch.isfinite(initial).all()):
        raise UserError(f"{path}: holds numbers that are not finite; {again}.")
    return tensors, header


def tensors_sha256(tensors: Mapping[str, torch.Tensor]) -> str:
    """Hash over names and bytes of tensors on the CPU, in the order of their names; read one by one, nothing is copied."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].contiguous().view(-1).numpy())
    return found.hexdigest()


def write_tensors(path: str | Path, tensors: Mapping[str, torch.Tensor], text: str) -> None:
    """A safetensors file of contiguous tensors on the CPU with ``text`` as its metadata: whole or not at all, without a copy.

    Raises:
        UserError: it cannot be written; safetensors would report a full disk as an error of its own.
    """
    with write_whole(path) as temporary:
        try:
            save_file(dict(tensors), temporary, metadata={"embedgrad": text})
        except SafetensorError as error:
            number = re.search(r"\(os error (\d+)\)", str(error))
            raise (OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error))) from error


def vectors_sha256(vectors: torch.Tensor) -> str:
    """Hash of prompt vectors (k, d) wherever they lie."""
    return tensors_sha256({"vectors": vectors.detach().float().cpu().contiguous()})
