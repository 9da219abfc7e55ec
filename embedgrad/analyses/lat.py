"""What LAT found, layer by layer, with its controls: random directions, shuffled labels, a prompt moved at random, bootstraps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from embedgrad.analyses.matched_pairs import in_template
from embedgrad.runtime.progress import Progress
from embedgrad_core import FrozenModel, PromptEmbedding
from embedgrad_core.anchoring import randomly_displaced
from embedgrad_core.files import Item
from embedgrad_core.lat import (
    SPLITS,
    Reader,
    Stimulus,
    label_sign,
    principal,
    prompt_states,
    spread,
    stimulus_states,
    wins,
    without_labels,
)

BAND = (0.025, 0.975)
ITEM_DRAWS = 2000  # means of a few numbers: they cost nothing
States = Mapping[str, torch.Tensor]


class Controls(NamedTuple):
    """What is drawn once and is the same at every layer, so that layers can be compared.

    Attributes:
        pairs: (B, n) resamples of the train pairs.
        held_out: (m, B) resamples of the held-out pairs.
        shuffles: (B, 2n) permutations of the train texts.
        directions: (1, R, d) unit vectors.
        generator: for the resamples of items.
    """

    pairs: torch.Tensor
    held_out: torch.Tensor
    shuffles: torch.Tensor
    directions: torch.Tensor
    generator: torch.Generator

    @classmethod
    def draw(cls, train: torch.Tensor, held_out: torch.Tensor, seed: int, draws: int, directions: int) -> "Controls":
        """For states (L+1, n, 2, d) of train and (L+1, m, 2, d) of held-out pairs."""
        generator = torch.Generator().manual_seed(seed)
        n, m = train.shape[1], held_out.shape[1]
        pairs = torch.randint(n, (draws, n), generator=generator)
        resampled = torch.randint(m, (m, draws), generator=generator)
        noise = torch.randn(directions, train.shape[-1], generator=generator, dtype=torch.float64)
        shuffles = torch.stack([torch.randperm(2 * n, generator=generator) for _ in range(draws)])
        return cls(pairs, resampled, shuffles, torch.nn.functional.normalize(noise, dim=1)[None], generator)


def lat(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    matched: Sequence[Stimulus],
    responses: Sequence[Stimulus],
    items: Sequence[Item] = (),
    *,
    seed: int = 0,
    draws: int = 200,
    random_directions: int = 1000,
    displacements: int = 3,
    log: Callable[[str], None] = print,
) -> dict:
    """Read the stimuli and both prompts, also at the last input token of ``items``, and compare.

    Args:
        frozen: the model.
        prompt: an optimised prompt.
        matched: pairs of the same content, read inside a template; see :mod:`embedgrad.analyses.matched_pairs`.
        responses: pairs of texts that stand for themselves.
        items: not of the test split.
        seed: of bootstraps, random directions and shuffles, and of the first prompt that is moved at random.
        draws: resamples of the pairs, and shuffles.
        random_directions: how many.
        displacements: prompts moved as far at random.
        log: gets the lines of progress.

    Returns:
        ``readers``: for ``template`` and ``responses`` what :func:`lat_of_states` returns; the number of ``items``; ``settings``.

    Raises:
        UserError: a text has no tokens or is longer than the model's context; names it.
    """
    sides = [prompt.initial, prompt.vectors, *(randomly_displaced(prompt, seed + n) for n in range(displacements))]
    stimuli = {"template": (matched, in_template(prompt.slot)), "responses": (responses, None)}
    texts = 2 * len(matched) + 2 * len(responses) + len(sides) * len(items)
    with Progress("LAT, hidden states", texts, log, unit="texts") as at:
        read = {
            name: [
                stimulus_states(frozen, [one for one in pairs if one.split == split], encode, at.advance)
                for split in SPLITS
            ]
            for name, (pairs, encode) in stimuli.items()
        }
        before, after, *displaced = (prompt_states(frozen, prompt, side, items, at.advance) for side in sides)
    settings = {"seed": seed, "draws": draws, "random_directions": random_directions}
    layers = sum(len(train) for train, _ in read.values())
    with Progress("LAT, directions", layers, log, unit="layers") as at:
        readers = {
            name: lat_of_states(train, held_out, before, after, displaced, **settings, on_layer=at.advance)
            for name, (train, held_out) in read.items()
        }
    return {"readers": readers, "items": len(items), "settings": settings | {"displacements": displacements}}


def lat_of_states(
    train: torch.Tensor,
    held_out: torch.Tensor,
    before: States,
    after: States,
    displaced: Sequence[States] = (),
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
        before: (L+1, items, d) states of the text prompt, by reading.
        after: the same of the optimised prompt.
        displaced: the same of prompts moved as far at random.
        seed: of the bootstraps, the shuffles and the random directions.
        draws: bootstrap resamples of the train pairs, for the direction, and of the held-out pairs, for its accuracy; shuffles.
        random_directions: unit directions, their signs fixed on the train pairs as the reading vector's is.
        on_layer: called when a layer has been measured.

    Returns:
        ``layers``: a row per layer with ``accuracy`` (train, held_out, band; ``random``: mean and 97.5 % quantile over
        random directions, and the mean of directions whose sign no label fixed; ``shuffled``: of directions fitted to shuffled
        labels) and, by reading, ``before``, ``after`` and ``delta`` in standard deviations of the train projections; the
        bootstrap ``band`` of delta over train pairs; where there are several ``items``, the band over them, and over ``both`` at
        once, else null; ``random`` and ``shuffled``, the bands over such directions: a delta inside is what any direction shows;
        ``displaced``, delta of each prompt moved at random. ``summary``: in how many layers delta, its band and its excess over
        the controls are positive, and where delta is largest. ``pairs``: how many.
    """
    controls = Controls.draw(train, held_out, seed, draws, random_directions)
    reader = Reader.fit(train)
    layers = []
    for layer in range(len(train)):
        # One layer at a time: all directions of all layers of a large model would take gigabytes.
        at = slice(layer, layer + 1)
        drawn, _ = principal((train[at, :, 0] - train[at, :, 1]), controls.pairs)
        shuffled, sign = without_labels(train[at], controls.shuffles), label_sign(train[at], controls.directions)
        won = wins(held_out[at], drawn)[0].gather(0, controls.held_out)
        directions = {
            "band": drawn[0] / spread(train[at], drawn)[0, :, None],
            "random": sign[0, :, None] * controls.directions[0] / spread(train[at], controls.directions)[0, :, None],
            "shuffled": shuffled[0] / spread(train[at], shuffled)[0, :, None],
        }
        unit = reader.vectors[layer] / reader.scale[layer]
        readings = {}
        for name in before:
            moved, *others = ((side[name][layer] - before[name][layer]).double() for side in (after, *displaced))
            activation = [float(reader.project(side[name])[layer].mean()) for side in (before, after)]
            readings[name] = {
                **dict(zip(("before", "after"), activation, strict=True)),
                "delta": float((moved @ unit).mean()),
                **{key: _band(some @ moved.mean(dim=0)) for key, some in directions.items()},
                **_over_items(moved, unit, directions["band"], controls.generator),
                "displaced": [float((other @ unit).mean()) for other in others],
            }
        row: dict[str, Any] = {
            "layer": layer,
            "explained": float(reader.explained[layer]),
            "accuracy": {
                "train": float(wins(train[at], reader.vectors[at, None]).mean()),
                "held_out": float(wins(held_out[at], reader.vectors[at, None]).mean()),
                "band": _band(won.mean(dim=0)),
                "random": _random_accuracy(wins(held_out[at], controls.directions)[0], sign[0]),
                "shuffled": _accuracy(wins(held_out[at], shuffled)[0].mean(dim=0)),
            },
            "readings": readings,
        }
        layers.append(row)
        on_layer()
    return {
        "layers": layers,
        "summary": {name: _summary(layers, name) for name in before},
        "pairs": {"train": train.shape[1], "held_out": held_out.shape[1]},
    }


def _over_items(
    moved: torch.Tensor, unit: torch.Tensor, drawn: torch.Tensor, generator: torch.Generator
) -> dict[str, list[float] | None]:
    """Percentile intervals of a mean change, from (items, d) changes: over items, and over items and (B, d) directions at once."""
    items = len(moved)
    if items < 2:
        return {"items": None, "both": None}
    alone = torch.randint(items, (ITEM_DRAWS, items), generator=generator)
    joint = torch.randint(items, (len(drawn), items), generator=generator)
    return {
        "items": _band((moved @ unit)[alone].mean(dim=1)),
        "both": _band((drawn @ moved.T).gather(1, joint).mean(dim=1)),
    }


def _random_accuracy(won: torch.Tensor, sign: torch.Tensor) -> dict[str, float]:
    """Held-out accuracy of random directions, from their (m, R) wins and the (R,) signs that the train labels give."""
    signed = torch.where(sign > 0, won, 1 - won).mean(dim=0)
    return _accuracy(signed) | {"unsigned_mean": float(won.mean())}


def _accuracy(found: torch.Tensor) -> dict[str, float]:
    return {"mean": float(found.mean()), "q975": float(found.quantile(BAND[1]))}


def _band(values: torch.Tensor) -> list[float]:
    return [float(values.quantile(share)) for share in BAND]


def _summary(layers: list[dict], name: str) -> dict:
    """Where Figure 3's claims stand: delta above 0 in all layers, largest at the first."""
    readings = [row["readings"][name] for row in layers]
    deltas = [one["delta"] for one in readings]
    return {
        "layers_above_zero": sum(delta > 0 for delta in deltas),
        "layers_band_above_zero": sum((one["both"] or one["band"])[0] > 0 for one in readings),
        "layers_above_random": sum(one["delta"] > one["random"][1] for one in readings),
        "layers_above_displaced": sum(one["delta"] > max(one["displaced"], default=0.0) for one in readings),
        "layers": len(deltas),
        "largest_delta_at_layer": max(range(len(deltas)), key=deltas.__getitem__),
    }
