"""The null control: prompt tuning from the text at the configured rate has to be EmbedGrad as the run optimised it.

Both go through the same loop with the same loss, start and order of items, so that on one machine they are equal to the bit. What
another number of threads or another machine's kernels change stays within the tolerances here; another order of items does not.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embedgrad.reporting.results.history import read_history
from embedgrad.rivals.artefact import read_fitted
from embedgrad_core.prompt import read_prompt_file

# Largest relative difference of an epoch's loss on dev, and of the vectors, relative to how far the run's own have moved.
LOSS, VECTORS = 0.01, 0.05


def check_control(fitted: Path, history: Path, prompt: Path, own_history: Path) -> dict[str, Any]:
    """Hold a fit of the null control against the run's own optimisation.

    Args:
        fitted: what ``embedgrad rival fit`` wrote of prompt tuning from the text, at the configured rate.
        history: its epochs.
        prompt: the prompt file of the run's own optimisation, of the same seed.
        own_history: its epochs.

    Returns:
        ``equal``; ``loss``, the largest relative difference of a loss on dev over the epochs; ``vectors``, ‖difference‖ over the
        length of the run's own displacement; both None where they cannot be formed; ``tolerance`` of both; ``note``, what differs
        besides, or empty.

    Raises:
        UserError: a file that is missing or not what it should be.
    """
    tensors, header = read_fitted(fitted)
    own, own_header = read_prompt_file(prompt)
    note = _other_settings(header.get("optimisation") or {}, own_header.get("settings") or {})
    loss, vectors = _loss_apart(read_history(history), read_history(own_history)), None
    if loss is None:
        note = note or "another number of epochs"
    found = tensors.get("vectors")
    if found is None or found.shape != own["vectors"].shape:
        note = note or "vectors of another shape"
    else:
        apart, moved = (float((own["vectors"] - other).norm()) for other in (found, own["initial"]))
        vectors = apart / moved if moved else (0.0 if apart == 0 else None)
        note = note or ("" if vectors is not None else "the run's own vectors have not moved, the control's have")
    equal = not note and loss is not None and loss <= LOSS and vectors is not None and vectors <= VECTORS
    return {
        "equal": equal,
        "loss": loss,
        "vectors": vectors,
        "tolerance": {"loss": LOSS, "vectors": VECTORS},
        "note": note,
        "learning_rate": (header.get("optimisation") or {}).get("learning_rate"),
        "seed": (header.get("optimisation") or {}).get("seed"),
    }


def _other_settings(one: dict, other: dict) -> str:
    """The first hyperparameter that both name and that differs, or that the run's own optimisation chose across folds."""
    if other.get("folds"):
        return f"the run chose its epoch across {other['folds']} folds"
    for name in sorted(one.keys() & other.keys()):
        if one[name] != other[name]:
            return f"{name} is {one[name]} in the control and {other[name]} in the run"
    return ""


def _loss_apart(one: Sequence[dict], other: Sequence[dict]) -> float | None:
    """The largest relative difference of an epoch's loss on dev; None where the epochs are not as many."""
    sides = [[line["dev_loss"] for line in lines if line.get("dev_loss") is not None] for lines in (one, other)]
    if not sides[0] or len(sides[0]) != len(sides[1]):
        return None
    return max(abs(a - b) / max(abs(b), math.ulp(1.0)) for a, b in zip(*sides, strict=True))
