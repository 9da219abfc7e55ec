"""A cache of keys and values whose shape never changes, and the two plans that fill it and step through it."""

from collections.abc import Sequence

import torch

from embedgrad_core.model.attention import Options, attend, attend_one_each, visible


class StaticCache:
    """Keys and values of ``rows`` lanes with ``capacity`` places each.

    Attributes:
        lengths: (rows,) where each lane's next token goes, on the device.
    """

    def __init__(self, rows: int, capacity: int, device: torch.device) -> None:
        self.rows, self.capacity = rows, capacity
        self.lengths = torch.zeros(rows, dtype=torch.long, device=device)
        self._layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def layer(self, number: int, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(rows, G, capacity, D) of keys and of values; made like those of the first pass, full of zeros."""
        if number not in self._layers:
            self._layers[number] = tuple(
                like.new_zeros(self.rows, like.shape[1], self.capacity, like.shape[3]) for like in (key, value)
            )
        return self._layers[number]

    def spread(self, source: int, length: int) -> None:
        """Give every lane the first ``length`` places of ``source``."""
        for layer in self._layers.values():
            for tensor in layer:
                tensor[:, :, :length] = tensor[source, :, :length].clone()

    def move(self, source: int, target: int, length: int) -> None:
        """Give ``target`` the first ``length`` places of ``source``."""
        for layer in self._layers.values():
            for tensor in layer:
                tensor[target, :, :length] = tensor[source, :, :length]


class Filling:
    """Plan of a pass that reads whole inputs, end to end, each into a lane after the shared prefix.

    Args:
        cache: where keys and values go.
        lanes: of the inputs.
        first: places of each lane that are filled already.
        lengths: tokens of each input.

    Attributes:
        places: (T,) the place of each token in its own sequence.
        ends: (B,) the last token of each input in the flat sequence.
    """

    def __init__(self, cache: StaticCache, lanes: Sequence[int], first: int, lengths: Sequence[int]) -> None:
        device = cache.lengths.device
        counts = torch.tensor(lengths)
        row = torch.repeat_interleave(torch.arange(len(lanes)), counts)
        starts = counts.cumsum(0) - counts
        self.places = (torch.arange(int(counts.sum())) - starts[row] + first).to(device)
        self.ends = (counts.cumsum(0) - 1).to(device)
        self._cache, self._longest = cache, first + max(lengths)
        self._row, self._lanes = row.to(device), torch.tensor(lanes, device=device)
        self._lane = self._lanes[self._row]

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, options: Options
    ) -> torch.Tensor:
        """Plan of a forward pass; (1, H, T, D) → (T, H, D)."""
        cached = self._cache.layer(layer, key, value)
        for tensor, new in zip(cached, (key, value), strict=True):
            tensor[self._lane, :, self.places] = new[0].transpose(0, 1)
        keys, values = (tensor[self._lanes, :, : self._longest] for tensor in cached)
        # Zeros stand where the queries of what is filled already would be: so attention is plainly causal, which the fused
        # kernels know how to skip.
        padded = query.new_zeros(len(self._lanes), self._longest, query.shape[1], query.shape[3])
        padded[self._row, self.places] = query[0].transpose(0, 1)
        return attend(padded.transpose(1, 2), keys, values, options).transpose(1, 2)[self._row, self.places]


class Stepping:
    """Plan of a step: one token for each of the first lanes, at the places where they stand.

    Args:
        cache: what is read and written.
        places: (R,) where the lanes stand.
        read: places of the cache that are looked at.
    """

    def __init__(self, cache: StaticCache, places: torch.Tensor, read: int) -> None:
        self._cache, self._places, self._read = cache, places, read
        self._rows = torch.arange(len(places), device=places.device)
        self._masks: dict[int | None, torch.Tensor] = {}

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, options: Options
    ) -> torch.Tensor:
        """Plan of a forward pass; (1, H, R, D) → (R, H, D)."""
        cached = self._cache.layer(layer, key, value)
        for tensor, new in zip(cached, (key, value), strict=True):
            tensor[self._rows, :, self._places] = new[0].transpose(0, 1)
        keys, values = (tensor[: len(self._rows), :, : self._read] for tensor in cached)
        return attend_one_each(query[0], keys, values, options, self._mask(options.window))

    def _mask(self, window: int | None) -> torch.Tensor:
        """(R, 1, 1, S): which places a row's new token sees; the same for all layers of a step."""
        if window not in self._masks:
            self._masks[window] = visible(self._places, self._read, window)
        return self._masks[window]
