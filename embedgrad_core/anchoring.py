"""Section 5.1, semantic anchoring: which vocabulary token each prompt vector stands nearest to, and how clearly.

Three measures of a vector v against every row e_j of the embedding table, since the paper's is open to reading:

* ``printed``: Eq. 10 letter by letter, exp(v)·e_j / Σ_k exp(v)·e_k, the exponential taken of each component. It is no
  probability: it may be negative or above 1. (The printed sum even ends in e_j, which would make every p_j 1/V.)
* ``softmax``: what "inner product operation followed by softmax normalization" says, softmax(v·Eᵀ). No temperature.
* ``cosine``: the cosine itself, free of the rows' lengths; its ``p`` is the similarity to the original token.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.prompt import PromptEmbedding

VOCABULARY_CHUNK = 8_192
MEASURES = ("printed", "softmax", "cosine")
PAPER_P = 0.95  # "p_original > 0.95 … in all cases"


@dataclass(frozen=True)
class Measured:
    """One measure at the k positions.

    Attributes:
        p: (k,) float64, p of the original token (``cosine``: its similarity).
        rank: (k,) int64, 1 + the number of tokens with a larger p; 1 says that the original is the nearest.
        nearest: (k,) int64, id of the token with the largest p.
    """

    p: torch.Tensor
    rank: torch.Tensor
    nearest: torch.Tensor


@torch.no_grad()
def nearest_tokens(frozen: FrozenModel, vectors: torch.Tensor) -> torch.Tensor:
    """Token id of the cosine-nearest embedding row for each of the (k, d) vectors; (k,).

    Chunked over the vocabulary, so that no (k, V) table and no copy of the embedding table is made.
    """
    wanted = _unit(vectors.to(frozen.device).float())
    best = torch.full((len(vectors),), -2.0, device=frozen.device)
    nearest = torch.zeros(len(vectors), dtype=torch.long, device=frozen.device)
    for start, table in _chunks(frozen):
        value, index = (wanted @ _unit(table.float()).T).max(dim=1)
        better = value > best
        best = torch.where(better, value, best)
        nearest = torch.where(better, index + start, nearest)
    return nearest.cpu()


@torch.no_grad()
def closest_tokens(frozen: FrozenModel, vectors: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and ids of the ``count`` cosine-nearest tokens of each of the (k, d) vectors, best first; both (k, count).

    Chunked over the vocabulary. A vector of zeros has cosine 0 with all.
    """
    wanted = _unit(vectors.to(frozen.device).float())
    cosines = torch.full((len(vectors), 0), 0.0, device=frozen.device)
    ids = torch.zeros((len(vectors), 0), dtype=torch.long, device=frozen.device)
    for start, table in _chunks(frozen):
        found = wanted @ _unit(table.float()).T
        value, index = found.topk(min(count, found.shape[1]), dim=1)
        cosines, ids = torch.cat([cosines, value], dim=1), torch.cat([ids, index + start], dim=1)
        cosines, order = cosines.sort(dim=1, descending=True, stable=True)
        cosines, ids = cosines[:, :count], ids.gather(1, order)[:, :count]
    return cosines.cpu(), ids.cpu()


def printable_tokens(frozen: FrozenModel) -> torch.Tensor:
    """(V,): tokens that words may hold: printable ASCII, as the human prompts are English, and nothing special."""
    tokenizer = frozen.tokenizer
    size = frozen.network.get_input_embeddings().num_embeddings
    texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
    special = set(tokenizer.all_special_ids)
    written = [text.isascii() and text.isprintable() and token not in special for token, text in enumerate(texts)]
    return torch.tensor([*written, *([False] * (size - len(written)))][:size])


@torch.no_grad()
def similarities(frozen: FrozenModel, vectors: torch.Tensor, original: torch.Tensor) -> dict[str, Measured]:
    """Eq. 10 and its two neighbours for (k, d) vectors and the (k,) ids of their original tokens.

    Chunked over the vocabulary and in float64: Eq. 10 as printed divides by a sum of terms of both signs.
    """
    vectors, original = vectors.to(frozen.device).double(), original.to(frozen.device)
    queries = {"printed": vectors.exp(), "softmax": vectors, "cosine": _unit(vectors)}
    own_rows = frozen.embed(original).double()
    own = {
        name: (query * (_unit(own_rows) if name == "cosine" else own_rows)).sum(dim=1)
        for name, query in queries.items()
    }
    # The sum of Eq. 10 may be negative, and then its largest p belongs to the smallest score.
    total = (queries["printed"] * _sum_of_rows(frozen)).sum(dim=1)
    sign = {name: torch.ones_like(total) for name in MEASURES} | {"printed": total.sign()}
    above = {name: torch.zeros_like(original) for name in MEASURES}
    best = {name: torch.full_like(total, -torch.inf) for name in MEASURES}
    nearest = {name: torch.zeros_like(original) for name in MEASURES}
    log_sum = torch.full_like(total, -torch.inf)
    for start, table in _chunks(frozen):
        ids = torch.arange(start, start + len(table), device=frozen.device)
        for name, query in queries.items():
            scores = query @ (_unit(table) if name == "cosine" else table).T
            if name == "softmax":
                log_sum = torch.logaddexp(log_sum, scores.logsumexp(dim=1))
            scores = scores * sign[name][:, None]
            # The original is left out by its id: rounding must not let it outrank itself.
            larger = (scores > (own[name] * sign[name])[:, None]) & (ids != original[:, None])
            above[name] += larger.sum(dim=1)
            value, index = scores.max(dim=1)
            better = value > best[name]
            best[name] = torch.where(better, value, best[name])
            nearest[name] = torch.where(better, ids[index], nearest[name])
    p = {"printed": own["printed"] / total, "softmax": (own["softmax"] - log_sum).exp(), "cosine": own["cosine"]}
    return {name: Measured(p[name].cpu(), above[name].cpu() + 1, nearest[name].cpu()) for name in MEASURES}


def _chunks(frozen: FrozenModel) -> Iterator[tuple[int, torch.Tensor]]:
    """Stretches of the embedding table in float64, each with the id of its first row."""
    rows = frozen.network.get_input_embeddings().num_embeddings
    for start in range(0, rows, VOCABULARY_CHUNK):
        ids = torch.arange(start, min(start + VOCABULARY_CHUNK, rows))
        yield start, frozen.embed(ids).double()


def _sum_of_rows(frozen: FrozenModel) -> torch.Tensor:
    return sum(table.sum(dim=0) for _, table in _chunks(frozen))


def _unit(rows: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(rows, dim=-1)


def snapped(frozen: FrozenModel, prompt: PromptEmbedding) -> torch.Tensor:
    """The round trip to words: every vector replaced by its cosine-nearest token's embedding; (k, d) float32."""
    with torch.no_grad():
        return frozen.embed(nearest_tokens(frozen, prompt.vectors)).float().cpu()


def randomly_displaced(prompt: PromptEmbedding, seed: int) -> torch.Tensor:
    """The control: each position moved as far as the optimised one, in a random direction; (k, d) float32."""
    noise = torch.randn(prompt.initial.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    length = (prompt.vectors - prompt.initial).double().norm(dim=1, keepdim=True)
    return (prompt.initial.double() + _unit(noise) * length).float()


def anchoring_summary(frozen: FrozenModel, prompt: PromptEmbedding) -> dict:
    """How far the prompt moved, and at how many positions the nearest token is still the original one."""
    original = torch.tensor(prompt.slot.prompt_ids)
    unchanged = nearest_tokens(frozen, prompt.vectors) == original
    return {
        "positions": len(original),
        "nearest_token_unchanged": int(unchanged.sum()),
        "mean_drift": float(prompt.drift.mean()),
        "max_drift": float(prompt.drift.max()),
    }


def semantic_anchoring(frozen: FrozenModel, prompt: PromptEmbedding, seed: int = 0) -> dict:
    """Every measure at every position, before, after and for the random control, and their summary.

    Returns:
        ``positions``: a row per position with its token, ``drift`` (‖v − e‖ / ‖e‖) and, for ``before``, ``after`` and
        ``random``, the p, rank and nearest token of each measure. ``summary``: :func:`anchoring_summary` and, for each
        side and measure, at how many positions the original token is the nearest and has p above the paper's 0.95.
    """
    original = torch.tensor(prompt.slot.prompt_ids)
    sides = {"before": prompt.initial, "after": prompt.vectors, "random": randomly_displaced(prompt, seed)}
    found = {side: similarities(frozen, vectors, original) for side, vectors in sides.items()}

    def text(token: int) -> str:
        return frozen.tokenizer.decode([token])

    def row(place: int) -> dict:
        token = int(original[place])
        row = {"position": place, "token_id": token, "token": text(token), "drift": float(prompt.drift[place])}
        for side, measures in found.items():
            row[side] = {
                name: {
                    "p": float(measured.p[place]),
                    "rank": int(measured.rank[place]),
                    "nearest_id": int(measured.nearest[place]),
                    "nearest": text(int(measured.nearest[place])),
                }
                for name, measured in measures.items()
            }
        return row

    summary = anchoring_summary(frozen, prompt)
    for side, measures in found.items():
        summary[side] = {
            name: {
                "nearest_is_original": int((measured.rank == 1).sum()),
                "above_paper_p": int((measured.p > PAPER_P).sum()),
                "mean_p": float(measured.p.mean()),
                "min_p": float(measured.p.min()),
            }
            for name, measured in measures.items()
        }
    return {"positions": [row(place) for place in range(len(original))], "summary": summary, "seed": seed}
