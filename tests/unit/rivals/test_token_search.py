"""AutoPrompt and GCG: candidates by a plain first-order sum, only texts that are read again, a killed search."""

import pytest
import torch
from rival_samples import ITEMS, SETTINGS, TEXT, rival
from tiny import tiny_model

from embedgrad.rivals.families.token_search import TokenSearch
from embedgrad_core import Layout, Slot
from embedgrad_core.objective import encode, target_loss


@pytest.fixture(params=["bare", "chat"])
def layout(request):
    return Layout(request.param)


@pytest.mark.parametrize("name", ["autoprompt", "gcg"])
def test_a_search_lowers_the_loss_by_a_text_that_is_read_as_it_was_tried(tokenizer, layout, name):
    frozen = tiny_model(tokenizer)
    text, history = TokenSearch(frozen, layout, TEXT, rival(name), ITEMS, ITEMS, SETTINGS, lambda line: None).run()
    best = next(line for line in reversed(history) if line["best"])
    assert best["dev_loss"] < 0.95 * history[0]["dev_loss"]
    assert text == best["text"] != TEXT
    assert text.isascii()
    slot = Slot.place(tokenizer, layout, text)
    assert slot.k == Slot.place(tokenizer, layout, TEXT).k
    assert all(slot.is_seamless(item.input) for item in ITEMS)
    with torch.no_grad():  # the text itself, as any text prompt
        vectors = frozen.embed(torch.tensor(slot.prompt_ids)).float()
        loss, _ = target_loss(frozen, slot, vectors, encode(slot, ITEMS, frozen.context))
    assert loss.item() / len(ITEMS) == pytest.approx(best["dev_loss"], rel=1e-6)
    assert history[-1]["item_forwards"] > history[1]["item_forwards"] > 3 * len(ITEMS)


def test_candidates_are_those_of_the_plain_first_order_sum(tokenizer):
    frozen = tiny_model(tokenizer, "llama")
    at = TokenSearch(frozen, Layout(), TEXT, rival("autoprompt", candidates=5), ITEMS, ITEMS, SETTINGS)
    ids = list(at.slot.prompt_ids)
    gradient = torch.randn(len(ids), frozen.width, generator=torch.Generator().manual_seed(0))
    found = at._candidates(ids, gradient, torch.Generator().manual_seed(1))
    place = next(place for place, token in enumerate(found[0]) if token != ids[place])
    table = frozen.network.get_input_embeddings().weight
    fall = {
        token: float(-gradient[place] @ (table[token] - table[ids[place]]))
        for token in range(len(tokenizer))
        if at.allowed[token] and token != ids[place]
    }
    best = sorted(fall, key=fall.get, reverse=True)[:5]
    assert [one[place] for one in found] == best
    assert all(one[:place] + one[place + 1 :] == ids[:place] + ids[place + 1 :] for one in found)


def test_no_candidate_holds_what_a_prompt_in_words_would_not(tokenizer):
    at = TokenSearch(tiny_model(tokenizer), Layout(), TEXT, rival("gcg"), ITEMS, ITEMS, SETTINGS)
    assert not at.allowed[tokenizer.eos_token_id]
    assert len(at.allowed) == len(tokenizer) + 5, "the padded rows of the table are there, and not allowed"
    assert not at.allowed[len(tokenizer) :].any()
    assert all(tokenizer.decode([token]).isascii() for token in at.allowed.nonzero().flatten().tolist())
