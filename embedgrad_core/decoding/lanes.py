"""A cache of keys and values in fixed lanes, one per running row, so that rows come and go without copying the rest."""

from collections.abc import Sequence

import torch

from embedgrad_core.model.attention import Options, Past, attend, attend_one_each, causal, visible
from embedgrad_core.model.sizes import GROWTH


class KeyValueLanes:
    """Plan of a decoding step (see :mod:`embedgrad_core.model.attention`).

    A step's flat sequence holds one token for each of the first ``running`` lanes, then whole stretches of new tokens for
    the lanes that are being filled. Keys and values are written where they belong and never move, but for one row when
    its lane is closed.

    Attributes:
        lengths: tokens held by each lane.

    A layer's keys and values lie on the layer's own device; ``device`` is where positions are asked for.
    """

    def __init__(self, lanes: int, device: torch.device) -> None:
        self.lengths = [0] * lanes
        self.device = device
        self._keys: dict[int, torch.Tensor] = {}
        self._values: dict[int, torch.Tensor] = {}
        self._capacity = 0
        self.running = 0
        self._stretches: list[tuple[int, int, int]] = []  # (lane, first place, tokens)

    def begin(self, running: int, stretches: Sequence[tuple[int, int]]) -> torch.Tensor:
        """Plan the next forward pass: one token for lanes ``0 … running-1``, then ``(lane, tokens)`` stretches.

        Returns:
            (T,) the place of every token in its own sequence.
        """
        self.running = running
        self._stretches = [(lane, self.lengths[lane], tokens) for lane, tokens in stretches]
        places = torch.tensor(self.lengths[:running], dtype=torch.long, device=self.device)
        self._places = {self.device: places}
        self._rows = {self.device: torch.arange(running, device=self.device)}
        self._masks: dict[tuple[int | None, torch.device], torch.Tensor] = {}
        for lane in range(running):
            self.lengths[lane] += 1
        for lane, _, tokens in self._stretches:
            self.lengths[lane] += tokens
        self._longest = max(self.lengths[:running], default=0)
        self._reserve(max(self.lengths))
        new = [torch.arange(first, first + tokens, device=self.device) for _, first, tokens in self._stretches]
        return torch.cat([places, *new])

    def preload(self, past: Past) -> None:
        """Give lane 0 a past, before its first token."""
        self.lengths[0] = len(past)
        self._reserve(len(past))
        for cache, own in ((self._keys, past.keys), (self._values, past.values)):
            for layer, tensor in enumerate(own):
                self._cache(cache, layer, tensor[None])[0, :, : len(past)] = tensor

    def copy(self, source: int, target: int) -> None:
        """Give lane ``target`` what lane ``source`` holds."""
        length = self.lengths[target] = self.lengths[source]
        for cache in (self._keys, self._values):
            for tensor in cache.values():
                tensor[target, :, :length] = tensor[source, :, :length]

    def truncate(self, lane: int, length: int) -> None:
        """Forget what lane ``lane`` holds after its first ``length`` tokens."""
        self.lengths[lane] = length

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, options: Options
    ) -> torch.Tensor:
        """Plan of a forward pass; (1, H, T, D) → (T, H, D)."""
        keys, values = self._cache(self._keys, layer, key), self._cache(self._values, layer, value)
        done, parts = self.running, []
        if done:
            rows, places = self._here(self._rows, key.device), self._here(self._places, key.device)
            keys[rows, :, places] = key[0, :, :done].transpose(0, 1)
            values[rows, :, places] = value[0, :, :done].transpose(0, 1)
            seen = (keys[:done, :, : self._longest], values[:done, :, : self._longest])
            parts.append(attend_one_each(query[0, :, :done], *seen, options, self._mask(options.window, query.device)))
        for lane, first, tokens in self._stretches:
            here, last = slice(done, done + tokens), first + tokens
            keys[lane, :, first:last] = key[0, :, here]
            values[lane, :, first:last] = value[0, :, here]
            seen = (keys[lane : lane + 1, :, :last], values[lane : lane + 1, :, :last])
            mask = causal(tokens, last, options.window, query.device) if first else None
            parts.append(attend(query[:, :, here], *seen, options, mask)[0].transpose(0, 1))
            done += tokens
        return torch.cat(parts)

    def _here(self, copies: dict[torch.device, torch.Tensor], device: torch.device) -> torch.Tensor:
        """A step's indices on a layer's device, sent there once per step."""
        if device not in copies:
            copies[device] = copies[self.device].to(device)
        return copies[device]

    def _mask(self, window: int | None, device: torch.device) -> torch.Tensor:
        """(R, 1, 1, S): which of the cached places a row's new token sees; the same for a device's layers of a step."""
        if (window, device) not in self._masks:
            self._masks[window, device] = visible(self._here(self._places, device), self._longest, window)
        return self._masks[window, device]

    def _cache(self, cache: dict[int, torch.Tensor], layer: int, like: torch.Tensor) -> torch.Tensor:
        """A layer's cache (lanes, G, capacity, D)."""
        if layer not in cache:
            cache[layer] = like.new_zeros(len(self.lengths), like.shape[1], self._capacity, like.shape[3])
        return cache[layer]

    def _reserve(self, needed: int) -> None:
        """Make room for ``needed`` tokens per lane: by half as much again, so that growing costs little over a run."""
        if needed <= self._capacity:
            return
        self._capacity = max(needed, self._capacity * 3 // 2) + GROWTH
        for cache in (self._keys, self._values):
            for layer, old in list(cache.items()):
                cache[layer] = old.new_zeros(*old.shape[:2], self._capacity, old.shape[3])
                cache[layer][:, :, : old.shape[2]] = old
