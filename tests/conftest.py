"""Shared fixtures: tiny random models with a real tokenizer, and the mirror of real data."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import embedgrad_core  # noqa: F401  # isort: skip  # before torch: it says how long threads spin
import pytest
from budget import BUDGET, times
from places import ROOT

# torch and transformers are imported by the fixtures: the process that only hands out tests to others starts without them.
if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerFast

    from embedgrad_core import FrozenModel, Slot
    from embedgrad_core.files import Item


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """The same for all tests."""
    from tiny import tiny_tokenizer

    return tiny_tokenizer()


@pytest.fixture(scope="session", params=["qwen2", "llama"])
def frozen(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> FrozenModel:
    """Tied Qwen2 and untied Llama, two layers, random weights, float32."""
    from tiny import tiny_model

    return tiny_model(tokenizer, request.param)


@pytest.fixture(scope="session")
def slot(frozen: FrozenModel) -> Slot:
    """Where a text prompt sits in the bare layout."""
    from embedgrad_core import Layout, Slot

    return Slot.place(frozen.tokenizer, Layout(), "please reason step by step.")


@pytest.fixture(scope="session")
def vectors(frozen: FrozenModel, slot: Slot) -> Tensor:
    """(k, d) that prompt's own, untouched."""
    from embedgrad_core import PromptEmbedding

    return PromptEmbedding.from_text(frozen, slot).vectors


@pytest.fixture(scope="session")
def items() -> list[Item]:
    """Eight items of mixed lengths."""
    from embedgrad_core.files import Item

    words = [
        "12 + 30",
        "a",
        "the statement is positive, and then it is not",
        "7",
        "step by step by step",
        "No",
        "x y",
        "42",
    ]
    answers = ["\\boxed{42}", "Yes", "negative", "No", "positive", "No", "Yes, positive", "\\boxed{1}"]
    return [Item(f"item/{n}", text, answers[n], answers[n], str(n % 2 + 1)) for n, text in enumerate(words)]


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of real data, tokenizers and models; tests that need it are skipped without."""
    named = os.environ.get("EMBEDGRAD_MIRROR")
    if not named or not Path(named).is_dir():
        pytest.skip("EMBEDGRAD_MIRROR is not set to a folder with real data")
    return Path(named)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The workflow's files in a folder of their own, so that no test writes into the checkout."""
    for name in ("Snakefile", "workflow", "config", "profiles"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "tests/configs", tmp_path / "tests/configs")
    return tmp_path


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of ``tests/configs/small.yaml`` that nobody disturbs: made once for all workers, so nobody writes into it."""
    from disturb import checkout as lay_out
    from disturb import finish, leftovers
    from filelock import FileLock

    base = tmp_path_factory.getbasetemp()  # with several workers each has a folder of its own in a shared one
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "small_run"
    with FileLock(f"{folder}.lock"):
        made = folder / "made"
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            status, told = finish(lay_out(folder), "tests/configs/small.yaml")
            assert status == 0, told[-3000:]
            assert leftovers(folder) == []
            made.touch()
    return folder


@pytest.fixture(scope="session")
def home(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder and two files of data of one's own."""
    from tiny import REVIEWS, tiny_model

    folder = tmp_path_factory.mktemp("own")
    tiny_model(tokenizer, max_position_embeddings=1024).network.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    lines = [f"{text} {place},{label}" for place in range(4) for text, label in REVIEWS]
    (folder / "reviews.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    more = [*lines[:3], *(f"{text} number {place},{label}" for place in range(5) for text, label in REVIEWS)]
    (folder / "more_reviews.csv").write_text("text,label\n" + "\n".join(more) + "\n")
    return folder


@pytest.fixture(scope="session")
def prompt_file(home: Path) -> Path:
    """A prompt that the command optimised on the first of the files."""
    from embedgrad.cli import main

    data = ["--data", str(home / "reviews.csv"), "--evaluator", "label", "--labels", "positive,negative"]
    flags = ["--learning-rate", "0.05", "--epochs", "6", "--max-new-tokens", "12", "--threads", "1"]
    out = home / "prompt.safetensors"
    prompt = "Determine whether the statement is positive or negative."
    assert main(["optimize", "--model", str(home / "model"), "--prompt", prompt, *data, *flags, "--out", str(out)]) == 0
    return out


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model loaded is a failure: what is refused is refused before."""

    def load(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    # The API first: imported once the model's own is replaced, it would keep the stand-in for good.
    monkeypatch.setattr("embedgrad.api.load_model", load)
    monkeypatch.setattr("embedgrad_core.model.loading.load_model", load)
    monkeypatch.setattr("embedgrad.commands.arguments._load", load)


def pytest_configure(config: pytest.Config) -> None:
    """The budget scales tests that name no number of examples, too; Hypothesis asks before their modules are imported."""
    runs_tests = hasattr(config, "workerinput") or not config.getoption("numprocesses", None)
    if BUDGET != 1 and runs_tests:
        from hypothesis import settings

        settings.register_profile("budget", settings.default, max_examples=times(settings.default.max_examples))
        settings.load_profile("budget")


def pytest_collectstart() -> None:
    """Imports make what stays; looking through it for garbage again and again takes a sixth of their time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What the imports left is for good: a collection of garbage need not walk it again.

    statsmodels collects at each correction for multiple tests, so that each table and page would take 0.4 s for that alone.
    """
    import tiny  # noqa: F401  # before the first test: torch takes one thread

    gc.enable()
    gc.collect()
    gc.freeze()
