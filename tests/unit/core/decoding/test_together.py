"""Answers behind several prompts at once, held against a plain argmax loop for each row."""

import pytest
import reference
import torch

from embedgrad_core import Decoding, Layout, PromptEmbedding, Slot, decode
from embedgrad_core.decoding import together
from embedgrad_core.decoding.graphed import GraphedDecoder
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.decoding.kept_rows import KeptRows
from embedgrad_core.decoding.together import Asked, answers_together, decode_together
from embedgrad_core.files import UserError

DECODING = Decoding(max_new_tokens=24, batch_size=4)


@pytest.fixture(scope="module")
def asked(frozen, items):
    """Two prompts of different lengths and stop tokens, one of no tokens, on items that partly are the same."""
    found = []
    for place, text in enumerate(("please reason step by step.", "so?", "")):
        slot = (
            Slot.place(frozen.tokenizer, Layout(), text)
            if text
            else Slot(frozen.tokenizer, Layout(separator=""), "", (), ())
        )
        vectors = PromptEmbedding.from_text(frozen, slot).vectors if text else torch.zeros(0, frozen.width)
        said, _ = reference.greedy(frozen.network, vectors, (), slot.body_ids("7"), max_new_tokens=9, stop_ids=())
        found.append(Asked(slot, vectors, items[place : place + 5], (said[3 + place],)))
    return found


@pytest.fixture(scope="module")
def wanted(frozen, asked):
    return [
        {
            item.id: reference.greedy(
                frozen.network,
                one.vectors,
                one.slot.head_ids,
                one.slot.body_ids(item.input),
                max_new_tokens=24,
                stop_ids=one.stop_ids,
            )
            for item in one.items
        }
        for one in asked
    ]


@pytest.mark.parametrize(
    ("own", "piece", "graphed"), [(256, 4096, True), (256, 4, False), (5, 2, True), (0, 4096, False)]
)
def test_each_prompt_answers_as_by_itself(frozen, asked, wanted, monkeypatch, own, piece, graphed):
    """In one queue, in pieces, and where a prompt is long enough to be read once for its rows."""
    monkeypatch.setattr(together, "OWN", own)
    monkeypatch.setattr(together, "PIECE", piece)
    done = []
    found = decode_together(frozen, asked, DECODING, on_progress=done.append, graphed=graphed)
    lengths = set()
    for one, rows, expected in zip(asked, found, wanted, strict=True):
        assert {item.id for item, _ in rows} == {item.id for item in one.items}
        for item, row in rows:
            ids, bits = expected[item.id]
            assert row.ids == ids
            assert row.bits == pytest.approx(bits, rel=1e-4)
            lengths.add(len(ids))
    assert len(lengths) > 2, "the case must mix rows that end early with rows that run on"
    assert done == list(range(1, sum(len(one.items) for one in asked) + 1))


def test_fewer_steps_than_one_prompt_after_the_other(frozen, asked, monkeypatch):
    """What it is for: the steps of all prompts at once are fewer than the sum of each alone."""
    step, steps = GraphedDecoder._compute, []

    def counted(self, rows, read):
        steps.append(rows)
        step(self, rows, read)

    monkeypatch.setattr(GraphedDecoder, "_compute", counted)
    decoding = Decoding(max_new_tokens=24, batch_size=16)
    decode_together(frozen, asked, decoding, graphed=True)
    at_once = len(steps)
    for one in asked:
        decode_together(frozen, [one], decoding, graphed=True)
    assert at_once < 0.6 * (len(steps) - at_once)


def test_what_was_answered_before_a_kill_is_not_answered_again(frozen, asked, tmp_path, monkeypatch):
    monkeypatch.setattr(together, "PIECE", 4)
    first = decode_together(frozen, asked, DECODING, kept=KeptRows(tmp_path / "state"), graphed=False)
    lines = (tmp_path / "state").read_bytes().splitlines(keepends=True)
    (tmp_path / "state").write_bytes(b"".join(lines[:-1]))  # killed in the last piece
    calls = []

    def noted(*arguments, **more):
        calls.append(len(arguments[3]))
        return greedy(*arguments, **more)

    monkeypatch.setattr(together, "greedy", noted)
    again = decode_together(frozen, asked, DECODING, kept=KeptRows(tmp_path / "state"), graphed=False)
    assert calls == [3]
    assert [[(item.id, row.ids) for item, row in rows] for rows in again] == [
        [(item.id, row.ids) for item, row in rows] for rows in first
    ]


def test_answers_are_those_of_decode(frozen, asked, items):
    """Several vectors in one slot, as the round trip has them."""
    slot, own = asked[0].slot, asked[0].vectors
    each = [own, own.flip(0)]
    found = answers_together(frozen, slot, each, items, DECODING)
    for vectors, rows in zip(each, found, strict=True):
        wanted = decode(frozen, slot, vectors, items, DECODING)
        assert [(row.id, row.output, row.n_tokens, row.stop) for row in rows] == [
            (row.id, row.output, row.n_tokens, row.stop) for row in wanted
        ]
    assert [row.output for row in found[0]] != [row.output for row in found[1]]


def test_an_input_that_does_not_fit_is_named(frozen, asked):
    with pytest.raises(UserError, match=r"lower max_new_tokens or shorten the input"):
        decode_together(frozen, asked, Decoding(max_new_tokens=frozen.context, batch_size=4))
