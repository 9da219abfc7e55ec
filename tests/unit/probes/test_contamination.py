"""What memory is read from: completions, Min-K %, and the controls beside them."""

import random
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from embedgrad.analyses.baselines.rungs import without_prompt
from embedgrad.probes.applies import DoesNotApply
from embedgrad.probes.contamination import Controls, contamination, min_k, resampled, rouge_l, words
from embedgrad.probes.draws import fresh_items, is_generated, sampled, with_fresh
from embedgrad.tasks import arithmetic
from embedgrad.tasks.generated import as_many_as_there_are, distinct, is_held_out
from embedgrad_core import Layout
from embedgrad_core.files import UserError
from embedgrad_core.likelihood import token_log_likelihoods
from embedgrad_core.objective import Example

TEXT = st.text(alphabet="abc1 .,B-", max_size=30)


@given(TEXT, TEXT)
def test_rouge_l_is_that_of_googles_package(reference, candidate):
    known = RougeScorer(["rougeL"]).score(reference, candidate)["rougeL"].fmeasure
    assert rouge_l(words(reference), words(candidate)) == pytest.approx(known)


def test_each_letter_of_a_script_without_blanks_is_a_word():
    assert words("我老闆 is 超機車。") == ["我", "老", "闆", "is", "超", "機", "車"]


def test_min_k_is_the_mean_of_the_least_likely_tokens():
    assert min_k([-1.0, -9.0, -2.0, -3.0, -4.0, -5.0, -1.0, -1.0, -1.0, -7.0]) == -8.0
    assert min_k([-3.0, -1.0]) == -3.0


@given(st.lists(st.lists(st.sampled_from(["One.", "Two!", "Three?"]), min_size=2, max_size=5), min_size=1, max_size=6))
def test_resampled_texts_have_the_same_sentences_and_sizes(parts):
    found = resampled([" ".join(some) for some in parts]).texts
    assert [len(text.split()) for text in found] == list(map(len, parts))
    assert sorted(" ".join(found).split()) == sorted(sentence for some in parts for sentence in some)


def test_single_sentences_are_resampled_word_by_word_and_chinese_letter_by_letter():
    texts = ["Tom wept at home.", "Ana sighed at school."]
    english = resampled(texts).texts
    assert sorted(" ".join(english).split()) == sorted(" ".join(texts).split())
    chinese = resampled(["今天天氣真好", "我老闆超機車"]).texts
    assert [len(text) for text in chinese] == [6, 6]
    assert sorted("".join(chinese)) == sorted("今天天氣真好我老闆超機車")
    assert chinese != ["今天天氣真好", "我老闆超機車"]


def test_token_log_likelihoods_equal_the_networks_own(frozen):
    slot, nothing = without_prompt(frozen, Layout(), "-")
    texts = [frozen.tokenizer(text)["input_ids"] for text in ("step by step", "What is 12 + 30? We add", "No way")]
    found = token_log_likelihoods(frozen, slot, nothing, [Example("", ids[:1], ids[1:]) for ids in texts])
    for ids, values in zip(texts, found, strict=True):
        logits = frozen.network(torch.tensor([ids])).logits[0].double().log_softmax(dim=1)
        known = [float(logits[place, token]) for place, token in enumerate(ids[1:])]
        assert values == pytest.approx(known, abs=1e-4)


def test_texts_of_one_kind_are_not_told_apart_by_a_model_that_saw_neither(frozen):
    chance = random.Random(0)
    texts = ["".join(chance.choices("abcdefgh ", k=40)) for _ in range(48)]
    found = contamination(frozen, texts[:24], Controls(texts[24:], "fresh"), log=lambda line: None)
    assert found["true_control"]
    assert found["test"]["exact"] == found["control"]["exact"] == 0
    low, high = found["auroc"]["min_k"]["interval"]
    assert low < 0.5 < high
    assert len(found["rows"]) == 48
    assert {row["side"] for row in found["rows"]} == {"test", "control"}
    assert not contamination(frozen, texts, resampled(texts), log=lambda line: None)["true_control"]


def test_a_few_short_texts_are_no_result(frozen):
    long = Controls(["step by step by step"] * 9, "fresh")
    with pytest.raises(DoesNotApply):
        contamination(frozen, ["a"] * 30, long, log=lambda line: None)


@pytest.mark.parametrize("task", ["mood", "blame", "arithmetic"])
def test_new_draws_are_new_and_as_many_of_each_level(task):
    assert is_generated(task)
    first = fresh_items(task, 9)
    again = fresh_items(task, 9, known={item.input for item in first})
    assert len(first) == len(again) == 9
    assert not {item.input for item in first} & {item.input for item in again}
    assert not is_generated("imdb")


def test_a_level_without_new_items_is_left_out_and_the_others_are_read():
    """Level 1 has 40 × 9 sums, of which a quarter is held out: the pool's 80 are nearly all."""
    pool = arithmetic.load(None).items
    some, known = sampled(pool, 64), {item.input for item in pool}
    kept, fresh, left_out = with_fresh("arithmetic", some, known)
    assert left_out == ["1"]
    assert Counter(item.level for item in kept) == Counter(item.level for item in fresh)
    assert kept == [item for item in some if item.level != "1"]
    assert not {item.input for item in fresh} & known
    with pytest.raises(DoesNotApply, match="there are no controls"):
        with_fresh("arithmetic", [item for item in some if item.level == "1"], known)


def test_a_generator_that_runs_dry_gives_what_it_has_or_refuses():
    """Of ten texts some are held out; asked for more, the strict one says how many there are."""

    def draw(random):
        text = str(random.randrange(10))
        return text, text, text

    held_out = {str(number) for number in range(10) if is_held_out(str(number))}
    assert {text for text, _, _ in as_many_as_there_are(draw, 50, 0)} == held_out
    assert len(list(distinct(draw, len(held_out), 0))) == len(held_out)
    with pytest.raises(UserError, match=f"only {len(held_out)} different items of 50"):
        list(distinct(draw, 50, 0))
