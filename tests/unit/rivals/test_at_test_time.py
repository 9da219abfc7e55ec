"""Few-shot and Self-Refine: what the model is asked, what is counted, and when it ends."""

import pytest
from tiny import REVIEWS, tiny_model

from embedgrad.analyses.baselines.text_answers import text_vectors
from embedgrad.rivals.families import at_test_time
from embedgrad.rivals.families.at_test_time import FEEDBACK, REWRITE
from embedgrad.rivals.fitting import Fitting, answer, fit_rival
from embedgrad.rivals.rival import seeds_of
from embedgrad.rivals.table import rival_named
from embedgrad_core import Decoding, Layout, Settings, decode
from embedgrad_core.decoding.answers import Decoded
from embedgrad_core.decoding.kept_rows import KeptRows
from embedgrad_core.files import Item, UserError

TEXT = "positive or negative?"
ITEMS = [Item(f"r/{n}", text, label, label) for n, (text, label) in enumerate(REVIEWS)]
DECODING = Decoding(max_new_tokens=6)


class Counted(KeptRows):
    """Kept blocks that know which were new."""

    def __init__(self, path):
        super().__init__(path)
        self.added = []

    def add(self, key, rows):
        super().add(key, rows)
        self.added.append(key)


def answered(name, frozen, layout=None, kept=None):
    fitting = Fitting(layout or Layout(), TEXT, ITEMS, ITEMS, Settings(0.01, 1))
    artefact, _ = fit_rival(frozen, rival_named(name), fitting)
    return answer(frozen, artefact, ITEMS, DECODING, kept=kept, log=lambda line: None)


@pytest.mark.parametrize("kind", ["bare", "chat"])
def test_examples_stand_with_their_right_answers_behind_the_prompt(tokenizer, kind):
    frozen = tiny_model(tokenizer)
    found = answered("few_shot_4", frozen, Layout(kind))
    # All four items, in the order that a plain reading of the text tells, each with its own answer.
    pairs = dict(REVIEWS)
    slot = asked(frozen, lambda: answered("few_shot_4", frozen, Layout(kind)))[0][0]
    shown = slot.text.removeprefix(f"{TEXT}\n\n").split("\n\n")
    assert sorted(part.split("\n")[0] for part in shown) == sorted(pairs)
    assert all(pairs[part.split("\n")[0]] == part.split("\n")[1] for part in shown)
    assert slot.rendered("the input").count("\n\nthe input") == 1
    assert (found.positions, found.calls) == (slot.k, {item.id: 1 for item in ITEMS})


def asked(frozen, work, outputs=None):
    """The slots and inputs that ``work`` decodes, and optionally what the model is made to answer: the first words of a request
    that the prompt begins with → texts in the order of the items."""
    seen = []

    def answering(frozen, slot, vectors, items, decoding, **more):
        seen.append((slot, [item.input for item in items]))
        real = decode(frozen, slot, vectors, items, decoding)
        texts = next((texts for start, texts in (outputs or {}).items() if slot.text.startswith(start)), {})
        return [Decoded(row.id, texts.get(row.id, row.output), 5, row.stop, 0.0) for row in real]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(at_test_time, "decode", answering)
        work()
    return seen


@pytest.mark.parametrize("kind", ["bare", "chat"])
def test_every_position_that_self_refine_reads_counts(tokenizer, kind):
    """Of each answer's further calls the whole text, as the tokenizer reads it, and of the first one the prompt."""
    frozen = tiny_model(tokenizer, max_position_embeddings=4096)
    results = []
    seen = asked(frozen, lambda: results.append(answered("self_refine_1", frozen, Layout(kind))))
    human, *further = seen
    read = [len(frozen.tokenizer(slot.rendered(text))["input_ids"]) for slot, inputs in further for text in inputs]
    assert len(read) == 2 * len(ITEMS)
    assert results[0].positions == pytest.approx(human[0].k + sum(read) / len(ITEMS))


def test_the_model_criticises_and_rewrites_until_it_finds_nothing_wrong(tokenizer):
    frozen = tiny_model(tokenizer, max_position_embeddings=4096)
    said = {
        TEXT: {item.id: f"first {item.id}" for item in ITEMS},
        FEEDBACK[:20]: {item.id: "It is correct." if item.id == "r/0" else "wrong word" for item in ITEMS},
        REWRITE[:30]: {item.id: f"second {item.id}" for item in ITEMS},
    }
    results = []
    seen = asked(frozen, lambda: results.append(answered("self_refine_4", frozen)), said)
    found = results[0]
    assert {row.id: row.output for row in found.rows} == {
        "r/0": "first r/0", **{f"r/{n}": f"second r/{n}" for n in (1, 2, 3)}
    }  # fmt: skip
    assert found.calls == {"r/0": 2, "r/1": 9, "r/2": 9, "r/3": 9}
    assert {row.id: row.n_tokens for row in found.rows} == {key: 5 * calls for key, calls in found.calls.items()}
    assert [len(inputs) for _, inputs in seen] == [4, 4, 3, 3, 3, 3, 3, 3, 3]
    assert seen[2][1][0] == f"Task: {TEXT} {ITEMS[1].input}\n\nAnswer: first r/1\n\nFeedback: wrong word"
    assert seen[3][1][0] == f"Task: {TEXT} {ITEMS[1].input}\n\nAnswer: second r/1"


def test_examples_are_drawn_by_the_seed(tokenizer):
    """So that three seeds are three draws; the same seed shows the same ones."""
    frozen, items = tiny_model(tokenizer), [Item(f"i/{n}", f"input {n}", "a", "a") for n in range(30)]
    shown = []
    for seed in (0, 1, 0):
        fitting = Fitting(Layout(), TEXT, items, items, Settings(0.01, 1, seed=seed))
        shown.append(fit_rival(frozen, rival_named("few_shot_4"), fitting)[0].header["examples"])
    assert shown[0] == shown[2] != shown[1]
    assert all(text.count("input ") == 4 for text in shown)


def test_what_draws_nothing_is_run_once():
    seeds = {name: seeds_of(rival_named(name), [0, 1, 2]) for name in ("few_shot_1", "self_refine_1", "lora", "gcg")}
    assert seeds == {"few_shot_1": [0, 1, 2], "self_refine_1": [0], "lora": [0, 1, 2], "gcg": [0, 1, 2]}


@pytest.mark.parametrize("name", ["few_shot_4", "self_refine_4"])
def test_a_killed_method_goes_on_from_what_was_kept(tokenizer, tmp_path, name):
    frozen = tiny_model(tokenizer, max_position_embeddings=4096)
    whole = answered(name, frozen)
    blocks = []

    class Killed(KeptRows):
        def add(self, key, rows):
            super().add(key, rows)
            blocks.append(key)
            if len(blocks) == calls // 2 + 1:
                raise KeyboardInterrupt

    calls = max(whole.calls.values())
    with pytest.raises(KeyboardInterrupt):
        answered(name, frozen, kept=Killed(tmp_path / "kept"))
    assert answered(name, frozen, kept=(again := Counted(tmp_path / "kept"))) == whole
    assert len(again.added) == calls - len(blocks)


def test_more_rounds_go_on_from_fewer(tokenizer, tmp_path):
    """Answer, feedback and rewriting of the first round are blocks that the longer method finds, so that only six are made anew."""
    frozen = tiny_model(tokenizer, max_position_embeddings=4096)
    one, four = (answered(name, frozen) for name in ("self_refine_1", "self_refine_4"))
    kept = tmp_path / "kept"
    assert answered("self_refine_1", frozen, kept=(short := Counted(kept))) == one
    assert answered("self_refine_4", frozen, kept=(longer := Counted(kept))) == four
    assert (len(short.added), len(longer.added)) == (3, 6)


def test_what_does_not_fit_the_context_keeps_its_answer(tokenizer):
    frozen = tiny_model(tokenizer)
    plain = {row.id: row.output for row in decode(frozen, *text_vectors(frozen, Layout(), TEXT), ITEMS, DECODING)}
    tight = tiny_model(tokenizer, max_position_embeddings=80)
    found = answered("self_refine_1", tight)
    assert {row.id: row.output for row in found.rows} == plain
    assert set(found.calls.values()) == {1}


def test_more_examples_than_items_is_one_error(tokenizer):
    with pytest.raises(UserError, match="16 examples of 4 training items; give fewer shots"):
        answered("few_shot_16", tiny_model(tokenizer))
