"""`embedgrad evaluate --endpoint` as a process: where the key shows, and what a kill costs."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from openai_stand_in import FLAGS, KEY, expected, judge, openai


def test_the_key_shows_nowhere(data, tmp_path):
    """As a process: its words, all that it writes and prints, also when the server sends the key back."""
    flags = [*FLAGS, "--data", str(data), "--prompt", "Good?", "--answers", "kept", "--out", "rows.jsonl", "--json"]
    environment = {**os.environ, "MY_KEY": KEY, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONDEVMODE": "1"}

    def echoing(path, body):
        return f"positive, says {KEY}", "stop"

    with openai(echoing, ["429:0", "500", "cut"], key=KEY) as asked:
        words = [
            sys.executable,
            "-m",
            "embedgrad",
            "evaluate",
            "--endpoint",
            asked.url,
            *flags,
            "--key-variable",
            "MY_KEY",
        ]
        with subprocess.Popen(
            words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            seen = b""
            while process.poll() is None and not asked.bodies:
                time.sleep(0.01)
            try:
                with open(f"/proc/{process.pid}/cmdline", "rb") as listed:  # noqa: PTH123
                    seen = listed.read()
            except OSError:
                pytest.skip("no process list here")
            printed = process.communicate()[0]
    assert process.returncode == 0, printed
    assert b"evaluate" in seen
    assert len(asked.answered) == 12
    assert all(headers["Authorization"] == f"Bearer {KEY}" for headers in asked.headers)
    with openai(echoing, ["echo"], key=KEY) as refusing:
        words[5] = refusing.url
        ended = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True)
    assert ended.returncode == 2
    assert b"Incorrect API key provided: [key]" in ended.stderr
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len([path for path in written if "kept" in path.parts]) >= 12
    assert any(b"[key]" in content for content in written.values()), "what it said is kept, the key is not"
    for content in (*written.values(), seen, printed, ended.stdout, ended.stderr):
        assert KEY.encode() not in content
        assert KEY[3:].encode() not in content


def test_a_killed_run_goes_on(data, tmp_path, evaluate):
    flags = ["--prompt", "Good?", "--concurrency", "1", "--answers", tmp_path / "kept"]

    def slowly(path, body):
        time.sleep(0.15)
        return judge(path, body)

    with openai(slowly) as asked:
        words = [sys.executable, "-m", "embedgrad", "evaluate", "--endpoint", asked.url, "--data", data, *FLAGS, *flags]
        for number in (signal.SIGKILL, signal.SIGTERM):
            had = len(asked.answered)
            process = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            while len(asked.answered) < had + 3:
                time.sleep(0.01)
                assert process.poll() is None, process.communicate()
            process.send_signal(number)
            process.communicate(timeout=20)
        status, out, _ = evaluate(asked, *flags, "--json")
    assert status == 0
    assert json.loads(out)["before"] == expected()
    # One that was under way when the process was killed may be asked again; none whose answer had come.
    assert len(asked.bodies) <= 12 + 2
