"""EmbedGrad for a prompt and data of one's own: ``optimize`` and ``load``; the rest of the suite is the command's.

Imported lazily: ``import embedgrad`` alone brings no torch.
"""

import embedgrad_core  # first of all: it says how long threads spin, which must be before torch is imported

__all__ = ["Columns", "Evaluation", "Layout", "TunedPrompt", "UserError", "load", "optimize"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'embedgrad' has no attribute {name!r}")
    if name == "UserError":
        from embedgrad_core.files import UserError

        return UserError
    from embedgrad import api

    return getattr(api, name)
