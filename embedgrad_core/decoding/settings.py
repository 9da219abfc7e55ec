"""How answers are decoded, checked when it is made, and what counts as a repetition loop (docs/protocol.md). Needs no torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from embedgrad_core.files import UserError, is_number
from embedgrad_core.model.sizes import AUTO, ROWS

ENGINES = ("native", "vllm")
STOP_RULES = ("family", "checkpoint")
LIMIT = 512  # new tokens of an answer where nobody chose and the context has room


@dataclass(frozen=True)
class LoopRule:
    """When the tail of an output counts as a repetition loop.

    It must consist of one phrase repeated at least ``repeats`` times over at least ``tokens`` tokens.
    """

    repeats: int = 3
    tokens: int = 24

    def __post_init__(self) -> None:
        if self.repeats < 1 or self.tokens < 1:
            raise UserError(
                f"a loop of {self.repeats} repeats over {self.tokens} tokens cannot be; give at least 1 of each."
            )


def is_loop(ids: Sequence[int], rule: LoopRule) -> bool:
    """Whether the tail of ``ids`` is one phrase repeated, as ``rule`` says."""
    for period in range(1, len(ids) // rule.repeats + 1):
        tail = ids[-max(period * rule.repeats, rule.tokens) :]
        if len(tail) >= rule.tokens and all(tail[i] == tail[i + period] for i in range(len(tail) - period)):
            return True
    return False


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Settings of greedy decoding; two of the same give the same answers on the same machine.

    Attributes:
        max_new_tokens: token limit of an answer.
        batch_size: rows decoded at a time; ``auto``: :meth:`~embedgrad_core.FrozenModel.rows_in_flight`.
        block: items that are answered by themselves, so that their batches never depend on other items; None: a level.
        stop_rule: which tokens end a text, see :meth:`~embedgrad_core.FrozenModel.stop_ids`.
        engine: ``native`` or ``vllm``.
        tensor_parallel: GPUs that vLLM splits every product over; None is one.
        stop_on_loop: end an answer once its tail has repeated this many times; None never does.
        loop: when an answer that was cut off counts as a loop.
        repetition_penalty: what the logits of tokens that stand in the prompt or the answer already are divided by; None leaves
            them as they are, whatever the checkpoint ships. The native engine has it, step by step, without CUDA graphs.

    Raises:
        UserError: an unknown engine or stop rule, a number below 1, a penalty that is not positive, or what the engine lacks.
    """

    max_new_tokens: int
    batch_size: int | str = ROWS
    block: int | None = None
    stop_rule: str = "family"
    engine: str = "native"
    tensor_parallel: int | None = None
    stop_on_loop: int | None = None
    loop: LoopRule = field(default_factory=LoopRule)
    repetition_penalty: float | None = None

    def __post_init__(self) -> None:
        for name, known in (("engine", ENGINES), ("stop_rule", STOP_RULES)):
            if getattr(self, name) not in known:
                raise UserError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(known)}.")
        may_be_none = ("block", "stop_on_loop", "tensor_parallel")
        for name in ("max_new_tokens", "batch_size", *may_be_none):
            value = getattr(self, name)
            if (name, value) == ("batch_size", AUTO) or (name in may_be_none and value is None):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**31:
                raise UserError(f"{name} is {value!r}; it must be a whole number of at least 1.")
        if self.tensor_parallel and self.engine != "vllm":
            raise UserError(f"tensor_parallel {self.tensor_parallel} is for the vllm engine; leave it out.")
        penalty = self.repetition_penalty
        if penalty is not None and not (is_number(penalty) and 0 < penalty < math.inf):
            raise UserError(f"repetition_penalty is {penalty!r}; it must be a number above 0, such as 1.1.")
        # vLLM is given vectors, and so knows no token of the prompt.
        if penalty is not None and self.engine != "native":
            raise UserError(
                "repetition_penalty counts the prompt's tokens, which engine vllm does not see; use engine native."
            )

    @property
    def early(self) -> LoopRule | None:
        """The loop that ends an answer early, if one does."""
        return LoopRule(self.stop_on_loop, self.loop.tokens) if self.stop_on_loop else None

    def row(self) -> dict:
        """As JSON; :meth:`of_row` reads it back."""
        rare = ("tensor_parallel", "repetition_penalty")
        return {key: value for key, value in asdict(self).items() if key not in rare or value is not None}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """From what :meth:`row` wrote; what an earlier version did not write has its default.

        Raises:
            UserError: a setting that this version does not have, or a value that it refuses.
        """
        loop = row.get("loop") or {}
        try:
            return cls(**{**row, "loop": LoopRule(**loop)})
        except TypeError as error:
            raise UserError(f"settings of decoding: {error}.") from None
