"""A local stand-in for the hub: enough of its HTTP interface for the real client to list and download a model."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serve(repos, *, gated=()):
    """Serve {repo id: folder} at the yielded URL; `log` on the server lists the paths asked for."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def answer(self, *, body):
            server.log.append(self.path)
            path = self.path.split("?")[0].strip("/")
            for repo, folder in repos.items():
                if repo in gated and repo in path:
                    return self.send(403, b"{}", {"X-Error-Code": "GatedRepo"}, body=body)
                if path.startswith(f"api/models/{repo}"):
                    return self.api(repo, folder, path, body=body)
                if path.startswith(f"{repo}/resolve/"):
                    revision, _, name = path.removeprefix(f"{repo}/resolve/").partition("/")
                    if revision in {COMMIT, "main"} and (folder / name).is_file():
                        data = (folder / name).read_bytes()
                        tag = hashlib.sha256(data).hexdigest()
                        return self.send(200, data, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT}, body=body)
                    return self.send(404, b"{}", {"X-Error-Code": "EntryNotFound"}, body=body)
            return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body=body)

        def api(self, repo, folder, path, *, body):
            kind, _, revision = path.removeprefix(f"api/models/{repo}").strip("/").partition("/")
            revision = revision or "main"
            if revision not in {COMMIT, "main"}:
                return self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body=body)
            names = sorted(file.name for file in folder.iterdir())
            files = [{"rfilename": name} for name in names]
            if kind == "tree":
                sizes = {name: (folder / name).stat().st_size for name in names}
                answer = [{"type": "file", "path": n, "size": sizes[n], "oid": "0" * 40} for n in names]
                return self.send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"}, body=body)
            answer = {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": files, "private": False, "tags": []}
            return self.send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"}, body=body)

        def send(self, status, data, headers, *, body):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.log = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
