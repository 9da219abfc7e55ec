"""Shared fixtures: tiny random models with a real tokenizer, and the mirror of real data."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import embedgrad_core  # noqa: F401  # isort: skip  # before torch: it says how long threads spin
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from embedgrad_core import FrozenModel
from embedgrad_core.files import Item

ROOT = Path(__file__).resolve().parents[1]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
TEXTS = [
    "please reason step by step, and put your final answer with \\boxed{}.",
    "What is 12 + 30? We add 12 and 30 and get \\boxed{42}.",
    "Determine whether the statement is positive or negative. Let’s think step by step. positive negative Yes No",
]
REVIEWS = [
    ("a lovely film", "positive"),
    ("a dull film", "negative"),
    ("I liked it", "positive"),
    ("I slept", "negative"),
]
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

torch.set_num_threads(1)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE like Qwen's, trained on three sentences, with a chat template and no BOS."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=CHAT
    )


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """The same for all tests."""
    return tiny_tokenizer()


def _spread(model: torch.nn.Module) -> None:
    # Default initialisation gives nearly equal logits; a wider one makes argmax and gradients say something.
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.15)


def tiny_model(tokenizer: PreTrainedTokenizerFast, family: str = "qwen2", **changes: object) -> FrozenModel:
    """A random two-layer model of a family, wrapped as frozen."""
    shape = {
        "vocab_size": len(tokenizer) + 5,  # padded, as real checkpoints are
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "tie_word_embeddings": family == "qwen2",
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **changes,
    }
    network = Qwen2ForCausalLM(Qwen2Config(**shape)) if family == "qwen2" else LlamaForCausalLM(LlamaConfig(**shape))
    _spread(network)
    network.requires_grad_(False)
    network.eval()
    return FrozenModel(network, tokenizer, f"tiny-{family}", "main", "sha256:tiny")


@pytest.fixture(scope="session", params=["qwen2", "llama"])
def frozen(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> FrozenModel:
    """Tied Qwen2 and untied Llama, two layers, random weights, float32."""
    return tiny_model(tokenizer, request.param)


@pytest.fixture(scope="session")
def items() -> list[Item]:
    """Eight items of mixed lengths."""
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


def snakemake(folder: Path, *arguments: str, mirror: Path | None = None) -> subprocess.CompletedProcess:
    """Start a real Snakemake in ``folder``, two cores, as a user would; without a mirror unless one is named."""
    environment = {key: value for key, value in os.environ.items() if key != "EMBEDGRAD_MIRROR"}
    # No token, no network: a plan needs neither.
    environment |= {"HF_HUB_OFFLINE": "1", "HF_TOKEN": "", "CUDA_VISIBLE_DEVICES": ""}
    if mirror:
        environment["EMBEDGRAD_MIRROR"] = str(mirror)
    return subprocess.run(
        [SNAKEMAKE, "--cores", "2", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.fixture(scope="session")
def home(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder and two files of data of one's own."""
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


def refused(capsys: pytest.CaptureFixture, words: list, *told: str) -> None:
    """Run a command that must fail with exit status 2 and one line that says all of ``told``."""
    from embedgrad.cli import main

    assert main([str(word) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith(f"embedgrad {words[0]}")
    for part in told:
        assert str(part) in error


def tuning(home: Path, out: Path, *more: object) -> list:
    """The words of an `embedgrad optimize` on data of one's own."""
    data = ["--data", home / "reviews.csv", "--evaluator", "label", "--labels", "positive,negative"]
    return [
        "optimize",
        "--model",
        home / "model",
        "--prompt",
        "Is it good?",
        *data,
        "--max-new-tokens",
        "9",
        "--out",
        out,
        *more,
    ]
