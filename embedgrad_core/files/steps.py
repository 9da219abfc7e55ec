"""An answer's tokens as they travel in its row: how much of the text each wrote, and how unsure the model was of it.

One base64 text holds a byte of characters for each token, then a byte of entropy for each. Text, not a list: the row stays one line
of JSON that people can read.
"""

import base64
import binascii
import math
from collections.abc import Sequence

# Entropies are kept in eighths of a bit: enough to shade by, and a byte of them holds more than any vocabulary's logarithm.
LEVELS_PER_BIT = 8
_BYTE = 255


def pack_steps(characters: Sequence[int], bits: Sequence[float]) -> str | None:
    """Both as one text; None where a token wrote more characters than a byte can count, or an entropy is no number.

    Args:
        characters: of the answer, for each token; their sum is the answer's length.
        bits: the entropy of each token's step (Eq. 11 before the mean), in bits.
    """
    if max(characters, default=0) > _BYTE or not all(map(math.isfinite, bits)):
        return None
    levels = (max(0, min(_BYTE, round(LEVELS_PER_BIT * one))) for one in bits)
    return base64.b64encode(bytes([*characters, *levels])).decode()


def unpack_steps(packed: str, tokens: int, characters: int) -> tuple[bytes, bytes]:
    """The characters and the entropy (in eighths of a bit) of each of an answer's ``tokens``.

    Raises:
        ValueError: this is not what :func:`pack_steps` makes of an answer of so many tokens and characters.
    """
    try:
        both = base64.b64decode(packed, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    lengths, levels = both[:tokens], both[tokens:]
    if len(levels) != tokens or sum(lengths) != characters:
        raise ValueError("other tokens or characters than the answer has")
    return lengths, levels
