"""The operating table of protocol recovery, on fewer data sets than docs/protocol.md has."""

import numpy as np
import pytest
import recovery_simulation as simulation


@pytest.fixture(scope="module")
def cells():
    return simulation.whole_cells()


def test_the_papers_cells_and_what_is_searched_in_them(cells):
    assert len(cells) == 16
    assert {n for cell, n in cells if cell.dataset in ("imdb", "math500", "causal_judgment")} == {84, 251, 95}
    names = {cell.name: {key for protocol, _ in simulation.searched(cell) for key in protocol} for cell, _ in cells}
    everywhere = {"layout", "limit_share", "stop_rule", "strict", "system_message"}
    assert names["imdb/qwen2.5-0.5b-instruct"] == everywhere | {"repetition_penalty"}
    assert names["imdb/llama-3.1-8b-instruct"] == everywhere
    assert names["math500/qwen2.5-math-7b"] == everywhere | {"box"}
    assert names["medd/qwen2.5-7b-instruct"] == everywhere | {"repetition_penalty", "edition"}


def test_under_the_planted_protocol_accuracy_is_as_printed_and_the_stop_rule_changes_nothing(cells):
    cell, items = next((cell, n) for cell, n in cells if cell.name == "imdb/qwen2.5-3b-instruct")
    chance, planted = np.random.default_rng(0), simulation.OWN | {"strict": True}
    ours, printed = [], []
    for _ in range(200):
        found = simulation.search(cell, items, planted, 1.0, chance)
        rows = {tuple(sorted(row["protocol"].items())): row["levels"][""] for row in found.grid["protocols"]}
        own = {
            "layout": "bare",
            "limit_share": 1.0,
            "stop_rule": "family",
            "strict": True,
            "repetition_penalty": "none",
        }
        first = rows[tuple(sorted(own.items()))]
        assert first == rows[tuple(sorted((own | {"stop_rule": "checkpoint"}).items()))]
        ours.append(first["correct"] / first["n"])
        printed.append(found.printed[0] / found.printed[1])
    for shares in (ours, printed):
        assert np.mean(shares) == pytest.approx(0.5952, abs=4 * np.std(shares) / 200**0.5)


def test_a_strong_effect_is_found_and_none_is_not_invented(cells):
    planted = simulation.PLANTED["the first box"]
    strong = simulation.simulate(planted, 1.0, 8, 1, cells)
    none = simulation.simulate(planted, 0.0, 8, 1, cells)
    assert strong["first"] >= 5 / 8 > none["first"]
    assert strong["right"] > 0.7 > 0.3 > none["right"]
    assert strong["wrong"] < 0.1
    assert none["wrong"] < 0.3
    assert strong["null"] == none["null"] == 0
