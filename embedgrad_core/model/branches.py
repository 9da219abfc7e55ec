"""A forward pass over a tree: what several texts have in common is computed once, however many of them go on from there."""

from collections.abc import Sequence

import torch
from torch.nn.utils.rnn import pad_sequence

from embedgrad_core.model.attention import Options, Pack, attend

STEM, PADDING = 0, -1


class Branches(Pack):
    """One shared prefix, stems that each continue it, and branches that each continue a stem, laid end to end without padding.

    A token attends to the prefix, to what stands before it in its own stem, and a branch's to its own branch: to what it would
    see in a text of its own. Only inside the attention itself are stems, each with its branches, padded to the longest.

    Args:
        prefix: its tokens.
        stems: S numbers of tokens; 0 where the branches continue the prefix itself.
        branches: for each stem the tokens of each of its branches, if any.
    """

    def __init__(self, prefix: int, stems: Sequence[int], branches: Sequence[Sequence[int]]) -> None:
        super().__init__(prefix, [stem + sum(own) for stem, own in zip(stems, branches, strict=True)])
        places = [
            torch.cat([torch.arange(stem), *(torch.arange(stem, stem + length) for length in own)])
            for stem, own in zip(stems, branches, strict=True)
        ]
        # 0 for each token of the stem, 1 for the first branch's, …
        pieces = [
            torch.repeat_interleave(torch.tensor([stem, *own])) for stem, own in zip(stems, branches, strict=True)
        ]
        self._positions = torch.cat([torch.arange(prefix), *(prefix + own for own in places)])
        self._place = prefix + pad_sequence(places, batch_first=True)
        self._piece = pad_sequence(pieces, batch_first=True, padding_value=PADDING)
        self._masks: dict[int | None, torch.Tensor] = {}

    def positions(self) -> torch.Tensor:
        """(T,) place of each token in a text of its own, prefix counted in."""
        return self._positions

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, options: Options
    ) -> torch.Tensor:
        """Plan of a forward pass; differentiable."""
        prefix, *lengths = self.lengths
        mask = self._visible(options.window, query.device)
        behind = attend(self._rows(query), self._behind_prefix(key), self._behind_prefix(value), options, mask)
        out = [row[:length] for row, length in zip(behind.transpose(1, 2), lengths, strict=True)]
        if prefix:
            first = attend(*(query[:, :, :prefix], key[:, :, :prefix], value[:, :, :prefix]), options=options)
            out = [first[0].transpose(0, 1), *out]
        return torch.cat(out)

    def _rows(self, flat: torch.Tensor) -> torch.Tensor:
        """(1, H, T, D) → (S, H, longest, D), without the prefix."""
        _, *own = flat[0].transpose(0, 1).split(self.lengths)
        return pad_sequence(own, batch_first=True).transpose(1, 2)

    def _behind_prefix(self, flat: torch.Tensor) -> torch.Tensor:
        """(1, G, T, D) → (S, G, prefix + longest, D)."""
        own = self._rows(flat)
        return torch.cat([flat[:, :, : self.lengths[0]].expand(len(own), -1, -1, -1), own], dim=2)

    def _visible(self, window: int | None, device: torch.device) -> torch.Tensor:
        """(S, 1, longest, prefix + longest): what each token behind the prefix sees. Padding sees itself: no row is empty."""
        if window not in self._masks or self._masks[window].device != device:
            stems, prefix = len(self._place), self.lengths[0]
            place = torch.cat([torch.arange(prefix).expand(stems, -1), self._place], dim=1)
            piece = torch.cat([torch.full((stems, prefix), STEM), self._piece], dim=1)
            distance = self._place[:, :, None] - place[:, None]
            seen = (distance >= 0) & ((piece[:, None] == STEM) | (piece[:, None] == self._piece[:, :, None]))
            if window is not None:
                seen &= distance < window
            self._masks[window] = seen[:, None].to(device)
        return self._masks[window]
