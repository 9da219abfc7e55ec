"""A PROMPT_TUNING adapter that ``PeftModel.from_pretrained`` loads (https://huggingface.co/docs/peft/package_reference/prompt_tuning).

PEFT puts its virtual tokens before everything else. In the bare layout nothing stands before the prompt but a BOS token, which
becomes a virtual token of its own; in the chat layout the prompt stands inside the template, where PEFT cannot put it.
"""

import json
from pathlib import Path

from safetensors.torch import save

from embedgrad_core.export.card import snippet
from embedgrad_core.export.folder import before_input, reading
from embedgrad_core.files import UserError
from embedgrad_core.model.costs import Shape
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.prompt import PromptEmbedding


def export_peft(frozen: FrozenModel, prompt: PromptEmbedding, folder: Path, name: str) -> str:
    """Write ``adapter_config.json`` and ``adapter_model.safetensors``.

    Returns:
        Python lines that load the adapter and answer one input.

    Raises:
        UserError: the chat layout.
    """
    slot = prompt.slot
    if slot.layout.kind != "bare":
        raise UserError(
            "peft: the prompt stands inside the chat template, and PEFT can only put virtual tokens before the whole text; "
            "export --to merged or vllm, or optimise with --layout bare."
        )
    vectors = before_input(frozen, prompt).float()
    shape = Shape.of(frozen.network.config)
    config = {
        "peft_type": "PROMPT_TUNING",
        "task_type": "CAUSAL_LM",
        "auto_mapping": None,
        "base_model_name_or_path": frozen.name,
        "revision": frozen.resolved if len(frozen.resolved) == 40 else None,  # a commit
        "inference_mode": True,
        "num_virtual_tokens": len(vectors),
        "token_dim": frozen.width,
        "num_transformer_submodules": 1,
        "num_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "prompt_tuning_init": "RANDOM",
        "prompt_tuning_init_text": None,
        "tokenizer_name_or_path": None,
        "tokenizer_kwargs": None,
    }
    weights = save({"prompt_embeddings": vectors.contiguous()}, {"format": "pt"})
    (folder / "adapter_model.safetensors").write_bytes(weights)
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return snippet("peft", frozen, name, **reading(slot))
