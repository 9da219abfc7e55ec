"""Maps between embedding tables: planted ones come back, and scipy and scikit-learn find the same."""

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from sklearn.linear_model import Ridge
from tiny import tiny_model
from transformers import AutoTokenizer

from embedgrad.carry.maps import PENALTIES, Table, fit_map, procrustes, ridges, token_bytes
from embedgrad_core.files import UserError


def rows(n, d, seed):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def table(x, name="source", first=0):
    return Table(
        name,
        "sha256:x",
        {f"token {place}".encode(): place - first for place in range(first, len(x) + first)},
        x.float(),
    )


def rotation(d, seed=7):
    return torch.linalg.qr(rows(d, d, seed))[0]


@pytest.mark.parametrize(("d", "e"), [(6, 6), (5, 8), (8, 5)])
def test_procrustes_is_scipys(d, e):
    """Scipy takes tables of one width: the narrower is filled with zeros."""
    x, y = rows(50, d, 1), rows(50, e, 2) + rows(50, 1, 3)
    width = max(d, e)
    padded = [np.pad(one.numpy(), ((0, 0), (0, width - one.shape[1]))) for one in (x, y)]
    expected, agreement = orthogonal_procrustes(*padded)
    scale = agreement / (padded[0] ** 2).sum()
    found = procrustes(x, y)
    if d == e:
        np.testing.assert_allclose(found, scale * expected, atol=1e-10)
    # Of what zeros are mapped to, any rotation is as good.
    assert torch.trace((found / scale).T @ x.T @ y).item() == pytest.approx(agreement, rel=1e-9)
    turned = found / scale
    unit = turned @ turned.T if d <= e else turned.T @ turned
    np.testing.assert_allclose(unit, np.eye(min(d, e)), atol=1e-10)


def test_ridge_is_scikit_learns():
    x, y = rows(40, 6, 1), rows(40, 4, 2)
    x, y = x - x.mean(0), y - y.mean(0)
    for penalty, weight in ridges(x, y):
        alpha = penalty * float(x.square().sum()) / 6
        expected = Ridge(alpha=alpha, fit_intercept=False, solver="svd").fit(x.numpy(), y.numpy()).coef_.T
        np.testing.assert_allclose(weight, expected, atol=1e-8)


@pytest.mark.parametrize("kind", ["rotation", "scaled rotation", "linear"])
def test_a_planted_map_gives_back_the_exact_displacement(kind):
    x = rows(200, 8, 1) + 3.0  # not centred, as no table is
    planted = rows(8, 12, 5) if kind == "linear" else rotation(8) * (1.0 if kind == "rotation" else 2.5)
    found = fit_map(table(x), table(x.float().double() @ planted + 0.7, "target"))
    moved = rows(4, 8, 9)
    assert (moved @ found.weight - moved @ planted).abs().max() < 1e-5
    assert found.kind == ("ridge" if kind == "linear" else "procrustes")
    assert found.held_out["r2"] == pytest.approx(1, abs=1e-6)
    assert (found.held_out["nearest"], found.shared) == (1.0, 200)


def test_a_penalty_is_chosen_on_held_out_tokens_alone():
    """With few noisy tokens the least penalty fits what it has seen best and what it has not seen worst."""
    x = rows(60, 40, 1)
    found = fit_map(table(x), table(x @ rows(40, 10, 2) + 12 * rows(60, 10, 3), "target"))
    by_penalty = {row["penalty"]: row["r2"] for row in found.tried if row["kind"] == "ridge"}
    assert list(by_penalty) == list(PENALTIES)
    assert found.held_out["r2"] == max(row["r2"] for row in found.tried)
    assert by_penalty[PENALTIES[0]] < by_penalty[1.0] - 0.5


def test_tables_that_share_nothing_are_no_map():
    x = rows(200, 8, 1)
    found = fit_map(table(x), table(rows(200, 8, 2), "target"))
    assert found.held_out["r2"] < 0.05
    assert found.held_out["nearest"] < 0.2


def test_too_few_shared_tokens_are_one_clear_error():
    x = rows(200, 30, 1)
    with pytest.raises(UserError, match=r"source and target share 20 tokens, .* 30 dimensions needs 40 at least"):
        fit_map(table(x), table(x, "target", first=180))
    with pytest.raises(UserError, match="share 0 tokens"):
        fit_map(table(x), Table("target", "", {}, x.float()))


def test_only_ordinary_tokens_are_shared(tokenizer):
    found = token_bytes(tokenizer)
    assert len(found) == len(tokenizer) - 3
    assert found[b" positive"] == tokenizer.convert_tokens_to_ids("Ġpositive")
    assert b"<|im_end|>" not in found
    assert len(Table.of(tiny_model(tokenizer)).rows) == len(tokenizer) + 5, "padded, as the model's own"


@pytest.mark.mirror
def test_two_kinds_of_vocabulary_name_a_token_alike(mirror):
    """Byte-level and sentencepiece: the same words under the same bytes."""
    ours, theirs = (
        token_bytes(AutoTokenizer.from_pretrained(mirror / name))
        for name in ("tokenizers/qwen2.5", "models/stories260K")
    )
    assert {b" the", b" there", b"a"} <= set(ours) & set(theirs)
    assert len(set(ours) & set(theirs)) > 0.7 * len(theirs)
