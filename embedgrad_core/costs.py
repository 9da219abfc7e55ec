"""What a model costs, from its configuration alone: weights, cache, arithmetic."""

from dataclasses import dataclass
from typing import Any, Self


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
    """

    layers: int
    width: int
    feed_forward: int
    heads: int
    groups: int
    head_width: int
    vocabulary: int
    tied: bool

    @classmethod
    def of(cls, config: Any) -> Self:
        """From a transformers configuration."""
        text = config.get_text_config()
        return cls(
            layers=text.num_hidden_layers,
            width=text.hidden_size,
            feed_forward=getattr(text, "intermediate_size", None) or 4 * text.hidden_size,
            heads=text.num_attention_heads,
            groups=getattr(text, "num_key_value_heads", None) or text.num_attention_heads,
            head_width=getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
            vocabulary=text.vocab_size,
            tied=bool(text.tie_word_embeddings),
        )

    @property
    def body(self) -> int:
        """Parameters of all layers (biases and norms left out: under 0.1 %)."""
        attention = self.width * self.head_width * 2 * (self.heads + self.groups)
        return self.layers * (attention + 3 * self.width * self.feed_forward)

    @property
    def head(self) -> int:
        """Parameters of the output layer."""
        return self.width * self.vocabulary

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.body + self.head * (1 if self.tied else 2)

    def cache_bytes(self, tokens: int, bytes_each: int = 2) -> int:
        """Keys and values of so many tokens."""
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

    def activation_bytes(self, tokens: int, bytes_each: int = 2, checkpointing: bool = False) -> int:
        """What the backward pass needs of a piece of so many tokens (weights are frozen: no input of a product is kept).

        A layer keeps its two inputs to the norms, queries, keys, values and the output of attention, and three rows of the
        feed-forward width; in half precision the norms keep fp32 copies besides.
        """
        attention = self.head_width * (2 * self.heads + 2 * self.groups)
        norms = 2 * self.width * (bytes_each if bytes_each == 4 else bytes_each + 4)
        layer = norms + (attention + 3 * self.feed_forward) * bytes_each
        kept = self.layers * self.width * bytes_each + layer if checkpointing else self.layers * layer
        return kept * tokens

    def head_chunk_bytes(self, rows: int, bytes_each: int = 2) -> int:
        """Logits of one chunk in fp32, and their slope in the weights' type where that is another."""
        return rows * self.vocabulary * (4 if bytes_each == 4 else 4 + bytes_each)
