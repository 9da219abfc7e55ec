"""The command's errors: one line, exit status 2, nothing written."""

import http.server
import os
import subprocess
import sys
import threading

import pytest
from places import ROOT
from tiny import tiny_model

from embedgrad_core.files import write_jsonl


def embedgrad(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "embedgrad", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.fixture
def data(items, tmp_path):
    write_jsonl(tmp_path / "test.jsonl", [item.row() for item in items])
    return tmp_path


def decode(folder, model, *more, **environment):
    arguments = (
        "decode",
        "--model",
        model,
        "--data",
        folder / "test.jsonl",
        "--out",
        folder / "out.jsonl",
        "--max-new-tokens",
        8,
    )
    return embedgrad(*arguments, *(more or ("--prompt", "Yes?")), **environment)


def one_line(run, *parts):
    assert run.returncode == 2, run.stderr
    lines = [line for line in run.stderr.splitlines() if line.startswith("embedgrad")]
    assert len(lines) == 1
    assert "Traceback" not in run.stderr
    for part in parts:
        assert part in lines[0]


class Hub(http.server.BaseHTTPRequestHandler):
    """A hub that answers as the real one does for a gated or a missing repository."""

    def do_HEAD(self):
        gated = "gated" in self.path
        self.send_response(403 if gated else 404)
        self.send_header("X-Error-Code", "GatedRepo" if gated else "RepoNotFound")
        self.send_header("X-Error-Message", "Access to this model is restricted." if gated else "Repository not found")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_gated_model_without_access(data, hub, tmp_path):
    run = decode(data, "someone/gated-model", HF_ENDPOINT=hub, HF_HOME=str(tmp_path / "hf"), HF_HUB_OFFLINE="0")
    one_line(run, "someone/gated-model", "gated", "accept its licence")


def test_a_model_that_is_not_on_the_hub(data, hub, tmp_path):
    run = decode(data, "someone/nothing", HF_ENDPOINT=hub, HF_HOME=str(tmp_path / "hf"), HF_HUB_OFFLINE="0")
    one_line(run, "someone/nothing", "no such repository")


def test_no_network(data, tmp_path):
    run = decode(data, "someone/model", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hf"))
    one_line(run, "someone/model", "cannot be reached", "mirror")


def test_a_folder_that_is_not_there(data):
    one_line(decode(data, "./nowhere"), "./nowhere", "no such folder")


@pytest.fixture
def model(tokenizer, tmp_path):
    frozen = tiny_model(tokenizer)
    frozen.network.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_prompt_file_made_for_another_model(data, model, tokenizer):
    from embedgrad_core import Layout, PromptEmbedding, Slot

    other = tiny_model(tokenizer, hidden_size=64)
    prompt = PromptEmbedding.from_text(other, Slot.place(tokenizer, Layout(), "Yes?"))
    prompt.save(data / "p.safetensors")
    run = decode(data, model, "--prompt-file", data / "p.safetensors")
    one_line(run, "p.safetensors", "made for tiny-qwen2", str(model))
    assert not (data / "out.jsonl").exists()


def test_a_wrong_fingerprint_is_refused(data, model):
    run = decode(data, model, "--prompt", "Yes?", "--sha256", "sha256:0")
    one_line(run, str(model), "sha256:0")


def test_broken_weights(data, model):
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    one_line(decode(data, model), str(model), "cannot be loaded")


def test_results_cut_short(data, model):
    good = decode(data, model)
    assert good.returncode == 0, good.stderr
    answers = data / "out.jsonl"
    text = answers.read_bytes()
    grade = ("grade", "--evaluator", "exact", "--data", data / "test.jsonl", "--outputs", answers)
    assert embedgrad(*grade, "--out", data / "graded.jsonl").returncode == 0
    graded = (data / "graded.jsonl").read_bytes()
    answers.write_bytes(text[:-20])
    run = embedgrad(*grade, "--out", data / "graded.jsonl")
    one_line(run, "out.jsonl:8", "cut short")
    assert (data / "graded.jsonl").read_bytes() == graded, "nothing is overwritten"


def test_answers_to_other_items(data, model):
    assert decode(data, model).returncode == 0
    lines = (data / "test.jsonl").read_text().splitlines()
    (data / "other.jsonl").write_text("\n".join(lines[1:]) + "\n")
    run = embedgrad(
        "grade", "--evaluator", "exact", "--data", data / "other.jsonl", "--outputs", data / "out.jsonl", "--out", "x"
    )
    one_line(run, "out.jsonl:", "item 'item/0' is not in")


@pytest.mark.parametrize(
    ("line", "message"),
    [("{", "not a JSON object"), ('{"id": "a"}', "'input' is missing"), ("[1]", "expected a JSON object")],
)
def test_a_bad_line_is_named(data, model, line, message):
    with (data / "test.jsonl").open("a") as out:
        out.write(line + "\n")
    one_line(decode(data, model), "test.jsonl:9", message)


def test_a_prompt_may_also_be_a_file(tmp_path):
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
    run = embedgrad(
        "metrics",
        "--cell-table",
        "config/demo_cells.tsv",
        "--dataset",
        "mood",
        "--model",
        "tiny-0.8m",
        "--seed",
        0,
        *flags,
    )
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "cannot be read" in run.stderr or "no such file" in run.stderr.lower()


def test_output_that_is_not_utf_8_shows_what_it_can(data, tokenizer):
    """A C locale, a Windows console, a pipe: no traceback, the letters that it lacks as escapes."""
    run = embedgrad("plan", "--config", "config/demo.yaml", "--offline", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    frozen = tiny_model(tokenizer)
    frozen.network.save_pretrained(data / "model")
    tokenizer.save_pretrained(data / "model")
    made = embedgrad(
        "optimize", "--model", data / "model", "--prompt", "Schön\u2019s “Wort”?", "--train", data / "test.jsonl",
        "--dev", data / "test.jsonl", "--epochs", 1, "--out", data / "prompt.safetensors", PYTHONIOENCODING="ascii",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    run = embedgrad("inspect", data / "prompt.safetensors", PYTHONIOENCODING="ascii")
    assert run.returncode == 0, run.stderr
    assert "\\u" in run.stdout
