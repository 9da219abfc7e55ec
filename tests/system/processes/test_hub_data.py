"""Data sets of the hub: its client for real, its server a stand-in."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hub_stand_in import COMMIT, hub
from mirror_rows import MIRROR, PREFIX
from places import ROOT

from embedgrad import tasks
from embedgrad.planning.access import look_up_data
from embedgrad.tasks import medd
from embedgrad_core.files import sha256_of_bytes

# The same rows as the hub tells them.
HUB = {
    "math500": MIRROR["math500"],
    "imdb": [{"text": row["text"], "label": row["label"]} for row in MIRROR["imdb"] if row["split"] == "test"],
    "medd": [{"text": row["text"], "emotion": row["emotion"]} for row in MIRROR["medd"]],
    "causal_judgment": [
        {
            "idx": i,
            "inputs": f"{PREFIX}\n\nQ: {row['input']}\n  A: ",
            "targets": [],
            "multiple_choice_targets": list(row["target_scores"]),
            "multiple_choice_scores": list(row["target_scores"].values()),
        }
        for i, row in enumerate(MIRROR["causal_judgment"]["examples"])
    ],
}


def lines(rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


@pytest.fixture
def small_mirror(tmp_path, monkeypatch) -> Path:
    """A mirror of invented rows, with the pinned hashes moved to them."""
    (tmp_path / "data").mkdir()
    for name, rows in MIRROR.items():
        module = tasks.find(name)
        data = json.dumps(rows).encode() if isinstance(rows, dict) else lines(rows)
        (tmp_path / "data" / module.SOURCE.file).write_bytes(data)
        monkeypatch.setattr(module, "SOURCE", dataclasses.replace(module.SOURCE, sha256=sha256_of_bytes(data)))
    return tmp_path


def card(config: str, split: str) -> bytes:
    entry = f"- config_name: {config}\n  data_files:\n  - split: {split}\n    path: rows.jsonl\n"
    return f"---\nconfigs:\n{entry}---\n".encode()


CHILD = """
import dataclasses, json, sys
import embedgrad.tasks.source; from embedgrad import tasks
from embedgrad_core.files import UserError
embedgrad.tasks.source._HUB_SECONDS = 1.5
for line in sys.stdin:
    asked = json.loads(line)
    module = tasks.find(asked["task"])
    whole = module.SOURCE
    module.SOURCE = dataclasses.replace(whole, **asked["source"])
    try:
        loaded = module.load(None, revision=asked["revision"])
        answer = {"rows": [item.row() for item in loaded.items], "provenance": loaded.provenance}
    except UserError as error:
        answer = {"error": str(error)}
    module.SOURCE = whole
    print(json.dumps(answer), flush=True)
"""


def ask(address: str, home: Path, requests: list[dict], **environment: str) -> list[dict]:
    """Load from a hub at ``address`` in a process of its own: the client reads its address when it is imported."""
    settings = {"HF_ENDPOINT": address, "HF_HOME": str(home), "PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_TELEMETRY": "1"}
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        env=inherited | settings | environment,
        input="".join(json.dumps(request) + "\n" for request in requests),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def request(task: str, revision: str = "main", **source) -> dict:
    return {"task": task, "revision": revision, "source": source}


def test_hub_rows_equal_mirror_rows_and_the_commit_is_recorded(small_mirror, tmp_path, monkeypatch):
    repositories, requests = {}, []
    for name, rows in HUB.items():
        source = tasks.find(name).SOURCE
        readme = card(source.config or "default", source.split)
        repositories[source.hub_id] = {"README.md": readme, "rows.jsonl": lines(rows)}
        requests.append(request(name, hub_rows=len(rows)))
    requests.append(request("medd", revision=COMMIT, hub_rows=len(HUB["medd"])))
    with hub(repositories, {}) as address:
        *answers, pinned = ask(address, tmp_path / "home", requests)
    for name, answer in zip(HUB, answers, strict=True):
        expected = [item.row() for item in tasks.find(name).load(small_mirror).items]
        if name == "imdb":  # the hub has no file names
            assert [row.pop("id") for row in answer["rows"]] == ["imdb/test/neg/row-00000", "imdb/test/pos/row-00001"]
            for row in expected:
                del row["id"]
        assert answer["rows"] == expected, name
        said = answer["provenance"]
        assert (said["kind"], said["revision"], said["resolved_sha"]) == ("hub", "main", COMMIT)
        assert said["id"] == tasks.find(name).SOURCE.hub_id
    assert pinned["provenance"]["resolved_sha"] == pinned["provenance"]["revision"] == COMMIT
    # once read at a commit, the same commit serves without network
    (offline,) = ask("http://127.0.0.1:9", tmp_path / "home", requests[-1:], HF_HUB_OFFLINE="1")
    assert offline == pinned
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_DATASETS_CACHE", raising=False)
    assert look_up_data("medd", {"revision": COMMIT}, None, offline=True).where == "cached"
    assert look_up_data("medd", {"revision": COMMIT[::-1]}, None, offline=True).where == ""


def test_a_cached_file_that_changed_is_refused_until_it_is_deleted(tmp_path):
    files = {"README.md": card("default", "test"), "rows.jsonl": lines(MIRROR["math500"])}
    asked = [request("math500", hub_id="x/good", hub_rows=6)]
    with hub({"x/good": files}, {}) as address:
        (wanted,) = ask(address, tmp_path, asked)
        blob = next(tmp_path.glob("hub/datasets--x--good/snapshots/*/rows.jsonl")).resolve()
        blob.write_bytes(blob.read_bytes().replace(b"What is 3 + 3", b"What is 3 + 7"))
        (refused,) = ask(address, tmp_path, asked)
        assert "rows.jsonl in the hub's cache is not what the hub sent" in refused["error"]
        assert f"Delete {blob}, and it is fetched again." in refused["error"]
        made = Path(re.search(r"Delete (\S+) too, which was made from it", refused["error"])[1])
        blob.unlink()
        shutil.rmtree(made)
        assert ask(address, tmp_path, asked) == [wanted]


def test_each_failure_of_the_hub_is_one_sentence(tmp_path):
    good = {"README.md": card("default", "test"), "rows.jsonl": lines(MIRROR["math500"])}
    renamed = [{"question": row["problem"], **row} for row in MIRROR["math500"]]
    for row in renamed:
        del row["problem"]
    script = {"README.md": b"# none\n", "bigbench.py": b"raise SystemExit\n"}
    refusals = {
        "x/gone": (401, "RepoNotFound"),
        "x/gated": (403, "GatedRepo"),
        "x/hangs": (0, ""),
        "x/broken": (500, ""),
    }
    cases = [
        (request("math500", hub_id="x/gone"), ["x/gone", "RepositoryNotFoundError"]),
        (request("math500", hub_id="x/gated"), ["x/gated", "GatedRepoError", "your account may read it"]),
        (request("math500", hub_id="x/broken"), ["x/broken", "500"]),
        (request("math500", hub_id="x/hangs"), ["x/hangs", "check the network"]),
        (request("math500", hub_id="x/good", revision="v9"), ["revision v9", "RevisionNotFoundError"]),
        (request("math500", hub_id="x/renamed"), ["no column 'problem'", "question", "older commit"]),
        (request("math500", hub_id="x/good"), ["6 rows where 500 are expected"]),
        (request("math500", hub_id="x/good", split="train"), ["split train", "could not be read"]),
        (request("math500", hub_id="x/good", config="other"), ["config other", "could not be read"]),
        (request("math500", hub_id="x/script"), ["x/script", "could not be read"]),
    ]
    repositories = {
        "x/good": good,
        "x/renamed": {"README.md": good["README.md"], "rows.jsonl": lines(renamed)},
        "x/script": script,
    }
    with hub(repositories, refusals) as address:
        answers = ask(address, tmp_path / "home", [one for one, _ in cases])
    for (asked, parts), answer in zip(cases, answers, strict=True):
        for part in (*parts, "data set"):
            assert part in answer.get("error", ""), (asked, answer)
        assert "\n" not in answer["error"]
        assert len(answer["error"]) < 600


def test_no_network_is_one_sentence_that_offers_the_mirror(tmp_path):
    requests = [request("math500"), request("medd", revision=medd.REVISION)]
    for environment in ({}, {"HF_HUB_OFFLINE": "1"}):
        for answer in ask("http://127.0.0.1:9", tmp_path / "home", requests, **environment):
            assert "could not be read from the hub" in answer["error"]
            assert "give a mirror folder that holds data/m" in answer["error"]
