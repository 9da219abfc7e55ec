"""Prompt files and words from elsewhere: nothing steers a terminal, nothing forged is taken, nothing is unpickled."""

import json
import os
import pickle
import sys
from types import SimpleNamespace

import pytest
from places import ROOT
from tiny import tiny_model

from embedgrad.cli import main
from embedgrad.commands import generate
from embedgrad.commands.output import plain_line
from embedgrad.runtime import run_lock
from embedgrad.tuning import history_line
from embedgrad_core import Layout, PromptEmbedding, Slot, load_model, read_prompt_file
from embedgrad_core.files import UserError


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("EMBEDGRAD_MIRROR", raising=False)


@pytest.fixture(scope="module")
def forged(tokenizer, tmp_path_factory):
    """Writes a prompt file that a stranger made for a model that is here: its words and its header say what they like."""
    folder = tmp_path_factory.mktemp("forged")
    tiny_model(tokenizer).network.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    frozen = load_model(str(folder / "model"), device="cpu", log=lambda line: None)

    def write(text="Name the mood.", **header):
        prompt = PromptEmbedding.from_text(frozen, Slot.place(tokenizer, Layout(), text))
        path = folder / f"forged{len(list(folder.iterdir()))}.safetensors"
        prompt.save(path, header)
        return path

    return write


STEERING = "\x1b[2J\x1b]0;pwned\x07\x9b2J\u202e\r"


@pytest.mark.parametrize("command", ["inspect", "compare"])
def test_a_prompt_from_elsewhere_cannot_steer_the_terminal(command, forged, capsys):
    path = forged(f"Name{STEERING} the mood.", settings={f"rate{STEERING}": STEERING})
    assert main([command, str(path), *([str(forged())] if command == "compare" else [])]) == 0
    told = capsys.readouterr()
    assert not set(STEERING) - set("[2J]0;pwned") & set(told.out + told.err)
    assert "\\x1b[2J" in told.out


@pytest.mark.parametrize("more", [[], ["--both"], ["--json"]], ids=str)
def test_answers_are_escaped_for_a_terminal_and_whole_in_a_pipe(more, monkeypatch, capsys):
    answer = f"one\ntwo\u3000{STEERING}"
    monkeypatch.setattr(generate, "prompt_from", lambda _: SimpleNamespace(generate=lambda t, **_: [answer] * len(t)))
    shown = {}
    for terminal in (False, True):
        monkeypatch.setattr(sys.stdout, "isatty", lambda terminal=terminal: terminal, raising=False)
        assert main(["generate", "--prompt-file", "p", "x", *more]) == 0
        shown[terminal] = capsys.readouterr().out
    if more == ["--json"]:
        assert json.loads(shown[False])["output"] == json.loads(shown[True])["output"] == answer
        assert shown[True].isascii()
    else:
        assert answer in shown[False]
        assert "one\ntwo\u3000\\x1b[2J\\x1b]0;pwned\\x07\\x9b2J\\u202e\\r" in shown[True]


def test_a_log_line_and_a_lock_cannot_steer_the_terminal(tmp_path, monkeypatch, capsys):
    plain_line(f"licence {STEERING}\nmodel b: forged")
    assert capsys.readouterr().out.count("\n") == 1
    assert history_line({"epoch": 1, "stopped": f"at item {STEERING}"}).isprintable()
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake").mkdir()
    (tmp_path / ".snakemake/embedgrad.demo.lock").write_bytes(b"\xff\x1b[2Jevil\n")
    assert run_lock.holder("demo") == "\ufffd\\x1b[2Jevil"
    # Under Snakemake nothing goes through the command's own printer.
    text = "".join(path.read_text() for path in (ROOT / "workflow").rglob("*.smk"))
    assert text.count("print(") > 1
    assert all("printable(" in line or "run_lock.holder" in line for line in text.splitlines() if "print(" in line)


FORGED = [
    ("data", "x"),
    ("data", {"train": 1}),
    ("data", {"train": 1, "dev": "x"}),
    ("data", {"level": 3}),
    ("settings", "x"),
    ("settings", {"learning_rate": [1]}),
    ("versions", [1]),
    ("versions", {"torch": 2}),
    ("gate", 1),
    ("best_epoch", "x"),
    ("model", {"name": "m", "resolved": 1}),
    ("layout", {"kind": 1}),
    ("seen", [1]),
    ("grading", "x"),
]


@pytest.mark.parametrize(("key", "value"), FORGED, ids=str)
def test_a_forged_header_is_refused_by_file_and_key(key, value, forged, tmp_path, capsys):
    path = forged(**{key: value})
    with pytest.raises(UserError, match=rf"forged\d+\.safetensors: key '{key}' of its header is not what"):
        read_prompt_file(path)
    for command in (
        ["export", "--to", "vllm", "--out", str(tmp_path / "out"), "--prompt-file"],
        ["compare", str(path)],
    ):
        assert main([*command, str(path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_words_that_are_no_text_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(generate, "prompt_from", lambda _: SimpleNamespace(generate=lambda t, **_: t))
    for word in ([os.fsdecode(b"\xe9t\xe9")], ["ok", os.fsdecode(b"\xff")], ["--labels", os.fsdecode(b"\xff,b"), "ok"]):
        assert main(["generate", "--prompt-file", "p", *word]) == 2
        told = capsys.readouterr()
        assert told.err.count("\n") == 1
        assert "is not UTF-8" in told.err
        assert not told.out
    for errors in ("strict", "surrogateescape"):
        (tmp_path / "typed").write_bytes(b"\xe9t\xe9\n")
        monkeypatch.setattr(sys, "stdin", (tmp_path / "typed").open(encoding="utf-8", errors=errors))
        assert main(["generate", "--prompt-file", "p"]) == 2
        assert "standard input is not UTF-8" in capsys.readouterr().err


class Trap:
    """Would leave a file behind if it were ever unpickled."""

    def __reduce__(self):
        return open, ("embedgrad-was-here", "w")


@pytest.mark.parametrize("name", ["prompt.safetensors", "prompt.pt", "prompt.bin"])
def test_a_pickle_is_never_read(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError, match=f"{name}: not a readable safetensors file"):
        read_prompt_file(path)
    assert not (ROOT / "embedgrad-was-here").exists()
