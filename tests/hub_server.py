"""A hub on loopback: as much of the protocol of the Hugging Face hub as pushing and pulling a bank takes."""

import base64
import hashlib
import json
import re
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote, urlsplit

from loopback import serving

TOKEN = "hf_of-the-tests"


class Hub:
    """Repositories by USER/REPO; what goes wrong is set by the tests."""

    def __init__(self):
        self.repositories = {}  # {"private": bool, "commits": [(oid, files, message)]}
        self.objects = {}  # large files by SHA-256
        self.requests = []  # (method, path)
        self.gated = set()
        self.read_only = set()
        self.refused = ""  # part of the paths that it refuses to all
        self.said_size = None  # that it tells of a file in place of its own
        self.spoil = False  # whether it serves other bytes than it told of

    def put(self, repository, files, private=False, message="by hand"):
        """Make a commit; returns its name."""
        held = self.repositories.setdefault(repository, {"private": private, "commits": []})
        oid = hashlib.sha1(f"{repository} {len(held['commits'])} {sorted(files)}".encode()).hexdigest()
        held["commits"].append((oid, dict(files), message))
        return oid

    def files(self, repository):
        """What the newest commit holds."""
        return self.repositories[repository]["commits"][-1][1]

    def asked(self, method):
        """Paths that were asked for by a method."""
        return [path for how, path in self.requests if how == method]


@contextmanager
def serve_hub():
    """A hub and its address."""
    hub = Hub()
    with serving(_Handler, hub=hub) as hub.address:
        yield hub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.take()

    def do_GET(self):
        self.take()

    def do_POST(self):
        self.take()

    def do_PUT(self):
        self.take()

    def take(self):
        body = self.body()
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path))
        if self.hub.refused and self.hub.refused in path:
            return self.send(403, {"error": "Your storage is full"})
        for pattern, answer in _ROUTES:
            if found := re.fullmatch(pattern, f"{self.command} {path}"):
                return answer(self, body, *found.groups())
        return self.send(404, b"")

    def body(self):
        """What was sent, whole or in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    @property
    def known(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def send(self, status, content, **headers):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in ({"Content_Length": len(content)} | headers).items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def no_repository(self, repository):
        """Whether there is none for whoever asks, which is answered."""
        held = self.hub.repositories.get(repository)
        if held is None or (held["private"] and not self.known):
            self.send(401 if not self.known else 404, b"", X_Error_Code="RepoNotFound")
            return True
        if repository in self.hub.gated:
            self.send(403, b"", X_Error_Code="GatedRepo")
            return True
        return False

    def create(self, body):
        if not self.known:
            return self.send(401, {"error": "Invalid credentials"})
        asked = json.loads(body)
        repository = f"{asked['organization']}/{asked['name']}"
        if asked["organization"] in self.hub.read_only:
            return self.send(403, {"error": "You don't have the rights to create a model under this namespace"})
        if repository in self.hub.repositories:
            return self.send(409, {"error": "You already created this model repo", "url": f"/{repository}"})
        self.hub.put(repository, {".gitattributes": b""}, asked["visibility"] == "private", "initial commit")
        return self.send(200, {"url": f"{self.hub.address}/{repository}"})

    def info(self, _body, repository):
        if self.no_repository(repository):
            return None
        held = self.hub.repositories[repository]
        oid, files, _ = held["commits"][-1]
        names = [{"rfilename": name} for name in files]
        told = {"_id": "1", "id": repository, "sha": oid, "private": held["private"], "siblings": names}
        return self.send(200, told)

    def validate(self, body):
        content = json.loads(body)["content"]
        if not re.match(r"---\n(.*\n)*?---\n", content):
            return self.send(400, {"errors": [{"message": "no metadata"}]})
        return self.send(200, {"warnings": [], "errors": []})

    def preupload(self, body, repository, _revision):
        if self.no_repository(repository):
            return None
        held = self.hub.files(repository)
        files = []
        for one in json.loads(body)["files"]:
            large, there = one["path"].endswith(".safetensors"), held.get(one["path"])
            oid = None if there is None else hashlib.sha256(there).hexdigest() if large else blob(there)
            mode = "lfs" if large else "regular"
            files.append({"path": one["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return self.send(200, {"files": files})

    def batch(self, body, _repository):
        objects = []
        for one in json.loads(body)["objects"]:
            action = {"upload": {"href": f"{self.hub.address}/lfs/{one['oid']}"}}
            objects.append({**one, **({} if one["oid"] in self.hub.objects else {"actions": action})})
        return self.send(200, {"transfer": "basic", "objects": objects})

    def store(self, body, oid):
        if hashlib.sha256(body).hexdigest() != oid:
            return self.send(400, b"")
        self.hub.objects[oid] = body
        return self.send(200, b"")

    def commit(self, body, repository, _revision):
        if self.no_repository(repository):
            return None
        files, message = dict(self.hub.files(repository)), None
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                message = value["summary"]
            elif entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        oid = self.hub.put(repository, files, message=message)
        return self.send(200, {"commitUrl": f"{self.hub.address}/{repository}/commit/{oid}", "commitOid": oid})

    def resolve(self, _body, repository, revision, name):
        if self.no_repository(repository):
            return None
        commits = self.hub.repositories[repository]["commits"]
        found = [(oid, files) for oid, files, _ in commits if revision in {oid, "main"}]
        if not found:
            return self.send(404, b"", X_Error_Code="RevisionNotFound")
        oid, files = found[-1]
        if name not in files:
            return self.send(404, b"", X_Error_Code="EntryNotFound", X_Repo_Commit=oid)
        content = files[name]
        digest = hashlib.sha256(content).hexdigest()
        told = {"ETag": f'"{digest}"', "X_Repo_Commit": oid}
        if self.command == "HEAD":
            told["X_Linked_Size"] = self.hub.said_size or len(content)
        elif self.hub.spoil:
            content = content[:-1] + bytes([content[-1] ^ 1])
        return self.send(200, content, **told)


def blob(content):
    """What git calls a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


_ROUTES = [
    (r"HEAD /", lambda self, _body: self.send(200, b"")),
    (r"POST /api/repos/create", _Handler.create),
    (r"GET /api/models/([^/]+/[^/]+)(?:/revision/main)?", _Handler.info),
    (r"POST /api/validate-yaml", _Handler.validate),
    (r"POST /api/models/([^/]+/[^/]+)/preupload/(.+)", _Handler.preupload),
    (r"POST /([^/]+/[^/]+)\.git/info/lfs/objects/batch", _Handler.batch),
    (r"PUT /lfs/([0-9a-f]{64})", _Handler.store),
    (r"POST /api/models/([^/]+/[^/]+)/commit/(.+)", _Handler.commit),
    (r"(?:HEAD|GET) /([^/]+/[^/]+)/resolve/([^/]+)/(.+)", _Handler.resolve),
]
