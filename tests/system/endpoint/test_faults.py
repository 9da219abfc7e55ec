"""An endpoint that fails in every way: nothing is lost, nothing is asked twice, nothing shows the key."""

import datetime
import json
from email.utils import format_datetime

import pytest
from openai_stand_in import KEY, REVIEWS, expected, judge, openai
from scipy.stats import binomtest

from embedgrad.endpoint.address import KEY_VARIABLE
from embedgrad_core.files import read_jsonl


def test_one_prompt(evaluate, tmp_path):
    with openai(judge) as asked:
        status, out, err = evaluate(asked, "--prompt", "Good or bad?", "--json", "--out", tmp_path / "rows.jsonl")
        again = evaluate(asked, "--prompt", "Good or bad?", "--json")
    assert (status, again[0]) == (0, 0)
    found = json.loads(out)
    assert found["n"] == 12
    assert found["before"] == expected()
    assert found["after"] is found["points"] is found["p"] is None
    assert found["failures"]["before"]["truncated"] == 1
    assert found["failures"]["before"]["no_answer"] == 1
    assert "12 requests (0 answers are there already)" in err
    about = found["measured"]["endpoint"]
    assert about["url"] == asked.url
    assert about["served"] == {"judge-1": 12}
    assert about["tokens"] == {"answers_counted": 12, "input": 120, "output": 24}
    assert about["answered"]["first"] <= about["answered"]["last"]
    assert len(asked.bodies) == 12, "the second command asked nothing"
    assert asked.most <= 4
    assert asked.bodies[0] == {
        "model": "judge-1",
        "temperature": 0,
        "max_tokens": 512,
        "messages": [{"role": "user", "content": asked.bodies[0]["messages"][0]["content"]}],
    }
    assert {body["messages"][0]["content"] for body in asked.bodies} == {f"Good or bad? {text}" for text, _ in REVIEWS}
    assert json.loads(again[1])["before"] == found["before"]
    assert "0 requests (12 answers are there already)" in again[2]
    assert len(read_jsonl(tmp_path / "rows.jsonl")) == 12
    assert not any("Authorization" in headers for headers in asked.headers), "no key, none sent"


FAULTS = ["429:1", "500", "503", "timeout", "reset", "cut", "malformed", "empty", "slow", "529"]


@pytest.mark.parametrize("layout", ["chat", "bare"])
def test_nothing_is_lost_and_nothing_is_asked_twice(evaluate, layout):
    flags = ["--prompt", "Good?", "--layout", layout, "--timeout", "0.5", "--json", "--concurrency", "3"]
    with openai(judge, list(FAULTS)) as asked:
        status, out, err = evaluate(asked, *flags)
    assert status == 0, err
    assert json.loads(out)["before"] == expected()
    assert len(asked.answered) == 12
    assert len({json.dumps(body) for body in asked.answered}) == 12
    assert len(asked.bodies) == 12 + len(FAULTS)
    assert json.loads(out)["measured"]["endpoint"]["requests"] == len(asked.bodies)
    for told in ("status 429 1", "status 500 1", "timeout 2", "connection cut 2", "malformed JSON 1", "no answer 1"):
        assert told in err


@pytest.mark.parametrize("by", ["seconds", "date"])
def test_retry_after_holds_all_requests(evaluate, by):
    when = (
        "1"
        if by == "seconds"
        else format_datetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=3), True)
    )
    with openai(judge, [f"429:{when}"]) as asked:
        assert evaluate(asked, "--prompt", "Good?", "--concurrency", "1")[0] == 0
    assert asked.times[1] - asked.times[0] >= 0.9
    with openai(judge, ["429:7200"]) as asked:
        status, _, err = evaluate(asked, "--prompt", "Well?", "--concurrency", "1")
    assert status == 2
    assert "asks to wait 7200 s" in err
    assert len(asked.bodies) == 1


def test_a_server_that_never_recovers_is_one_error_and_keeps_what_came(evaluate):
    faults = ["", "", *["502"] * 40]
    flags = ["--prompt", "Good?", "--attempts", "3", "--concurrency", "1"]
    with openai(judge, faults) as asked:
        status, _, err = evaluate(asked, *flags)
        assert status == 2
        assert "answers 502: injected 502 (3 attempts)" in err
        assert len(asked.bodies) == 5
        faults.clear()
        status, _, err = evaluate(asked, *flags)
        assert status == 0
        assert "10 requests (2 answers are there already)" in err
        assert len({json.dumps(body) for body in asked.answered}) == len(asked.answered) == 12


def test_another_model_is_refused_before_and_after_it_is_kept(evaluate):
    flags = ["--prompt", "Good?", "--concurrency", "1"]
    with openai(judge, ["other"] * 12) as asked:
        for _ in range(2):
            status, _, err = evaluate(asked, *flags)
            assert status == 2
            assert "was asked for 'judge-1' and answers as 'another-model'" in err
            assert err.splitlines()[-1].startswith("embedgrad evaluate:")
        assert len(asked.bodies) == 1, "found out at once, and not asked again"
        status, out, _ = evaluate(asked, *flags, "--allow-other-model", "--json")
    assert status == 0
    found = json.loads(out)["measured"]
    assert found["model"] == {"name": "judge-1", "resolved": "another-model"}
    assert len(asked.bodies) == 12


def test_two_prompts_are_compared_item_by_item(evaluate, tmp_path):
    (tmp_path / "a.txt").write_text("Say negative.\n")
    (tmp_path / "b.txt").write_text("Judge it.\n")

    def answering(path, body):
        text = body["messages"][-1]["content"]
        return ("negative" if text.startswith("Say") else judge(path, body)[0] or "negative"), "stop"

    files = ["--prompt-text-file", tmp_path / "a.txt", tmp_path / "b.txt"]
    with openai(answering) as asked:
        status, out, _ = evaluate(asked, *files, "--json")
        said = evaluate(asked, *files)[1]
    assert status == 0
    found = json.loads(out)
    before = [label == "negative" for _, label in REVIEWS]
    after = [answering("", {"messages": [{"content": f"Judge it. {text}"}]})[0] == label for text, label in REVIEWS]
    gained = sum(late > early for early, late in zip(before, after, strict=True))
    lost = sum(late < early for early, late in zip(before, after, strict=True))
    assert (found["before"], found["after"]) == (sum(before), sum(after))
    assert gained + lost > 0
    assert found["p"] == pytest.approx(binomtest(gained, gained + lost).pvalue)
    assert found["measured"]["prompt"]["before"]["text"] == "Say negative."
    assert "exact McNemar p" in said
    assert len(asked.bodies) == 24


def test_the_rate_is_bounded_and_equal_questions_are_one(evaluate, tmp_path):
    (tmp_path / "same.csv").write_text("text,label\n" + "film 1,positive\n" * 3 + "film 2,negative\nfilm 5,negative\n")
    with openai(judge) as asked:
        flags = ["--prompt", "Good?", "--requests-per-minute", "150", "--concurrency", "8"]
        assert evaluate(asked, *flags, data=tmp_path / "same.csv")[0] == 0
    assert len(asked.bodies) == 3
    gaps = [later - sooner for sooner, later in zip(asked.times, asked.times[1:], strict=False)]
    assert min(gaps) > 0.3, "60 / 150 s apart, but for the way"


def test_a_redirect_is_not_followed(evaluate, monkeypatch):
    """It would take the key along."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with openai(judge, ["moved"] * 4, key=KEY) as asked:
        status, _, err = evaluate(asked, "--prompt", "Good?", "--concurrency", "1")
    assert status == 2
    assert "answers 307" in err
    assert len(asked.bodies) == 1


def test_the_wrong_key_is_one_line_that_names_its_variable(evaluate):
    with openai(judge, key=KEY) as asked:
        status, _, err = evaluate(asked, "--prompt", "Good?")
    assert status == 2
    assert f"answers 401 (key: environment variable {KEY_VARIABLE}): no such key" in err
    assert len(asked.bodies) <= 4


def test_what_was_spent_is_bounded_by_what_the_server_counts(evaluate):
    """The estimate counts characters; a server that counts more is left once the bound is passed."""
    flags = [
        "--prompt",
        "Good?",
        "--concurrency",
        "1",
        "--max-new-tokens",
        "1",
        "--price-per-million-tokens",
        "100000,0",
    ]
    with openai(judge) as asked:  # 10 input tokens each, by its own count: 1.0
        status, _, err = evaluate(asked, *flags, "--max-cost", "6.5")
    assert status == 2
    assert "the answers have cost 7, more than --max-cost 6.5; they are kept" in err
    assert len(asked.bodies) == 7
