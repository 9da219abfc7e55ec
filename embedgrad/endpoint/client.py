"""Sends questions: several at a time, at a bounded rate, again where the server or the line failed.

lm-eval's API models (``lm_eval/models/api_models.py``) send with the same libraries. They retry every error alike, do not look at
Retry-After, and drop ``finish_reason`` and the name of the model, which are needed here.
"""

import asyncio
import contextlib
import datetime
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

import aiohttp
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from embedgrad.endpoint.address import Address, Key
from embedgrad.endpoint.kept import Answer
from embedgrad.endpoint.questions import Question
from embedgrad.endpoint.replies import AgainError, answer_of, said
from embedgrad_core.files import UserError

LONGEST = 600.0  # seconds that a server may ask to wait
MOST_BYTES = 16 * 2**20  # of one reply
CONNECT = 15.0  # seconds for a connection
# Statuses after which the same request may succeed; 529 is "overloaded".
AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}


class _StoppedError(Exception):
    """Another question ended the run."""


@dataclass
class Client:
    """A client of one server.

    Attributes:
        address: the server's.
        key: sent along, if it holds one.
        kind: the call: ``chat`` or ``bare``.
        per_minute: requests begun in a minute at most, retries included; None: no bound.
        concurrency: requests under way at a time.
        timeout: seconds for one request, from the connection to the last byte.
        attempts: for one question at most.
        log: gets a line for the first retry of each kind.
        backoff: seconds after the first failure at most; they double each time, up to a minute.
        sent: requests so far, retries included.
        retried: how often, for each reason.
    """

    address: Address
    key: Key
    kind: str
    per_minute: float | None = None
    concurrency: int = 4
    timeout: float = 120.0
    attempts: int = 8
    log: Callable[[str], None] = lambda line: None
    backoff: float = 1.0
    sent: int = 0
    retried: Counter = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._next = 0.0  # the clock time before which no request may begin
        self._over = asyncio.Event()

    async def ask(self, questions: Iterable[Question], on_answer: Callable[[Question, Answer], None]) -> None:
        """Ask every question; ``on_answer`` is called with each answer as it comes.

        The first error ends the run. Requests that are under way then may end, since they are paid for.

        Raises:
            UserError: the server refuses, or fails too often; what ``on_answer`` raises.
        """
        waiting = iter(list(questions))

        async def work(session: aiohttp.ClientSession) -> None:
            for question in waiting:
                if self._over.is_set():
                    return
                try:
                    on_answer(question, await self._answer(session, question))
                except _StoppedError:
                    return
                except BaseException:
                    self._over.set()
                    raise

        connector = aiohttp.TCPConnector(limit=self.concurrency)
        async with aiohttp.ClientSession(
            connector=connector, timeout=self._limits, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            ends = await asyncio.gather(*(work(session) for _ in range(self.concurrency)), return_exceptions=True)
        for error in ends:
            if isinstance(error, BaseException):
                raise error

    @property
    def _limits(self) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=self.timeout, sock_connect=min(CONNECT, self.timeout))

    async def _answer(self, session: aiohttp.ClientSession, question: Question) -> Answer:
        again = AsyncRetrying(
            retry=retry_if_exception_type(AgainError),
            wait=self._pause,
            stop=stop_after_attempt(self.attempts),
            sleep=self._sleep,
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            return await again(self._once, session, question)
        except AgainError as error:
            raise UserError(
                f"{self.address}: {error.reason} ({self.attempts} attempts); run the same command again later, the answers so "
                "far are kept."
            ) from None

    async def _once(self, session: aiohttp.ClientSession, question: Question) -> Answer:
        await self._turn()
        self.sent += 1
        status, headers, body = await self._reply(session, question)
        if status in AGAIN:
            asked = retry_after(headers.get("Retry-After"))
            if asked is not None and asked > LONGEST:
                raise UserError(
                    f"{self.address}: answers {status} and asks to wait {asked:.0f} s: {self._said(body)}; run the same command "
                    "again then, the answers so far are kept."
                )
            if status == 429 and asked:  # it is about all requests, not about this one
                self._next = max(self._next, time.monotonic() + asked)
            raise AgainError(f"answers {status}: {self._said(body)}", f"status {status}", asked)
        if status != 200:
            advice = {401: f" (key: environment variable {self.key.variable})", 404: " (address or model)"}.get(
                status, ""
            )
            raise UserError(f"{self.address}: answers {status}{advice}: {self._said(body)}.")
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return answer_of(body, self.kind, self.key.hide, now)

    async def _reply(self, session: aiohttp.ClientSession, question: Question) -> tuple[int, Mapping[str, str], bytes]:
        headers = {**self.key.headers, "User-Agent": "embedgrad"}
        where = self.address.call(self.kind)
        try:
            # A redirect would carry the key to another address, and the question as a GET.
            async with session.post(
                where, json=question.body, headers=headers, allow_redirects=False, proxy=self.address.proxy
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_chunked(2**16):
                    body += chunk
                    if len(body) > MOST_BYTES:
                        raise UserError(
                            f"{self.address}: a reply of more than {MOST_BYTES >> 20} MiB; this is no such server."
                        )
                return response.status, response.headers, bytes(body)
        except (ssl.SSLError, aiohttp.ClientSSLError) as error:
            raise UserError(f"{self.address}: no safe connection ({self.key.hide(str(error))}).") from None
        except TimeoutError:
            raise AgainError(f"no whole answer within {self.timeout:g} s", "timeout") from None
        except aiohttp.ClientConnectorError as error:
            raise AgainError(f"cannot be reached ({self.key.hide(str(error.os_error))})", "no connection") from None
        except (aiohttp.ClientError, OSError) as error:
            kind = type(error).__name__
            raise AgainError(f"the connection was cut ({kind})", "connection cut") from None

    def _said(self, body: bytes) -> str:
        return said(body, self.key.hide)

    async def _turn(self) -> None:
        """Wait until a request may begin."""
        while (left := self._next - time.monotonic()) > 0:
            await self._sleep(left)
        if self.per_minute:
            self._next = time.monotonic() + 60 / self.per_minute

    async def _sleep(self, seconds: float) -> None:
        """Sleep, unless the run is over."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)
        if self._over.is_set():
            raise _StoppedError

    def _pause(self, state: RetryCallState) -> float:
        """Seconds before the next attempt: exponential with jitter, and what the server asks for at least."""
        error = state.outcome.exception() if state.outcome else None
        most = min(60.0, self.backoff * 2 ** (state.attempt_number - 1))
        asked = error.wait if isinstance(error, AgainError) and error.wait else 0.0
        return asked + random.uniform(most / 2, most)

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, AgainError):
            return
        self.retried[error.kind] += 1
        if self.retried[error.kind] == 1:
            pause = state.next_action.sleep if state.next_action else 0.0
            self.log(f"{self.address}: {error.reason}; asking again in {pause:.1f} s (told once, counted at the end)")


def retry_after(text: str | None) -> float | None:
    """Seconds of a Retry-After header: a number, or a date (RFC 9110, section 10.2.3); None where it says neither."""
    if text is None:
        return None
    try:
        return max(0.0, float(int(text)))
    except ValueError:
        pass
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    then = then if then.tzinfo else then.replace(tzinfo=datetime.UTC)
    return max(0.0, (then - datetime.datetime.now(datetime.UTC)).total_seconds())
