"""Damaged and forged files, and names that are no names: each is read, or refused by one sentence that names file and key."""

import copy
import json
import os
import pickle
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml
from places import ROOT
from specimens import KINDS
from tiny import tiny_model

from embedgrad.cli import main
from embedgrad.commands import generate
from embedgrad.commands.arguments import plain_line
from embedgrad.planning.run_config import RunConfig
from embedgrad.reporting.results.cells import COLUMNS, read_cells
from embedgrad.runtime import run_lock
from embedgrad.schemas.plain import check_plain
from embedgrad.tuning import history_line
from embedgrad_core import Layout, PromptEmbedding, Slot, load_model, read_prompt_file
from embedgrad_core.files import UserError, parse_json, read_json, read_jsonl

DEMO = yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("EMBEDGRAD_MIRROR", raising=False)


def test_mutants_are_read_or_refused(tmp_path):
    """The CI-size run of tests/faults/mutate.py; docs/reliability.md has the whole."""
    command = [sys.executable, str(ROOT / "tests/faults/mutate.py"), "--mutants", "100", "--seed", "1", "--cores", "2"]
    ran = subprocess.run(
        [*command, "--json", str(tmp_path / "report.json")], capture_output=True, text=True, timeout=600, check=False
    )
    assert ran.returncode == 0, ran.stdout[-3_000:] + ran.stderr[-3_000:]
    reports = json.loads((tmp_path / "report.json").read_text())
    assert [report["kind"] for report in reports] == list(KINDS)
    for report in reports:
        assert report["faults"] == []
        assert report["unpickled"] == 0
        assert report["read"] + report["refused"] == 100
        assert report["refused"] > 8, "mutants that all pass test nothing"
        assert report["slowest"] < 2


def changed(*path, to):
    values = copy.deepcopy(DEMO)
    place = values
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return values


def renamed(kind, old, new):
    values = copy.deepcopy(DEMO)
    values[kind][new] = values[kind].pop(old)
    return values


BAD_NAMES = [
    "a b",
    "a'b",
    'a"b',
    "a;b",
    "$(id)",
    "`id`",
    "a/b",
    "..",
    "../a",
    "/a",
    "a\nb",
    "a\n",
    "-a",
    "",
    "a*",
    "ａ",
    "a\x00",
    "~",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=repr)
def test_a_name_that_is_no_name_is_refused_with_its_key(name, tmp_path):
    table = (ROOT / "config/demo_cells.tsv").read_text().splitlines()[1].split("\t")
    for values, key in (
        (changed("run", to=name), "run"),
        (renamed("tasks", "mood", name), "tasks"),
        (renamed("models", "tiny-0.2m", name), "models"),
        (changed("device", to=name), "device"),
        (changed("cells", to=[f"{name}/tiny-0.2m"]), "cells"),
        (changed("sensitivity", "cells", to=[f"mood/{name}"]), "sensitivity"),
        (
            changed("models", "tiny-0.2m", to={"hub": f"owner/{name}", "parameters": 1e6, "dtype": "auto"}),
            "models.tiny-0.2m.hub",
        ),
        (changed("tasks", "mood", "revision", to=name), "tasks.mood.revision"),
    ):
        if name == "a/b" and key == "tasks.mood.revision":
            continue  # a branch may have a slash
        with pytest.raises(UserError) as caught:
            RunConfig.check(values, "mine.yaml")
        assert key in str(caught.value)
        assert "\n" not in str(caught.value)
    for column in ("dataset", "task", "level", "model"):
        if (column, name) == ("level", ""):
            continue  # a whole task has no level
        row = {**dict(zip(COLUMNS, table, strict=True)), column: name}
        path = tmp_path / "mine.tsv"
        path.write_text("\n".join(["\t".join(COLUMNS), "\t".join(row.values()), ""]), encoding="utf-8")
        with pytest.raises(UserError, match=r"mine\.tsv:2: ") as caught:
            read_cells(path)
        assert "\n" not in str(caught.value)


def test_no_run_leaves_the_results_folder():
    for name in ("demo", "a.b", "0", "a..b", "x_y-z"):
        config = RunConfig.check(changed("run", to=name))
        folder = config.table_flags().split("--results ")[1].split()[0]
        assert (ROOT / folder).resolve().parent == ROOT / "results"
        assert (ROOT / config.model_folder("tiny-0.2m")).resolve().is_relative_to(ROOT / "results" / name)


BILLION = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
YAML = {
    "not a mapping": ("[1, 2]\n", "expected keys and values"),
    "nothing": ("", "expected keys and values at top level, found NoneType"),
    "deep": ("[" * 3_000, "nested too deeply"),
    "aliases of aliases": (BILLION, "too many values"),
    "an alias of itself": ("run: &a [*a]\n", "too many values"),
    "no date": ("run: 2024-13-45\n", "not valid YAML"),
    "a date": ("run: 2024-01-01\n", "run: must be text or a number, found date"),
    "a number that is none": ("seeds: [.nan]\n", "seeds.0: not a number"),
    "a large number": ("seeds: [99999999999999999999]\n", "seeds.0: not a number"),
    "digits": ("seeds: [" + "9" * 5_000 + "]\n", "not valid YAML"),
    "a key that is a number": ("1: 2\n", "key '1' must be text"),
    "python": ("run: !!python/object/apply:os.system ['touch embedgrad-was-here']\n", "not valid YAML"),
    "NUL": ('run: "a\\0"\n', "no command line can carry"),
    "half a pair": ('run: "\\ud800"\n', "no command line can carry"),
    "not UTF-8": (b"run: \xff\n", "not valid YAML"),
}


@pytest.mark.parametrize(("text", "told"), YAML.values(), ids=YAML)
def test_yaml_is_a_configuration_or_one_sentence(text, told, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as caught:
        RunConfig.read(path)
    assert "mine.yaml" in str(caught.value)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (ROOT / "embedgrad-was-here").exists()


def test_a_fault_in_the_table_names_the_configuration_too(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(changed("cell_table", to="config/none.tsv")))
    with pytest.raises(UserError, match=r"mine\.yaml: config/none\.tsv: no such file"):
        RunConfig.read(path)


def test_the_paper_is_plain():
    check_plain(yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8")), "paper.yaml")


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "-Infinity", "1e999", "[" * 100_000, "9" * 5_000, "{", ""])
def test_json_is_json(text, tmp_path):
    with pytest.raises(ValueError):
        parse_json(text)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=r"a\.json: ") as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)
    (tmp_path / "a.jsonl").write_text(text + "\n")
    with pytest.raises(UserError, match=r"a\.jsonl:1: "):
        read_jsonl(tmp_path / "a.jsonl")


def test_an_error_is_one_line_and_cannot_steer_a_terminal(tmp_path, capsys):
    path = tmp_path / "evil\n\x1b[2J\u202e.jsonl"
    path.write_text('{"id": 1, "input": "", "target": "", "answer": "", "level": null}\n')
    arguments = [
        "grade",
        "--evaluator",
        "exact",
        "--data",
        str(path),
        "--outputs",
        str(path),
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "evil\\n\\x1b[2J\\u202e.jsonl:1: 'id' must be text" in told
    assert "\x1b" not in told


@pytest.fixture(scope="module")
def forged(tokenizer, tmp_path_factory):
    """Writes a prompt file that a stranger made for a model that is here: its words and its header say what they like."""
    folder = tmp_path_factory.mktemp("forged")
    tiny_model(tokenizer).network.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    frozen = load_model(str(folder / "model"), device="cpu", say=lambda line: None)

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


def test_a_header_of_half_a_character_is_refused(forged):
    path = forged(note="NOTE!!!")
    # The metadata is a string inside a JSON header, hence two backslashes.
    path.write_bytes(path.read_bytes().replace(b"NOTE!!!", rb"\\ud800"))
    with pytest.raises(UserError, match="not a prompt file of this suite"):
        read_prompt_file(path)


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
