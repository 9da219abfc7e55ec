"""Answers kept on disk under the hash of their question: a run that was killed goes on, and nothing is paid for twice.

One file an answer, whole or not at all. A file that was damaged counts as absent. No file holds the key.
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embedgrad.endpoint.questions import Question
from embedgrad_core.files import COUNT, UserError, misfit, read_json, write_json

_SHAPE = {
    "text": str,
    "finish": str,
    "model": str,
    "prompt_tokens": (COUNT,),
    "completion_tokens": (COUNT,),
    "fingerprint": (str,),
    "answered": str,
}


@dataclass(frozen=True)
class Answer:
    """What a server said to one question.

    Attributes:
        text: the answer; empty where the server gave none.
        finish: why it ended, in the server's words: ``stop``, ``length``, …
        model: the model as the server names it; empty where it names none.
        prompt_tokens: that the server counted, None where it does not say.
        completion_tokens: the same, of the answer.
        fingerprint: the server's name for its own configuration, if it gives one.
        answered: when, in UTC.
    """

    text: str
    finish: str
    model: str
    prompt_tokens: int | None
    completion_tokens: int | None
    fingerprint: str | None
    answered: str

    @property
    def stop(self) -> str:
        """Why it ended, as the suite calls it."""
        return "eos" if self.finish == "stop" else self.finish


class KeptAnswers:
    """The answers in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, question: Question) -> Answer | None:
        """The answer to a question, if it was asked before."""
        path = self._path(question)
        if not path.is_file():
            return None
        try:
            row: Any = read_json(path)
        except UserError:
            return None
        if misfit(row, {"request": dict, "answer": _SHAPE}) or row["request"].get("body") != question.body:
            return None
        return Answer(**{key: row["answer"][key] for key in _SHAPE})

    def add(self, question: Question, answer: Answer, host: str) -> None:
        """Keep an answer: on the disk when this returns."""
        write_json(self._path(question), {"request": {"host": host, "body": question.body}, "answer": asdict(answer)})

    def _path(self, question: Question) -> Path:
        return self.folder / question.key[:2] / f"{question.key}.json"


def default_folder() -> Path:
    """Where answers are kept if nobody says: in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "embedgrad" / "endpoint"
