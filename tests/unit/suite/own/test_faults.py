"""Faults of texts, labels and calls for a prompt of one's own: each is one line that names where it lies."""

import re

import pytest
from commands import refused, tuning

import embedgrad
from embedgrad.cli import main
from embedgrad.commands import arguments
from embedgrad.tasks.own.data import read_own
from embedgrad_core import Decoding, Layout, PromptEmbedding, Slot, decode, read_prompt_file
from embedgrad_core.files import Item, UserError, write_jsonl


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ({"epoch": 3}, "optimize knows no 'epoch'; did you mean epochs?"),
        ({"labels": "good,bad"}, "give a list of texts"),
        ({"labels": ["good", "bad"], "evaluator": "exact"}, "labels are for evaluator label alone, not for exact"),
        ({"data": ["a", "b"]}, "data holds a str"),
        ({"data": [{"text": "x"}]}, "data row 1: no column for the answer"),
        ({"data": []}, "data: no usable rows"),
        ({"prompt": " \n"}, "the prompt is empty"),
    ],
)
def test_what_python_may_be_told(home, no_model, call, told):
    known = {"model": str(home / "model"), "prompt": "Yes?", "data": home / "reviews.csv", "evaluator": "exact"}
    known = {key: value for key, value in known.items() if "labels" not in call or key != "evaluator"}
    with pytest.raises(UserError, match=re.escape(told)):
        embedgrad.optimize(**known | call)


def test_load_refuses_what_it_does_not_know(prompt_file, no_model):
    with pytest.raises(UserError, match=r"load knows no 'max_tokens'; did you mean max_new_tokens\?"):
        embedgrad.load(prompt_file, max_tokens=3)
    with pytest.raises(UserError, match="max_new_tokens is 0"):
        embedgrad.load(prompt_file, max_new_tokens=0)


def test_answers_of_training_files_must_be_labels(home, items, tmp_path, no_model, capsys):
    rows = [Item(str(k), f"text {k}", label, label).row() for k, label in enumerate(("good", "bad", "so-so"))]
    write_jsonl(tmp_path / "train.jsonl", rows)
    flags = ["--train", tmp_path / "train.jsonl", "--dev", tmp_path / "train.jsonl", "--evaluator", "label"]
    start = ["optimize", "--model", home / "model", "--prompt", "x", "--out", tmp_path / "p", *flags]
    refused(capsys, [*start, "--labels", "good,bad"], "train.jsonl:3: answer 'so-so' is not among good, bad")
    refused(capsys, [*start, "--labels", "good,bad,so-so", "--input-column", "x"], "--input-column is for --data")


@pytest.mark.parametrize("command", [["evaluate", "--prompt-file", "{p}"], ["compare", "{p}", "{p}"]])
def test_data_is_read_before_the_model(prompt_file, tmp_path, no_model, capsys, command):
    (tmp_path / "bad.csv").write_text("text,label\nx,positive\ny,great\n")
    flags = [word.format(p=prompt_file) for word in command]
    refused(capsys, [*flags, "--data", tmp_path / "bad.csv"], "bad.csv:3: label 'great' is not among")


def test_inputs_are_named_by_file_and_line(home, prompt_file, tmp_path, capsys, monkeypatch):
    long = "word " * 1100
    (tmp_path / "long.csv").write_text(f"text,label\nx,positive\n{long},positive\n")
    (tmp_path / "long.txt").write_text(f"x\n\n{long}\n")
    (tmp_path / "latin.txt").write_bytes(b"ok\nsch\xf6n\n")
    with pytest.raises(UserError, match=r"long.csv:3: prompt, input and 12 new tokens need"):
        embedgrad.load(prompt_file, log=lambda line: None).evaluate(tmp_path / "long.csv")
    flags = ["generate", "--prompt-file", prompt_file]
    refused(capsys, [*flags, "--file", tmp_path / "long.txt"], "long.txt:3: prompt, input", "shorten the input")
    refused(capsys, [*flags, "--file", tmp_path / "latin.txt"], "latin.txt:2: not UTF-8")
    with (tmp_path / "long.txt").open(encoding="utf-8") as pipe:
        monkeypatch.setattr("sys.stdin", pipe)
        arguments._load.cache_clear()
        assert main([*map(str, flags)]) == 2
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 1
    device, error = printed.err.splitlines()
    assert "device cpu" in device
    assert error.startswith("embedgrad generate: line 3: prompt, input and 12 new tokens need")


def test_grading_counts_each_item_once_and_says_what_is_missing(tmp_path, capsys):
    """A line twice would count twice, a gold that no answer can equal makes all wrong, and what was not answered is said."""
    items = [Item(f"i/{n}", "x", "positive", "positive") for n in range(3)]
    write_jsonl(tmp_path / "test.jsonl", [item.row() for item in items])
    answer = {"output": "positive", "n_tokens": 1, "stop": "eos", "entropy_bits": 0.0}
    files = [
        "--data",
        str(tmp_path / "test.jsonl"),
        "--outputs",
        str(tmp_path / "out.jsonl"),
        "--out",
        str(tmp_path / "g.jsonl"),
    ]

    def grade(ids, labels):
        write_jsonl(tmp_path / "out.jsonl", [{"id": f"i/{n}", **answer} for n in ids])
        status = main(["grade", *files, "--evaluator", "label", "--labels", labels])
        return status, capsys.readouterr()

    status, told = grade([0, 1, 0], "positive,negative")
    assert status == 2
    assert "out.jsonl:3: item 'i/0' is answered in line 1 too and would count twice" in told.err
    status, told = grade([0, 1], "good,bad")
    assert status == 2
    assert "answer 'positive' is not among good, bad; change the line or the labels" in told.err
    status, told = grade([2], "positive,negative")
    assert status == 0
    assert "1 of 1 correct" in told.out
    assert "2 of 3 items of" in told.out
    assert "have no answer, i/0 first" in told.out


def test_a_prompt_that_leaves_no_room_is_what_must_be_shortened(frozen, items):
    with pytest.raises(UserError, match=r"the prompt takes \d+ of the model's 256 positions, .* shorten the prompt"):
        embedgrad.optimize(frozen, "step by step " * 200, items, evaluator="exact", log=lambda line: None)
    slot = Slot.place(frozen.tokenizer, Layout(), "step by step " * 200)
    with pytest.raises(UserError, match="shorten the prompt"):
        decode(frozen, slot, PromptEmbedding.from_text(frozen, slot).vectors, items, Decoding(max_new_tokens=4))


def test_a_prompt_from_a_file(home, tmp_path, capsys):
    """--prompt takes words; a file's name among them is warned of, and --prompt-text-file reads the file."""
    (tmp_path / "prompt.txt").write_bytes("\ufeffIs it good?\r\n".encode())
    flags = tuning(home, tmp_path / "p.safetensors")
    at = flags.index("--prompt")
    named = [*flags[:at], "--prompt-text-file", tmp_path / "prompt.txt", *flags[at + 2 :], "--epochs", "1"]
    assert main(list(map(str, named))) == 0
    assert read_prompt_file(tmp_path / "p.safetensors")[1]["text"] == "Is it good?"
    assert "warning" not in "".join(capsys.readouterr())
    wrong = [*flags[:at], "--prompt", tmp_path / "prompt.txt", *flags[at + 2 :], "--epochs", "1"]
    assert main(list(map(str, wrong))) == 0
    assert "which names a file; its content is the prompt with --prompt-text-file" in "".join(capsys.readouterr())
    refused(
        capsys, [*flags[:at], "--prompt-text-file", tmp_path / "no.txt", *flags[at + 2 :]], "no.txt: cannot be read"
    )


def test_a_label_in_two_spellings_of_unicode(tmp_path):
    rows = [{"text": "x", "label": "glu\u0308cklich"}, {"text": "y", "label": "TRAURIG"}]
    assert [item.answer for item in read_own(rows, "label", ["glücklich", "traurig"])] == ["glücklich", "traurig"]


def test_a_table_of_ones_own_where_the_suites_items_belong(tmp_path, capsys):
    (tmp_path / "my.csv").write_text("text,label\nx,positive\n")
    files = ["--data", tmp_path / "my.csv", "--outputs", tmp_path / "o", "--out", tmp_path / "g"]
    told = "my.csv: is a table of your own; this step reads the suite's JSON lines"
    refused(capsys, ["grade", *files, "--evaluator", "label", "--labels", "positive,negative"], told)


def test_rows_of_one_label_are_warned_of(frozen):
    said = []
    rows = [{"text": f"film {n}", "label": "positive"} for n in range(4)]
    embedgrad.optimize(frozen, "Is it good?", rows, labels=["positive", "negative"], epochs=1, log=said.append)
    assert any(line.startswith("warning: every training item has the answer 'positive'") for line in said)
    said.clear()
    rows = [{"text": f"film {n}", "label": n % 2} for n in range(4)]
    embedgrad.optimize(frozen, "Is it?", rows, labels={0: "negative", 1: "positive"}, epochs=1, log=said.append)
    assert "labels: 0 is negative, 1 is positive" in said
