"""How many characters of an answer each of its tokens wrote, so that an entropy can be shown where it belongs."""

from collections.abc import Sequence
from typing import Any

# A character that is not whole yet: its other bytes are in the tokens to come.
_UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class Written:
    """The texts of a tokenizer's tokens, each decoded once.

    Args:
        tokenizer: of the model that answered.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._alone: dict[int, str] = {}

    def characters(self, ids: Sequence[int], text: str) -> list[int] | None:
        """For each token how many characters of ``text``, which is their decoding, it wrote; None where that cannot be told.

        A character of several tokens counts with the last of them, or of the run of tokens that begin in the middle of one; special
        tokens write nothing.
        """
        for pieces in (self._each(ids), self._in_place(ids)):
            if "".join(pieces) == text:
                return [len(piece) for piece in pieces]
        return None

    def _decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True)

    def _each(self, ids: Sequence[int]) -> list[str]:
        """Each token by itself: right for byte-level vocabularies as long as no character is split."""
        for one in set(ids) - self._alone.keys():
            self._alone[one] = self._decode([one])
        return [self._alone[one] for one in ids]

    def _in_place(self, ids: Sequence[int]) -> list[str]:
        """Each token behind the ones before it: right for split characters, and where a word's space depends on its place."""
        pieces, begin, read = [], 0, 0
        for end in range(1, len(ids) + 1):
            known, now = self._decode(ids[begin:read]), self._decode(ids[begin:end])
            # A character takes four bytes at most: what is unfinished after that many tokens stays so.
            if now.endswith(_UNFINISHED) and end < len(ids) and end - read < 4:
                pieces.append("")
                continue
            pieces.append(now[len(known) :])
            begin, read = read, end
        return pieces
