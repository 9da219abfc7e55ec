"""Reviews of planted truth, and a client in a hurry."""

import pytest
from openai_stand_in import FLAGS, REVIEWS

from embedgrad.cli import main
from embedgrad.endpoint.address import KEY_VARIABLE
from embedgrad.endpoint.client import Client


@pytest.fixture(autouse=True)
def _quick(monkeypatch, tmp_path):
    """No key and no cache but those of the test, and no long pauses between attempts."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    original = Client.__post_init__

    def quick(self):
        self.backoff = 0.02
        original(self)

    monkeypatch.setattr(Client, "__post_init__", quick)


@pytest.fixture
def data(tmp_path):
    lines = [f'"{text}",{label}' for text, label in REVIEWS]
    (tmp_path / "reviews.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    return tmp_path / "reviews.csv"


@pytest.fixture
def evaluate(capsys, data):
    """Runs the command: status, what was printed, and what on standard error."""

    def run(asked, *more, data=data):
        words = ["evaluate", "--endpoint", asked.url, "--data", str(data), *FLAGS, *map(str, more)]
        status = main(words)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run
