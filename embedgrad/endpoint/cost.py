"""What questions will cost, before any is asked."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from embedgrad.endpoint.questions import limit_of, text_of
from embedgrad_core.files import UserError, is_number, reason_of

CHARACTERS = 4  # of English text in a token, where no tokenizer is at hand


@dataclass(frozen=True)
class Prices:
    """In some currency, for a million tokens of input and of output."""

    input: float
    output: float

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """What so many tokens cost."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


def prices_of(text: str) -> Prices:
    """Read ``IN,OUT``.

    Raises:
        ValueError: not two numbers that are not negative.
    """
    found = [float(part) for part in text.split(",")]
    if len(found) != 2 or not all(is_number(price) and price >= 0 for price in found):
        raise ValueError(text)
    return Prices(*found)


@dataclass(frozen=True)
class Estimate:
    """What is asked at most.

    Attributes:
        requests: that will be sent; retries come on top.
        kept: answers that are there already.
        input_tokens: of all requests.
        output_tokens: the limit of all answers, which few reach; None where a request has no limit.
        counted_by: how the input was counted.
        cost: at most, in the prices' currency; None without prices or a limit.
    """

    requests: int
    kept: int
    input_tokens: int
    output_tokens: int | None
    counted_by: str
    cost: float | None

    def __str__(self) -> str:
        output = "no limit" if self.output_tokens is None else f"at most {self.output_tokens:,}"
        cost = "price unknown (--price-per-million-tokens)" if self.cost is None else f"at most {self.cost:.4g}"
        return (
            f"{self.requests:,} requests ({self.kept:,} answers are there already), {self.input_tokens:,} input tokens "
            f"({self.counted_by}), {output} output tokens: {cost}"
        )


def estimate(bodies: Iterable[Mapping], kept: int, tokenizer: Tokenizer | None, prices: Prices | None) -> Estimate:
    """The estimate for the bodies that are still to be sent."""
    bodies = list(bodies)
    count: Callable[[str], int] = (
        (lambda text: -(-len(text) // CHARACTERS)) if tokenizer is None else tokens_of(tokenizer)
    )
    read = sum(count(text_of(body)) for body in bodies)
    limits = [limit for body in bodies if (limit := limit_of(body)) is not None]
    written = sum(limits) if len(limits) == len(bodies) else None
    return Estimate(
        requests=len(bodies),
        kept=kept,
        input_tokens=read,
        output_tokens=written,
        counted_by=f"characters / {CHARACTERS}" if tokenizer is None else "the tokenizer, without its chat template",
        cost=None if prices is None or written is None else prices.of(read, written),
    )


def tokens_of(tokenizer: Tokenizer) -> Callable[[str], int]:
    """Counts the tokens of a text."""
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def tokenizer_at_hand(name: str | None, model: str) -> Tokenizer | None:
    """The tokenizer of a folder or of a model in the hub's cache; nothing is downloaded.

    Args:
        name: what ``--tokenizer`` says; it must be there.
        model: the endpoint's model, which may happen to be there.

    Raises:
        UserError: ``name`` is not there, or is no tokenizer.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    wanted = name or model
    found: object = Path(wanted) / "tokenizer.json" if Path(wanted).is_dir() else None
    if found is None:
        try:
            found = try_to_load_from_cache(wanted, "tokenizer.json")
        except HFValidationError:  # a name that no model on the hub has
            found = None
    if not isinstance(found, str | Path) or not Path(found).is_file():
        if name is None:
            return None
        raise UserError(
            f"--tokenizer {name}: no tokenizer.json in this folder or in the hub's cache; leave it out to count characters."
        )
    try:
        return Tokenizer.from_file(str(found))
    except Exception as error:  # noqa: BLE001  # what the library raises is a bare Exception
        raise UserError(f"--tokenizer {wanted}: cannot be read ({reason_of(error)}); leave it out.") from None
