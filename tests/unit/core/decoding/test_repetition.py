"""A repetition penalty against transformers' own generate, which counts the prompt's tokens too."""

import pytest
import torch
from tiny import tiny_model
from transformers import RepetitionPenaltyLogitsProcessor

from embedgrad_core import Decoding, Layout, PromptEmbedding, Slot, decode
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.decoding.kept_rows import KeptRows
from embedgrad_core.decoding.repetition import Repetition
from embedgrad_core.files import UserError

LIMIT = 20
PROMPT = "please reason step by step."


def said_by_transformers(frozen, slot, text, penalty, stops):
    ids = torch.tensor([slot.text_path_ids(text)])
    out = frozen.network.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=LIMIT,
        do_sample=False,
        repetition_penalty=penalty,
        eos_token_id=list(stops),
        pad_token_id=frozen.tokenizer.pad_token_id,
    )
    return out[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("kind", ["bare", "chat"])
@pytest.mark.parametrize("penalty", [1.1, 0.8])
def test_tokens_equal_transformers_generate(frozen, items, kind, penalty):
    """Rows come and go between three lanes, so that what each holds has to move with it."""
    slot = Slot.place(frozen.tokenizer, Layout(kind), PROMPT)
    vectors = PromptEmbedding.from_text(frozen, slot).vectors
    plain = said_by_transformers(frozen, slot, items[0].input, penalty, ())
    stops = (plain[4], plain[11])
    wanted = [said_by_transformers(frozen, slot, item.input, penalty, stops) for item in items]
    assert len({len(ids) for ids in wanted}) > 1, "the case must mix rows that end early with rows that run on"
    bodies = [slot.body_ids(item.input) for item in items]
    assert wanted != [row.ids for row in greedy(frozen, slot, vectors, bodies, LIMIT, stops)]
    for batch in (1, 3):
        # Also where steps would have fixed shapes: those cannot carry a penalty, and are not taken.
        found = greedy(frozen, slot, vectors, bodies, LIMIT, stops, batch_size=batch, penalty=penalty, graphed=True)
        assert [row.ids for row in found] == wanted


def test_logits_equal_the_processor_of_transformers():
    generator = torch.Generator().manual_seed(0)
    logits, ids = torch.randn(3, 50, generator=generator), torch.randint(0, 50, (3, 20), generator=generator)
    mine = Repetition(1.3, 4, 50, logits.device)
    for row in (2, 0, 1):
        mine.begin(row, [7])  # of a row that was there before
        mine.begin(row, ids[row, :19].tolist())
    mine.add(ids[:, 19])
    theirs = RepetitionPenaltyLogitsProcessor(1.3)(ids, logits)
    assert torch.equal(mine.applied(logits), theirs)
    mine.move(2, 0)
    assert torch.equal(mine.applied(logits[2:])[0], theirs[2])


def test_the_entropy_is_of_the_raw_logits(frozen, items):
    """Eq. 11 has no penalty in it: the first step of an answer has the same entropy with it and without."""
    slot = Slot.place(frozen.tokenizer, Layout(), PROMPT)
    vectors = PromptEmbedding.from_text(frozen, slot).vectors
    bodies = [slot.body_ids(item.input) for item in items]
    with_, without = (greedy(frozen, slot, vectors, bodies, 1, (), penalty=penalty) for penalty in (1.5, None))
    assert [row.bits for row in with_] == [row.bits for row in without]


def test_kept_answers_are_of_their_penalty(frozen, items, tmp_path):
    slot = Slot.place(frozen.tokenizer, Layout(), PROMPT)
    vectors = PromptEmbedding.from_text(frozen, slot).vectors
    for penalty in (None, 1.1, 1.2, 1.1):
        how = Decoding(max_new_tokens=LIMIT, repetition_penalty=penalty)
        kept = decode(frozen, slot, vectors, items, how, kept=KeptRows(tmp_path / "a.state"))
        assert kept == decode(frozen, slot, vectors, items, how)


def test_what_a_checkpoint_ships(tokenizer):
    frozen = tiny_model(tokenizer)
    assert frozen.shipped_penalty is None
    for value, wanted in ((1.0, None), (1.05, 1.05)):
        frozen.network.generation_config.repetition_penalty = value
        assert frozen.shipped_penalty == wanted


def test_settings_say_it_only_where_it_is_asked_for():
    assert "repetition_penalty" not in Decoding(max_new_tokens=4).row()
    how = Decoding(max_new_tokens=4, repetition_penalty=1.1)
    assert Decoding.of_row(how.row()) == how
    for penalty in (0, -1.1, float("nan"), "1.1", True):
        with pytest.raises(UserError, match=r"repetition_penalty is .*; it must be a number above 0"):
            Decoding(max_new_tokens=4, repetition_penalty=penalty)
    with pytest.raises(UserError, match="which engine vllm does not see; use engine native"):
        Decoding(max_new_tokens=4, repetition_penalty=1.1, engine="vllm")
