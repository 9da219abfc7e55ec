"""The method: improve a prompt's embeddings by gradient while the language model stays frozen.

Knows torch and transformers; knows no data set, no evaluator and no workflow. Names are imported on first use, so
that :mod:`embedgrad_core.files` and :mod:`embedgrad_core.model.costs` can be had without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from embedgrad_core.spinning import limit_spinning

if TYPE_CHECKING:
    from embedgrad_core.decoding.answers import Decoded, decode
    from embedgrad_core.decoding.settings import Decoding, LoopRule
    from embedgrad_core.gate import check_step_zero
    from embedgrad_core.layout import Layout, Slot
    from embedgrad_core.model.frozen import FrozenModel
    from embedgrad_core.model.loading import load_model
    from embedgrad_core.prompt import PromptEmbedding, read_prompt_file
    from embedgrad_core.training.optimization import optimize, optimize_across_folds
    from embedgrad_core.training.settings import Settings

# Here, as whatever computes comes through this package and torch is imported after it.
limit_spinning()

_HOMES = {
    "Decoded": "decoding.answers",
    "Decoding": "decoding.settings",
    "FrozenModel": "model.frozen",
    "Layout": "layout",
    "LoopRule": "decoding.settings",
    "PromptEmbedding": "prompt",
    "Settings": "training.settings",
    "Slot": "layout",
    "check_step_zero": "gate",
    "decode": "decoding.answers",
    "load_model": "model.loading",
    "optimize": "training.optimization",
    "optimize_across_folds": "training.optimization",
    "read_prompt_file": "prompt",
}
__all__ = [*_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
