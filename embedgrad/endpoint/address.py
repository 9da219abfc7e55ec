"""Where an endpoint lies, and the key that it wants; the key stands in no argument, file, log or error."""

import os
import urllib.request
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from embedgrad_core.files import UserError

KEY_VARIABLE = "OPENAI_API_KEY"
HIDDEN = "[key]"
# The two calls of the OpenAI API, by the layout that each takes.
CALLS = {"chat": "/chat/completions", "bare": "/completions"}


@dataclass(frozen=True)
class Key:
    """An API key; empty where the server wants none.

    Attributes:
        value: never shown, not even by ``repr``.
        variable: the environment variable that it came from.
    """

    value: str = field(default="", repr=False)
    variable: str = KEY_VARIABLE

    @classmethod
    def from_environment(cls, variable: str | None = None) -> Self:
        """The key in ``variable``, by default ``OPENAI_API_KEY``, which may be unset.

        Raises:
            UserError: a variable that was named is unset or empty, or the key is not a word of printable ASCII.
        """
        value = os.environ.get(variable or KEY_VARIABLE, "").strip()
        if variable and not value:
            raise UserError(
                f"environment variable {variable} is not set; put the key there, or leave --key-variable out."
            )
        if not all("!" <= one <= "~" for one in value):
            raise UserError(
                f"environment variable {variable or KEY_VARIABLE} holds no key: a key has neither blanks nor accents."
            )
        return cls(value, variable or KEY_VARIABLE)

    @property
    def headers(self) -> dict[str, str]:
        """What a request says of it."""
        return {"Authorization": f"Bearer {self.value}"} if self.value else {}

    def hide(self, text: str) -> str:
        """The text without the key, which a server may have sent back."""
        return text.replace(self.value, HIDDEN) if self.value else text


@dataclass(frozen=True)
class Address:
    """A server's base address, such as ``https://api.openai.com/v1``.

    Attributes:
        scheme: http or https.
        host: with the port, if one was given.
        path: of the API, without a slash at its end.
    """

    scheme: str
    host: str
    path: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Read an address; the end of either call may stand in it, and a bare host means ``/v1``.

        Raises:
            UserError: not http(s), no host, or with a user name, a query or a fragment, where a key might hide.
        """
        try:
            parts = urlsplit(url.strip())
            sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            sound = False
        if not sound:
            raise UserError("--endpoint: this is no address; write it as https://api.openai.com/v1.")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise UserError(
                "--endpoint: the address holds a user name, a query or a fragment; leave them out, and put the key "
                f"into the environment ({KEY_VARIABLE} or --key-variable)."
            )
        path = parts.path.rstrip("/")
        for call in CALLS.values():
            path = path.removesuffix(call)
        return cls(parts.scheme, parts.netloc.lower(), path or "/v1")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}{self.path}"

    def call(self, kind: str) -> str:
        """The whole address of the call for a layout, ``chat`` or ``bare``."""
        return f"{self}{CALLS[kind]}"

    @property
    def is_local(self) -> bool:
        """Whether it lies on this machine."""
        return self._name in ("localhost", "127.0.0.1", "::1")

    @property
    def _name(self) -> str:
        return urlsplit(str(self)).hostname or ""

    @property
    def proxy(self) -> str | None:
        """The proxy that the environment names for it. Read here: a client that reads it reads ~/.netrc for keys too."""
        return None if urllib.request.proxy_bypass(self._name) else urllib.request.getproxies().get(self.scheme)
