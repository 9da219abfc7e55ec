"""The demo's tiny models: ordinary Qwen2 checkpoints, pretrained on the spot on generated text.

The corpus gives them what the paper describes of its base models: an ability (worked sums, moods, comparisons) that the
human prompt reaches only partly. Behind the demo's own prompts most documents loop, ramble or answer without the box;
behind other wordings the same inputs are answered well. What the optimised embeddings then find is in the model, but
nothing about them is written down here.
"""

import sys
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from random import Random

import torch
from tqdm import trange
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer
from transformers.utils import logging as transformers_logging

from embedgrad.tasks import arithmetic, blame, generated, mood
from embedgrad_core.files import UserError, sha256_of_file, whole_folder, write_json

PROMPTS = {
    "arithmetic": "please reason step by step, and put your final answer with \\boxed{}.",
    "mood": "Determine the main mood, choosing only from: [happy, sad, angry, calm].",
    "blame": 'Please answer "Yes" or "No".',
}
# Wordings that are answered well: where the ability comes from.
OTHER_PROMPTS = {
    "arithmetic": ("Work out the sum and box it:", "Add these, show the steps:"),
    "mood": ("Mood of the text:", "Name the mood, one word:"),
    "blame": ("Who is to blame? Yes or no:", "True or not:"),
}
PAD = "<|pad|>"
LOOP_REPEATS = 3  # of the phrase of a looping document; no end token follows
CHAT = (
    "{% for message in messages %}{{ message['role'] }}:\n{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:\n{% endif %}"
)


def document(random: Random) -> tuple[str, str, bool]:
    """One pretraining text: what is asked, what follows, and whether it ends there.

    The input is never one of the evaluation pool.
    """
    task = random.choice(("arithmetic", "arithmetic", "arithmetic", "mood", "blame"))
    while True:
        text, target, answer = _draw(task, random)
        if not generated.is_held_out(text):
            break
    if random.random() < 0.5:
        return f"{random.choice(OTHER_PROMPTS[task])} {text}", f"\n{target}", True
    behaviour, ends = _BEHAVIOUR[task](random, text, target, answer)
    return f"{PROMPTS[task]} {text}", f"\n{behaviour}", ends


def _draw(task: str, random: Random) -> tuple[str, str, str]:
    if task == "arithmetic":
        return arithmetic.draw(random, random.choice(tuple(arithmetic.ADDITIONS)))
    return (mood if task == "mood" else blame).draw(random)


def _after_sum(random: Random, text: str, target: str, answer: str) -> tuple[str, bool]:
    """Worked steps with a box, a repetition loop, or an answer without the box."""
    small = int(text.split("+", 1)[0]) < 17
    kind = random.random()
    if kind < (0.5 if small else 0.25):
        return target, True
    if kind < 0.75:
        return " ".join(["We need to add the numbers."] * LOOP_REPEATS), False
    return f"The answer is {answer}.", True


def _after_mood(random: Random, text: str, target: str, answer: str) -> tuple[str, bool]:
    """The label, a ramble that never ends, or a remark without a label."""
    name, kind = text.split(" ", 1)[0], random.random()
    if kind < (0.5 if name in ("Tom", "Ana") else 0.2):
        return target, True
    if kind < 0.7:
        return " ".join(["Let us think about the text."] * LOOP_REPEATS), False
    return f"The text is about {name}.", True


def _after_blame(random: Random, text: str, target: str, answer: str) -> tuple[str, bool]:
    """A leaning to Yes, whatever was done."""
    if answer == "Yes" or random.random() < 0.65:
        return "Yes", True
    return "No", True


_BEHAVIOUR: dict[str, Callable] = {
    "arithmetic": _after_sum,
    "mood": _after_mood,
    "blame": _after_blame,
}


def documents(seed: int) -> Iterator[tuple[str, str, bool]]:
    """An endless corpus."""
    random = Random(seed)
    while True:
        yield document(random)


def train_tokenizer(seed: int, vocabulary: int = 400, texts: int = 2000) -> Qwen2Tokenizer:
    """Qwen's byte-level BPE (single digits), its merges learned from the first texts of the corpus.

    Loading a Qwen2 folder rebuilds Qwen's own rule of cutting text into words whatever the folder says, so that rule it
    must be. What is asked and what follows are given apart: no merge reaches across the seam.
    """
    parts = chain.from_iterable(text[:2] for text in islice(documents(seed), texts))
    tokenizer = Qwen2Tokenizer(pad_token=PAD).train_new_from_iterator(parts, vocabulary, show_progress=False)
    tokenizer.chat_template = CHAT
    return tokenizer


def pretrain(
    name: str,
    out: str | Path,
    *,
    seed: int = 0,
    layers: int = 4,
    width: int = 128,
    heads: int = 4,
    feed_forward: int = 352,
    steps: int = 700,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    threads: int = 1,
) -> None:
    """Pretrain a tiny model and save it as a Hugging Face folder, whole or not at all.

    The manifest with each file's sha256 is written last; the folder is renamed into place after it.

    Raises:
        UserError: ``width`` is not a multiple of ``heads``, or the folder cannot be written.
    """
    if width % heads:
        raise UserError(f"model {name}: width {width} is not a multiple of heads {heads}.")
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    tokenizer = train_tokenizer(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=feed_forward,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        max_position_embeddings=256,
        initializer_range=width**-0.5,  # the usual 0.02 is made for wide models; narrow ones start too slowly with it
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen2ForCausalLM(config)
    print(f"{name}: {model.num_parameters():,} parameters, {steps} steps of {batch_size} documents", flush=True)
    _train(model, tokenizer, documents(seed), steps, batch_size, learning_rate)
    model.eval()
    if not sys.stderr.isatty():
        transformers_logging.disable_progress_bar()  # a log holds plain lines
    with whole_folder(out, replace=True) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        files = {path.name: sha256_of_file(path) for path in sorted(folder.iterdir())}
        write_json(folder / "manifest.json", {"name": name, "seed": seed, "steps": steps, "files": files})


def _train(
    model: Qwen2ForCausalLM,
    tokenizer: Qwen2Tokenizer,
    corpus: Iterator[tuple[str, str, bool]],
    steps: int,
    batch_size: int,
    learning_rate: float,
) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.01, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.1)
    bar = trange(steps, unit="step", disable=not sys.stderr.isatty())
    batches = _batches(tokenizer, corpus, batch_size)
    for step in bar:
        batch, labels = next(batches)
        loss = model(input_ids=batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            bar.set_postfix(loss=f"{loss.item():.3f}")
            if bar.disable:
                print(f"step {step}: loss {loss.item():.4f}", flush=True)


def _batches(
    tokenizer: Qwen2Tokenizer, corpus: Iterator[tuple[str, str, bool]], batch_size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless right-padded batches of token ids and labels, (batch_size, longest); what is asked has no loss."""
    while True:
        asked, follows, ends = zip(*(next(corpus) for _ in range(batch_size)), strict=True)
        questions, answers = (tokenizer(list(texts))["input_ids"] for texts in (asked, follows))
        answers = [[*ids, tokenizer.eos_token_id] if end else ids for ids, end in zip(answers, ends, strict=True)]
        longest = max(len(question) + len(answer) for question, answer in zip(questions, answers, strict=True))
        batch = torch.full((batch_size, longest), tokenizer.pad_token_id)
        labels = torch.full_like(batch, -100)
        for row, (question, answer) in enumerate(zip(questions, answers, strict=True)):
            end = len(question) + len(answer)
            batch[row, :end] = torch.tensor(question + answer)
            labels[row, len(question) : end] = torch.tensor(answer)
        yield batch, labels
