"""A model card's own lines, in a process of their own and on real models."""

import subprocess
import sys

import reference
from families import moved
from places import ROOT
from tiny import tiny_model

from embedgrad_core import Layout, load_model
from embedgrad_core.export import export


def test_the_cards_own_lines_answer_as_ours(tokenizer, tmp_path):
    """The Python of each card, run in a process of its own from the folder above the export."""
    folder = tmp_path / "model"
    tiny_model(tokenizer, "qwen2").network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    check_cards(load_model(str(folder), device="cpu", dtype="float32", log=lambda line: None), tmp_path)


def test_the_cards_lines_read_a_sentencepiece_text_in_one_piece(mirror, tmp_path):
    """Such a tokenizer reads " day" otherwise at the start of a text than behind other words."""
    check_cards(
        load_model(str(mirror / "models/stories3M"), device="cpu", dtype="float32", log=lambda line: None), tmp_path
    )


def check_cards(frozen, home):
    prompt = moved(frozen, Layout(suffix='\n"A":\t'))
    body = prompt.slot.body_ids("your input")
    stops = frozen.stop_ids()
    wanted, _ = reference.greedy(
        frozen.network, prompt.vectors, prompt.slot.head_ids, body, max_new_tokens=64, stop_ids=stops
    )
    if wanted[-1] in stops:
        wanted = wanted[:-1]
    for kind in ("peft", "merged"):
        export(kind, frozen, prompt, home / kind, licence="mit")
        card = (home / kind / "README.md").read_text()
        code = card.partition("```python\n")[2].partition("```")[0]
        run = subprocess.run(
            [sys.executable, "-c", code],
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
        )
        assert run.stdout == frozen.tokenizer.decode(wanted, skip_special_tokens=True) + "\n", run.stderr[-800:]
        assert "license: mit" in card
        assert "please reason step by step." in card
