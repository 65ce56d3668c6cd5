"""The first hour of a new user, played: install, demo, an image, a folder, names, merges, labels, scores, Python.

A clone of this repository into an empty folder is all that there is; what is typed and what is answered is printed,
with the seconds that it took, to be read with the eyes of someone who knows tissue and not this program.

    python benchmarks/first_hour.py ../shared [FOLDER]     prints, and writes results/first_hour.txt

FOLDER keeps what was made, to be looked at; default is a temporary one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
EXPECTED = dict.fromkeys(("segment downloads", "estimate downloads"), 1)  # a file among them is none
STEPS = (
    "make demo",
    "histofactor --help",
    "histofactor doctor",
    "histofactor segment my_image.jpg -o first --source-mpp 0.5",
    "histofactor estimate downloads --source-mpp 0.25",
    "histofactor segment downloads -o out --source-mpp 0.25 -k 8",
    "histofactor status out",
    "histofactor concepts show out/concepts.safetensors -k 8",
    "histofactor concepts name out 3=stroma 5=tumour",
    "histofactor concepts merge out 1+4=tumour",
    "histofactor relabel out",
    "histofactor segment my_image.jpg -o out --source-mpp 0.5",
    "histofactor evaluate labelled -o scores -k 8,16",
    "python my_script.py",
)
SCRIPT = """import histofactor

result = histofactor.segment("my_image.jpg", source_mpp=0.5, k=8)
print(result)
labels = result.label_map.labels
for name, label in zip(result.label_map.names, range(1, 9)):
    print(f"{name}: {(labels == label).mean():.1%} of the image")
"""


def prepare(shared: Path, folder: Path) -> None:
    """What a user has on the disk: an image, nested downloads with a file that is broken, labelled images."""
    shutil.copy(shared / "data/example_3.jpg", folder / "my_image.jpg")
    for number, name in enumerate(("OSCC_400x_1.jpg", "OSCC_400x_16.jpg", "OSCC_400x_27.jpg")):
        case = folder / f"downloads/patient {number + 1}/scans"
        case.mkdir(parents=True)
        shutil.copy(shared / "data/oscc" / name, case / name.lower())
    whole = (shared / "data/oscc/OSCC_400x_8.jpg").read_bytes()
    (folder / "downloads/patient 2/scans/broken.jpg").write_bytes(whole[:5000])
    (folder / "downloads/patient 3/notes.txt").write_text("sent on Monday\n")
    for name in ("images", "labels"):
        (folder / "labelled" / name).mkdir(parents=True)
    for name in ("dataset.json", "images.csv"):
        shutil.copy(shared / "data/glas-dev" / name, folder / "labelled" / name)
    rows = (folder / "labelled/images.csv").read_text().splitlines()
    kept = [*rows[:1], *rows[1::8]]
    (folder / "labelled/images.csv").write_text("\n".join(kept) + "\n")
    for row in kept[1:]:
        stem = row.split(",")[0]
        for kind in ("images", "labels"):
            for path in (shared / "data/glas-dev" / kind).glob(f"{stem}.*"):
                shutil.copy(path, folder / "labelled" / kind / path.name)
    (folder / "my_script.py").write_text(SCRIPT)


def play(folder: Path) -> tuple[str, float, int]:
    """The transcript, the seconds of all steps, and how many ended in another way than they should."""
    bin_, told, total, wrong = folder / "histofactor/.venv/bin", [], 0.0, 0
    for step in STEPS:
        command, where = (step, folder / "histofactor") if step.startswith("make") else (f"{bin_}/{step}", folder)
        started = time.perf_counter()
        ran = subprocess.run(
            command, shell=True, cwd=where, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        seconds = time.perf_counter() - started
        expected = next((code for start, code in EXPECTED.items() if start in step), 0)
        total, wrong = total + seconds, wrong + (ran.returncode != expected)
        answer = re.sub(r"WARNING: Location .*\n", "", ran.stdout.replace(str(folder), "…")).rstrip()
        told.append(f"$ {step}\n{answer}\n[{seconds:.0f} s, exit code {ran.returncode}]\n")
        print(told[-1], flush=True)
    return "\n".join(told), total, wrong


def main() -> None:
    """Play the hour in a folder."""
    shared = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[2] if len(sys.argv) > 2 else temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", HERE, folder / "histofactor"], check=True)
        prepare(shared, folder)
        transcript, seconds, wrong = play(folder)
    last = f"{seconds / 60:.1f} minutes in all; {wrong} steps ended in another way than they should"
    print(last)
    (HERE / "benchmarks/results/first_hour.txt").write_text(f"{transcript}\n{last}\n", encoding="utf-8")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
