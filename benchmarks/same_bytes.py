"""Does a change of the code leave the results alone? Two versions of histofactor, file by file.

Both segment three small images, a real slide and a phantom slide by every method (``project`` in four views), once
undisturbed and once killed (SIGKILL) after the first band of every input and called again. Compared are every file of
every result: before against after, and resumed against undisturbed. Tissue is not looked for, so that a better tissue
mask is no difference.
``equal`` is said of equal bytes (of ``segmentation.json``: of all but hashes and versions; of Zarr: of all arrays),
``equal values`` of files that differ but hold the same px or text, ``differs`` of all others.

    python benchmarks/same_bytes.py ../shared --before f052821      prints a table and writes results/same_bytes.csv

``--methods project,raw`` takes some of the methods, ``--keep FOLDER`` keeps what was written.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from common import report
from PIL import Image

from histofactor.slides.phantom_slide import write_phantom_slide

VIEWED = "project"  # encoded in four views; the other methods, which take the same tokens, in one
METHODS = ("project", "raw", "cluster", "factorize", "single")
ROOT = Path(__file__).resolve().parents[1]
BANK = ROOT / "src/histofactor/encoders/embedded/concepts.safetensors"
LONG_SIDE_PX = 480
HASHES_AND_VERSIONS = re.compile(r".*(sha256|hash|digest).*|histofactor|versions?|recipe(_format)?")
MAIN = "from histofactor.cli.main import main; main()"
POLL_S = 0.02


def write_inputs(shared: Path, folder: Path) -> list[Path]:
    """Shrunk copies of three images, a slide, and a phantom slide; the slides are worked in several bands."""
    data, inputs = shared / "data", []
    field, carcinoma = (next(iter(sorted((data / name).iterdir()))) for name in ("glas-dev/images", "oscc"))
    for path in (field, carcinoma, data / "example_3.jpg"):
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            small = image.convert("RGB")
            small.thumbnail((LONG_SIDE_PX, LONG_SIDE_PX))
        inputs.append(folder / f"{path.stem}.png")
        small.save(inputs[-1])
    slide = folder / "cmu-1-small-region.svs"
    slide.symlink_to((data / "slides" / slide.name).resolve())
    phantom = folder / "phantom.tif"
    write_phantom_slide(phantom, (1024, 2560), seed=1, mpp=0.5)
    return [*inputs, slide, phantom]


def check_out(reference: str, folder: Path) -> Path:
    """Sources of a version, from the repository's own history."""
    archive = subprocess.run(["git", "archive", reference, "src"], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder / "src"


def segment(sources: Path, inputs: Sequence[Path], out: Path, method: str, *, kill: bool) -> int:
    """Segment the inputs with a version; returns how often it was killed, each input once at most."""
    command = [sys.executable, "-c", MAIN, "segment", *map(str, inputs), "-o", str(out), "--method", method]
    command += [
        "--no-tissue",
        "--keep-weights",
        "--ome-zarr",
        "--device",
        "cpu",
        *([] if method == VIEWED else ["--fast"]),
        *([] if method == "single" else ["--concepts", str(BANK)]),
    ]
    environment = {**os.environ, "PYTHONPATH": str(sources)}
    killed: set[str] = set()
    while True:
        with (out.with_suffix(".log")).open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=out.parent)
            while process.poll() is None:
                begun = inputs_begun(out) if kill else set()
                if begun - killed:
                    killed |= begun
                    process.kill()
                    process.wait()
                time.sleep(POLL_S)
        if process.returncode == 0:
            return len(killed)
        if process.returncode != -signal.SIGKILL:
            sys.exit(f"{' '.join(command)} ended with {process.returncode}; see {out.with_suffix('.log')}")


def inputs_begun(out: Path) -> set[str]:
    """Folder names of the inputs whose first band is on the disk; folders come and go meanwhile."""
    walked = os.walk(out / ".work")
    return {Path(folder).name for folder, _, names in walked if any(fnmatch(name, "state-*.npz") for name in names)}


def files_of(folder: Path) -> set[str]:
    """Names of the results in a folder, but for what tells when they were made; a Zarr store counts as one."""
    return {path.name for path in folder.iterdir()} - {"status.json"}


def verdict(one: Path, two: Path) -> str:
    """How two files or Zarr stores of equal name compare."""
    if one.suffix == ".zarr":
        return verdict_of_arrays(dict(arrays_of(one)), dict(arrays_of(two)))
    if one.name == "segmentation.json":
        first, second = (dict(flat(json.loads(path.read_text(encoding="utf-8")))) for path in (one, two))
        names = {name.split(".")[0] for name in first.keys() | second.keys() if first.get(name) != second.get(name)}
        return f"differs in {', '.join(sorted(names))}" if names else "equal"
    first, second = one.read_bytes(), two.read_bytes()
    if first == second:
        return "equal"
    return "equal values" if same_values(one, first, second) else "differs"


def same_values(path: Path, first: bytes, second: bytes) -> bool:
    """Whether files that differ in bytes hold the same px or text."""
    if path.suffix == ".gz":
        return gzip.decompress(first) == gzip.decompress(second)
    if path.suffix == ".tif":
        one, two = (tifffile.imread(BytesIO(content)) for content in (first, second))
        return np.array_equal(one, two)
    if path.suffix == ".png":
        one, two = (np.asarray(Image.open(BytesIO(content), formats=("PNG",))) for content in (first, second))
        return np.array_equal(one, two)
    return False


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of nested JSON by its dotted name, without hashes and versions."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not HASHES_AND_VERSIONS.fullmatch(key):
                yield from flat(inner, f"{name}.{key}" if name else key)
    else:
        yield name, value


def arrays_of(store: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Every array of a Zarr store by its path."""
    root = zarr.open(store, mode="r")
    if isinstance(root, zarr.Array):
        yield "", np.asarray(root[:])
    else:
        for name, member in root.members(max_depth=None):
            if isinstance(member, zarr.Array):
                yield name, np.asarray(member[:])


def verdict_of_arrays(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> str:
    names = [name for name in first.keys() | second.keys() if not same_array(first.get(name), second.get(name))]
    return f"differs in {', '.join(sorted(names))}" if names else "equal"


def same_array(one: np.ndarray | None, two: np.ndarray | None) -> bool:
    return one is not None and two is not None and one.dtype == two.dtype and np.array_equal(one, two)


def compare(one: Path, two: Path, stems: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """(input, file, verdict) of every result in two output folders."""
    for stem in stems:
        first, second = files_of(one / stem), files_of(two / stem)
        for name in sorted(first | second):
            if name in first & second:
                yield stem, name, verdict(one / stem / name, two / stem / name)
            else:
                yield stem, name, "only in the first" if name in first else "only in the second"


def measure(
    shared: Path, before: str, methods: Sequence[str], folder: Path
) -> Iterator[tuple[str, str, str, str, str]]:
    """(method, comparison, input, file, verdict) of everything."""
    (folder / "inputs").mkdir(parents=True)
    inputs = write_inputs(shared, folder / "inputs")
    stems = [path.stem for path in inputs]
    versions = {"before": check_out(before, folder / "before"), "after": ROOT / "src"}
    for method in methods:
        outs: dict[tuple[str, bool], Path] = {}
        for version, sources in versions.items():
            for kill in (False, True):
                started = time.perf_counter()
                out = outs[version, kill] = folder / f"{method}-{version}{'-resumed' if kill else ''}"
                kills = segment(sources, inputs, out, method, kill=kill)
                seconds = time.perf_counter() - started
                print(f"{out.name}: {seconds:.0f} s{f', killed {kills} times' if kill else ''}", file=sys.stderr)
                if kill and not kills:  # the method keeps no bands, so there is nothing to go on from
                    del outs[version, kill]
        pairs = {
            "before, after": (("before", False), ("after", False)),
            "before, resumed": (("before", False), ("before", True)),
            "after, resumed": (("after", False), ("after", True)),
        }
        for name, (one, two) in pairs.items():
            if one in outs and two in outs:
                for row in compare(outs[one], outs[two], stems):
                    yield method, name, *row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, nargs="?", default=Path("../shared"))
    parser.add_argument("--before", default="f052821", metavar="REF")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.keep or Path(temporary)).resolve()
        rows = list(measure(given.shared, given.before, given.methods.split(","), folder))
    tally = Counter((method, pair, file, told) for method, pair, _, file, told in rows)
    for (method, pair, file, told), count in sorted(tally.items()):
        if told != "equal":
            print(f"{method}: {pair}: {file}: {told} ({count} inputs)")
    header = ("method", "compared", "file", "verdict", "inputs")
    report("same_bytes", header, [(*key, count) for key, count in sorted(tally.items())], ["numpy", "torch", "zarr"])


if __name__ == "__main__":
    main()
