"""Blocks of answers that are kept: a decoding that was ended goes on, and only the very same question finds them."""

from importlib import import_module

import pytest
import torch
from tiny import tiny_model

from embedgrad.cli import main
from embedgrad_core import Decoding, LoopRule, Slot, decode
from embedgrad_core.decoding.kept_rows import KeptRows
from embedgrad_core.files import read_jsonl, write_jsonl

DECODE = import_module("embedgrad_core.decoding.answers")
SETTINGS = {"max_new_tokens": 24, "batch_size": 2, "block": 3}


@pytest.fixture
def counted(monkeypatch):
    """How many items each call of the engine answers; ends like a kill after as many calls as are left."""
    seen, run, left = [], DECODE.greedy, [100]

    def noted(frozen, slot, vectors, bodies, *more, **settings):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        seen.append(len(bodies))
        return run(frozen, slot, vectors, bodies, *more, **settings)

    monkeypatch.setattr(DECODE, "greedy", noted)
    return seen, left


def test_a_decoding_that_was_ended_goes_on_from_its_last_block(frozen, slot, vectors, items, tmp_path, counted):
    seen, left = counted
    whole = decode(frozen, slot, vectors, items, Decoding(**SETTINGS))
    blocks, path = list(seen), tmp_path / "new folder" / "answers.state"
    assert len(blocks) > 2
    seen.clear()
    left[0] = 2
    with pytest.raises(KeyboardInterrupt):
        decode(frozen, slot, vectors, items, Decoding(**SETTINGS), kept=KeptRows(path))
    # The kill came in the middle of a line.
    path.write_bytes(path.read_bytes() + b'{"key": "abc", "rows": [{"ind')
    left[0] = 100
    done = []
    found = decode(frozen, slot, vectors, items, Decoding(**SETTINGS), kept=KeptRows(path), on_progress=done.append)
    assert found == whole
    assert seen == blocks, "each block is answered once"
    assert done == list(range(1, len(items) + 1))
    seen.clear()
    assert decode(frozen, slot, vectors, items, Decoding(**SETTINGS), kept=KeptRows(path)) == whole
    assert not seen


def test_another_question_finds_nothing(frozen, slot, vectors, items, tmp_path, counted):
    seen, _ = counted
    path, short = tmp_path / "answers.state", SETTINGS | {"max_new_tokens": 6}
    decode(frozen, slot, vectors, items, Decoding(**short), kept=KeptRows(path))
    other = tiny_model(frozen.tokenizer, "llama" if frozen.name == "tiny-qwen2" else "qwen2")
    object.__setattr__(other, "resolved", "sha256:other")
    asked = {
        "other vectors": (frozen, vectors + 0.01, items, short),
        "other limit": (frozen, vectors, items, short | {"max_new_tokens": 5}),
        "other batches": (frozen, vectors, items, short | {"batch_size": 3}),
        "other end of loops": (frozen, vectors, items, short | {"stop_on_loop": 4, "loop": LoopRule(3, 8)}),
        "other model": (other, vectors, items, short),
        "other blocks": (frozen, vectors, items, short | {"block": 2}),
    }
    for name, (model, of, some, settings) in asked.items():
        seen.clear()
        place = Slot.place(model.tokenizer, slot.layout, slot.text)
        decode(model, place, of, some, Decoding(**settings), kept=KeptRows(path))
        assert sum(seen) == len(items), name


def test_a_line_that_a_disk_changed_is_answered_again(frozen, slot, vectors, items, tmp_path, counted):
    seen, _ = counted
    path = tmp_path / "answers.state"
    whole = decode(frozen, slot, vectors, items, Decoding(**SETTINGS), kept=KeptRows(path))
    text = path.read_text()
    at = text.index('"ids": [') + len('"ids": [')
    path.write_text(text[:at] + "1, " + text[at:])
    seen.clear()
    assert decode(frozen, slot, vectors, items, Decoding(**SETTINGS), kept=KeptRows(path)) == whole
    assert len(seen) == 1


def test_the_commands_go_on_after_a_kill(tokenizer, items, tmp_path, counted):
    """Nothing is answered twice; what is asked for in the workflow is done with its blocks when its files are written."""
    seen, left = counted
    frozen = tiny_model(tokenizer)
    frozen.network.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    write_jsonl(tmp_path / "test.jsonl", [item.row() for item in items])
    files = [
        f"--data={tmp_path}/test.jsonl",
        f"--state={tmp_path}/r/a.state",
        f"--model={tmp_path}/model",
        "--prompt=Yes?",
    ]
    limits = ["--max-new-tokens=8", "--decode-batch-size=2", "--block=3", "--device=cpu"]
    own = ["ladder", *files, *limits, f"--train={tmp_path}/test.jsonl", "--evaluator=exact", f"--out={tmp_path}/l.json"]
    left[0] = 3
    assert main(own) == 130
    first = len(seen)
    left[0] = 1000
    assert main(own) == 0
    together = len(seen)
    answers = f"--answers={tmp_path}/l.jsonl"
    assert main([*own, answers]) == 0
    assert len(seen) == together > first == 3, "nothing was answered twice"
    assert len(read_jsonl(tmp_path / "l.jsonl")) % len(items) == 0
    both = [f"--ladder={tmp_path}/l.json", f"--recovery={tmp_path}/r.json", answers, *own[1:-1]]
    assert main(["baselines", *both]) == 0
    assert len(seen) == together, "the ladder before had answered all of it"
    assert not (tmp_path / "r/a.state").exists()
    decoding = ["decode", *files, *limits, f"--out={tmp_path}/o.jsonl"]
    assert main(decoding) == 0
    assert not (tmp_path / "r/a.state").exists()


def test_kept_rows_are_plain_numbers(tmp_path):
    """What is read again is what was there: 0.1 stays 0.1, and no tensor hides in a row."""
    kept = KeptRows(tmp_path / "a.state")
    rows = [DECODE.Row(0, [1, 2], [0.1, 1 / 3], True), DECODE.Row(1, [], [], False)]
    kept.add("k", rows)
    assert KeptRows(tmp_path / "a.state").find("k") == rows
    assert torch.tensor(rows[0].bits).dtype == torch.float32
