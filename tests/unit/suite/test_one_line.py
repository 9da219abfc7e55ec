"""What the commands refuse: each in one line that begins with the command, with exit status 2, and nothing written."""

import pytest
from commands import refused, tuning
from places import ROOT
from tiny import tiny_model

from embedgrad.cli import COMMANDS, main
from embedgrad.commands.probe import PROBES
from embedgrad_core import Layout, PromptEmbedding, Slot
from embedgrad_core.files import write_jsonl

# The words of an `embedgrad optimize` on data of one's own that would do, and those behind it that do not.
TUNING = "tuning"
# {p}: a prompt file, {h}: the folder of a model and of data, {t}: an empty folder.
GENERATE = ["generate", "--prompt-file", "{p}"]
EVALUATE = ["evaluate", "--prompt-file", "{p}", "--data", "{h}/more_reviews.csv"]
EXPORT = ["export", "--prompt-file", "{p}", "--to", "peft", "--out"]
REFUSED = [
    ([*GENERATE, "--file", "{h}/none.txt"], "none.txt: cannot be read"),
    ([*GENERATE, "x", "--file", "{h}/model"], "not both"),
    (["evaluate", "--prompt-file", "{h}/none.safetensors", "--data", "x.csv"], "no such prompt file"),
    (["evaluate", "--prompt-file", "{h}/reviews.csv", "--data", "x.csv"], "not a readable safetensors file"),
    (["evaluate", "--prompt-file", "{p}", "--data", "{h}/none.csv"], "none.csv: no such file"),
    ([*EVALUATE, "--out", "{h}"], "is a folder"),
    ([*EVALUATE, "--out", "{p}"], "is the file of --prompt-file too"),
    ([*EVALUATE, "--out", "{h}/more_reviews.csv"], "of --data too"),
    (["inspect", "{h}/none.safetensors"], "no such prompt file"),
    (["inspect", "{p}", "--png", "{t}/drift"], "ends in .png, .pdf, .svg"),
    (["inspect", "{p}", "--png", "{t}/drift.xyz"], "ends in .png, .pdf, .svg"),
    (["inspect", "{p}", "--png", "{t}/png"], "ends in .png, .pdf, .svg"),
    (["compare", "{p}", "{p}", "--keep-seen"], "--keep-seen is about the items of --data"),
    ([*EXPORT, "{h}/model"], "exists already"),
    ([*EXPORT, "{h}/x", "--metrics", "{h}/none"], "no such file"),
    ([TUNING, "--learning-rate", "nan"], "learning_rate is nan"),
    ([TUNING, "--weight-decay", "-1"], "weight_decay is -1.0"),
    ([TUNING, "--seed", "9" * 30], "argument --seed: give a whole number"),
    ([TUNING, "--level", "1"], "--level is for --train and --dev"),
    ([TUNING, "--evaluator", "exact"], "labels are for evaluator label alone"),
    ([TUNING, "--system-message", "Be brief."], "--system-message is for --layout chat"),
    ([TUNING, "--slot", "system"], "--slot system is for --layout chat"),
    ([TUNING, "--data-split", "test"], "a split (--data-split) is a hub data set's"),
    ([TUNING, "--data-revision", "main"], "a revision (--data-revision) is a hub data set's"),
    ([TUNING, "--task", "mood"], "--task brings its own evaluator"),
    ([TUNING, "--data", "{t}"], "is a folder; give a file that ends in .jsonl"),
]

# What is told when a model was asked for; all else is refused before.
LATE = [
    ([*GENERATE, " "], "input 1 is empty"),
    ([*GENERATE, "word " * 1100], "positions, the model has 1024"),
    (["compare", "{p}", "{h}/none.safetensors"], "no such prompt file"),
    ([TUNING, "--device", "mps"], "use auto, cpu or cuda"),
    ([TUNING, "--device", "meta"], "use auto, cpu or cuda"),
    ([TUNING, "--max-new-tokens", "1020"], "1020 new tokens do not fit; lower --max-new-tokens to 1004"),
]


CASES = [*REFUSED, *LATE]


@pytest.mark.parametrize(("words", "told"), CASES, ids=[f"{' '.join(words)[:50]}: {told}" for words, told in CASES])
def test_it_is_one_line(home, prompt_file, tmp_path, request, capsys, words, told):
    if (words, told) not in LATE:
        request.getfixturevalue("no_model")
    words = [word.format(p=prompt_file, h=home, t=tmp_path) for word in words]
    refused(capsys, tuning(home, tmp_path / "p", *words[1:]) if words[0] == TUNING else words, told)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def data(items, tmp_path):
    write_jsonl(tmp_path / "test.jsonl", [item.row() for item in items])
    return tmp_path


@pytest.fixture
def model(tokenizer, tmp_path):
    tiny_model(tokenizer).network.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def decoding(folder, model, *more):
    files = ["--data", folder / "test.jsonl", "--out", folder / "out.jsonl", "--max-new-tokens", "8", "--threads", "1"]
    return ["decode", "--model", model, *files, *(more or ("--prompt", "Yes?"))]


def test_a_folder_that_is_not_there(data, capsys):
    refused(capsys, decoding(data, "./nowhere"), "./nowhere", "no such folder")


def test_a_prompt_file_made_for_another_model(data, model, tokenizer, capsys):
    other = tiny_model(tokenizer, hidden_size=64)
    prompt = PromptEmbedding.from_text(other, Slot.place(tokenizer, Layout(), "Yes?"))
    prompt.save(data / "p.safetensors")
    words = decoding(data, model, "--prompt-file", data / "p.safetensors")
    refused(capsys, words, "p.safetensors", "made for tiny-qwen2", str(model))
    assert not (data / "out.jsonl").exists()


def test_a_wrong_fingerprint_is_refused(data, model, capsys):
    words = decoding(data, model, "--prompt", "Yes?", "--sha256", "sha256:0")
    refused(capsys, words, str(model), "sha256:0")


def test_broken_weights(data, model, capsys):
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    refused(capsys, decoding(data, model), str(model), "cannot be loaded")


def test_results_cut_short(data, model, capsys):
    assert main(list(map(str, decoding(data, model)))) == 0
    capsys.readouterr()
    answers = data / "out.jsonl"
    text = answers.read_bytes()
    grade = ("grade", "--evaluator", "exact", "--data", data / "test.jsonl", "--outputs", answers)
    assert main([*map(str, grade), "--out", str(data / "graded.jsonl")]) == 0
    capsys.readouterr()
    graded = (data / "graded.jsonl").read_bytes()
    answers.write_bytes(text[:-20])
    refused(capsys, [*grade, "--out", data / "graded.jsonl"], "out.jsonl:8", "cut short")
    assert (data / "graded.jsonl").read_bytes() == graded, "nothing is overwritten"


def test_answers_to_other_items(data, model, capsys):
    assert main(list(map(str, decoding(data, model)))) == 0
    capsys.readouterr()
    lines = (data / "test.jsonl").read_text().splitlines()
    (data / "other.jsonl").write_text("\n".join(lines[1:]) + "\n")
    files = ["--data", data / "other.jsonl", "--outputs", data / "out.jsonl", "--out", data / "x"]
    refused(capsys, ["grade", "--evaluator", "exact", *files], "out.jsonl:", "item 'item/0' is not in")


@pytest.mark.parametrize(
    ("line", "message"),
    [("{", "not a JSON object"), ('{"id": "a"}', "'input' is missing"), ("[1]", "expected a JSON object")],
)
def test_a_bad_line_is_named(data, model, line, message, capsys):
    with (data / "test.jsonl").open("a") as out:
        out.write(line + "\n")
    refused(capsys, decoding(data, model), "test.jsonl:9", message)


def test_a_prompt_may_also_be_a_file(tmp_path, capsys):
    """``metrics --prompt`` is one; what looks at words in a command line passes it by."""
    given = {name: tmp_path / f"{name}.json" for name in ("split", "test", "before", "after", "prompt", "optimize-run")}
    flags = [word for name, path in given.items() for word in (f"--{name}", path)]
    flags += [
        "--before-run",
        tmp_path / "b.json",
        "--after-run",
        tmp_path / "a.json",
        "--out",
        tmp_path / "metrics.json",
    ]
    cell = ["--cell-table", ROOT / "config/demo_cells.tsv", "--dataset", "mood", "--model", "tiny-0.8m", "--seed", 0]
    refused(capsys, ["metrics", *cell, *flags], "no such file")


@pytest.mark.parametrize(
    "words", [[], *([name] for name in COMMANDS), *(["probe", name] for name in [*PROBES, "table"])]
)
def test_each_command_has_a_help_text(words, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([*words, "--help"])
    assert capsys.readouterr().out.startswith(" ".join(["usage: embedgrad", *words]))
