"""What LAT found, layer by layer, with its controls: bootstrap bands and random directions."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from embedgrad.runtime.progress import Progress
from embedgrad_core import FrozenModel, PromptEmbedding
from embedgrad_core.files import Item
from embedgrad_core.lat import Reader, Stimulus, label_sign, principal, prompt_states, spread, stimulus_states, wins

BAND = (0.025, 0.975)


def lat(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    stimuli: Sequence[Stimulus],
    items: Sequence[Item] = (),
    *,
    log: Callable[[str], None] = print,
    **settings: int,
) -> dict:
    """Read the stimuli and both prompts, also at the last input token of ``items``, and compare.

    Returns:
        What :func:`lat_of_states` returns, which has the ``settings``, and the number of ``items``.

    Raises:
        UserError: a text has no tokens or is longer than the model's context; names it.
    """
    with Progress("LAT, hidden states", 2 * len(stimuli) + 2 * len(items), log, unit="texts") as at:
        train, held_out = (
            stimulus_states(frozen, [one for one in stimuli if one.split == split], at.advance)
            for split in ("train", "held_out")
        )
        before, after = (
            prompt_states(frozen, prompt, vectors, items, at.advance) for vectors in (prompt.initial, prompt.vectors)
        )
    with Progress("LAT, directions", len(train), log, unit="layers") as at:
        analysis = lat_of_states(train, held_out, before, after, **settings, on_layer=at.advance)
    return analysis | {"items": len(items)}


def lat_of_states(
    train: torch.Tensor,
    held_out: torch.Tensor,
    before: dict[str, torch.Tensor],
    after: dict[str, torch.Tensor],
    *,
    seed: int = 0,
    draws: int = 200,
    random_directions: int = 1000,
    on_layer: Callable[[], None] = lambda: None,
) -> dict:
    """Held-out accuracy and activations of every layer.

    Args:
        train: (L+1, n, 2, d) states of the train pairs, see :func:`embedgrad_core.lat.stimulus_states`.
        held_out: (L+1, m, 2, d) states of the held-out pairs.
        before: (L+1, d) states of the text prompt, by reading.
        after: the same of the optimised prompt.
        seed: of the bootstrap and of the random directions.
        draws: bootstrap resamples of the train pairs, for the direction, and of the held-out pairs, for its accuracy.
        random_directions: unit directions, their signs fixed on the train pairs as the reading vector's is.
        on_layer: called when a layer has been measured.

    Returns:
        ``layers``: a row per layer with ``accuracy`` (train, held_out, band; ``random``: mean and 97.5 % quantile over
        random directions, and the mean of directions whose sign no label fixed) and, by reading, ``before``, ``after``
        and ``delta`` in standard deviations of the train projections, the bootstrap ``band`` of delta and ``random``,
        the band of delta over random directions: a delta inside it is what any direction shows. ``summary``: in how many
        layers delta, its band and its excess over random directions are positive, and where delta is largest.
    """
    generator = torch.Generator().manual_seed(seed)
    n, m = train.shape[1], held_out.shape[1]
    # The same resamples and directions at every layer, so that layers can be compared.
    train_draws = torch.randint(n, (draws, n), generator=generator)
    held_out_draws = torch.randint(m, (m, draws), generator=generator)
    noise = torch.randn(random_directions, train.shape[-1], generator=generator, dtype=torch.float64)
    controls = torch.nn.functional.normalize(noise, dim=1)[None]
    reader = Reader.fit(train)
    activations = {name: (reader.project(before[name]), reader.project(after[name])) for name in before}
    layers = []
    for layer in range(len(train)):
        # One layer at a time: all directions of all layers of a large model would take gigabytes.
        at = slice(layer, layer + 1)
        drawn, _ = principal((train[at, :, 0] - train[at, :, 1]), train_draws)
        won = wins(held_out[at], drawn)[0].gather(0, held_out_draws)
        sign = label_sign(train[at], controls)
        row: dict[str, Any] = {
            "layer": layer,
            "explained": float(reader.explained[layer]),
            "accuracy": {
                "train": float(wins(train[at], reader.vectors[at, None]).mean()),
                "held_out": float(wins(held_out[at], reader.vectors[at, None]).mean()),
                "band": _band(won.mean(dim=0)),
                "random": _random_accuracy(wins(held_out[at], controls)[0], sign[0]),
            },
            "readings": {},
        }
        for name, (old, new) in activations.items():
            moved = (after[name] - before[name])[layer].double()
            row["readings"][name] = {
                "before": float(old[layer]),
                "after": float(new[layer]),
                "delta": float(new[layer] - old[layer]),
                "band": _band((drawn @ moved / spread(train[at], drawn))[0]),
                "random": _band((sign * (controls @ moved) / spread(train[at], controls))[0]),
            }
        layers.append(row)
        on_layer()
    return {
        "layers": layers,
        "summary": {name: _summary(layers, name) for name in before},
        "settings": {"seed": seed, "draws": draws, "random_directions": random_directions},
        "pairs": {"train": n, "held_out": m},
    }


def _random_accuracy(won: torch.Tensor, sign: torch.Tensor) -> dict[str, float]:
    """Held-out accuracy of random directions, from their (m, R) wins and the (R,) signs that the train labels give."""
    signed = torch.where(sign > 0, won, 1 - won).mean(dim=0)
    return {
        "mean": float(signed.mean()),
        "q975": float(signed.quantile(BAND[1])),
        "unsigned_mean": float(won.mean()),
    }


def _band(values: torch.Tensor) -> list[float]:
    return [float(values.quantile(share)) for share in BAND]


def _summary(layers: list[dict], name: str) -> dict:
    """Where Figure 3's claims stand: delta above 0 in all layers, largest at the first."""
    readings = [row["readings"][name] for row in layers]
    deltas = [one["delta"] for one in readings]
    return {
        "layers_above_zero": sum(delta > 0 for delta in deltas),
        "layers_band_above_zero": sum(one["band"][0] > 0 for one in readings),
        "layers_above_random": sum(one["delta"] > one["random"][1] for one in readings),
        "layers": len(deltas),
        "largest_delta_at_layer": max(range(len(deltas)), key=deltas.__getitem__),
    }
