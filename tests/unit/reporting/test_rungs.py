"""The rungs of the ladder: what each asks of the model, and what is read off the answers."""

import json

import pytest
from tiny import REVIEWS, tiny_model

from embedgrad.analyses.baselines.rungs import label_targets, rungs, worked_examples
from embedgrad.analyses.baselines.text_answers import TextAnswers, until
from embedgrad.analyses.limits import LIMITS, over_limits
from embedgrad.cli import main
from embedgrad.grading import Grading, make_grading
from embedgrad_core import Decoding, Layout, decode
from embedgrad_core.decoding import together
from embedgrad_core.decoding.greedy import Row, greedy
from embedgrad_core.files import Item, UserError, write_jsonl

TRAIN = [Item(f"i{n}", f"question {n}", f"answer {n % 3}", f"{n % 3}") for n in range(9)]


def pairs_of(text):
    return [tuple(block.split("\n")) for block in text.split("\n\n")]


def test_shuffled_examples_carry_the_format_and_no_answer_of_their_own():
    train = [Item(f"i{n}", f"question {n}", f"answer {n}", f"{n}") for n in range(9)]
    text = worked_examples(train, 3, "\n", shuffled=True)
    assert text == worked_examples(train[::-1], 3, "\n", shuffled=True)
    assert len(pairs_of(text)) == 3
    assert all(question[-1] != answer[-1] for question, answer in pairs_of(text))


def test_right_examples_have_their_own_targets_and_the_answers_in_turn():
    targets = {item.input: item.target for item in TRAIN}
    text = worked_examples(TRAIN, 6, "\n")
    assert text == worked_examples(TRAIN[::-1], 6, "\n")
    found = pairs_of(text)
    assert [targets[question] for question, _ in found] == [answer for _, answer in found]
    assert len({question for question, _ in found}) == 6
    assert (
        sorted(answer for _, answer in found[:3])
        == sorted(answer for _, answer in found[3:])
        == sorted(targets.values())[::3]
    )
    assert len(pairs_of(worked_examples(TRAIN, 99, "\n"))) == 9


def test_an_answer_with_two_targets_has_no_likelihood():
    assert label_targets(TRAIN) == {"0": "answer 0", "1": "answer 1", "2": "answer 2"}
    with pytest.raises(UserError, match="item x: answer '0' has the target 'other' here"):
        label_targets([*TRAIN, Item("x", "q", "other", "0")])


SETTINGS = Decoding(max_new_tokens=6, batch_size=2)


def test_every_rung_decodes_what_its_text_would(frozen, items):
    import torch

    seen = []
    texts = TextAnswers(frozen, Layout(), "step by step.", SETTINGS)
    for rung in rungs(texts, items, Grading("exact"), rewrite="be brief."):
        answers = {row.id: row.output for row in rung.answer(items[:2])}
        text = {"no_prompt": "", "rewrite": "be brief. "}.get(rung.name, "step by step. ") + items[0].input
        if rung.name in ("no_prompt", "bare", "rewrite"):
            ids = torch.tensor([frozen.tokenizer(text)["input_ids"]])
            out = frozen.network.generate(
                ids, max_new_tokens=6, do_sample=False, eos_token_id=list(frozen.stop_ids()), pad_token_id=0
            )
            assert answers[items[0].id] == frozen.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
        seen.append(rung.name)
    assert seen == ["no_prompt", "bare", "chat", "rewrite", "few_shot", "examples"]


def test_a_closed_set_of_answers_has_its_commonest_and_its_likeliest(frozen):
    reviews = [Item(str(place), text, label, label) for place, (text, label) in enumerate(REVIEWS)]
    texts = TextAnswers(frozen, Layout(target_prefix="\n"), "step by step.", SETTINGS)
    train = [*reviews, Item("more", "dull", "negative", "negative")]
    found = {rung.name: rung for rung in rungs(texts, train, make_grading("label", ["positive", "negative"]))}
    assert list(found)[-2:] == ["majority", "likelihood"]
    assert {row.output for row in found["majority"].answer(reviews)} == {"negative"}
    chosen = {row.id: row.output for row in found["likelihood"].answer(reviews)}
    assert set(chosen.values()) <= {"positive", "negative"}


def test_the_texts_answers_are_those_of_decode_and_are_decoded_once(frozen, items):
    from embedgrad_core import PromptEmbedding, Slot

    layout = Layout(kind="chat")
    texts = TextAnswers(frozen, Layout(), "step by step.", SETTINGS)
    slot = Slot.place(frozen.tokenizer, layout, "step by step.")
    wanted = decode(frozen, slot, PromptEmbedding.from_text(frozen, slot).initial, items, SETTINGS)
    found = texts.decoded("chat", items)
    assert [(row.id, row.output, row.stop) for row in found] == [(row.id, row.output, row.stop) for row in wanted]
    assert texts.rows(texts.in_layout("chat"), items) is texts.rows(texts.in_layout("chat"), items)


def test_ladder_and_protocols_are_the_same_where_all_prompts_are_answered_at_once(
    tokenizer, items, tmp_path, monkeypatch
):
    """As on a GPU; the examples are too long for one prompt of a row's own, and one rung does not fit at all."""
    frozen = tiny_model(tokenizer)
    for part in (frozen.network, tokenizer):
        part.save_pretrained(tmp_path / "model")
    splits = {"data": items[:4], "dev": items[4:6], "train": items[6:]}
    words = [
        "baselines",
        "--model",
        tmp_path / "model",
        "--device",
        "cpu",
        "--prompt",
        "step by step.",
        "--evaluator",
        "exact",
    ]
    words += ["--max-new-tokens", 6, "--axes", "system_message"]
    for name, some in splits.items():
        write_jsonl(tmp_path / f"{name}.jsonl", [item.row() for item in some])
        words += [f"--{name}", tmp_path / f"{name}.jsonl"]
    made, calls = [], []
    monkeypatch.setattr(together, "OWN", 40)
    monkeypatch.setattr(together, "greedy", lambda *most, **more: calls.append(len(most[3])) or greedy(*most, **more))
    for at_once in (False, True):
        monkeypatch.setattr(together, "gains", lambda *_, at_once=at_once: at_once)
        out = tmp_path / str(at_once)
        files = [
            "--ladder",
            out / "ladder.json",
            "--answers",
            out / "ladder.jsonl",
            "--recovery",
            out / "recovery.json",
        ]
        assert main(list(map(str, [*words, *files]))) == 0
        files = {path.name: path.read_bytes() for path in out.iterdir()}
        rows = [json.loads(line) for line in files.pop("ladder.jsonl").splitlines()]
        bits = [(row.pop("entropy_bits"), row.pop("check"))[0] for row in rows]
        made.append((files, rows, bits))
    (files, rows, bits), (same_files, same_rows, nearly) = made
    assert (files, rows) == (same_files, same_rows)
    assert (len(files), len(rows)) == (2, 5 * 6)
    assert bits == pytest.approx(nearly, abs=1e-5)
    assert calls[0] > 3 * 6, "the short prompts are answered at once"


def test_a_row_is_cut_behind_its_end_token_and_at_the_limit():
    row = Row(0, [5, 6, 7, 8], [1.0, 2.0, 3.0, 4.0], looped=True)
    assert until(row, (9,)) is row
    assert until(row, (6, 8)).ids == [5, 6]
    assert (until(row, (7,), 1).ids, until(row, (7,), 1).bits, until(row, (7,), 1).looped) == ([5], [1.0], False)


def test_accuracy_over_the_limit_is_read_off_the_answers(tokenizer):
    long = "negative. " * 40 + "positive"
    told = [
        ("positive", "eos"),
        (long, "eos"),
        ("I do not know " * 20, "length"),
        ("positive and " * 20, "loop_suspect"),
    ]
    items = [Item(str(place), "q", "positive", "positive") for place in range(4)]
    answers = [
        {
            "id": str(place),
            "output": text,
            "stop": stop,
            "n_tokens": len(tokenizer(text)["input_ids"]),
            "entropy_bits": 0.0,
        }
        for place, (text, stop) in enumerate(told)
    ]
    most = max(row["n_tokens"] for row in answers)
    found = over_limits(tokenizer, items, answers, make_grading("label", ["positive", "negative"]), most)
    assert [row["limit"] for row in found] == [*(limit for limit in LIMITS if limit < most), most]
    assert found[0] == {"limit": 32, "correct": 2, "ended": 1, "loops": 1, "cut": 2}
    assert found[-1] == {"limit": most, "correct": 3, "ended": 2, "loops": 1, "cut": 1}
