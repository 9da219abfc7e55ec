"""A repetition penalty, as transformers applies it: off unless it is asked for.

Keskar et al. (2019, arXiv 1909.05858, Section 4.1) in the form that
https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/generation/logits_process.py has
(``RepetitionPenaltyLogitsProcessor``): the logits of all tokens that stand in the prompt or the answer so far are divided by the
penalty where they are positive and multiplied by it where they are negative.
"""

from collections.abc import Sequence

import torch


class Repetition:
    """Which tokens each running row holds.

    Args:
        penalty: above 1 discourages what is there already.
        rows: that run at a time.
        vocabulary: V, the width of the logits.
        device: where the logits lie.
    """

    def __init__(self, penalty: float, rows: int, vocabulary: int, device: torch.device) -> None:
        self._penalty = penalty
        self._held = torch.zeros(rows, vocabulary, dtype=torch.bool, device=device)

    def begin(self, row: int, ids: Sequence[int]) -> None:
        """A new row, with the tokens of all that stands before its answer."""
        self._held[row] = False
        self._held[row, torch.tensor(ids, dtype=torch.long, device=self._held.device)] = True

    def applied(self, logits: torch.Tensor) -> torch.Tensor:
        """The logits (R, V) of the first R rows, penalised."""
        penalised = torch.where(logits < 0, logits * self._penalty, logits / self._penalty)
        return torch.where(self._held[: len(logits)], penalised, logits)

    def add(self, chosen: torch.Tensor) -> None:
        """The tokens (R,) that the first R rows have just written."""
        self._held[: len(chosen)].scatter_(1, chosen[:, None], True)

    def move(self, source: int, target: int) -> None:
        """Give a row's place to another row."""
        self._held[target] = self._held[source]
