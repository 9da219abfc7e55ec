"""LAT's controls on hidden states made by hand, where the truth is known; sklearn and scipy as outside oracles."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.decomposition import PCA

from embedgrad.analyses.lat import lat_of_states
from embedgrad_core.lat import Reader, without_labels

WIDTH, CONTENT = 24, 6


def planted(pairs=60, seed=0, content=4.0, noise=0.1):
    """States of pairs of the same content: much of them is content, a little the concept; and the concept's direction."""
    chance = np.random.default_rng(seed)
    basis = np.linalg.qr(chance.normal(size=(WIDTH, WIDTH)))[0]

    def split(number):
        told = content * chance.normal(size=(number, CONTENT)) @ basis[1 : CONTENT + 1]
        sides = np.stack([told + basis[0], told - basis[0]], axis=1)
        return torch.from_numpy((sides + noise * chance.normal(size=sides.shape))[None]).float()

    return split(pairs), split(pairs // 2), torch.from_numpy(basis[0])


def at_items(changes):
    """Readings before and after at items whose states moved by these (items, d) changes."""
    zero = torch.zeros(1, len(changes), WIDTH)
    return {"input_last": zero}, {"input_last": zero + torch.as_tensor(changes).float()}


def test_the_planted_direction_is_found_and_not_with_shuffled_labels():
    train, held_out, direction = planted()
    assert float(Reader.fit(train).vectors[0] @ direction) > 0.99
    before, after = at_items(
        direction.repeat(8, 1) + 0.3 * torch.randn(8, WIDTH, generator=torch.Generator().manual_seed(0))
    )
    row = lat_of_states(train, held_out, before, after)["layers"][0]
    assert row["accuracy"]["held_out"] == 1
    assert row["accuracy"]["shuffled"]["mean"] == pytest.approx(0.5, abs=0.05)
    assert row["accuracy"]["shuffled"]["q975"] < 0.9
    reading = row["readings"]["input_last"]
    assert reading["delta"] > 0.8  # half the distance of the two texts of a pair
    assert reading["shuffled"][1] < reading["delta"]
    shuffles = torch.stack([torch.randperm(120, generator=torch.Generator().manual_seed(n)) for n in range(40)])
    assert float((without_labels(train, shuffles)[0] @ direction).abs().mean()) < 0.2


def test_the_direction_is_sklearn_s():
    """PCA of the differences in both orders, whose mean is 0: what the authors' code fits, without its draw of the orders."""
    train, _, _ = planted(content=1.0, noise=0.5)
    difference = (train[0, :, 0] - train[0, :, 1]).double().numpy()
    oracle = PCA(n_components=1, svd_solver="full").fit(np.concatenate([difference, -difference]))
    reader = Reader.fit(train)
    assert abs(float(reader.vectors[0].numpy() @ oracle.components_[0])) == pytest.approx(1, abs=1e-6)
    assert float(reader.explained[0]) == pytest.approx(oracle.explained_variance_ratio_[0], abs=1e-6)
    order = np.random.default_rng(3).permutation(120)
    texts = train[0].flatten(0, 1).double().numpy()
    shuffled = texts[order[:60]] - texts[order[60:]]
    oracle = PCA(n_components=1, svd_solver="full").fit(np.concatenate([shuffled, -shuffled]))
    found = without_labels(train, torch.from_numpy(order)[None])[0, 0].numpy()
    np.testing.assert_allclose(found, oracle.components_[0] * np.sign(found @ oracle.components_[0]), atol=1e-6)
    assert found @ shuffled.mean(axis=0) > 0


def test_the_interval_over_items_is_scipy_s():
    train, held_out, direction = planted()
    chance = np.random.default_rng(5)
    changes = 0.3 * direction.numpy() + 0.4 * chance.normal(size=(32, WIDTH))
    before, after = at_items(changes)
    reading = lat_of_states(train, held_out, before, after)["layers"][0]["readings"]["input_last"]
    reader = Reader.fit(train)
    onto = changes @ reader.vectors[0].numpy() / float(reader.scale[0])
    assert reading["delta"] == pytest.approx(onto.mean(), abs=1e-6)
    oracle = stats.bootstrap((onto,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    width = oracle.high - oracle.low
    assert reading["items"] == pytest.approx([oracle.low, oracle.high], abs=0.05 * width)
    # Pairs and items vary both: no narrower than either alone, but for the draws.
    assert reading["both"][1] - reading["both"][0] > 0.85 * width


def test_one_place_has_no_interval_over_items():
    train, held_out, direction = planted()
    reading = lat_of_states(train, held_out, *at_items(direction[None]))["layers"][0]["readings"]["input_last"]
    assert reading["items"] is None
    assert reading["both"] is None


def test_a_prompt_moved_at_random_is_read_as_the_optimised_one():
    train, held_out, direction = planted()
    before, after = at_items(0.5 * direction[None])
    _, further = at_items(direction[None])
    report = lat_of_states(train, held_out, before, after, [after, further, before])
    reading = report["layers"][0]["readings"]["input_last"]
    assert reading["displaced"] == pytest.approx([reading["delta"], 2 * reading["delta"], 0])
    assert report["summary"]["input_last"]["layers_above_displaced"] == 0
    report = lat_of_states(train, held_out, before, after, [before])
    assert report["summary"]["input_last"]["layers_above_displaced"] == 1
