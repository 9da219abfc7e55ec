"""The command's errors: one line, exit status 2, nothing written."""

import http.server
import os
import signal
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


@pytest.fixture
def model(tokenizer, tmp_path):
    frozen = tiny_model(tokenizer)
    frozen.network.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


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


def test_a_reader_that_ends_early_ends_the_command():
    """`embedgrad … | head -1`: no traceback, and the shell's own status for a closed pipe."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "embedgrad", "plan", "--config", "config/demo.yaml", "--offline"]
    run = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (run.returncode, run.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("shortened", [False, True])
def test_a_commands_process_imports_no_scikit_learn(shortened):
    """Unshortened, transformers imports it: where that is no longer so, the shortening has nothing left to do."""
    lines = [
        "import sys",
        "from embedgrad.runtime import startup",
        *(["startup.shorten()"] if shortened else []),
        "from transformers.generation import GenerationMixin, candidate_generator",
        "print('sklearn' in sys.modules, candidate_generator.is_sklearn_available())",
    ]
    run = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.split() == [str(not shortened)] * 2, run.stderr
