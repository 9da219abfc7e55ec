"""A small server on 127.0.0.1 that speaks as much of the OpenAI API as `embedgrad evaluate --endpoint` asks for.

It stands in for the network and the model's owner: the client code that talks to it is the real one.
"""

import contextlib
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

# From the path and the body of a request to the text of the answer and why it ended.
Answering = Callable[[str, dict], tuple[str, str]]


@dataclass
class Asked:
    """What the server has seen.

    Attributes:
        url: the base address.
        bodies: of all requests, refused ones included.
        answered: of those that got a whole, sound answer.
        headers: of all requests.
        times: when each came, by the monotonic clock.
        most: requests under way at one time, at most.
    """

    url: str = ""
    bodies: list[dict] = field(default_factory=list)
    answered: list[dict] = field(default_factory=list)
    headers: list[dict] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    now: int = 0
    most: int = 0


@contextlib.contextmanager
def openai(answering: Answering, faults: list[str] | None = None, key: str = "") -> Iterator[Asked]:
    """Serve; ``faults`` is what happens to each request in turn, empty or no more being no fault.

    ``429`` (with ``429:2``: Retry-After in seconds, or a date), any other status, ``timeout`` (never answers), ``slow`` (a byte
    now and then, without end), ``cut`` (the connection ends in mid-body), ``reset`` (it ends before an answer), ``malformed`` (no
    JSON), ``empty`` (no choices), ``other`` (another model's name), ``echo`` (400 that tells the key), ``moved`` (a redirect).
    With a ``key``, every request must bring it.
    """
    asked, lock, silence = Asked(), threading.Lock(), threading.Event()
    faults = faults if faults is not None else []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                asked.bodies.append(body)
                asked.headers.append(dict(self.headers))
                asked.times.append(time.monotonic())
                asked.now += 1
                asked.most = max(asked.most, asked.now)
                fault = faults.pop(0) if faults else ""
            try:
                self.answer(body, fault)
            finally:
                with lock:
                    asked.now -= 1

        def answer(self, body: dict, fault: str) -> None:
            if key and self.headers.get("Authorization") != f"Bearer {key}":
                return self.reply(401, {"error": {"message": "no such key"}})
            kind, _, detail = fault.partition(":")
            if kind.isdecimal():
                return self.reply(int(kind), {"error": {"message": f"injected {kind}"}}, detail)
            if fault == "echo":
                return self.reply(400, {"error": {"message": f"Incorrect API key provided: {key}"}})
            if fault == "moved":
                return self.reply(307, {}, moved=asked.url)
            if fault == "timeout":
                silence.wait(30)
                return None
            if fault == "reset":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return None
            text, finish = answering(self.path, body)
            reply = self.completion(body, text, finish, "another-model" if fault == "other" else body["model"])
            if fault == "empty":
                reply["choices"] = []
            data = json.dumps(reply).encode()
            if fault == "malformed":
                data = data[:-2]
            if fault in ("cut", "slow"):
                self.begin(200, len(data))
                self.wfile.write(data[: len(data) // 2])
                self.close_connection = True
                while fault == "slow" and not silence.wait(0.05):
                    self.wfile.write(b" ")
                return None
            self.begin(200, len(data))
            self.wfile.write(data)
            if not fault:
                with lock:
                    asked.answered.append(body)
            return None

        def completion(self, body: dict, text: str, finish: str, model: str) -> dict:
            said = {"text": text} if "prompt" in body else {"message": {"role": "assistant", "content": text}}
            usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
            choice = {"index": 0, "finish_reason": finish, **said}
            return {"id": "x", "model": model, "choices": [choice], "usage": usage, "system_fingerprint": "fp_1"}

        def begin(self, status: int, length: int, after: str = "", moved: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.send_header("Content-Type", "application/json")
            if after:
                self.send_header("Retry-After", after)
            if moved:
                self.send_header("Location", moved)
            self.end_headers()

        def reply(self, status: int, value: dict, after: str = "", moved: str = "") -> None:
            data = json.dumps(value).encode()
            self.begin(status, len(data), after, moved)
            self.wfile.write(data)

        def handle_one_request(self) -> None:
            with contextlib.suppress(ConnectionError, ValueError):  # the client may have given up
                super().handle_one_request()

        def log_message(self, *_) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    asked.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield asked
    finally:
        silence.set()
        server.shutdown()
        server.server_close()
        thread.join()


KEY = "sk-planted-7f3b9d"
REVIEWS = [
    (f"film {place}, {'good' if place % 3 else 'bad'}", "positive" if place % 2 else "negative") for place in range(12)
]
FLAGS = ["--evaluator", "label", "--labels", "positive,negative", "--model", "judge-1", "--yes"]


def judge(path, body):
    """A planted truth: right where the review's own word says so, cut off once, silent once."""
    text = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
    if "film 3," in text:
        return "I think that it is", "length"
    if "film 4," in text:
        return "", "stop"
    return ("positive" if "good" in text else "negative"), "stop"


def expected():
    graded = ["positive" if "good" in text else "negative" for text, _ in REVIEWS]
    right = [guess == label for guess, (_, label) in zip(graded, REVIEWS, strict=True)]
    right[3] = right[4] = False
    return sum(right)
