"""What an evaluator says of one answer."""

from dataclasses import dataclass

OUT_OF_BOUNDS = "out of bounds"
LONGEST_TEXT = 1_000_000  # characters of an answer that is still read; no token limit in use comes near


@dataclass(frozen=True)
class Verdict:
    """One answer's verdict.

    Attributes:
        status: correct, wrong, no_answer (nothing could be extracted) or undecided (the evaluator ran out of bounds, or
            failed: see ``reason``).
        extracted: the answer that was read, or None.
        reason: one phrase for a reader; what ran out of bounds begins with ``OUT_OF_BOUNDS``.
        seconds: time taken.
    """

    status: str
    extracted: str | None
    reason: str
    seconds: float = 0.0

    @property
    def out_of_bounds(self) -> bool:
        """Whether the answer was more than the evaluator reads or compares."""
        return self.status == "undecided" and self.reason.startswith(OUT_OF_BOUNDS)


def out_of_bounds(why: str, extracted: str | None = None, seconds: float = 0.0) -> Verdict:
    """The verdict on what is more than an evaluator reads or compares: neither right nor wrong."""
    return Verdict("undecided", extracted, f"{OUT_OF_BOUNDS}: {why}", seconds)


def too_long(text: str) -> Verdict | None:
    """The verdict on a text longer than any evaluator reads; None for all others."""
    if len(text) <= LONGEST_TEXT:
        return None
    return out_of_bounds(f"an answer of more than {LONGEST_TEXT:,} characters")
