"""Which positions of one tokenizer's reading of a text stand for those of another's: by the characters they share."""

from collections.abc import Sequence

import torch

Spans = Sequence[tuple[int, int]]


def owners(length: int, spans: Spans) -> list[list[int]]:
    """For each character of a text, the tokens that it belongs to.

    Bytes of one character share it. A character that no token covers, as a blank that a tokenizer leaves out, belongs to the
    tokens of the next one that is covered, at the end to those before. A token without characters gets the one where it stands.

    Args:
        length: characters of the text, one at least.
        spans: half-open ranges of the tokens, one token at least.

    Returns:
        One list per character, none of them empty; every token is in one of them.
    """
    found: list[list[int]] = [[] for _ in range(length)]
    for place, (start, end) in enumerate(spans):
        start = min(max(start, 0), length - 1)
        for character in range(start, max(min(end, length), start + 1)):
            found[character].append(place)
    following: list[int] = []
    for character in range(length - 1, -1, -1):
        found[character] = found[character] or list(following)
        following = found[character]
    before: list[int] = []
    for character in range(length):
        found[character] = found[character] or list(before)
        before = found[character]
    return found


def alignment(length: int, source: Spans, target: Spans) -> torch.Tensor:
    """How much of each source position each target position stands for.

    Args:
        length: characters of the text.
        source: spans of the k source tokens.
        target: spans of the m target tokens.

    Returns:
        (m, k) float64 weights: each character of a target token counts the same, and is divided evenly among the source tokens that
        it belongs to. Rows sum to one and no column is empty: each displacement goes somewhere, and what two target tokens share of
        one source token, both of them get whole.
    """
    weights = torch.zeros(len(target), len(source), dtype=torch.float64)
    for theirs, ours in zip(owners(length, source), owners(length, target), strict=True):
        for place in ours:
            weights[place, theirs] += 1 / len(theirs)
    return weights / weights.sum(dim=1, keepdim=True)
