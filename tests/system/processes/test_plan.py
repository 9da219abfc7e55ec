"""Plans as they are asked for: the command, this machine measured, and the hub asked (its server a stand-in)."""

import contextlib
import http.server
import json
import os
import subprocess
import sys
import threading

import pytest
from places import ROOT

from embedgrad.cli import main
from embedgrad.planning.machines import this_machine


@pytest.fixture(scope="session")
def caches(tmp_path_factory):
    return tmp_path_factory.mktemp("caches")


@pytest.fixture(autouse=True)
def _measured_once(caches, monkeypatch):
    """What every job takes here is kept for these tests, and not where the user's own figures are."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(caches))


def test_this_machine_is_measured():
    machine = this_machine("cpu")
    assert 1e9 < machine.flops < 1e14
    assert 1e8 < machine.read < 1e13
    assert machine.bytes_each == 4
    assert machine.memory > 1e8
    assert machine.baseline.libraries < machine.memory


@contextlib.contextmanager
def model_hub():
    """Four repositories: open, gated without access, without safetensors, and an address that is none."""
    weights = [{"rfilename": "config.json", "size": 10}, {"rfilename": "model.safetensors", "size": 1_000_000_000}]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.split("?")[0].removeprefix("/api/models/")
            owner = "/".join(name.split("/")[:2])
            about = {
                "id": owner,
                "sha": "0" * 40,
                "gated": "manual" if "gated" in owner else False,
                "siblings": weights,
            }
            if owner == "me/pickled":
                about["siblings"] = [{"rfilename": "pytorch_model.bin", "size": 5}]
            if owner == "me/unknown":
                return self.reply(404, {}, "RepoNotFound")
            if name.endswith("auth-check") and "gated" in owner:
                return self.reply(403, {}, "GatedRepo")
            if "/revision/other" in name:
                return self.reply(404, {}, "RevisionNotFound")
            return self.reply(200, about | {"cardData": {"license": "apache-2.0"}})

        def reply(self, status, body, error=None):
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            if error:
                self.send_header("X-Error-Code", error)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


LOOK_UP = """
import json, sys
from embedgrad.planning.access import look_up
for hub, revision in json.loads(sys.argv[1]):
    found = look_up("mine", {"hub": hub, "revision": revision}, None)
    print(json.dumps([found.where, found.missing, found.bytes_to_fetch, found.licence, found.gated]))
"""


def test_the_hub_is_asked_for_licence_gate_and_size(tmp_path):
    wanted = [
        ("me/open", "main"),
        ("me/gated", "main"),
        ("me/pickled", "main"),
        ("me/unknown", "main"),
        ("me/open", "other"),
    ]
    with model_hub() as address:
        told = asked(wanted, HF_ENDPOINT=address, HF_HOME=str(tmp_path))
    assert told[0] == ["on the hub", "", 1_000_000_000, "apache-2.0", False]
    for answer, reason in zip(
        told[1:], ("hf auth login", "no safetensors", "not on the hub", "no revision 'other'"), strict=True
    ):
        assert answer[0] == ""
        assert reason in answer[1]
    assert told[1][4]
    (unreachable,) = asked([("me/open", "main")], HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path))
    assert unreachable[0] == ""
    assert "cannot be reached" in unreachable[1]


def asked(wanted, **environment):
    run = subprocess.run(
        [sys.executable, "-c", LOOK_UP, json.dumps(wanted)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | environment | {"HF_HUB_OFFLINE": "0"},
        timeout=600,
    )
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.mark.parametrize(("config", "cells", "lacks"), [("demo", 12, False), ("laptop", 18, True)])
def test_the_command(config, cells, lacks, tmp_path):
    arguments = ["plan", "--config", f"config/{config}.yaml", "--offline"]
    environment = {key: value for key, value in os.environ.items() if key != "EMBEDGRAD_MIRROR"}
    environment["HF_HOME"] = str(tmp_path)
    plain, data = (
        subprocess.run(
            [sys.executable, "-m", "embedgrad", *arguments, *more],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=environment,
            timeout=600,
        )
        for more in ([], ["--json"])
    )
    assert plain.returncode == data.returncode == int(lacks), plain.stderr
    result = json.loads(data.stdout)
    assert len(result["cells"]) == cells
    assert bool(result["missing"]) == lacks
    assert f"{config}: {cells} cells on this CPU" in plain.stdout
    missing = [
        line for line in plain.stdout.splitlines() if line.startswith("missing: ") and "the largest, but" not in line
    ]
    assert len(missing) == (
        6 if lacks else 0
    )  # models and data sets; what a busy machine has too little memory for is beside it
    assert {found["where"] for found in result["data"].values()} == {"" if lacks else "made by the run"}
    assert plain.stdout.count("data set ") == len(result["data"]) == (4 if lacks else 3)


def test_a_full_disk_is_told(monkeypatch, capsys):
    monkeypatch.setattr("embedgrad.planning.machines.free_disk", lambda: 1000)
    with pytest.raises(SystemExit):
        main(["plan", "--config", str(ROOT / "config/demo.yaml"), "--offline"])
    assert "missing: disk: 0.0 GB needed, 0.0 GB free." in capsys.readouterr().out
