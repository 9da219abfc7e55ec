"""The operating table of the rule, on fewer draws than docs/protocol.md has."""

import numpy as np
import pytest
import verdict_simulation as simulation

from embedgrad.reporting.printed.audit import printed_sizes
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.statistics import Paired


@pytest.fixture(scope="module")
def imdb():
    """The five cells of IMDB, of 84 items each."""
    cells = [cell for cell in read_cells(simulation.CELLS) if cell.dataset == "imdb"]
    assert printed_sizes(cells) == {"imdb": 84}
    return [(cell, 84) for cell in cells]


def test_samples_have_the_stated_margins_and_correlation():
    chance = np.random.default_rng(0)
    drawn = [simulation.sample((0.6, 0.7), 400, 0.3, chance) for _ in range(200)]
    both, before, after, neither = (
        sum(getattr(pairs, name) for pairs in drawn) for name in ("both", "only_before", "only_after", "neither")
    )
    whole = Paired(both, before, after, neither)
    assert (both + before) / whole.n == pytest.approx(0.6, abs=0.01)
    assert (both + after) / whole.n == pytest.approx(0.7, abs=0.01)
    assert whole.phi == pytest.approx(0.3, abs=0.02)


def test_a_faithful_repeat_is_seldom_called_not_and_its_gain_lies_in_the_interval(imdb):
    found = simulation.simulate(imdb, simulation.both_samples, 40, 0.3, 1)
    assert found["words"]["not"] < 0.1 * len(imdb)  # 200 draws; the docs' table has the error to a tenth of a cell
    assert found["held"] > 0.9
    assert sum(found["words"].values()) == pytest.approx(len(imdb))
    assert sum(found["first"].values()) == pytest.approx(len(imdb))


def test_no_gain_is_called_not_more_often_than_a_gain(imdb):
    none = simulation.simulate(imdb, simulation.no_gain, 20, 0.3, 1)["words"]
    true = simulation.simulate(imdb, simulation.exact, 20, 0.3, 1)["words"]
    assert none["not"] > 5 * true["not"] > 0
    assert none["replicated"] < 0.05 * len(imdb)
    assert true["replicated"] > none["replicated"] + 1
