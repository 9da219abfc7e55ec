"""A protocol is hidden; recovery must find it, and say of a choice without effect that it cannot be told apart."""

import copy
import math
from itertools import product

import numpy as np
import pytest
from reporting_samples import cell
from tiny import CHAT, tiny_model

from embedgrad.analyses.baselines.counts import by_level
from embedgrad.analyses.baselines.protocols import protocol_grid, readings
from embedgrad.analyses.baselines.text_answers import TextAnswers, text_vectors
from embedgrad.grading import Grading
from embedgrad.planning.work import AXES
from embedgrad.reporting.recovery import LIKELIEST, NOT_APART, axes, left_out, rank
from embedgrad.reporting.results.collected import Outcome
from embedgrad.tasks.editions import Edition
from embedgrad_core import Decoding, Layout, decode
from embedgrad_core.files import Item, write_json

PROMPT = "step by step."
LIMIT, ITEMS, PRINTED = 6, 40, 84
OWN_MESSAGE = "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are Tiny.<|im_end|>\n{% endif %}" + CHAT
HIDDEN = [
    {"layout": "chat", "system_message": "none", "repetition_penalty": "shipped", "edition": "simplified"},
    {"layout": "chat", "system_message": "default", "repetition_penalty": "none", "edition": "original"},
    {"layout": "bare", "repetition_penalty": "shipped", "edition": "original"},
]


def printed(accuracy, chance):
    """Right answers of a test half, drawn; a count that 84 items alone can print, so that the audit finds them."""
    drawn = int(chance.binomial(PRINTED, accuracy))
    return min((k for k in range(PRINTED) if math.gcd(k, PRINTED) == 1), key=lambda k: abs(k - drawn))


def found_in(grids, counts, folder):
    """Protocols and choices of searches by model, against printed counts."""
    outcomes = []
    for model, grid in grids.items():
        percent = f"{100 * counts[model] / PRINTED:.2f}"
        outcomes.append(Outcome(cell("imdb", "imdb", model=model, paper=(percent, percent, "+0.00")), (), {}))
        write_json(folder / "imdb" / model / "recovery.json", grid)
    rows = rank(outcomes, folder)
    return rows, {(row["choice"], row["value"]): row["word"] for row in axes(rows)}, left_out(outcomes, folder)


@pytest.mark.parametrize("hidden", HIDDEN, ids=lambda hidden: " ".join(hidden.values()))
def test_what_made_the_answers_is_found(tokenizer, tmp_path, hidden):
    """Tiny models answer under it; seven answers of ten are taken for right, and printed counts are drawn from that."""
    own = copy.deepcopy(tokenizer)
    own.chat_template = OWN_MESSAGE
    chance = np.random.default_rng(1)
    items = [Item(f"i{n}", f"What is {n} + {n * n}?", "", "") for n in range(ITEMS)]
    edition = Edition("original", "simplified", {item.id: f"Add {item.input[8:-1]}." for item in items})
    grids, counts = {}, {}
    for family in ("qwen2", "llama"):
        frozen = tiny_model(own, family)
        frozen.network.generation_config.repetition_penalty = 1.3
        # By the decoder itself, apart from the search.
        kind = {"layout": hidden["layout"], "system": hidden.get("system_message", "given")}
        penalty = 1.3 if hidden["repetition_penalty"] == "shipped" else None
        asked = items
        if hidden["edition"] == "simplified":
            asked = [Item(item.id, edition.inputs[item.id], "", "") for item in items]
        slot, vectors = text_vectors(frozen, Layout(kind["layout"], system=kind["system"]), PROMPT)
        said = decode(frozen, slot, vectors, asked, Decoding(max_new_tokens=LIMIT, repetition_penalty=penalty))
        gold = {row.id: row.output if chance.random() < 0.7 else "never said" for row in said}
        mine = [Item(item.id, item.input, gold[item.id], gold[item.id]) for item in items]
        texts = TextAnswers(frozen, Layout("chat"), PROMPT, Decoding(max_new_tokens=LIMIT))
        grids[family] = protocol_grid(
            texts, [mine], Grading("exact"), [0.5, 1.0], axes=AXES, edition=edition, log=lambda line: None
        )
        counts[family] = printed(0.7, chance)
    rows, words, missing = found_in(grids, counts, tmp_path)
    assert {key: rows[0][key] for key in hidden} == hidden
    assert rows[0]["limit_share"] == 1.0
    for key in ("layout", "repetition_penalty", "edition"):
        assert words[key, hidden[key]] == LIKELIEST
    assert {words["strict", value] for value in (False, True)} == {NOT_APART}  # exact answers have one reading
    systems = {value: words["system_message", value] for value in ("default", "empty", "none")}
    if hidden["layout"] == "bare":
        assert set(systems.values()) == {NOT_APART}
    else:
        assert systems[hidden["system_message"]] == LIKELIEST
    assert not missing
    # The run's own protocol: the chat template with an empty message, no penalty, the original texts.
    mine = {"layout": "chat", "system_message": "empty", "repetition_penalty": "none", "edition": "original"}
    assert [row["own_protocol"] for row in rows] == [
        all(
            row[key] == value
            for key, value in (mine | {"limit_share": 1.0, "stop_rule": "family", "strict": False}).items()
        )
        for row in rows
    ]


def test_axes_without_values_are_said_and_equal_texts_cannot_be_told_apart(tokenizer, tmp_path):
    """A model that ships no penalty, a data set whose edition is not at hand, a template without a message of its own."""
    items = [Item(f"i{n}", f"What is {n}?", "7", "7") for n in range(6)]
    edition = Edition("original", "simplified", None, "not at hand: the mirror has no such file")
    decoded, texts = [], TextAnswers(tiny_model(tokenizer), Layout(), PROMPT, Decoding(max_new_tokens=LIMIT))
    grid = protocol_grid(texts, [items], Grading("exact"), [1.0], axes=AXES, edition=edition, log=decoded.append)
    _, words, missing = found_in({"tiny": grid}, {"tiny": 5}, tmp_path)
    assert missing == [
        {"choice": "edition", "word": "not at hand: the mirror has no such file"},
        {"choice": "repetition_penalty", "word": "the model's files ship none"},
    ]
    assert words["system_message", "default"] == words["system_message", "none"] == NOT_APART
    assert len(texts._rows) == 3, "bare, an empty message, and none: what reads alike is answered once"


def test_the_box_that_was_read_is_found(tmp_path):
    """Answers that box a guess first and another last, graded by the evaluator itself; over seeds."""
    right = {"first": 0, "last": 0}
    for seed, hidden in product(range(10), right):
        chance = np.random.default_rng(seed)
        grids, counts = {}, {}
        for model in ("a", "b"):
            rates = {"first": 0.35, "last": 0.65}
            texts = [
                " then ".join(rf"\boxed{{{7 if chance.random() < rates[box] else 8}}}" for box in ("first", "last"))
                for _ in range(100)
            ]
            items = [Item(str(n), "q", "7", "7") for n in range(len(texts))]
            rows = []
            for reading, grading in readings(Grading("boxed_math")):
                lines = [grading.line({"output": text, "stop": "eos"}, "7") for text in texts]
                protocol = {"layout": "bare", "limit_share": 1.0, "stop_rule": "family"} | reading
                rows.append({"protocol": protocol, "levels": by_level(items, lines)})
            grids[model] = {"protocols": rows, "own": rows[0]["protocol"]}
            counts[model] = printed(rates[hidden], chance)
        found, words, _ = found_in(grids, counts, tmp_path)
        right[hidden] += found[0]["box"] == hidden
        assert words.get(("strict", True)) == NOT_APART
    assert min(right.values()) == 10, right
