"""Section 5.3, Linear Artificial Tomography (Zou et al. 2023): does the optimised prompt activate a concept more?

Pairs of texts that differ in the concept give one *reading vector* per layer: the first principal component of the
differences between their hidden states at the last token. Both orders of every pair enter, so that the differences are
centred exactly: centring them in one order only would subtract the concept itself. The labels fix the sign. (The authors'
code draws an order for each pair and centres: the same but for chance. github.com/andyzoujm/representation-engineering/blob/
5455d8a/repe/rep_readers.py.)

An activation is the projection of a hidden state on the unit reading vector, centred on the train states and divided by
the standard deviation of their projections, since norms grow from layer to layer. Layer 0 is the embedding output, layer l
the output of block l; transformers' last hidden state has the final norm applied.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from embedgrad_core.files import Item, UserError, read_jsonl
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.prompt import PromptEmbedding

SPLITS = ("train", "held_out")
READINGS = ("prompt_last", "prompt_mean", "input_last")
_TINY = 1e-12


@dataclass(frozen=True)
class Stimulus:
    """A pair of texts: ``positive`` shows the concept, ``negative`` does not; ``split`` is train or held_out."""

    positive: str
    negative: str
    split: str


def read_stimuli(path: str | Path) -> list[Stimulus]:
    """Read a file of stimulus pairs.

    Raises:
        UserError: a malformed line, an empty text, an unknown split, or too few pairs of a split.
    """
    stimuli = []
    for number, row in enumerate(read_jsonl(path, ("positive", "negative", "split")), start=1):
        for key in ("positive", "negative"):
            if not isinstance(row[key], str) or not row[key].strip():
                raise UserError(f"{path}:{number}: {key!r} must be text; write at least one word.")
        if row["split"] not in SPLITS:
            raise UserError(f"{path}:{number}: 'split' is {row['split']!r}; it must be train or held_out.")
        stimuli.append(Stimulus(row["positive"], row["negative"], row["split"]))
    for split, least in (("train", 2), ("held_out", 1)):
        count = sum(stimulus.split == split for stimulus in stimuli)
        if count < least:
            raise UserError(f"{path}: {count} pairs of split {split}; give at least {least}.")
    return stimuli


@torch.no_grad()
def hidden_states(frozen: FrozenModel, *, ids: Sequence[int] = (), embeds: torch.Tensor | None = None) -> torch.Tensor:
    """Hidden states of one sequence, given as token ids or as (T, d) embeddings: (L+1, T, d) float32 on the CPU."""
    if embeds is None:
        fed = {"input_ids": torch.tensor([list(ids)], device=frozen.device)}
    else:
        fed = {"inputs_embeds": embeds[None].to(frozen.device, frozen.dtype)}
    states = frozen.network.base_model(**fed, output_hidden_states=True, use_cache=False).hidden_states
    return torch.cat([state.cpu() for state in states]).float()


def stimulus_states(
    frozen: FrozenModel,
    stimuli: Sequence[Stimulus],
    encode: Callable[[str], Sequence[int]] | None = None,
    on_text: Callable[[], None] = lambda: None,
) -> torch.Tensor:
    """Hidden states at the last token of both texts of every pair: (L+1, n, 2, d) float32, positive first.

    ``encode`` makes a text's token ids, in a template for instance; by default the tokenizer reads the text alone. ``on_text`` is
    called when a text has been read.

    Raises:
        UserError: a text has no tokens or is longer than the model's context; names the text.
    """

    def last(text: str) -> torch.Tensor:
        ids = encode(text) if encode else _ids_alone(frozen, text)
        state = _last_state(frozen, text, ids)
        on_text()
        return state

    pairs = [torch.stack([last(one.positive), last(one.negative)]) for one in stimuli]
    return torch.stack(pairs).permute(2, 0, 1, 3).contiguous()


def _ids_alone(frozen: FrozenModel, text: str) -> list[int]:
    ids = frozen.tokenizer(text)["input_ids"]
    # Some tokenizers close a text; the last token must be the text's own.
    return ids[:-1] if ids and ids[-1] == frozen.tokenizer.eos_token_id else ids


def _last_state(frozen: FrozenModel, text: str, ids: Sequence[int]) -> torch.Tensor:
    if not 0 < len(ids) <= frozen.context:
        raise UserError(
            f"stimulus {text[:40]!r}: {len(ids)} tokens, the model takes 1 to {frozen.context}; "
            "fix the text in the file of stimuli."
        )
    return hidden_states(frozen, ids=ids)[:, -1]


@dataclass(frozen=True)
class Reader:
    """Reading vectors of all layers.

    Attributes:
        vectors: (L+1, d) float64 unit vectors; zeros at a layer where no pair differs.
        centre: (L+1, d) float64, mean of the train states.
        scale: (L+1,) float64, standard deviation of the train states' projections.
        explained: (L+1,) float64, share of the differences' variance along the vector.
    """

    vectors: torch.Tensor
    centre: torch.Tensor
    scale: torch.Tensor
    explained: torch.Tensor

    @classmethod
    def fit(cls, train: torch.Tensor) -> "Reader":
        """From train states (L+1, n, 2, d)."""
        train = train.double()
        difference = train[:, :, 0] - train[:, :, 1]
        vectors, explained = principal(difference, torch.arange(difference.shape[1])[None])
        vectors = vectors[:, 0]
        return cls(vectors, train.mean(dim=(1, 2)), spread(train, vectors[:, None])[:, 0], explained[:, 0])

    def project(self, states: torch.Tensor) -> torch.Tensor:
        """Activations of states (L+1, …, d): (L+1, …), in standard deviations of the train projections."""
        shape = (len(self.vectors), *[1] * (states.dim() - 2))
        centred = states.double() - self.centre.view(*shape, -1)
        return (centred * self.vectors.view(*shape, -1)).sum(dim=-1) / self.scale.view(shape)


def principal(difference: torch.Tensor, draws: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """First principal component of ± the pair differences, for each resample of the pairs.

    Args:
        difference: (L+1, n, d) positive − negative.
        draws: (B, m) indices of pairs.

    Returns:
        (L+1, B, d) unit vectors whose mean projection of the differences is positive, and (L+1, B) explained shares.
        Through the (n, n) Gram matrix: pairs are few, dimensions many.
    """
    vectors, explained = [], []
    for layer in difference.double():
        gram = (layer @ layer.T)[draws[:, :, None], draws[:, None, :]]
        values, weights = torch.linalg.eigh(gram)
        drawn = torch.zeros(len(draws), len(layer), dtype=layer.dtype)
        drawn.scatter_add_(1, draws, weights[:, :, -1])
        direction = drawn @ layer
        direction = torch.nn.functional.normalize(direction, dim=1, eps=_TINY)
        sign = (layer[draws].mean(dim=1) * direction).sum(dim=1)
        vectors.append(direction * torch.where(sign < 0, -1.0, 1.0)[:, None])
        explained.append(values[:, -1].clamp_min(0) / values.clamp_min(0).sum(dim=1).clamp_min(_TINY))
    return torch.stack(vectors), torch.stack(explained)


def without_labels(train: torch.Tensor, shuffles: torch.Tensor) -> torch.Tensor:
    """What :meth:`Reader.fit` finds when the labels of the train texts are shuffled, a control.

    Shuffling the order within the pairs would change nothing but the sign: both orders enter. So the labels of all texts are
    shuffled, and the texts are paired anew.

    Args:
        train: (L+1, n, 2, d) states.
        shuffles: (B, 2n) permutations of the texts; of each, the first n texts are labelled positive.

    Returns:
        (L+1, B, d) unit vectors; their signs are fixed by the shuffled labels.
    """
    texts, n = train.double().flatten(1, 2), train.shape[1]
    alone = torch.arange(n)[None]
    found = [principal(texts[:, order[:n]] - texts[:, order[n:]], alone)[0] for order in shuffles]
    return torch.cat(found, dim=1)


def spread(train: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """Standard deviation of train states' projections on (L+1, B, d) directions: (L+1, B), 1 where all are equal."""
    states = train.double().flatten(1, 2)
    found = (states @ directions.transpose(1, 2)).std(dim=1)
    return torch.where(found > _TINY, found, 1.0)


def label_sign(train: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """+1 or −1 for each of (L+1, B, d) directions, so that positive train texts lie further along it; (L+1, B)."""
    mean = (train[:, :, 0] - train[:, :, 1]).double().mean(dim=1)
    return torch.where((directions @ mean[:, :, None])[..., 0] < 0, -1.0, 1.0).double()


def wins(states: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """Whether the positive text of pairs (L+1, m, 2, d) lies further along (L+1, B, d) directions: (L+1, m, B).

    1 where it does, 0 where it does not, ½ where both lie at one place; the mean over pairs is the pair accuracy.
    """
    difference = (states[:, :, 0] - states[:, :, 1]).double()
    return ((difference @ directions.transpose(1, 2)).sign() + 1) / 2


def prompt_states(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    vectors: torch.Tensor,
    items: Sequence[Item] = (),
    on_text: Callable[[], None] = lambda: None,
) -> dict[str, torch.Tensor]:
    """Hidden states that a prompt of (k, d) vectors brings about, by reading: each (L+1, m, d) float32.

    ``prompt_last`` and ``prompt_mean``: the last prompt position, and the mean over all; what follows cannot change
    them, so that m is 1. ``input_last``: the last token before the answer of each of the m ``items``; absent without items.
    ``on_text`` is called when an item has been read.

    Raises:
        UserError: an item is longer than the context.
    """
    slot = prompt.slot
    head = frozen.embed(torch.tensor(slot.head_ids, dtype=torch.long)).to(frozen.device)
    start = torch.cat([head, vectors.to(frozen.device, frozen.dtype)])
    at_prompt = hidden_states(frozen, embeds=start)[:, len(slot.head_ids) :]
    states = {"prompt_last": at_prompt[:, -1:], "prompt_mean": at_prompt.mean(dim=1, keepdim=True)}
    ends = []
    for item in items:
        body = frozen.embed(torch.tensor(slot.body_ids(item.input), dtype=torch.long))
        if len(start) + len(body) > frozen.context:
            raise UserError(
                f"item {item.id}: prompt and input need {len(start) + len(body)} positions, the model has "
                f"{frozen.context}; shorten the inputs (input_last_words)."
            )
        ends.append(hidden_states(frozen, embeds=torch.cat([start, body]))[:, -1])
        on_text()
    if ends:
        states["input_last"] = torch.stack(ends, dim=1)
    return states
