"""Log-likelihoods of given continuations, and what is counted from them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embedgrad.reporting.analyses import auroc, likelihood_summary
from embedgrad.reporting.results.analyses import read_likelihood
from embedgrad_core import Layout, PromptEmbedding, Slot
from embedgrad_core.files import UserError, write_json
from embedgrad_core.likelihood import _runs, continuation_log_likelihoods
from embedgrad_core.training.step import MicroBatching

INPUTS = ["What is 12 + 30?", "a lovely film", ""]
LABELS = ["positive", "negative", "Yes", "positive negative"]


def plain(frozen, slot, vectors, text, continuation):
    """Float64, the whole sequence in one piece."""
    ids = slot.continuation_ids(text, slot.layout.target_prefix + continuation)
    embed = frozen.network.get_input_embeddings()
    before = [*slot.head_ids], [*slot.body_ids(text), *ids]
    head, rest = (embed(torch.tensor(part, dtype=torch.long)) for part in before)
    logits = frozen.network(inputs_embeds=torch.cat([head, vectors, rest])[None]).logits[0].double()
    chances = logits.log_softmax(dim=1)[-len(ids) - 1 : -1]
    return float(sum(row[token] for row, token in zip(chances, ids, strict=True))), len(ids)


@pytest.mark.parametrize("layout", [Layout(target_prefix="\n"), Layout(kind="chat")])
def test_log_likelihoods_equal_float64_in_one_piece(frozen, layout):
    slot = Slot.place(frozen.tokenizer, layout, "step by step.")
    vectors = PromptEmbedding.from_text(frozen, slot).initial
    found, lengths = continuation_log_likelihoods(frozen, slot, vectors, INPUTS, LABELS)
    for row, text in enumerate(INPUTS):
        for column, label in enumerate(LABELS):
            wanted, tokens = plain(frozen, slot, vectors, text, label)
            assert float(found[row, column]) == pytest.approx(wanted, abs=1e-4)
            assert int(lengths[row, column]) == tokens


@pytest.mark.parametrize("budget", [1, 40, 10_000])
def test_an_input_is_read_once_whatever_the_number_of_continuations(frozen, budget, monkeypatch):
    slot = Slot.place(frozen.tokenizer, Layout(), "step by step.")
    vectors = PromptEmbedding.from_text(frozen, slot).initial
    inputs = ["a b", "", "a film that goes on", "", "x y"]
    alone = [[plain(frozen, slot, vectors, text, label)[0] for label in LABELS] for text in inputs]
    seen, run = [], frozen.network.base_model.forward

    def counted(*arguments, **named):
        seen.append(named["inputs_embeds"].shape[1])
        return run(*arguments, **named)

    monkeypatch.setattr(frozen.network.base_model, "forward", counted)
    found, _ = continuation_log_likelihoods(frozen, slot, vectors, inputs, LABELS, MicroBatching(budget))
    assert found.tolist() == [pytest.approx(row, abs=1e-4) for row in alone]
    before = len(slot.head_ids) + slot.k
    branches = [
        sum(len(row[group[0]]) - 1 for group in _runs(row))
        for row in ([slot.continuation_ids(text, label) for label in LABELS] for text in inputs)
    ]
    assert sum(seen) == before * len(seen) + sum(len(slot.body_ids(text)) for text in inputs) + sum(branches)
    assert len(seen) in {1: [5], 40: [2, 3, 4], 10_000: [1]}[budget]


def test_continuations_that_branch_at_their_last_token_share_a_branch():
    assert _runs([[5], [6], [7]]) == [[0, 1, 2]]
    assert sorted(map(sorted, _runs([[5, 1], [5, 2], [6, 1], [7]]))) == [[0, 1, 3], [2]]


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=1, max_size=6))
def test_each_continuation_is_read_where_its_own_beginning_stands(row):
    groups = _runs(row)
    assert sorted(place for group in groups for place in group) == list(range(len(row)))
    for group in groups:
        for place in group:
            assert row[group[0]][: len(row[place]) - 1] == row[place][:-1]
            assert len(row[group[0]]) >= len(row[place])


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_auroc_is_the_share_of_pairs_in_the_right_order(rows):
    positive = [score for score, truth in rows if truth]
    negative = [score for score, truth in rows if not truth]
    found = auroc([score for score, _ in rows], [truth for _, truth in rows])
    if not positive or not negative:
        assert found is None
        return
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    assert found == pytest.approx(np.mean(pairs))


def report(labels, rows):
    items = [
        {"id": str(place), "answer": answer, "before": before, "after": after}
        for place, (answer, before, after) in enumerate(rows)
    ]
    return {"labels": labels, "items": items}


def test_two_labels_are_judged_by_their_difference():
    # Behind "after" every item is said to be a, and yet the b's are the ones where a is least likely.
    rows = [("a", [-1, -2], [-1, -3]), ("a", [-2, -1], [-1, -3]), ("b", [-1, -2], [-1, -2]), ("b", [-2, -1], [-1, -2])]
    found = likelihood_summary(report(["a", "b"], rows))
    assert found["before"] == {"n": 4, "correct": 2, "auroc": 0.5}
    assert found["after"] == {"n": 4, "correct": 2, "auroc": 1.0}


def test_several_labels_have_the_mean_of_their_curves_against_the_rest():
    rows = [("a", [0, -9, -9], [0, 0, 0]), ("b", [-9, 0, -9], [0, 0, 0]), ("c", [-9, -9, 0], [0, 0, 0])]
    found = likelihood_summary(report(["a", "b", "c"], rows))
    assert found["before"] == {"n": 3, "correct": 3, "auroc": 1.0}
    assert found["after"]["auroc"] == 0.5
    assert likelihood_summary({"labels": [], "items": []}) == {}


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"answer": "c"}, "items.0"),
        ({"before": [1.0]}, "items.0"),
        ({"after": [1.0, "x"]}, "items.0.after.1"),
        ({"id": 3}, "items.0.id"),
    ],
)
def test_a_report_that_was_changed_is_refused(tmp_path, change, key):
    told = report(["a", "b"], [("a", [-1.0, -2.0], [-1.0, -3.0])])
    told["items"][0] |= change
    path = tmp_path / "likelihood.json"
    write_json(path, told)
    with pytest.raises(UserError, match=f"likelihood.json: key '{key}'"):
        read_likelihood(path)
