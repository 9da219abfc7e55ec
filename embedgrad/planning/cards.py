"""Cards by their data sheets. Needs no torch, so that planning a workflow stays quick."""

from contracts import UserError

# Gigabytes; bf16 (T4: fp16) dense TFLOP/s; TB/s. Data sheets of NVIDIA: H200, H100 SXM, A100, L40S, A10, RTX 4090, T4.
CARDS = {
    "h200": (141, 989, 4.8),
    "h100": (80, 989, 3.35),
    "a100-80": (80, 312, 2.04),
    "a100-40": (40, 312, 1.56),
    "l40s": (48, 362, 0.86),
    "a10": (24, 125, 0.6),
    "rtx4090": (24, 165, 1.01),
    "t4": (16, 65, 0.3),
}


def card_bytes(name: str) -> int:
    """Memory of one card.

    Raises:
        UserError: a name that is not in ``CARDS``.
    """
    if name not in CARDS:
        raise UserError(f"card {name}: no such card; known are {', '.join(CARDS)}.")
    return CARDS[name][0] * 10**9
