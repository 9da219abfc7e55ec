"""A small hub on 127.0.0.1: as much of the Hugging Face protocol as loading data sets and models, and uploading models, ask for.

It stands in for the network only: the client code that reads from it is the real one.
"""

import base64
import contextlib
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextlib.contextmanager
def hub(
    repositories: dict[str, dict[str, bytes]],
    refusals: dict[str, tuple[int, str]],
    models: dict[str, dict[str, bytes]] | None = None,
    trouble: list[str] | None = None,
    token: str | None = None,
) -> Iterator[str]:
    """Serve data sets as ``{repository id: {path: bytes}}``; answer the ids in ``refusals`` with (HTTP status, X-Error-Code).

    A status of 0 never answers. ``models`` are served likewise. ``trouble`` is what happens to each request for a
    model's weights in turn, an empty list being no trouble: ``500``, ``half`` (the connection ends in the middle) or ``hang``.
    With a ``token``, whoever brings it may make repositories and upload into ``models``: small files in the commit, safetensors
    through LFS. Yields the address for HF_ENDPOINT.
    """

    silence = threading.Event()
    large: dict[str, bytes] = {}  # by sha256, as LFS has them

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            path = unquote(urlsplit(self.path).path)
            if token and self.command in ("POST", "PUT"):
                return self.take(path, body)
            for name, (status, code) in refusals.items():
                if f"/datasets/{name}/" in path:
                    if status == 0:
                        silence.wait(30)
                    return self.reply(b"{}", status=status, error=code)
            for name, files in repositories.items():
                if path.startswith(f"/api/datasets/{name}/"):
                    return self.reply_about(path.removeprefix(f"/api/datasets/{name}/"), name, files, body)
                if path.startswith(f"/datasets/{name}/resolve/"):
                    file = path.removeprefix(f"/datasets/{name}/resolve/").partition("/")[2]
                    if file in files:
                        return self.reply(files[file], etag=hashlib.sha256(files[file]).hexdigest())
                    return self.reply(b"", status=404, error="EntryNotFound")
            for name, files in models.items():
                if path.startswith(f"/api/models/{name}"):
                    what = path.removeprefix(f"/api/models/{name}").removeprefix("/") or f"revision/{COMMIT}"
                    return self.reply_about(what, name, files, body)
                if path.startswith(f"/{name}/resolve/"):
                    return self.reply_file(files, path.removeprefix(f"/{name}/resolve/").partition("/")[2])
            return self.reply(b"", status=404, error="RepoNotFound")

        def take(self, path: str, body: bytes) -> None:
            """An upload's steps (huggingface_hub/_commit_api.py, lfs.py)."""
            if path.startswith("/lfs/"):  # a presigned address: no token comes along
                sound = hashlib.sha256(body).hexdigest() == path.removeprefix("/lfs/")
                large[path.removeprefix("/lfs/")] = body
                return self.reply(b"", status=200 if sound else 400)
            if self.headers.get("Authorization") != f"Bearer {token}":
                return self.reply(b"{}", status=401)
            if path == "/api/repos/create":
                about = json.loads(body)
                name = f"{about['organization']}/{about['name']}"
                models.setdefault(name, {})
                return self.reply_json({"url": f"{address()}/{name}"})
            if path == "/api/validate-yaml":
                return self.reply_json({"errors": [], "warnings": []})
            if path.endswith(".git/info/lfs/objects/batch"):
                objects = [
                    {**one, "actions": {"upload": {"href": f"{address()}/lfs/{one['oid']}"}}}
                    for one in json.loads(body)["objects"]
                ]
                return self.reply_json({"transfer": "basic", "objects": objects})
            name, _, step = path.removeprefix("/api/models/").partition("/main")[0].rpartition("/")
            if name not in models:
                return self.reply(b"", status=404, error="RepoNotFound")
            if step == "preupload":
                files = [
                    {"path": one["path"], "uploadMode": self.mode(one["path"]), "shouldIgnore": False}
                    for one in json.loads(body)["files"]
                ]
                return self.reply_json({"files": files})
            for line in map(json.loads, body.decode().splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    models[name][value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    models[name][value["path"]] = large[value["oid"]]
            return self.reply_json({"commitUrl": f"{address()}/{name}/commit/{COMMIT}", "commitOid": COMMIT})

        def mode(self, path: str) -> str:
            return "lfs" if path.endswith(".safetensors") else "regular"

        def reply_file(self, files: dict[str, bytes], file: str) -> None:
            if file not in files:
                return self.reply(b"", status=404, error="EntryNotFound")
            data = files[file]
            if trouble and file.endswith(".safetensors") and self.command == "GET":
                kind = trouble.pop(0)
                if kind == "500":
                    return self.reply(b"", status=500)
                if kind == "hang":
                    silence.wait(30)
                    return None
                if kind == "half":
                    self.reply(data[: len(data) // 2], etag=hashlib.sha256(data).hexdigest(), length=len(data))
                    self.close_connection = True
                    return None
            return self.reply(data, etag=hashlib.sha256(data).hexdigest())

        def reply_about(self, what: str, name: str, files: dict[str, bytes], body: bytes) -> None:
            kind, _, rest = what.partition("/")
            if kind == "revision":
                if rest not in ("main", COMMIT):
                    return self.reply(b"{}", status=404, error="RevisionNotFound")
                return self.reply_json({"id": name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]})
            entries = {
                file: {"type": "file", "path": file, "size": len(data), "oid": "0"} for file, data in files.items()
            }
            entries |= {
                folder: {"type": "directory", "path": folder, "oid": "1"}
                for file in files
                if (folder := file.rpartition("/")[0])
            }
            if kind == "paths-info":
                wanted = json.loads(body)["paths"] if body.startswith(b"{") else []
                return self.reply_json([entries[path] for path in wanted if path in entries])
            folder = rest.partition("/")[2]
            inside = [entry for path, entry in entries.items() if path.rpartition("/")[0] == folder]
            return self.reply_json(inside)

        def reply_json(self, value) -> None:
            self.reply(json.dumps(value).encode(), content="application/json")

        def reply(
            self, data: bytes, status=200, error=None, etag=None, content="application/octet-stream", length=None
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length or len(data)))
            self.send_header("Content-Type", content)
            self.send_header("X-Repo-Commit", COMMIT)
            if etag:
                self.send_header("ETag", f'"{etag}"')
            if error:
                self.send_header("X-Error-Code", error)
                self.send_header("X-Error-Message", error)
            self.end_headers()
            if self.command != "HEAD":
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client may have given up
                    self.wfile.write(data)

        do_GET = do_HEAD = do_POST = do_PUT = answer

        def log_message(self, *_) -> None:
            pass

    def address() -> str:
        return f"http://127.0.0.1:{server.server_port}"

    models = {} if models is None else models
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield address()
    finally:
        silence.set()
        server.shutdown()
        thread.join()
