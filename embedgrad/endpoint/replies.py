"""From a server's reply to an answer; whatever it sends is a stranger's text."""

from collections.abc import Callable
from typing import Any

from embedgrad.endpoint.kept import Answer
from embedgrad_core.files import COUNT, misfit, parse_json, printable

_CHOICE: dict[str, dict] = {"bare": {"text": (str,)}, "chat": {"message": {"content": (str,)}}}
_LONGEST = 200  # characters of what a server says in an error


class AgainError(Exception):
    """An attempt that failed in a way that may pass.

    Attributes:
        reason: in words.
        kind: in one or two, to count by.
        wait: seconds that the server asks for.
    """

    def __init__(self, reason: str, kind: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.kind, self.wait = reason, kind, wait


def answer_of(body: bytes, kind: str, hide: Callable[[str], str], now: str) -> Answer:
    """The answer in a reply with status 200.

    Args:
        body: of the reply.
        kind: the call: ``chat`` or ``bare``.
        hide: takes the key out of a text.
        now: the time.

    Raises:
        AgainError: the body is cut short, not JSON, or has no answer.
    """
    try:
        row: Any = parse_json(body.decode("utf-8"))
    except ValueError:
        raise AgainError("answers with malformed JSON", "malformed JSON") from None
    choice = {**_CHOICE[kind], "finish_reason": (str,)}
    if misfit(row, {"choices": [choice]}):
        raise AgainError(f"answers without an answer: {said(body, hide)}", "no answer")
    first = row["choices"][0]
    text = first["text"] if kind == "bare" else first["message"]["content"]
    usage = row.get("usage")
    counts = {name: _count(usage, name) for name in ("prompt_tokens", "completion_tokens")}
    model, fingerprint = row.get("model"), row.get("system_fingerprint")
    return Answer(
        text=hide(text or ""),
        # Some servers say nothing; then nothing says that the answer was cut.
        finish=hide(first["finish_reason"] or "stop"),
        model=hide(model) if isinstance(model, str) else "",
        fingerprint=hide(fingerprint) if isinstance(fingerprint, str) else None,
        answered=now,
        **counts,
    )


def _count(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    return None if misfit(value, COUNT) else value


def said(body: bytes, hide: Callable[[str], str]) -> str:
    """The message of an error, in one line."""
    text = body.decode("utf-8", errors="replace")
    try:
        row: Any = parse_json(text)
    except ValueError:
        row = None
    error = row.get("error", row.get("detail", row.get("message"))) if isinstance(row, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    # A key may come back with escapes in it, so that it is looked for in what JSON says, never in the raw text alone.
    line = " ".join(hide(error if isinstance(error, str) else text).split())
    return printable(line[:_LONGEST]) or "no reason given"
