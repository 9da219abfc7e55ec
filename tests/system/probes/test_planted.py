"""Shuffled targets on tasks whose truth is planted: labels that a word of the input decides, and labels that nothing does."""

import random

import pytest

from embedgrad.grading import make_grading
from embedgrad.probes.shuffled import answered, split_gain, train_shuffled
from embedgrad_core import Decoding, Layout, PromptEmbedding, Settings, Slot, optimize
from embedgrad_core.files import Item

WORDS = {"positive": "lovely", "negative": "dull"}
PROMPT = "Determine whether the statement is positive or negative. Let’s think step by step."


def planted(informed):
    """Items of which the label is the word's, or is drawn without regard to it."""
    chance = random.Random(0)
    for place in range(220):
        told = chance.choice([*WORDS])
        label = told if informed else chance.choice([*WORDS])
        yield Item(f"i{place}", f"{chance.randrange(1000)} film {WORDS[told]}", label, label, None)


@pytest.mark.parametrize("informed", [True, False], ids=["the word decides", "nothing decides"])
def test_the_difference_is_what_the_labels_tell(frozen, informed):
    items = list(planted(informed))
    train, dev, test = items[:64], items[64:84], items[84:]
    slot = Slot.place(frozen.tokenizer, Layout(target_prefix="\n"), PROMPT)
    text, grading = PromptEmbedding.from_text(frozen, slot), make_grading("label", [*WORDS])
    tuned, _ = optimize(frozen, text, train, dev, Settings(0.03, 12, batch_size=8, patience=0))
    shuffled, how = train_shuffled(frozen, tuned, train, dev, closed=True)
    assert abs(how["dealt"]["same"] - how["dealt"]["expected"]) < 2
    decoding = Decoding(max_new_tokens=6, batch_size=64)
    prompts = {"before": text, "shuffled": shuffled, "after": tuned}
    before, dealt, after = (answered(frozen, one, test, grading, decoding) for one in prompts.values())
    found = split_gain(before, [dealt], after)
    low, high = found["knowledge"]["interval"]
    if informed:
        assert low > 35
        assert found["knowledge"]["p"] < 1e-9
    else:
        assert low <= 0 <= high
        assert abs(found["knowledge"]["points"]) < 5
        assert found["format"]["interval"][0] > 5  # both prompts learnt to write a label
