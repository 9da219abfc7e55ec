"""The parts of `embedgrad evaluate --endpoint` that need no server."""

import datetime
import json
from email.utils import format_datetime

import pytest
from commands import refused
from hypothesis import given
from hypothesis import strategies as st

from embedgrad.endpoint.address import KEY_VARIABLE, Address, Key
from embedgrad.endpoint.client import retry_after
from embedgrad.endpoint.cost import Prices, estimate, tokenizer_at_hand
from embedgrad.endpoint.kept import Answer, KeptAnswers
from embedgrad.endpoint.measure import check_consent
from embedgrad.endpoint.questions import Asking, extra_fields
from embedgrad.endpoint.replies import AgainError, answer_of
from embedgrad_core.files import Item, UserError
from embedgrad_core.layout import Layout

HOME = Address.of("http://localhost:8000")
ITEM = Item("a", "12 + 30", "42", "42")
NOW = "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("given", "call"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
        ("https://API.openai.com/v1/", "https://api.openai.com/v1/chat/completions"),
        ("https://x.org/v1/chat/completions", "https://x.org/v1/chat/completions"),
        ("https://x.org/openai/v1/completions/", "https://x.org/openai/v1/chat/completions"),
        ("http://localhost:8000", "http://localhost:8000/v1/chat/completions"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1/chat/completions"),
    ],
)
def test_addresses(given, call):
    assert Address.of(given).call("chat") == call


@pytest.mark.parametrize(
    "given",
    [
        "",
        "localhost:8000",
        "ftp://x.org",
        "https://",
        "https://u:secret@x.org",
        "https://x.org/v1?key=secret",
        "http://x:0",
    ],
)
def test_what_is_no_address_is_not_repeated(given):
    """A key may stand in it."""
    with pytest.raises(UserError, match="--endpoint: ") as caught:
        Address.of(given)
    assert "secret" not in str(caught.value)


def test_the_key_comes_from_the_environment_alone(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert Key.from_environment().headers == {}
    with pytest.raises(UserError, match="MINE is not set"):
        Key.from_environment("MINE")
    monkeypatch.setenv("MINE", "sk-secret\n")
    key = Key.from_environment("MINE")
    assert key.headers == {"Authorization": "Bearer sk-secret"}
    assert "secret" not in f"{key!r} {key} {key.hide('sk-secret?')}"
    monkeypatch.setenv("MINE", "sk-secret\nX-Header: 1")
    with pytest.raises(UserError, match="MINE holds no key") as caught:
        Key.from_environment("MINE")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "layout", [Layout("chat"), Layout("chat", slot="system"), Layout("chat", system_message="Be brief.")]
)
def test_the_body_of_a_chat(layout):
    body = Asking(HOME, "m", layout, 7, {"seed": 1}).question("Solve it.", ITEM).body
    assert body["max_tokens"] == 7
    assert body["seed"] == 1
    turns = [(turn["role"], turn["content"]) for turn in body["messages"]]
    if layout.slot == "system":
        assert turns == [("system", "Solve it."), ("user", "12 + 30")]
    else:
        assert turns == [*([("system", "Be brief.")] if layout.system_message else []), ("user", "Solve it. 12 + 30")]


def test_what_decides_an_answer_decides_its_key():
    def key(address="http://localhost:8000", model="m", layout=None, limit=7, extra=None, prompt="p"):
        asking = Asking(Address.of(address), model, layout or Layout("chat"), limit, extra or {})
        return asking.question(prompt, ITEM).key

    changes = [
        {"address": "http://localhost:8001"},
        {"model": "n"},
        {"layout": Layout("bare")},
        {"limit": 8},
        {"extra": {"seed": 2}},
        {"prompt": "q"},
    ]
    assert len({key(), *(key(**change) for change in changes)}) == 7
    assert key() == key(address="http://LOCALHOST:8000/v1/chat/completions")


def test_extra_fields():
    found = extra_fields('{"max_tokens": null, "max_completion_tokens": 99, "temperature": 1}')
    body = Asking(HOME, "o", Layout("chat"), 7, found).question("p", ITEM).body
    assert set(body) == {"model", "messages", "temperature", "max_completion_tokens"}
    for text, told in [
        ("{", "not JSON"),
        ("[]", "a JSON object"),
        ('{"model": "x"}', "model is what"),
        ('{"max_tokens": 0}', "0;"),
    ]:
        with pytest.raises(UserError, match=told):
            extra_fields(text)


@given(
    st.lists(st.text("aé☃ ", min_size=1, max_size=12), max_size=4),
    st.integers(1, 999),
    st.floats(0, 99),
    st.floats(0, 99),
)
def test_the_estimate_is_what_the_bodies_hold(prompts, limit, price_in, price_out):
    asking = Asking(HOME, "m", Layout("bare"), limit)
    bodies = [asking.question(prompt, ITEM).body for prompt in prompts]
    found = estimate(bodies, 3, None, Prices(price_in, price_out))
    assert found.requests == len(prompts)
    assert found.output_tokens == limit * len(prompts)
    characters = sum(len(prompt) + len(" 12 + 30") for prompt in prompts)
    assert characters / 4 <= found.input_tokens < characters / 4 + max(len(prompts), 1)
    assert found.cost == pytest.approx(found.input_tokens * price_in / 1e6 + found.output_tokens * price_out / 1e6)


def test_a_tokenizer_at_hand_counts(home, tokenizer):
    counting = tokenizer_at_hand(None, str(home / "model"))
    body = Asking(HOME, "m", Layout("bare"), 5).question("please reason step by step", ITEM).body
    assert estimate([body], 0, counting, None).input_tokens == len(tokenizer(body["prompt"])["input_ids"])
    assert tokenizer_at_hand(None, "gpt-4o-mini") is tokenizer_at_hand(None, "not a name: on any hub") is None
    with pytest.raises(UserError, match=r"no tokenizer\.json"):
        tokenizer_at_hand("gpt-4o-mini", "m")


def test_consent():
    body = Asking(HOME, "m", Layout("bare"), 1000).question("p", ITEM).body
    priced, unpriced = (estimate([body] * 10, 0, None, prices) for prices in (Prices(0, 100), None))
    check_consent(estimate([], 5, None, None), False, None)
    check_consent(unpriced, True, None)
    check_consent(priced, False, 1.0)
    for found, yes, most, told in [
        (unpriced, False, None, "agree with --yes"),
        (priced, True, 0.99, "--max-cost 0.99 is less"),
        (unpriced, True, 1.0, "give the price"),
    ]:
        with pytest.raises(UserError, match=told):
            check_consent(found, yes, most)


def test_retry_after():
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    assert retry_after("17") == 17
    assert retry_after(format_datetime(then, usegmt=True)) == pytest.approx(90, abs=2)
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after("soon") is retry_after(None) is None


def test_replies_are_strangers_text():
    def read(value, kind="chat", key="sk-secret"):
        return answer_of(
            json.dumps(value).encode() if not isinstance(value, bytes) else value, kind, Key(key).hide, NOW
        )

    chat = {"model": "m", "choices": [{"message": {"content": None}, "finish_reason": "content_filter"}]}
    assert (read(chat).text, read(chat).stop, read(chat).completion_tokens) == ("", "content_filter", None)
    text = {"choices": [{"text": "yes sk-secret", "finish_reason": "length"}], "usage": {"completion_tokens": -3}}
    found = read(text, "bare")
    assert (found.text, found.stop, found.model, found.completion_tokens) == ("yes [key]", "length", "", None)
    escaped = json.dumps(text).replace("sk-", "\\u0073k\\u002d").encode()
    assert read(escaped, "bare").text == "yes [key]"
    for broken in (
        b"",
        b"\xff",
        b"[]",
        b"{",
        b'{"choices": []}',
        b'{"choices": [{"text": 3}]}',
        b'{"error": "busy"}',
        b"[" * 10**5,
    ):
        with pytest.raises(AgainError):
            read(broken, "bare")


def test_kept_answers_are_read_back_or_asked_again(tmp_path):
    kept, question = KeptAnswers(tmp_path), Asking(HOME, "m", Layout("chat"), 7).question("p", ITEM)
    answer = Answer("half a pair \ud800 and ☃", "stop", "m", 3, None, None, NOW)
    assert kept.find(question) is None
    kept.add(question, answer, HOME.host)
    assert kept.find(question) == answer
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    whole = path.read_bytes()
    for damaged in (whole[:-20], whole.replace(b"stop", b"step"), b"{}", b""):
        path.write_bytes(damaged)
        assert kept.find(question) is None
    kept.add(question, answer, HOME.host)
    assert kept.find(question) == answer


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "give --prompt-file, or --endpoint"),
        (["--prompt-file", "p.safetensors", "--yes"], "--yes is for --endpoint"),
        (["--prompt-file", "p.safetensors", "--prompt", "x"], "--prompt is for --endpoint"),
        (["--endpoint", "http://x", "--prompt", "x"], "--endpoint needs --model"),
        (["--endpoint", "http://x", "--model", "m"], "--prompt or --prompt-text-file"),
        (
            ["--endpoint", "http://x", "--model", "m", "--prompt", "x", "--keep-seen"],
            "--keep-seen means nothing to a server",
        ),
        (["--endpoint", "http://x", "--model", "m", *["--prompt", "x"] * 3], "3 prompts were given"),
        (["--endpoint", "http://x", "--model", "m", "--prompt", "x"], "evaluator is None"),
        (
            ["--endpoint", "http://x", "--model", "m", "--prompt", "x", "--labels", "positive,negative"],
            "agree with --yes",
        ),
    ],
)
def test_refusals(flags, told, home, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("embedgrad.commands.endpoint.aside", lambda line: None)
    monkeypatch.setattr("embedgrad.commands.arguments.aside", lambda line: None)
    refused(capsys, ["evaluate", "--data", home / "reviews.csv", *flags], told)
