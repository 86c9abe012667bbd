"""A local stand-in for the hub: enough of its HTTP interface for the real client to list and download a model."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
JSON = {"Content-Type": "application/json"}


def refusal(code, status=404):
    return status, b"{}", {"X-Error-Code": code}


def describe(repo, folder, rest):
    """Answer /api/models/REPO[/revision/REV | /tree/REV]."""
    kind, _, revision = rest.strip("/").partition("/")
    if (revision or "main") not in {COMMIT, "main"}:
        return refusal("RevisionNotFound")
    files = sorted(folder.iterdir())
    if kind == "tree":
        answer = [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": "0" * 40} for f in files]
    else:
        siblings = [{"rfilename": file.name} for file in files]
        answer = {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
    return 200, json.dumps(answer).encode(), JSON


def content(folder, rest):
    """Answer /REPO/resolve/REV/FILE."""
    revision, _, name = rest.partition("/")
    if revision not in {COMMIT, "main"} or not (folder / name).is_file():
        return refusal("EntryNotFound")
    data = (folder / name).read_bytes()
    return 200, data, {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def find(self):
        path = self.path.split("?")[0].strip("/")
        for repo, folder in self.server.repos.items():
            for start, reply in (
                (f"api/models/{repo}", lambda rest, r=repo, f=folder: describe(r, f, rest)),
                (f"{repo}/resolve/", lambda rest, f=folder: content(f, rest)),
            ):
                if path.startswith(start):
                    gated = repo in self.server.gated
                    return refusal("GatedRepo", 403) if gated else reply(path.removeprefix(start))
        return refusal("RepoNotFound")

    def answer(self, *, body):
        self.server.log.append(self.path)
        status, data, headers = self.find()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)


@contextmanager
def serve(repos, *, gated=()):
    """Serve {repo id: folder}; `log` on the yielded server lists the paths asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.repos, server.gated, server.log = repos, gated, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def pointed_at(server, monkeypatch, folder):
    """Point the real hub client at the stand-in, with an empty cache in `folder`."""
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", url, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", url)
