"""A prompt to the hub and back, through the hub's real client in processes of their own; the hub itself is a stand-in."""

import json
import os
import pickle
import subprocess
import sys

import pytest
import yaml
from families import moved
from hub_stand_in import COMMIT, hub
from huggingface_hub import ModelCardData
from huggingface_hub.repocard_data import model_index_to_eval_results
from places import ROOT
from tiny import tiny_model, tiny_tokenizer

from embedgrad.api import load
from embedgrad_core import Layout, load_model
from embedgrad_core.files import sha256_of_file

TOKEN = "hf_planted9f3b7d"


@pytest.fixture
def at_home(home, prompt_file, tmp_path):
    """The prompt's metrics, as `embedgrad evaluate --json` prints them."""
    ran = embedgrad(
        None, "evaluate", "--prompt-file", prompt_file, "--data", home / "more_reviews.csv", "--json", cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    (tmp_path / "numbers.json").write_text(ran.stdout)
    return tmp_path


def embedgrad(address, *words, cwd, token=TOKEN):
    """Run the command as a user of the hub at ``address``, without the client's compiled transport, which no stand-in speaks."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    hub_settings = {
        "HF_HOME": str(cwd / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": str(ROOT),
        "NO_PROXY": "127.0.0.1",
    }
    hub_settings |= {"HF_ENDPOINT": address} if address else {"HF_HUB_OFFLINE": "1"}
    hub_settings |= {"HF_TOKEN": token} if token else {}
    call = [sys.executable, "-m", "embedgrad", *map(str, words)]
    return subprocess.run(call, cwd=cwd, env=inherited | hub_settings, capture_output=True, text=True, check=False)


def test_there_and_back(home, prompt_file, at_home):
    models = {"me/other": {"pytorch_model.bin": pickle.dumps({"a": 1}), "prompt.safetensors": pickle.dumps({"a": 1})}}
    metrics = ["--metrics", at_home / "numbers.json", "--licence", "mit", "--base-model", "me/tiny"]
    push = ["push", "--prompt-file", prompt_file, "--to", "me/prompt", "--json"]
    with hub({}, {}, models, token=TOKEN) as address:
        stranger = embedgrad(address, *push, *metrics, cwd=at_home, token="hf_wrong")
        assert stranger.returncode == 2
        assert "does not let this account write to it (401)" in stranger.stderr
        assert "me/prompt" not in models
        nameless = embedgrad(address, *push, cwd=at_home)
        assert nameless.returncode == 2
        assert "say what it is on the hub (--base-model)" in nameless.stderr
        pushed = embedgrad(address, *push, *metrics, cwd=at_home)
        assert pushed.returncode == 0, pushed.stderr
        there = models["me/prompt"]
        told = json.loads(pushed.stdout)
        assert told == {
            "repository": "me/prompt",
            "commit": COMMIT,
            "sha256": sha256_of_file(prompt_file),
            "files": ["README.md", "metrics.json", "prompt.safetensors"],
        }
        assert sorted(there) == told["files"]
        assert there["prompt.safetensors"] == prompt_file.read_bytes()
        assert there["metrics.json"] == (at_home / "numbers.json").read_bytes()
        check_card(there["README.md"].decode(), json.loads(there["metrics.json"]))

        back = ["pull", "me/prompt", "--out", "back.safetensors", "--json"]
        pinned = ["--prompt-revision", COMMIT, "--prompt-sha256", told["sha256"]]
        pulled = embedgrad(address, *back, *pinned, "--model", home / "model", cwd=at_home)
        assert pulled.returncode == 0, pulled.stderr
        assert json.loads(pulled.stdout)["commit"] == COMMIT
        assert (at_home / "back.safetensors").read_bytes() == prompt_file.read_bytes()

        again = ["pull", "me/prompt", "--out", "new.safetensors"]
        pickled = ["pull", "me/other", "--out", "new.safetensors"]
        for words, told_error in [
            ([*again, "--prompt-sha256", "0" * 64], "wanted is 000"),
            ([*again, "--prompt-revision", "gone"], "has no revision 'gone'"),
            ([*again, "--file", "other.safetensors"], "no file other.safetensors; it holds prompt.safetensors"),
            ([*pickled, "--file", "pytorch_model.bin"], "is a pickle, which can run code"),
            (pickled, "not a readable safetensors file"),
            (["pull", "me/gone", "--out", "new.safetensors"], "is not on the hub"),
            (["pull", "nobody", "--out", "new.safetensors"], "write it as owner/name"),
            ([*again, "--model", another_model(at_home)], "was made for"),
        ]:
            refused = embedgrad(address, *words, cwd=at_home)
            assert refused.returncode == 2, (words, refused.stdout, refused.stderr)
            assert refused.stderr.count("\n") == 1, refused.stderr
            assert told_error in refused.stderr
            assert not (at_home / "new.safetensors").exists()
    for path in (path for path in at_home.rglob("*") if path.is_file()):
        assert TOKEN.encode() not in path.read_bytes(), path
    assert not any(TOKEN in ran.stdout + ran.stderr for ran in (stranger, nameless, pushed, pulled, refused))


def check_card(card, metrics):
    """The hub's own reader finds the results, and the numbers are those of the metrics."""
    _, about, body = card.split("---\n", 2)
    data = ModelCardData(**yaml.safe_load(about))
    assert (data.base_model, data.license, data.library_name) == ("me/tiny", "mit", "embedgrad")
    _, results = model_index_to_eval_results(yaml.safe_load(about)["model-index"])
    found = {result.metric_name: (result.metric_type, result.metric_value, result.dataset_name) for result in results}
    assert found == {
        "accuracy of the text prompt": (
            "accuracy",
            pytest.approx(metrics["before"] / metrics["n"], abs=1e-6),
            "more_reviews.csv",
        ),
        "accuracy of the optimised prompt": (
            "accuracy",
            pytest.approx(metrics["after"] / metrics["n"], abs=1e-6),
            "more_reviews.csv",
        ),
    }
    assert f"| optimised | {metrics['after']} of {metrics['n']} |" in body
    assert 'hf_hub_download("me/prompt", "prompt.safetensors")' in body


def another_model(folder):
    """Of the same shape, its embeddings others."""
    tokenizer = tiny_tokenizer()
    network = tiny_model(tokenizer, max_position_embeddings=1024).network
    network.get_input_embeddings().weight.data.mul_(-1.0)
    network.save_pretrained(folder / "other")
    tokenizer.save_pretrained(folder / "other")
    return folder / "other"


def test_the_cards_own_lines_load_it_from_the_hub(tokenizer, tmp_path):
    """Run as printed, but for the model's name, which is a folder here."""
    tiny_model(tokenizer, max_position_embeddings=1024).network.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    prompt = moved(load_model(str(tmp_path / "model"), log=lambda line: None), Layout())
    prompt.save(tmp_path / "p.safetensors")
    models = {}
    with hub({}, {}, models, token=TOKEN) as address:
        words = ["push", "--prompt-file", "p.safetensors", "--to", "me/prompt", "--base-model", "me/tiny"]
        pushed = embedgrad(address, *words, cwd=tmp_path)
        assert pushed.returncode == 0, pushed.stderr
        card = models["me/prompt"]["README.md"].decode()
        code = card.partition("```python\n")[2].partition("```")[0].replace('"me/tiny"', '"model"')
        environment = {
            **os.environ,
            "HF_ENDPOINT": address,
            "HF_HOME": str(tmp_path / "hf2"),
            "HF_HUB_DISABLE_XET": "1",
        }
        ran = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
    assert ran.returncode == 0, ran.stderr
    wanted = load(tmp_path / "p.safetensors", str(tmp_path / "model"), log=lambda line: None).generate("your input")
    assert ran.stdout.splitlines()[-1] == wanted.splitlines()[-1]
    assert "No test result was given" in card
