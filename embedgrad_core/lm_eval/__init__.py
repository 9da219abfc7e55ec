"""An optimised prompt under any task of lm-evaluation-harness: importing this package registers the model ``embedgrad``."""

from embedgrad_core.lm_eval.model import EmbedGradLM
