"""vLLM's prompt embeddings: what stands before the input as vectors.

https://docs.vllm.ai/en/stable/features/prompt_embeds.html
"""

from pathlib import Path

from safetensors.torch import save

from embedgrad_core.export.card import snippet
from embedgrad_core.export.folder import before_input, reading
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.prompt import PromptEmbedding

FILE = "prompt_embeds.safetensors"


def export_vllm(frozen: FrozenModel, prompt: PromptEmbedding, folder: Path, name: str) -> str:
    """Write ``prompt_embeds.safetensors``: ``before`` (h + k, d), in the model's dtype, goes in front of the input's embeddings.

    Returns:
        Python lines that answer one input with vLLM.
    """
    (folder / FILE).write_bytes(save({"before": before_input(frozen, prompt).contiguous()}, {"format": "pt"}))
    return snippet("vllm", frozen, name, **reading(prompt.slot))
