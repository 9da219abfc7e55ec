"""What a model costs, from its configuration alone: arithmetic, and the bytes of weights, cache and activations.

Needs no torch. The bytes are the sums of what is alive at a job's peak; ``benchmarks/memory.py`` measures them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from embedgrad_core.model.sizes import CHUNK, GPU_TOKEN_BUDGETS, GROWTH, ROWS, SMALLEST, TOKEN_BUDGET

# Python, torch and transformers at a job's peak, and the free end of the heap that glibc keeps. An assumption from above, for jobs
# that may run on any machine: 525 and 600 MB were seen on two, and up to 64 MiB at the end of the heap (malloc's trim threshold is
# twice its mmap threshold, which grows to 32 MiB). ``embedgrad/planning/baseline.py`` measures the machine at hand.
LIBRARIES = 660 * 2**20
# A tokenizer's tables and merges, for each token. Measured: 1.2 kB in Qwen2.5's and 1.4 kB in SmolLM2's while it is read, 0.9 and
# 1.2 kB after.
TOKENIZER = 1200
# Part of a layer's passing rows that stays as holes in glibc's heap, between what is kept: an aligned block does not fit into
# the hole that one of its own size left, but neighbouring holes melt. Fewer where a whole layer is given back at once. Measured:
# with MALLOC_MMAP_THRESHOLD_=65536 there are none, a peak is what is asked for, and a step takes a fifth longer.
HOLES, HOLES_CHECKPOINTING = 0.5, 0.25
# What ``decode.batch_size: auto`` counts with on a GPU: the part of its memory that is used, what CUDA's context and the passing
# activations take of it, tokens of prompt and input, copies of the logits in fp32, and never more rows than this: weights are
# then read seldom enough.
ROOM, BESIDE, INPUT, LOGITS, MOST_ROWS = 0.8, 3 * 10**9, 512, 5, 256
# The same for up to ROWS of them, where a few rows are all that fit: what runs out of memory all the same is halved.
TIGHT_ROOM, TIGHT_BESIDE = 0.92, 3 * 10**9 // 2


@dataclass(frozen=True)
class Shape:
    """The numbers of a decoder-only transformer that its cost depends on.

    Attributes:
        layers: L.
        width: d.
        feed_forward: width of the gated feed-forward layer.
        heads: query heads.
        groups: key/value heads.
        head_width: of one head.
        vocabulary: V.
        tied: whether input and output embeddings are one matrix.
        stored: bytes of a weight in its file.
    """

    layers: int
    width: int
    feed_forward: int
    heads: int
    groups: int
    head_width: int
    vocabulary: int
    tied: bool
    stored: int = 2

    @classmethod
    def of(cls, config: Any) -> Self:
        """From a transformers configuration, or from the content of a ``config.json``.

        Raises:
            KeyError: it is not a decoder that this suite knows.
        """
        whole = config if isinstance(config, Mapping) else config.to_dict()
        text = whole.get("text_config") or whole
        kind = str(text.get("model_type", ""))
        width, heads = _either(text, "hidden_size", "n_embd"), _either(text, "num_attention_heads", "n_head")
        dtype = str(text.get("dtype") or text.get("torch_dtype") or whole.get("dtype") or whole.get("torch_dtype"))
        return cls(
            layers=_either(text, "num_hidden_layers", "n_layer"),
            width=width,
            feed_forward=text.get("intermediate_size") or text.get("n_inner") or 4 * width,
            heads=heads,
            groups=text.get("num_key_value_heads") or heads,
            head_width=text.get("head_dim") or width // heads,
            vocabulary=text["vocab_size"],
            # These families leave the key out of their files and tie.
            tied=bool(text.get("tie_word_embeddings", kind.startswith(("gemma", "gpt2")))),
            stored=4 if "float32" in dtype else 2,
        )

    @property
    def body(self) -> int:
        """Parameters of all layers (biases and norms left out: under 0.1 %)."""
        return self.layers * sum(self._products)

    @property
    def _products(self) -> list[int]:
        """Parameters of each product of a layer: query, key, value, output, gate, up, down."""
        query, key = self.width * self.head_width * self.heads, self.width * self.head_width * self.groups
        return [query, key, key, query, *[self.width * self.feed_forward] * 3]

    @property
    def head(self) -> int:
        """Parameters of the output layer."""
        return self.width * self.vocabulary

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.body + self.head * (1 if self.tied else 2)

    def cache_bytes(self, tokens: int, bytes_each: int = 2) -> int:
        """Keys and values of ``tokens`` tokens."""
        return 2 * self.layers * self.groups * self.head_width * tokens * bytes_each

    def step_flops(self, tokens: int, targets: int) -> float:
        """Forward and backward to the inputs: 4 a frozen weight and token, the head for target tokens alone."""
        return 4.0 * (self.body * tokens + self.head * targets)

    def read_flops(self, tokens: int, answered: int) -> float:
        """Forward alone: 2 a weight and token, the head for ``answered`` tokens."""
        return 2.0 * (self.body * tokens + self.head * answered)

    def bytes_a_decoding_step(self, bytes_each: int = 2) -> int:
        """Weights that a step of any number of rows has to read."""
        return (self.body + self.head) * bytes_each

    def weight_bytes(self, bytes_each: int = 2) -> int:
        """All weights as they lie in memory, and nearly as they lie on disk."""
        return self.parameters * bytes_each

    def tokenizer_bytes(self) -> int:
        """Vocabulary and merges of its tokenizer, in main memory."""
        return TOKENIZER * self.vocabulary

    def loading_bytes(self, bytes_each: int = 2) -> int:
        """Peak while loading: the weights, and beside them the mapped file where its type is another.

        A file of the same type is not copied: its pages are the weights.
        """
        return self.weight_bytes(bytes_each) + (0 if bytes_each == self.stored else self.weight_bytes(self.stored))

    def activation_bytes(
        self, tokens: int, bytes_each: int = 2, checkpointing: bool = False, attended: int | None = None
    ) -> int:
        """What the backward pass needs of a micro-batch of that many tokens (weights are frozen: no input of a product is kept).

        A layer keeps its two inputs to the norms, queries, keys, values and the output of attention, and three rows of the
        feed-forward width; in half precision the norms keep fp32 copies besides. ``attended`` counts the tokens inside the
        attention, where each item repeats the prompt and is padded to the longest.
        """
        kept = self._layer_bytes(tokens, bytes_each, attended)
        return self.layers * self.width * bytes_each * tokens + kept if checkpointing else self.layers * kept

    def _layer_bytes(self, tokens: int, bytes_each: int, attended: int | None) -> int:
        norms = 2 * self.width * (bytes_each if bytes_each == 4 else bytes_each + 4)
        attention = self.head_width * (2 * self.heads + 2 * self.groups) * (attended or tokens)
        return norms * tokens + (attention + 3 * self.feed_forward * tokens) * bytes_each

    def backward_bytes(self, tokens: int, bytes_each: int = 2) -> int:
        """Gradients alive at once during a layer's backward pass: three of the feed-forward width, two of the residual."""
        return (3 * self.feed_forward + 2 * self.width) * tokens * bytes_each

    def passing_bytes(self, tokens: int, bytes_each: int = 2) -> int:
        """What the layers compute on the way forward and drop again.

        Two norms, the output of attention and that of the feed-forward layer; queries, keys and values before they are
        turned and before they are padded; attention without padding; the feed-forward layer's product.
        """
        rotated = self.head_width * (3 * self.heads + 3 * self.groups)
        return self.layers * tokens * (4 * self.width + rotated + self.feed_forward) * bytes_each

    def head_bytes(self, rows: int) -> int:
        """Logits of one chunk in fp32, and as much again for the exponentials that their sum is made of."""
        return 2 * 4 * min(rows, CHUNK) * self.vocabulary

    def step_bytes(
        self,
        tokens: int,
        targets: int,
        bytes_each: int = 2,
        checkpointing: bool = False,
        attended: int | None = None,
        heap: bool = False,
    ) -> int:
        """Peak of a step above the weights: all that was kept, and either the head's chunk or a layer's gradients.

        With checkpointing the head runs while only the layers' inputs are kept, and a layer's own activations are there
        only during its backward pass. ``heap`` counts in what main memory's allocator loses in holes.
        """
        ends = 4 * self.width * tokens * bytes_each  # embeddings, last hidden states, and the gradients of both
        kept = self.activation_bytes(tokens, bytes_each, checkpointing, attended)
        inputs = self.layers * self.width * bytes_each * tokens if checkpointing else kept
        peak = max(inputs + self.head_bytes(targets), kept + self.backward_bytes(tokens, bytes_each))
        share = (HOLES_CHECKPOINTING if checkpointing else HOLES) if heap else 0
        return ends + peak + round(share * self.passing_bytes(tokens, bytes_each))

    def gate_bytes(self, tokens: int, bytes_each: int = 2) -> int:
        """Peak of the step-0 gate above the weights: the logits of one whole item, on two paths, in fp32."""
        return tokens * self.vocabulary * (8 if bytes_each == 4 else 10)

    def packed_bytes(self, bytes_each: int = 2) -> int:
        """Copies of the large weights in oneDNN's order, made while answers are decoded in fp32 on a CPU."""
        if bytes_each != 4:
            return 0
        large = [size for size in self._products if size >= SMALLEST]
        return 4 * (self.layers * sum(large) + (self.head if self.head >= SMALLEST else 0))

    def reading_bytes(self, tokens: int, rows: int, bytes_each: int = 2) -> int:
        """Transient of a forward pass without gradient: a layer's rows, then ``rows`` logits and their entropy.

        Gate, its activation and their product at the feed-forward's width; the residual, its norm and embeddings. Four
        times the logits in fp32: themselves, shifted, their softmax, and a product of the two.
        """
        layer = (3 * self.feed_forward + 4 * self.width) * tokens * bytes_each
        return max(layer, 4 * 4 * rows * self.vocabulary)

    def tokens_in_flight(self, memory: int, bytes_each: int = 2, checkpointing: bool = False) -> int:
        """Tokens run together in a step on a GPU of ``memory`` bytes where nobody chose."""
        room = ROOM * memory - self.weight_bytes(bytes_each) - BESIDE
        fit = (n for n in GPU_TOKEN_BUDGETS if self.step_bytes(n, n, bytes_each, checkpointing, 2 * n) <= room)
        return next(fit, TOKEN_BUDGET)

    def rows_in_flight(self, memory: int, new: int, bytes_each: int = 2) -> int:
        """Rows that a GPU of ``memory`` bytes decodes at a time (``decode.batch_size: auto``), a power of two.

        A large model on a small GPU, which has little to spare, may have all but the last of it for up to 16 rows. From the model,
        the GPU and the token limit alone, never from items, prompt or what else runs: so it is the same before and after, and in
        every shard.
        """
        row = self.cache_bytes(INPUT + new, bytes_each) + LOGITS * 4 * self.vocabulary

        def fit(part: float, beside: int) -> int:
            return int((part * memory - self.weight_bytes(bytes_each) - beside) // row)

        rows = max(1, min(MOST_ROWS, fit(ROOM, BESIDE)), min(ROWS, fit(TIGHT_ROOM, TIGHT_BESIDE)))
        return 1 << (rows.bit_length() - 1)

    def decoding_bytes(self, rows: int, prefix: int, body: int, new: int, bytes_each: int = 2) -> int:
        """Peak of native decoding above the weights: cache at its last capacity, and the first pass over all inputs.

        Args:
            rows: answered at a time.
            prefix: tokens shared by all rows.
            body: tokens of an input.
            new: token limit of an answer.
            bytes_each: of a weight.
        """
        capacity = _capacity(prefix, prefix + body, prefix + body + new)
        return self.cache_bytes(rows * capacity, bytes_each) + self.reading_bytes(rows * body, rows, bytes_each)


def tuning_bytes(parameters: int, largest: int) -> int:
    """What training all weights in fp32 takes above the weights themselves, activations aside.

    Their gradients, two moments, the best and the first values, and what Adam computes of a matrix in passing: thrice its size.

    Args:
        parameters: of the model.
        largest: of its largest matrix, as a rule that of the embeddings.
    """
    return 4 * (5 * parameters + 3 * largest)


def process_bytes(shape: Shape, bytes_each: int, above: int, libraries: int = LIBRARIES) -> int:
    """Peak of a process in main memory that loads a model and then needs ``above`` besides its weights.

    Args:
        shape: of the model.
        bytes_each: of a weight in memory.
        above: bytes besides the weights.
        libraries: bytes before any model, where they were measured.
    """
    model = max(shape.loading_bytes(bytes_each), shape.weight_bytes(bytes_each) + above)
    return libraries + shape.tokenizer_bytes() + model


def _capacity(first: int, filled: int, longest: int) -> int:
    """Tokens per lane has room for in the end: it grows by half as much again (``lanes.py``)."""
    capacity = 0
    for needed in (first, *range(filled, longest + 1)):
        if needed > capacity:
            capacity = max(needed, capacity * 3 // 2) + GROWTH
    return capacity


def _either(values: Mapping, name: str, other: str) -> int:
    return values[name] if name in values else values[other]
