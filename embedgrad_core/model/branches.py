"""A forward pass over a tree: what several texts have in common is computed once, however many of them go on from there."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch.nn.utils.rnn import pad_sequence

from embedgrad_core.model.attention import Options, Pack


class Branches(Pack):
    """One shared prefix, stems that each continue it, and branches that each continue a stem, laid end to end without padding.

    A token attends to the prefix, to what stands before it in its own stem, and a branch's to its own branch: to what it would
    see in a sequence of its own. Only inside the attention itself are there such sequences, prefix and stem repeated in each.

    Args:
        prefix: its tokens.
        stems: tokens of each; none where the branches continue the prefix itself.
        branches: for each stem the tokens of each of its branches, at least one branch, which may be empty.
    """

    def __init__(self, prefix: int, stems: Sequence[int], branches: Sequence[Sequence[int]]) -> None:
        lengths = [length for stem, own in zip(stems, branches, strict=True) for length in (stem, *own)]
        super().__init__(prefix, lengths)
        ends = list(accumulate(self.lengths))
        pieces = iter([torch.arange(end - length, end) for end, length in zip(ends, self.lengths, strict=True)])
        shared = next(pieces)
        rows = []
        for own in branches:
            stem = next(pieces)
            rows += [torch.cat([shared, stem, next(pieces)]) for _ in own]
        # Padding repeats the first token, at the end of its row, where no real one looks.
        self._read = pad_sequence(rows, batch_first=True)
        # Any row that holds a token has the same for it; the place in the row is its position.
        self._written = torch.empty(ends[-1], dtype=torch.long)
        for number, row in enumerate(rows):
            self._written[row] = number * self._read.shape[1] + torch.arange(len(row))

    def positions(self) -> torch.Tensor:
        """(T,) place of each token in its own sequence, prefix counted in."""
        return self._written % self._read.shape[1]

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, options: Options
    ) -> torch.Tensor:
        """Plan of a forward pass; differentiable."""
        self._read, self._written = self._read.to(query.device), self._written.to(query.device)
        out = self._attend(layer, self._rows(query), self._rows(key), self._rows(value), options)
        return out.transpose(1, 2).flatten(0, 1)[self._written]

    def _rows(self, flat: torch.Tensor) -> torch.Tensor:
        """(1, H, T, D) → (branches, H, longest, D)."""
        return flat[0][:, self._read].transpose(0, 1)
