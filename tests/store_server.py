"""Stores on loopback: a server of files over HTTP on good and bad days, and as much of S3 as is asked of it."""

import hashlib
import re
import threading
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from loopback import serving

SECRET = "topsecretvalue"  # key of all buckets


class Store:
    """Files by their paths, which begin with a slash; what goes wrong is set by the tests."""

    def __init__(self):
        self.files = {}
        self.requests = []  # (method, path with query, Range)
        self.sent = 0  # bytes of answers
        self.ranges = True
        self.versions = True
        self.lengths = True  # whether it says how long a file is
        self.status = {}  # by path: what it answers instead
        self.break_after = 0  # bytes after which an answer breaks off, so many times
        self.breaks = 0
        self.said = {}  # by path: length that HEAD tells
        self.listings = True
        self.lock = threading.Lock()

    def fetches(self, path):
        """How often the content of a file was asked for."""
        return sum(method == "GET" and unquote(urlsplit(at).path) == path for method, at, _ in self.requests)


@contextmanager
def serve(handler=None):
    """A store and its address."""
    store = Store()
    with serving(handler or _Http, store=store) as address:
        yield store, address


class _Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        store, path = self.store, unquote(urlsplit(self.path).path)
        with store.lock:
            store.requests.append((self.command, self.path, self.headers.get("Range")))
        if path in store.status:
            return self.send(store.status[path], b"", body=body)
        if path.endswith("/") and store.listings:
            return self.send(200, self.listing(path), {"Content-Type": "text/html"}, body=body)
        content = store.files.get(path)
        if content is None:
            return self.send(404, b"", body=body)
        headers = {"ETag": f'"{hashlib.md5(content).hexdigest()}"'} if store.versions else {}
        if store.ranges:
            headers["Accept-Ranges"] = "bytes"
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "") if store.ranges else None
        status = 200
        if found:
            start, end = int(found[1]), min(int(found[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            content, status = content[start : end + 1], 206
        return self.send(status, content, headers, body=body, said=store.said.get(path))

    def send(self, status, content, headers=None, *, body, said=None):
        store = self.store
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if store.lengths or status >= 400:
            self.send_header("Content-Length", str(len(content) if said is None or body else said))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.send_header("Last-Modified" if store.versions else "X-None", formatdate(0, usegmt=True))
        self.end_headers()
        if not body:
            return
        with store.lock:
            broken = store.breaks > 0 and len(content) > store.break_after
            store.breaks -= broken
            store.sent += len(content)
        self.wfile.write(content[: store.break_after] if broken else content)
        if broken:
            self.wfile.flush()
            self.close_connection = True

    def listing(self, folder):
        names = {path.removeprefix(folder).split("/")[0] + "/" * (path.removeprefix(folder).count("/") > 0)
                 for path in self.store.files if path.startswith(folder)}  # fmt: skip
        links = "".join(f'<a href="{quote(name)}">{escape(name)}</a>' for name in sorted(names))
        return f'<html><a href="?C=N;O=D">Name</a><a href="../">up</a>{links}</html>'.encode()


class S3(_Http):
    """HEAD and GET of an object, and the list of a bucket; objects are files ``/BUCKET/KEY``."""

    def answer(self, *, body):
        query = parse_qs(urlsplit(self.path).query)
        if "list-type" not in query and "location" not in query:
            return super().answer(body=body)
        bucket = urlsplit(self.path).path.strip("/")
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        keys = {path.removeprefix(f"/{bucket}/"): content for path, content in self.store.files.items()
                if path.startswith(f"/{bucket}/{prefix}")}  # fmt: skip
        folders = {prefix + key.removeprefix(prefix).split(delimiter)[0] + delimiter for key in keys
                   if delimiter and delimiter in key.removeprefix(prefix)}  # fmt: skip
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(content)}</Size>"
            f'<ETag>"{hashlib.md5(content).hexdigest()}"</ETag><LastModified>1970-01-01T00:00:00.000Z</LastModified>'
            f"<StorageClass>STANDARD</StorageClass></Contents>"
            for key, content in sorted(keys.items())
            if not any(key.startswith(folder) for folder in folders)
        )
        rows += "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(folders))
        name = '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        text = f"{name}<Name>{bucket}</Name><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
        with self.store.lock:
            self.store.requests.append((self.command, self.path, None))
        return self.send(200, text.encode(), {"Content-Type": "application/xml"}, body=body)


@contextmanager
def serve_s3(monkeypatch, nowhere):
    """Buckets on loopback, which s3fs finds by itself; ``nowhere`` is a path where nothing lies."""
    import s3fs

    with serve(S3) as (made, address):
        for name, value in {
            "AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(nowhere), "AWS_SHARED_CREDENTIALS_FILE": str(nowhere),
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        yield made
        s3fs.S3FileSystem.clear_instance_cache()
