"""Words for an optimised prompt: planted ones are found, within the budget, and only such as are read as they were scored."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from tiny import tiny_model

from embedgrad.carry.choice import Finalist, best_of
from embedgrad.carry.distil import Search, distil, nearest_words
from embedgrad.carry.distilled import distil_report, distilled_lines
from embedgrad.carry.divergence import Teacher
from embedgrad.carry.rewrites import edited, instruction_of
from embedgrad.carry.scores import scores_of
from embedgrad.carry.words import Budget, random_words, read_as_scored, surprise
from embedgrad.files.kept import KeptResults
from embedgrad.grading import Grading
from embedgrad.runtime import progress
from embedgrad_core import Decoding, Layout, PromptEmbedding, Slot
from embedgrad_core.files import Item, UserError

TEXT, OTHER = "by positive step by negative", "by negative step by positive"
ITEMS = [
    Item(f"i{place}", f"{word} {place}", label, label)
    for place in range(6)
    for word, label in (("lovely", "positive"), ("dull", "negative"))
]
TRAIN, DEV = ITEMS[:6], ITEMS[6:]
DECODING = Decoding(max_new_tokens=4)
GRADING = Grading("label", {"labels": ["positive", "negative"]})


def quiet(line):
    pass


@pytest.fixture(scope="module")
def frozen(tokenizer):
    return tiny_model(tokenizer, "llama")


def planted(frozen, text=TEXT, other=OTHER, kind="chat"):
    """A soft prompt that is exactly the vectors of other words."""
    slots = [Slot.place(frozen.tokenizer, Layout(kind), one) for one in (text, other)]
    one, two = (PromptEmbedding.from_text(frozen, slot) for slot in slots)
    assert one.slot.k == two.slot.k
    return replace(one, vectors=two.initial)


def found(frozen, prompt, state=None, log=quiet, **changes):
    search = Search(
        **{"budget": 300, "answer_tokens": 3, "batch_size": 3, "candidates": 4, "reply_tokens": 6} | changes
    )
    return distil(frozen, prompt, TRAIN, DEV, GRADING, DECODING, search, state=state, log=log)


@pytest.mark.parametrize("kind", ["bare", "chat"])
def test_words_that_the_vectors_are_those_of_are_found(frozen, kind):
    """On items whose right answers are those of the optimised prompt, so that accuracy cannot speak against it."""
    prompt = planted(frozen, kind=kind)
    own = scores_of("own", frozen, prompt.slot, prompt.vectors, ITEMS, GRADING, DECODING, log=quiet)
    other = {"positive": "negative", "negative": "positive"}
    answers = [item.answer if right else other[item.answer] for item, right in zip(ITEMS, own.correct, strict=True)]
    items = [replace(item, answer=word, target=word) for item, word in zip(ITEMS, answers, strict=True)]
    assert nearest_words(frozen, prompt) == OTHER
    search = Search(300, ("nearest",), fluency=0.0, answer_tokens=3)
    best = distil(frozen, prompt, items[:6], items[6:], GRADING, DECODING, search, log=quiet)
    text, nearest = best.finalists
    assert (best.way, best.slot.text) == ("nearest", OTHER)
    assert nearest.divergence == pytest.approx(0, abs=1e-5)
    assert text.divergence > 0.01
    assert nearest.correct == nearest.n
    assert (text.p, nearest.p) == (None, pytest.approx(min(1, 2 * 0.5 ** (nearest.n - text.correct))))


def test_words_that_answer_worse_than_the_text_do_not_win():
    def row(way, loss, correct, p=None):
        return Finalist(way, way, 3, loss, 1.0, loss, correct, 20, p)

    text = row("text", 2.0, 12)
    assert (
        best_of([text, row("nearest", 0.1, 4, 0.008), row("gradient", 1.0, 12, 1.0), row("rewrite", 0.9, 13, 1.0)]) == 3
    )
    assert best_of([text, row("nearest", 0.1, 4, 0.008)]) == 0
    assert best_of([text, row("nearest", 0.1, 10, 0.5)]) == 1, "no worse than chance would have it"
    assert best_of([text, row("nearest", 0.1, 20, 0.008)]) == 1, "better, and beyond chance"
    assert best_of([text, row("nearest", 3.0, 20, 0.008)]) == 0
    assert best_of([row("gradient", 1.0, 0), row("rewrite", 0.5, 1)]) == 1, "without the text any accuracy will do"


def test_a_swap_by_gradient_finds_a_word_that_is_planted(frozen):
    """The prompt is one word off its text, and the nearest words are not asked."""
    prompt = planted(frozen, "by step by step", "by step by negative")
    best = found(frozen, prompt, ways=("gradient",), fluency=0.0, budget=600, candidates=24)
    rows = {row.way: row for row in best.finalists}
    assert rows["gradient"].divergence < 0.5 * rows["text"].divergence


def test_the_search_is_the_same_by_seed_and_another_by_another(frozen):
    prompt = planted(frozen)
    one, two, other = (found(frozen, prompt, ways=("rewrite",), seed=seed, budget=90) for seed in (1, 1, 2))
    assert one.finalists == two.finalists
    assert (one.slot.text, one.spent, one.counts) == (two.slot.text, two.spent, two.counts)
    assert other.finalists != one.finalists


@pytest.mark.parametrize("after", [0, 1, 6, 17, 27])
def test_a_search_that_was_ended_goes_on_to_the_same_words(frozen, tmp_path, monkeypatch, after):
    """Ended in each of its ways; what was computed before is not computed again."""
    prompt, state, computed, end = planted(frozen), tmp_path / "words.state", [], []
    get = KeptResults.get

    def counted(self, what, compute):
        def counting():
            if len(computed) in end:
                raise KeyboardInterrupt
            computed.append(what)
            return compute()

        return get(self, what, counting)

    monkeypatch.setattr(KeptResults, "get", counted)
    whole, results = found(frozen, prompt, budget=160), len(computed)
    assert {*computed} == {"answers", "loss", "look", "gradient", "swap", "reply", "right"}
    computed.clear()
    end.append(after)
    with pytest.raises(KeyboardInterrupt):
        found(frozen, prompt, budget=160, state=state)
    end.clear()
    again = found(frozen, prompt, budget=160, state=state)
    assert len(computed) == results
    assert (again.slot.text, again.way, again.finalists) == (whole.slot.text, whole.way, whole.finalists)
    assert (again.spent, again.counts) == (whole.spent, whole.counts)
    with pytest.raises(UserError, match="belongs to another model, data or setting"):
        found(frozen, prompt, budget=161, state=state)


@pytest.mark.parametrize("budget", [70, 111, 180])
def test_no_more_is_spent_than_the_budget(frozen, monkeypatch, budget):
    """Counted at the network's door: sequences of the search, gradients thrice, without the optimised prompt's own."""
    from embedgrad.carry import divergence, words

    passes = Counter()
    loss, apart, plain = Teacher.loss, Teacher.divergences, words.surprise

    def counted_loss(self, slot, vectors, examples):
        passes["items"] += len(examples) * (3 if vectors.requires_grad else 1)
        return loss(self, slot, vectors, examples)

    def counted_apart(self, slot, items, *how):
        passes["items"] += len(items)
        return apart(self, slot, items, *how)

    def counted_plain(frozen, slot):
        passes["words"] += 1
        return plain(frozen, slot)

    monkeypatch.setattr(divergence.Teacher, "loss", counted_loss)
    monkeypatch.setattr(divergence.Teacher, "divergences", counted_apart)
    monkeypatch.setattr(words, "surprise", counted_plain)
    monkeypatch.setattr("embedgrad.carry.distil.surprise", counted_plain)
    best = found(frozen, planted(frozen), budget=budget)
    assert passes["items"] + passes["words"] <= best.spent <= budget
    assert best.spent > budget / 2
    assert {row.way for row in best.finalists} >= {"text", "nearest"}


def test_a_budget_that_reaches_for_nothing_is_refused(frozen):
    with pytest.raises(UserError, match="budget is 0; it must be a positive number"):
        found(frozen, planted(frozen), budget=0)
    least = Search().least(len(DEV), len(TRAIN))
    with pytest.raises(UserError, match=rf"budget {least - 1} does not reach: .*take {least} forward passes"):
        found(frozen, planted(frozen), budget=least - 1)
    assert found(frozen, planted(frozen), budget=least).spent <= least
    with pytest.raises(UserError, match="ways are none; give some of nearest, gradient, rewrite"):
        found(frozen, planted(frozen), ways=())
    with pytest.raises(UserError, match="at least one of each"):
        distil(frozen, planted(frozen), [], DEV, GRADING, DECODING, Search(), log=quiet)


def test_strangeness_costs_a_share_of_what_the_prompts_own_text_is_away(frozen):
    prompt = planted(frozen)
    rows = found(frozen, prompt, ways=("nearest",), fluency=0.3).finalists
    teacher = Teacher.of(frozen, prompt, TRAIN, replace(DECODING, max_new_tokens=3), quiet)
    away = sum(teacher.divergences(prompt.slot, TRAIN)) / len(TRAIN)
    assert [row.loss - row.divergence for row in rows] == pytest.approx(
        [0.3 * away * row.surprise for row in rows], rel=1e-4
    )


def test_random_words_are_as_many_tokens(frozen):
    texts = {random_words(frozen, Layout("chat"), 5, seed).text for seed in range(4)}
    assert len(texts) == 4
    assert all(Slot.place(frozen.tokenizer, Layout("chat"), text).k == 5 for text in texts)


def test_a_budget_is_taken_whole_or_not_at_all():
    budget = Budget(5)
    assert budget.take(3)
    assert not budget.take(3)
    assert budget.take(2)
    assert budget.spent == 5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("by\tstep", "characters that a text file would not keep"),
        ("by step\n", "characters that a text file would not keep"),
        ("  ", "characters that a text file would not keep"),
        ("Y", "reads it as other tokens"),
    ],
)
def test_words_that_would_be_read_otherwise_are_refused(frozen, text, told):
    """The last one merges with the input: 'Y' and 'es' are one token together."""
    layout = Layout("bare", separator="")
    with pytest.raises(UserError, match=told):
        read_as_scored(frozen, layout, text, [Item("a", "es", "", "")])


def test_tokens_that_a_tokenizer_joins_are_refused(frozen):
    joined = frozen.tokenizer("positive")["input_ids"]
    letters = frozen.tokenizer.convert_tokens_to_ids(list("positive"))
    assert len(joined) < len(letters)
    assert read_as_scored(frozen, Layout(), "positive", [], joined).prompt_ids == tuple(joined)
    with pytest.raises(UserError, match="'positive': the tokenizer reads it as other tokens than were scored"):
        read_as_scored(frozen, Layout(), "positive", [], letters)


def test_surprise_is_the_mean_loss_of_the_networks_own_labels(frozen):
    for kind in ("bare", "chat"):
        slot = Slot.place(frozen.tokenizer, Layout(kind), TEXT)
        ids = torch.tensor([[*slot.head_ids, *slot.prompt_ids]])
        labels = ids.clone()
        labels[0, : len(slot.head_ids)] = -100
        assert surprise(frozen, slot) == pytest.approx(frozen.network(ids, labels=labels).loss.item(), rel=1e-4)
    assert surprise(frozen, Slot.place(frozen.tokenizer, Layout("bare"), "s")) == 0


def test_a_reply_is_read_for_the_instruction_in_it():
    assert instruction_of('Here is one:\n\n"Say  whether it is good."\nIt is short.') == "Say whether it is good."
    assert instruction_of("**New instruction:** Say it.") == "Say it."
    assert instruction_of("Answer: yes or no") == "Answer: yes or no"
    assert instruction_of("1. Say it.\n2. Say that.") == "Say it."
    assert instruction_of("\n \n") == ""


def test_edits_bring_no_word_of_their_own():
    import random

    texts = {edited("a b c d", "e f g", random.Random(seed)) for seed in range(60)}
    assert {word for text in texts for word in text.split()} <= set("abcdefg")
    assert len(texts) > 20


def test_the_report_gives_all_of_a_gain_to_the_words_that_were_planted(frozen):
    prompt = planted(frozen)
    words = Slot.place(frozen.tokenizer, prompt.slot.layout, OTHER)
    told = distil_report(frozen, prompt, words, ITEMS, GRADING, DECODING, answer_tokens=3, log=quiet)
    arms = told["arms"]
    assert list(arms) == ["text", "optimised", "distilled", "random_words"]
    assert arms["distilled"]["loss"] == pytest.approx(arms["optimised"]["loss"], rel=1e-5)
    assert arms["distilled"]["share"]["loss"]["value"] == pytest.approx(1, abs=1e-3)
    assert arms["distilled"]["divergence"]["closed"]["value"] == pytest.approx(1, abs=1e-3)
    assert arms["random_words"]["divergence"]["mean"] > 0.01
    gain = arms["text"]["loss"] - arms["distilled"]["loss"]
    assert arms["distilled"]["per_token"]["loss_gain"] == pytest.approx(gain / words.k)
    assert told["merged"] == 0
    lines = distilled_lines(told)
    assert lines[-1].startswith("in words survive 100 % [100 to 100 %] of the gain in loss")


def test_each_phase_is_told_where_it_takes_long(frozen, monkeypatch):
    monkeypatch.setattr(progress, "PAUSE", 0.0)
    prompt, lines = planted(frozen), []
    words = found(frozen, prompt, log=lines.append).slot
    for grading in (GRADING, Grading("exact")):
        distil_report(frozen, prompt, words, ITEMS, grading, DECODING, answer_tokens=3, log=lines.append)
    told = {line.partition(":")[0] for line in lines}
    search = {"the optimised prompt's answers", "the optimised prompt's distributions", "distil, the prompt's own text"}
    search |= {"distil, nearest", "distil, gradient", "distil, rewrite", "text on dev, divergence"}
    of_each = {
        f"{name}, {what}"
        for name in ("text", "distilled", "random_words")
        for what in ("divergence", "answers", "loss")
    }
    assert told >= search | of_each | {"text on dev, label likelihood", "optimised, label likelihood"}
