"""A linear map between the embedding tables of two models, fitted on the tokens that both vocabularies have.

Two kinds, as for word vectors of two languages: orthogonal Procrustes (Smith et al. 2017, arXiv 1702.03859) with one scale, since
two models' rows have different lengths, and ridge regression (Mikolov et al. 2013, arXiv 1309.4168, with a penalty). Which kind and
which penalty is decided on tokens held out of the fit. Rows are centred for the fit; what is carried is a displacement, a
difference of two rows, for which the means cancel.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

import torch
from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode

from embedgrad_core import FrozenModel
from embedgrad_core.files import UserError

HELD_OUT = 0.2
# Times the mean eigenvalue of the source's covariance.
PENALTIES = (1e-9, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
# Held-out tokens among which each one's own row is looked for.
NEIGHBOURS = 1000
# A more flexible map must explain this much more of the held-out rows.
TIE = 1e-9


@dataclass(frozen=True)
class Table:
    """What a map needs of a model.

    Attributes:
        name: of the model.
        resolved: its commit or fingerprint.
        ids: the id of each token by its bytes; special and added tokens are left out.
        rows: (V, d) float32 on the CPU, as the model feeds them to its first layer.
    """

    name: str
    resolved: str
    ids: Mapping[bytes, int] = field(repr=False)
    rows: torch.Tensor = field(repr=False)

    @classmethod
    def of(cls, frozen: FrozenModel) -> Self:
        """The table of a model, copied, so that the model itself can go."""
        ids = token_bytes(frozen.tokenizer)
        size = frozen.network.get_input_embeddings().num_embeddings
        with torch.no_grad():
            rows = torch.cat([frozen.embed(part).float().cpu() for part in torch.arange(size).split(8_192)])
        return cls(frozen.name, frozen.resolved, {one: place for one, place in ids.items() if place < size}, rows)

    @property
    def width(self) -> int:
        """The embedding dimension d."""
        return self.rows.shape[1]


def token_bytes(tokenizer: PreTrainedTokenizerBase) -> dict[bytes, int]:
    """The ordinary tokens of a vocabulary by what they stand for, so that two kinds of vocabulary can be compared.

    A byte-level vocabulary writes each byte as a character of its own alphabet; one of sentencepiece writes a blank as ``▁`` and a
    single byte as ``<0x0A>``.
    """
    vocabulary = tokenizer.get_vocab()
    alphabet = {character: byte for byte, character in bytes_to_unicode().items()}
    blanks = [sum(token.startswith(blank) for token in vocabulary) for blank in "Ġ▁"]
    byte_level = blanks[0] > blanks[1]  # not whether all bytes are there: some vocabularies leave out those of no text
    left_out = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
    found: dict[bytes, int] = {}
    for token, place in sorted(vocabulary.items(), key=lambda pair: pair[1]):
        if token in left_out:
            continue
        if byte_level and all(character in alphabet for character in token):
            meant = bytes(alphabet[character] for character in token)
        elif len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            meant = bytes.fromhex(token[3:5])
        else:
            meant = token.replace("▁", " ").encode()
        found.setdefault(meant, place)
    return found


@dataclass(frozen=True)
class LinearMap:
    """A displacement in one table as one in another.

    Attributes:
        weight: (d, e) float64.
        kind: ``procrustes`` or ``ridge``.
        penalty: of ridge, relative to the mean eigenvalue; None for Procrustes.
        shared: how many tokens both vocabularies have.
        held_out: of the kept map, fitted without these tokens: ``tokens``; ``r2``, the share of their rows' variance that it
            explains; ``cosine``, the mean between a row and what was mapped to it; ``nearest``, how often what was mapped is
            nearest to its own token's row among ``neighbours`` of them.
        tried: ``r2`` of every kind and penalty.
    """

    weight: torch.Tensor = field(repr=False)
    kind: str
    penalty: float | None
    shared: int
    held_out: dict
    tried: list[dict] = field(repr=False)

    def row(self) -> dict:
        """As JSON, without the weights."""
        return {
            "kind": self.kind,
            "penalty": self.penalty,
            "shared_tokens": self.shared,
            "held_out": self.held_out,
            "tried": self.tried,
        }


def procrustes(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """s·Q, the orthogonal map and the scale that bring centred rows (n, d) nearest to (n, e); (d, e).

    Schoenemann 1966. Where d > e, Q has orthonormal columns: it maximises the agreement tr(Qᵀ XᵀY), which is no longer the same as
    the least distance.
    """
    left, values, right = torch.linalg.svd(source.T @ target, full_matrices=False)
    return (left @ right) * (values.sum() / source.square().sum())


def ridges(source: torch.Tensor, target: torch.Tensor) -> Iterator[tuple[float, torch.Tensor]]:
    """Each penalty with its map (XᵀX + a·I)⁻¹ XᵀY of centred rows (n, d) and (n, e), a the penalty times tr(XᵀX)/d; (d, e)."""
    values, vectors = torch.linalg.eigh(source.T @ source)
    turned = vectors.T @ (source.T @ target)
    for penalty in PENALTIES:
        yield penalty, vectors @ (turned / (values.clamp_min(0) + penalty * values.mean())[:, None])


def fit_map(source: Table, target: Table, seed: int = 0) -> LinearMap:
    """The map between two tables.

    Args:
        source: where displacements come from, width d.
        target: where they go, width e.
        seed: of which shared tokens are held out for the choice; the chosen kind is then fitted to all of them.

    Raises:
        UserError: the vocabularies share fewer tokens than a map of this width needs.
    """
    shared = sorted(set(source.ids) & set(target.ids))
    order = torch.randperm(len(shared), generator=torch.Generator().manual_seed(seed))
    fitted, held = order[round(HELD_OUT * len(shared)) :], order[: round(HELD_OUT * len(shared))]
    if len(fitted) < source.width + 1 or len(held) < 2:
        raise UserError(
            f"{source.name} and {target.name} share {len(shared)} tokens, and a map from {source.width} dimensions needs "
            f"{round((source.width + 1) / (1 - HELD_OUT)) + 1} at least; take a model whose vocabulary is nearer."
        )
    x, y = (table.rows[torch.tensor([table.ids[token] for token in shared])].double() for table in (source, target))
    (x_fitted, x_held), (y_fitted, y_held) = (
        (rows[fitted] - rows[fitted].mean(0), rows[held] - rows[fitted].mean(0)) for rows in (x, y)
    )
    candidates: list[tuple[str, float | None, torch.Tensor]] = [("procrustes", None, procrustes(x_fitted, y_fitted))]
    candidates += [("ridge", penalty, weight) for penalty, weight in ridges(x_fitted, y_fitted)]
    explained = [_explained(x_held @ weight, y_held) for _, _, weight in candidates]
    best = 0
    for place, value in enumerate(explained):
        best = place if value > explained[best] + TIE else best
    kind, penalty, weight = candidates[best]
    x, y = x - x.mean(0), y - y.mean(0)
    whole = procrustes(x, y) if kind == "procrustes" else dict(ridges(x, y))[penalty or 0.0]
    tried = [
        {"kind": name, "penalty": size, "r2": value}
        for (name, size, _), value in zip(candidates, explained, strict=True)
    ]
    return LinearMap(whole, kind, penalty, len(shared), _quality(x_held @ weight, y_held), tried)


def _explained(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float(1 - (found - wanted).square().sum() / wanted.square().sum())


def _quality(found: torch.Tensor, wanted: torch.Tensor) -> dict:
    few, own = found[:NEIGHBOURS], wanted[:NEIGHBOURS]
    unit = torch.nn.functional.normalize
    cosines = unit(few, dim=1) @ unit(own, dim=1).T
    return {
        "tokens": len(found),
        "r2": _explained(found, wanted),
        "cosine": float(torch.nn.functional.cosine_similarity(found, wanted, dim=1).mean()),
        "nearest": float((cosines.argmax(dim=1) == torch.arange(len(few))).double().mean()),
        "neighbours": len(few),
    }
