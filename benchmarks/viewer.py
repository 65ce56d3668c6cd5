"""How quick is the viewer on a phantom slide of 40,000 px a side, and on a study of 1,000 slides?

A real server (``histofactor view``) is asked over its socket for tiles at random places and levels; p95 of 200 of each.
Cold tiles are asked for once, warm ones again. 16 tiles at once are asked for by 16 threads; the slowest of them
counts. The page is opened in Chromium until slide and map are drawn. The memory is the server's after 5,000 random
tiles. The map of the slide is its truth, so that nothing needs to be encoded.

    python benchmarks/viewer.py            prints a table and writes results/viewer.csv
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from common import report
from PIL import Image

from histofactor.base.digests import read_digested, write_digested
from histofactor.base.names import LABELS, WEIGHTS
from histofactor.export.labels import write_labels
from histofactor.export.seal import read_seal, write_seal
from histofactor.export.weights import WeightsHeader, write_weights
from histofactor.masks.sparse import quantise
from histofactor.records import LabelMap, Segmentation
from histofactor.runs.ledger import RUNS, begin
from histofactor.runs.results import Outputs
from histofactor.runs.segment_many import ManyOptions, segment_many
from histofactor.runs.source import Opening
from histofactor.segmentation.setup import SegmentOptions
from histofactor.slides.phantom import phantom
from histofactor.slides.phantom_slide import write_phantom_slide
from histofactor.viewer.tiles import TILE_PX, max_level

SIDE, MPP, STEP, STRIDE = 40_000, 0.25, 4, 8
MANY, TILES, RANDOM, AT_ONCE = 1000, 200, 5000, 16
PANE = "window.histofactor?.page()?.panes?.[0]"
DRAWN = f"() => {PANE}?.slide && {PANE}.viewer.world.getItemAt(0)?.getFullyLoaded() && {PANE}.layer.ready"


def small_study(folder: Path) -> Path:
    """A study of one small image, for others to be made of."""
    image = folder / "small.png"
    Image.fromarray(phantom((320, 240), mpp=1.0).image).save(image)
    options = ManyOptions(
        opening=Opening(source_mpp=1.0), segment=SegmentOptions(views=1), outputs=Outputs(weights=True)
    )
    segment_many([image], folder / "out", k=8, options=options)
    return folder / "out"


def large_study(folder: Path) -> Path:
    """The study of a slide whose map is its truth."""
    out = small_study(folder)
    plan = write_phantom_slide(folder / "large.tif", (SIDE, SIDE), mpp=MPP)
    rows = [plan.truth(0, y, SIDE, 2000, step=STEP) for y in range(0, SIDE, 2000)]
    labels, results = np.concatenate(rows), out / "small"
    side, grid = len(labels), -(-len(labels) // STRIDE)
    names, colors = tuple(map(str, range(8))), tuple((i, i, i) for i in range(8))
    map_ = LabelMap(labels, MPP * STEP, (0, 0), names, colors)
    write_labels(Segmentation(None, map_, None, None, (STEP, STEP), {}), results / LABELS)
    content = read_seal(results)
    content.pop("digests")
    content["source"] |= {"size": [SIDE, SIDE], "mpp": MPP}
    content["geometry"] |= {"l0_per_px": [float(STEP)] * 2, "size": [side, side]}
    content["made_by"] |= {"path": str(folder / "large.tif"), "source_mpp": None}
    header = WeightsHeader(
        "large.tif", (side, side), MPP * STEP, (STEP, STEP), STRIDE, "project", content["recipe_sha256"], names, colors
    )
    rng = np.random.default_rng(0)
    parts = (
        quantise(rng.gamma(0.5, 1.0, (min(64, grid - top), grid, 8)).astype(np.float32)) for top in range(0, grid, 64)
    )
    write_weights(parts, rng.random((grid, grid)).astype(np.float32), header, results / WEIGHTS)
    write_seal(content, results)
    return out


def many_study(folder: Path, count: int) -> Path:
    """The small study with its slide so many times."""
    out = small_study(folder)
    (run,) = (out / RUNS).glob("*.json")
    facts = {name: value for name, value in read_digested(run).items() if name not in {"inputs", "started"}}
    run.unlink()
    _, places = begin(out, facts, [folder / f"slide-{number:04}.png" for number in range(count)])
    for place in places:
        shutil.copytree(out / "small", place.results, copy_function=os.link)
        status = read_digested(place.results / "status.json")
        (place.results / "status.json").unlink()
        write_digested({**status, "folder": place.name}, place.results / "status.json")
    shutil.rmtree(out / "small")
    return out


class Client:
    """What asks the server."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.headers = port, {"Cookie": f"histofactor-{port}={token}"}
        self._local = threading.local()

    def get(self, path: str) -> bytes:
        """What the server answers; raises ValueError where that is an error."""
        try:
            answer = self._ask(path)
        except http.client.RemoteDisconnected:  # the connection had been idle for long
            self._local.connection = None
            answer = self._ask(path)
        content = answer.read()
        if answer.status != 200:
            raise ValueError(f"{path}: {answer.status} {content[:200]!r}")
        return gzip.decompress(content) if answer.headers.get("content-encoding") == "gzip" else content

    def _ask(self, path: str) -> http.client.HTTPResponse:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", path, headers=self.headers)
        return connection.getresponse()

    def seconds(self, path: str) -> float:
        """How long an answer takes."""
        started = time.perf_counter()
        self.get(path)
        return time.perf_counter() - started


@contextmanager
def served(out: Path) -> Iterator[tuple[Client, str, int]]:
    """Serve a study as a user does; yields a client, the address and the process."""
    command = [sys.executable, "-c", "from histofactor.cli.main import main; main()", "view", str(out), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            found = re.search(r"(http://127\.0\.0\.1:([0-9]+)/\?token=(\S+))", process.stdout.readline())
            yield Client(int(found[2]), found[3]), found[1], process.pid
        finally:
            process.terminate()


def slide_tiles(told: dict, rng: np.random.Generator, count: int) -> list[str]:
    """Addresses of random tiles of random levels that hold more than one tile."""
    top, found = max_level(told["size"]), []
    while len(found) < count:
        level = int(rng.integers(9, top + 1))
        across = -(-SIDE // (TILE_PX << (top - level)))
        column, row = rng.integers(0, across, 2)
        found.append(f"/tiles/{told['id']}/{told['tiles_version']}/{level}_{column}_{row}.jpg")
    return found


def label_tiles(told: dict, rng: np.random.Generator, count: int) -> list[str]:
    """Addresses of random tiles of the map."""
    found = []
    for _ in range(count):
        level = int(rng.integers(0, len(told["labels"]["sizes"])))
        width, height = told["labels"]["sizes"][level]
        column, row = rng.integers(0, -(-width // 512)), rng.integers(0, -(-height // 512))
        found.append(f"/labels/{told['id']}/{told['labels_version']}/{level}_{column}_{row}.bin")
    return found


def p95(seconds: list[float]) -> float:
    return round(1000 * float(np.percentile(seconds, 95)), 1)


def at_once(client: Client, paths: list[str]) -> float:
    """Seconds until the last of some tiles that are asked for at once is there."""
    started, ends = threading.Barrier(len(paths) + 1), []

    def ask(path: str) -> None:
        started.wait()
        client.get(path)
        ends.append(time.perf_counter())

    threads = [threading.Thread(target=ask, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    started.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    return max(ends) - begun


def memory_mb(process: int) -> int:
    return int(re.search(r"VmRSS:\s+([0-9]+)", Path(f"/proc/{process}/status").read_text())[1]) // 1024


def first_views(address: str, times: int = 3) -> list[float]:
    """Seconds from the opening of the page until slide and map are drawn; the first is of a cold server."""
    from playwright.sync_api import sync_playwright

    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(times):
            page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            started = time.perf_counter()
            page.goto(address)
            page.wait_for_function(DRAWN)
            found.append(time.perf_counter() - started)
            page.close()
        browser.close()
    return found


def large(folder: Path) -> list[dict[str, object]]:
    rng, rows = np.random.default_rng(0), []
    with served(large_study(folder)) as (client, address, process):
        views = first_views(address)
        rows.append({"what": "first view in Chromium, cold server, s", "found": round(views[0], 2), "limit": 1})
        rows.append(
            {"what": "first view in Chromium, again, s", "found": round(float(np.median(views[1:])), 2), "limit": 1}
        )
        id_ = json.loads(client.get("/api/study"))["first"]
        told = json.loads(client.get(f"/api/slides/{id_}"))
        tiles = list(dict.fromkeys(slide_tiles(told, rng, TILES)))
        for name, limit in (("cold", 250), ("warm", 60)):
            rows.append(
                {
                    "what": f"slide tiles, {name}, p95, ms",
                    "found": p95([client.seconds(one) for one in tiles]),
                    "limit": limit,
                }
            )
        labels = label_tiles(told, rng, TILES)
        rows.append(
            {"what": "label tiles, p95, ms", "found": p95([client.seconds(one) for one in labels]), "limit": 20}
        )
        alone = sum(client.seconds(path) for path in slide_tiles(told, rng, AT_ONCE))
        together = at_once(client, slide_tiles(told, rng, AT_ONCE))
        rows.append(
            {"what": f"{AT_ONCE} cold tiles one after another, ms", "found": round(1000 * alone, 1), "limit": ""}
        )
        rows.append(
            {"what": f"{AT_ONCE} cold tiles at once, the last, ms", "found": round(1000 * together, 1), "limit": ""}
        )
        waiting = threading.Thread(target=at_once, args=(client, slide_tiles(told, rng, AT_ONCE)))
        waiting.start()
        meanwhile = [client.seconds(path) for path in label_tiles(told, rng, 10)]
        waiting.join()
        rows.append({"what": "label tiles meanwhile, p95, ms", "found": p95(meanwhile), "limit": ""})
        for path in slide_tiles(told, rng, RANDOM):
            client.get(path)
        rows.append({"what": f"server after {RANDOM} random tiles, MB", "found": memory_mb(process), "limit": 700})
        heat = client.seconds(f"/heat/{id_}/{told['labels_version']}/margin.bin")
        rows.append({"what": "margin of the whole slide, ms", "found": round(1000 * heat, 1), "limit": ""})
    return rows


def many(folder: Path) -> list[dict[str, object]]:
    rows = []
    for count in (10, MANY):
        (folder / str(count)).mkdir()
        out = many_study(folder / str(count), count)
        started = time.perf_counter()
        with served(out) as (client, address, _):
            ready = time.perf_counter() - started
            client.get("/api/study")
            views = first_views(address, 2)
            rows.append({"what": f"{count} slides: command until it listens, s", "found": round(ready, 2), "limit": ""})
            rows.append({"what": f"{count} slides: first view, s", "found": round(views[0], 2), "limit": 1})
            rows.append({"what": f"{count} slides: first view again, s", "found": round(views[1], 2), "limit": 1})
            started = time.perf_counter()
            with suppress(ValueError):
                client.get("/api/table")
            rows.append(
                {
                    "what": f"{count} slides: whole table, s",
                    "found": round(time.perf_counter() - started, 2),
                    "limit": "",
                }
            )
    return rows


def main() -> None:
    others = round(os.getloadavg()[1], 1)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("large", "many"):
            Path(folder, name).mkdir()
        rows = [*large(Path(folder, "large")), *many(Path(folder, "many"))]
    rows.append({"what": "load average of the 5 minutes before", "found": others, "limit": ""})
    table = [(row["what"], row["found"], row["limit"]) for row in rows]
    report("viewer", ("what", "found", "limit"), table, ("starlette", "uvicorn", "tifffile", "pillow"))


if __name__ == "__main__":
    main()
