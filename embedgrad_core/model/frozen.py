"""The frozen language model, on its device and in its dtype (:mod:`embedgrad_core.model.loading` says where it comes from).

Nothing here is ever trained: every weight has ``requires_grad=False`` and the model stays in ``eval`` mode.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from embedgrad_core.model.costs import Shape
from embedgrad_core.model.sizes import AUTO, ROWS, TOKEN_BUDGET

# End tokens of the model families in use. A base model names only one of them in its files, and then runs on for ever
# behind a chat template that ends a turn with another (https://github.com/QwenLM/Qwen2.5-Math/issues/47).
FAMILY_END_TOKENS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "</s>")


@dataclass(frozen=True)
class FrozenModel:
    """A causal language model that is only read.

    Attributes:
        network: the transformers model, ``V`` tokens, width ``d``.
        tokenizer: its tokenizer, never mutated.
        name: hub id or folder as the user gave it.
        revision: the revision asked for.
        resolved: the commit sha that the hub resolved it to, or ``sha256:…`` of a local folder's weights.
        dequantised_from: what its weights were quantised to before they became this folder, as in ``Q4_1``, where that is known;
            read from the folder if `embedgrad from-gguf` made it.
        hashes: sha256 of the files of a local folder, by name.
    """

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    revision: str
    resolved: str
    dequantised_from: str | None = None
    hashes: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def device(self) -> torch.device:
        """Where the input embeddings lie; layers may lie on other GPUs (:attr:`is_divided`)."""
        return self.network.get_input_embeddings().weight.device

    @property
    def is_divided(self) -> bool:
        """Whether the layers lie on several devices."""
        return len(set(getattr(self.network, "hf_device_map", {}).values())) > 1

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are stored in."""
        return self.network.dtype

    @property
    def width(self) -> int:
        """The embedding dimension d."""
        return self.network.get_input_embeddings().embedding_dim

    @property
    def context(self) -> int:
        """Longest sequence the positions allow."""
        return getattr(self.network.config.get_text_config(), "max_position_embeddings", 2**31)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Eq. 2: what the model feeds its first layer for ``ids``, shape (..., d), in the model's dtype."""
        # The module, not rows of its weight: some families scale inside it.
        return self.network.get_input_embeddings()(ids.to(self.device))

    def stop_ids(self, rule: str = "family") -> tuple[int, ...]:
        """Token ids that end a text.

        ``family``: every end token that the checkpoint names or that the families in use share; ``checkpoint``: only
        what the checkpoint's own files name.
        """
        named = {self.tokenizer.eos_token_id}
        for config in (self.network.generation_config, self.network.config):
            eos = getattr(config, "eos_token_id", None)
            named.update(eos if isinstance(eos, (list, tuple)) else [eos])
        if rule == "family":
            vocabulary = self.tokenizer.get_vocab()
            named.update(vocabulary.get(token) for token in FAMILY_END_TOKENS)
        return tuple(sorted(token for token in named if token is not None))

    @property
    def shipped_penalty(self) -> float | None:
        """The repetition penalty that the checkpoint's ``generation_config.json`` asks for; None where it asks for none."""
        penalty = getattr(self.network.generation_config, "repetition_penalty", None)
        return None if penalty in (None, 1) else float(penalty)

    @property
    def gpu_bytes(self) -> int:
        """Memory of the GPUs that it lies on, whatever is free of it; 0 on a CPU."""
        places = {parameter.device for parameter in self.network.parameters() if parameter.device.type == "cuda"}
        return sum(torch.cuda.get_device_properties(place).total_memory for place in places)

    def rows_in_flight(self, asked: int | str, new: int) -> int:
        """Rows decoded at a time under a limit of ``new`` tokens: as asked, or by the GPU's memory (``auto``)."""
        if asked != AUTO:
            return int(asked)
        memory = self.gpu_bytes
        return Shape.of(self.network.config).rows_in_flight(memory, new, self.dtype.itemsize) if memory else ROWS

    def tokens_in_flight(self, checkpointing: bool) -> int:
        """Tokens run together in a step, where nobody chose."""
        memory, width = self.gpu_bytes, self.dtype.itemsize
        return Shape.of(self.network.config).tokens_in_flight(memory, width, checkpointing) if memory else TOKEN_BUDGET

    def identity(self) -> dict:
        """What a result records of the model it came from."""
        return {
            "name": self.name,
            "revision": self.revision,
            "resolved": self.resolved,
            "architecture": type(self.network).__name__,
            "parameters": self.network.num_parameters(),
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": describe_device(self.device) + (", layers on several" if self.is_divided else ""),
            **({"dequantised_from": self.dequantised_from} if self.dequantised_from else {}),
        }


def describe_device(device: torch.device) -> str:
    """Name of the GPU, or ``cpu``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
