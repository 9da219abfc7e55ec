"""The method: improve a prompt's embeddings by gradient while the language model stays frozen.

Knows torch and transformers; knows no data set, no answer checker and no workflow.
"""

from embedgrad_core.decode import Decoded, decode
from embedgrad_core.gate import check_step_zero
from embedgrad_core.layout import Layout, Slot
from embedgrad_core.loops import LoopRule
from embedgrad_core.model import FrozenModel, load_model
from embedgrad_core.optimize import Settings, optimize
from embedgrad_core.prompt import PromptEmbedding, read_prompt_file

__all__ = [
    "Decoded",
    "FrozenModel",
    "Layout",
    "LoopRule",
    "PromptEmbedding",
    "Settings",
    "Slot",
    "check_step_zero",
    "decode",
    "load_model",
    "optimize",
    "read_prompt_file",
]
