"""A local stand-in for the hub: enough of its HTTP interface for the real clients to list and download repositories.

Models are at /api/models/REPO and /REPO/resolve, data sets at /api/datasets/REPO and /datasets/REPO/resolve.
"""

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
JSON = {"Content-Type": "application/json"}


def refusal(code, status=404, **headers):
    return status, b"{}", {"X-Error-Code": code, **headers}


def describe(repo, folder, rest):
    """Answer /api/KIND/REPO[/revision/REV | /tree/REV[/FOLDER]]."""
    kind, _, rest = rest.strip("/").partition("/")
    revision, _, inside = rest.partition("/")
    if (revision or "main") not in {COMMIT, "main"}:
        return refusal("RevisionNotFound")
    if kind == "tree":
        answer = [about(folder, path) for path in sorted((folder / inside).rglob("*"))]
    else:
        siblings = [{"rfilename": str(path.relative_to(folder))} for path in sorted(folder.rglob("*"))]
        answer = {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
    return 200, json.dumps(answer).encode(), JSON


def about(folder, path):
    name = str(path.relative_to(folder))
    if path.is_dir():
        return {"type": "directory", "path": name, "oid": "0" * 40}
    return {"type": "file", "path": name, "size": path.stat().st_size, "oid": "0" * 40}


def content(folder, rest):
    """Answer /REPO/resolve/REV/FILE."""
    revision, _, name = rest.partition("/")
    if revision not in {COMMIT, "main"}:
        return refusal("RevisionNotFound")
    if not (folder / name).is_file():
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
        for prefix, repos in (("", self.server.repos), ("datasets/", self.server.datasets)):
            for repo in (*repos, *self.server.renamed):
                api = f"api/{prefix or 'models/'}{repo}"
                for start, reply in ((api, describe), (f"{prefix}{repo}/resolve/", None)):
                    rest = path.removeprefix(start)
                    if not path.startswith(start) or (reply and rest and not rest.startswith("/")):
                        continue
                    if refused := self.refuse(repo, path):
                        return refused
                    return reply(repo, repos[repo], rest) if reply else content(repos[repo], rest)
        return refusal("RepoNotFound", 404 if "Authorization" in self.headers else 401)

    def refuse(self, repo, path):
        if repo in self.server.renamed:
            return 307, b"", {"Location": "/" + path.replace(repo, self.server.renamed[repo])}
        if repo in self.server.gated:
            return refusal("GatedRepo", 403 if "Authorization" in self.headers else 401)
        if repo in self.server.limited:
            return 429, b"{}", {"Retry-After": "1"}
        if repo in self.server.down:
            return 503, b"{}", {}
        return None

    def answer(self, *, body):
        self.server.log.append(self.path)
        status, data, headers = self.find()
        if status == 200 and (start := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))):
            first = int(start[1])
            headers = {**headers, "Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
            status, data = 206, data[first:]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body and self.server.cuts.get(self.path.rsplit("/", 1)[-1], 0) > 0:
            self.server.cuts[self.path.rsplit("/", 1)[-1]] -= 1
            data = data[: len(data) // 2]  # and the connection closes
            self.close_connection = True
        if body:
            self.wfile.write(data)


@contextmanager
def serve(repos, *, datasets=None, gated=(), renamed=None, limited=(), down=(), cuts=None):
    """Serve {repo id: folder}; `log` on the yielded server lists the paths asked for.

    `gated`, `limited` and `down` are repositories answered with 401 or 403, 429 and 503; `renamed` maps old names to
    new ones; `cuts` says for how many requests a file's connection closes in the middle.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.repos, server.datasets, server.log = repos, datasets or {}, []
    server.gated, server.renamed, server.limited = gated, renamed or {}, limited
    server.down, server.cuts = down, dict(cuts or {})
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def pointed_at(server, monkeypatch, folder):
    """Point the real hub clients at the stand-in, with an empty cache in `folder`."""
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", url, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "datasets")
    monkeypatch.setenv("HF_ENDPOINT", url)
