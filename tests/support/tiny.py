"""Tiny random models with a real tokenizer."""

import embedgrad_core  # noqa: F401  # isort: skip  # before torch: it says how long threads spin
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from embedgrad_core import FrozenModel, Layout, PromptEmbedding, Slot

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


def spread(model: torch.nn.Module) -> None:
    """Random weights of one seed, in place."""
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
    spread(network)
    network.requires_grad_(False)
    network.eval()
    return FrozenModel(network, tokenizer, f"tiny-{family}", "main", "sha256:tiny")


def untouched_prompt(frozen: FrozenModel) -> PromptEmbedding:
    """A text prompt as an optimisation starts from it."""
    slot = Slot.place(frozen.tokenizer, Layout(target_prefix="\n"), "please reason step by step.")
    return PromptEmbedding.from_text(frozen, slot)


def without_measurements(history: list[dict]) -> list[dict]:
    """An optimisation's lines without times and memory, which differ from run to run."""
    drop = ("seconds", "train_seconds", "train_cpu_seconds", "tokens_per_s", "peak_memory_bytes")
    return [{key: value for key, value in line.items() if key not in drop} for line in history]
