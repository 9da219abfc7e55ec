"""Bottleneck adapters in the environment of their library, against the library's own single rows; `make adapters` makes it."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from places import ROOT
from tiny import REVIEWS, tiny_model

from embedgrad.rivals.environment import interpreter_of
from embedgrad.rivals.table import rival_named
from embedgrad_core.files import UserError, read_json, read_jsonl, write_jsonl

SCRIPT = Path(__file__).with_name("in_adapters.py")


@pytest.fixture(scope="module")
def python():
    try:
        return interpreter_of(rival_named("houlsby"))
    except UserError as error:
        pytest.skip(str(error))


def facts(python, *arguments):
    """What the script prints last, in a fresh process that knows the checkout and nothing of this environment."""
    run = subprocess.run(
        [str(python), str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests/support'}", "OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert "There are adapters available but none" not in run.stderr or arguments[0] == "oracle"
    return json.loads(run.stdout.splitlines()[-1])


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def compared(request, python):
    return facts(python, "oracle", request.param)


@pytest.mark.parametrize("case", ["houlsby", "pfeiffer", "drop", "robust", "levels", "fusion"])
def test_loss_gradient_and_answers_equal_the_librarys_single_rows(compared, case):
    found = compared[case]
    assert found["targets"]
    assert found["loss"] < 1e-5
    assert found["gradient"] < 1e-3
    # In micro-batches, each layer computed again in the backward pass.
    assert found["micro_batches"] < 1e-5
    assert found["recomputed"] < 1e-3
    # Batched and with a cache; the library's by full forward passes.
    assert found["answers"] == [True] * 8
    stored, trained = ({int(name.split(".")[2]) for name in found[key]} for key in ("stored", "trained"))
    dropping = case in ("drop", "robust")
    assert stored == ({2, 3} if dropping else {0, 1, 2, 3})
    assert trained == ({2, 3} if case == "drop" else set(range(found["skipped"], 4)))
    assert all("adapter_fusion_layer" in name for name in found["trained"]) is (case == "fusion")
    assert any("attention_adapters" in name for name in found["trained"]) is (case == "houlsby")


def test_a_rival_starts_as_the_text_prompt_and_trains_in_float32(python):
    found = facts(python, "identity")
    assert len(found) == 12
    for case in found.values():
        assert case["says"]
        assert case["start"] == case["text"]
        assert abs(case["moved"] - case["text"]) > 1e-3 * case["text"]
        assert case["dtypes"] == ["torch.float32"]


def test_a_fit_learns_is_killed_and_gone_on_with_and_its_file_answers_alike(python, tmp_path):
    cases = ["houlsby", "robust", "fusion"]
    found = facts(python, "fits", tmp_path, *cases)
    files = [tmp_path / f"{case} whole.safetensors" for case in cases]
    answered = facts(python, "answers", *files)
    for case, file, answer in zip(cases, files, answered, strict=True):
        whole = found[case]["whole"]
        losses, best = whole["losses"], whole["best"]
        assert losses[best] == min(losses) < 0.9 * losses[0]
        # Three steps an epoch, twelve of them for the adapters alone; only what was fused wins.
        fused = [True, *(epoch > 4 for epoch in range(1, 9))]
        assert whole["may_win"] == (fused if case == "fusion" else [True] * 9)
        for killed_at in (5, 17):  # in the middle of epochs, of adapters and of their fusion
            killed, again = found[case][str(killed_at)]
            assert killed == {"killed": killed_at}
            assert again == whole | {"steps": whole["steps"] - killed_at + 1}
            assert (tmp_path / f"{case} {killed_at}.safetensors").read_bytes() == file.read_bytes()
        assert answer["loss"] == pytest.approx(losses[best], rel=1e-5)
        assert not answer["wants_gradient"]
    # Nothing lies beside but the states, safetensors too; the library itself would write pickles.
    assert len(list(tmp_path.iterdir())) == 2 * 3 * len(cases)
    for path in tmp_path.iterdir():
        size = int.from_bytes(path.read_bytes()[:8], "little")
        assert json.loads(path.read_bytes()[8 : 8 + size])


def test_what_cannot_be_done_is_one_error(python):
    found = facts(python, "refused")
    assert "rival pfeiffer: adapters does not take GPT2LMHeadModel" in found["gpt2"]
    assert (
        "rival pfeiffer: adapters puts the norms of the last layer into all layers of Gemma2ForCausalLM"
        in found["gemma2"]
    )
    assert "setting reduction is 0; give 1 to 32" in found["zero"]
    assert "the file and the model differ in tensor" in found["other"]
    assert len(found) == 4
    assert all("\n" not in line for line in found.values())


def test_the_commands_run_in_the_environment_and_in_nothing_else(python, tmp_path, tokenizer):
    """From the command's first line to its last: what the environment lacks shows here."""
    keys = ("id", "input", "target", "answer", "level")
    rows = [
        dict(zip(keys, (f"r/{n}", text, label, label, None), strict=True)) for n, (text, label) in enumerate(REVIEWS)
    ]
    write_jsonl(tmp_path / "items.jsonl", rows)
    tiny_model(tokenizer).network.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    data, out = tmp_path / "items.jsonl", tmp_path / "houlsby.safetensors"
    fit = [
        "fit",
        "--rival",
        "houlsby",
        "--prompt",
        "positive or negative?",
        "--epochs",
        1,
        "--train",
        data,
        "--dev",
        data,
    ]
    answer = ["answer", "--fitted", out, "--data", data, "--max-new-tokens", 3, "--out", tmp_path / "answers.jsonl"]
    cost = ["cost", "--fitted", out, "--data", data, "--items", 1, "--repeats", 1, "--tokens", 2]
    fit, cost = [*fit, "--out", out], [*cost, "--out", tmp_path / "cost.json"]
    for words in (fit, answer, cost):
        run = subprocess.run(
            [str(python), "-m", "embedgrad", "rival", *map(str, words), "--model", str(tmp_path / "model")],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "EMBEDGRAD_ADAPTERS_PYTHON": str(python)},
        )
        assert run.returncode == 0, run.stderr[-2000:]
    assert [row["id"] for row in read_jsonl(tmp_path / "answers.jsonl")] == [row["id"] for row in rows]
    assert read_json(tmp_path / "cost.json")["rival"] == "houlsby"
