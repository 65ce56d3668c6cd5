"""A server on loopback that behaves as the Genomic Data Commons does, on its bad days too."""

import hashlib
import io
import json
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import numpy as np
from PIL import Image

from histofactor.slides.phantom import phantom
from histofactor.tcga.gdc import GdcFile
from loopback import serving


class Gdc:
    """Twenty files of two projects; what goes wrong is set by the tests."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.content = {f"id-{i:02}": rng.bytes(3000 + 977 * i) for i in range(20)}
        self.files = [
            GdcFile(
                key,
                f"slide {i}.svs",
                hashlib.md5(self.content[key]).hexdigest(),
                len(self.content[key]),
                f"TCGA-{'AB'[i % 2]}",
                f"case {i // 3}",
            )
            for i, key in enumerate(self.content)
        ]
        self.requests = []  # (path, Range)
        self.corrupt = set()  # ids served wrong once
        self.fail_every = 0  # fails every n-th request, in turn by an answer, and by breaking off half-way
        self.ranges = True
        self.retry_after = "0"
        self.raw = None  # bytes that answer every query
        self.lock = threading.Lock()

    def fill_with_images(self, side=600):
        """Let every file be an image of tissue, as large as four tiles and a bit."""
        for number, file in enumerate(self.files):
            content = io.BytesIO()
            Image.fromarray(phantom((side, side), seed=number, mpp=1.0).image).save(content, "PNG")
            self.content[file.file_id] = content.getvalue()
            md5 = hashlib.md5(content.getvalue()).hexdigest()
            self.files[number] = replace(file, name=f"{number}.png", md5=md5, size=len(content.getvalue()))

    def hits(self, query):
        wanted = {part["content"]["field"]: part["content"]["value"] for part in query["filters"]["content"]}
        projects = wanted.get("cases.project.project_id", ["TCGA-A", "TCGA-B"])
        found = [file for file in self.files if file.project in projects]
        if wanted["files.experimental_strategy"] != ["Diagnostic Slide"]:
            found = []
        start = query["from"]
        hits = [
            {
                "file_id": file.file_id,
                "file_name": file.name,
                "file_size": file.size,
                "md5sum": file.md5,
                "cases": [{"submitter_id": file.case, "project": {"project_id": file.project}}],
            }
            for file in found[start : start + query["size"]]
        ]
        return {"data": {"hits": hits, "pagination": {"total": len(found)}}}


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def trouble(self):
        """0 for none, else 1, 2, … in turn."""
        gdc = self.gdc
        with gdc.lock:
            gdc.requests.append((self.path, self.headers.get("Range")))
            number = len(gdc.requests)
            return number // gdc.fail_every if gdc.fail_every and number % gdc.fail_every == 0 else 0

    def do_POST(self):
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.trouble():
            self.send_error(500)
            return
        gdc = self.gdc
        self.answer(200, json.dumps(gdc.hits(query)).encode() if gdc.raw is None else gdc.raw)

    def do_GET(self):
        gdc, trouble = self.gdc, self.trouble()
        if trouble % 2 == 1:
            self.send_response(503)
            self.send_header("Retry-After", gdc.retry_after)
            self.end_headers()
            return
        key = self.path.removeprefix("/data/")
        if key not in gdc.content:
            self.send_error(404)
            return
        content = gdc.content[key]
        with gdc.lock:
            if key in gdc.corrupt:
                gdc.corrupt.discard(key)
                content = content[:100] + bytes([content[100] ^ 1]) + content[101:]
        start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")) if "Range" in self.headers else 0
        if not gdc.ranges or not start:
            self.answer(200, content, cut=bool(trouble))
        else:
            self.answer(206, content[start:], f"bytes {start}-{len(content) - 1}/{len(content)}", cut=bool(trouble))

    def answer(self, status, content, content_range=None, *, cut=False):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        with suppress(ConnectionError):  # a client that has read enough hangs up
            self.wfile.write(content[: len(content) // 2] if cut else content)


@contextmanager
def serve():
    """Yield a running server; its address is ``endpoint``."""
    gdc = Gdc()
    with serving(Handler, gdc=gdc) as gdc.endpoint:
        yield gdc
