"""What is sent: one request for each prompt and item, known by a hash of its content."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from embedgrad.endpoint.address import Address
from embedgrad_core.files import Item, UserError, is_whole_text, parse_json, sha256_of_bytes
from embedgrad_core.layout import Layout

# What the command itself decides, and what it could not read.
FIXED = ("model", "messages", "prompt", "n", "stream", "echo", "best_of")
LIMITS = ("max_tokens", "max_completion_tokens")


@dataclass(frozen=True)
class Question:
    """One request.

    Attributes:
        key: hash of the server's host, the call and the whole body; equal questions are asked once.
        body: the JSON that is sent.
    """

    key: str
    body: dict


@dataclass(frozen=True)
class Asking:
    """How questions are put.

    Attributes:
        address: the server's.
        model: as the server calls it.
        layout: ``chat`` for chat completions, ``bare`` for completions; the server's own template does the rest.
        max_new_tokens: token limit of an answer.
        extra: fields of the body besides; None takes one away.
    """

    address: Address
    model: str
    layout: Layout
    max_new_tokens: int
    extra: Mapping[str, Any] = field(default_factory=dict)

    def question(self, prompt: str, item: Item) -> Question:
        """The request for one item."""
        system, user = self.layout.turns(prompt, item.input)
        body: dict[str, Any] = {"model": self.model, "temperature": 0, "max_tokens": self.max_new_tokens}
        if self.layout.kind == "bare":
            body["prompt"] = user
        else:
            # An empty system message is left out: some servers refuse it.
            body["messages"] = [{"role": "system", "content": system}] if system else []
            body["messages"].append({"role": "user", "content": user})
        body = {name: value for name, value in {**body, **self.extra}.items() if value is not None}
        decides = [self.address.host, self.address.path, self.layout.kind, body]
        return Question(sha256_of_bytes(json.dumps(decides, sort_keys=True).encode()), body)

    def questions(self, prompt: str, items: Sequence[Item]) -> dict[str, Question]:
        """By item id."""
        return {item.id: self.question(prompt, item) for item in items}

    def row(self) -> dict:
        """As JSON, for the result."""
        names = ("kind", "separator", "suffix", "system_message", "slot")
        layout = {name: getattr(self.layout, name) for name in names if getattr(self.layout, name)}
        sampling = {"temperature": 0, "max_tokens": self.max_new_tokens, **self.extra}
        return {"url": str(self.address), "layout": layout, "request": sampling}


def text_of(body: Mapping) -> str:
    """All text that a request sends."""
    return body["prompt"] if "prompt" in body else "\n".join(turn["content"] for turn in body["messages"])


def limit_of(body: Mapping) -> int | None:
    """The most tokens that an answer to a request can have; None where the body does not say."""
    found = [body[name] for name in LIMITS if name in body]
    return max(found) if found else None


def extra_fields(text: str | None) -> dict[str, Any]:
    """``--request``: more fields of the body, as a JSON object.

    Raises:
        UserError: it is none, or has a field that the command itself decides.
    """
    if text is None:
        return {}
    try:
        found = parse_json(text)
    except ValueError as error:
        raise UserError(f"--request: not JSON ({error}); write it as '{{\"temperature\": 1}}'.") from None
    if not isinstance(found, dict) or not is_whole_text(text):
        raise UserError("--request: expected a JSON object, such as '{\"temperature\": 1}'.")
    if taken := [name for name in FIXED if name in found]:
        raise UserError(f"--request: {taken[0]} is what the command decides itself; leave it out.")
    for name in LIMITS:
        value = found.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise UserError(f"--request: {name} is {value!r}; it must be a whole number of at least 1.")
    return found
