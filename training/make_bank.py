"""Learn the embedded encoder's concept bank from the training images, by ``histofactor concepts train``."""

from __future__ import annotations

import argparse
import csv
import subprocess
import tempfile
from pathlib import Path

from sources import SLIDE, check_hashes

from histofactor.concepts.bank.file import read_bank_file, write_bank_file

TOKENS = 60_000  # so that the slide counts as a few fields
LICENCE = "CC BY 4.0 (oral fields and tiles), CC0 (slide); the encoder is Apache-2.0"


def main() -> None:
    """Write the table of resolutions, run the command, state the licence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="folder with data/ and weights/")
    parser.add_argument("-o", "--out", type=Path, required=True, help="concepts.safetensors to write")
    arguments = parser.parse_args()
    root: Path = arguments.root
    check_hashes(root)
    fields, tiles = sorted((root / "data/oscc").glob("*.jpg")), sorted((root / "data/ocdc/images").glob("*.jpg"))
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "resolutions.csv"
        with table.open("w", newline="") as file:
            rows = [*((path.name, 0.25) for path in fields), *((path.name, 0.5) for path in tiles)]
            csv.writer(file).writerows([("file", "mpp"), *rows, (Path(SLIDE).name, "")])
        command = ["histofactor", "concepts", "train", *fields, *tiles, root / SLIDE, "--table", table]
        command += ["-k", "8,16,32,64", "--tokens", TOKENS, "-o", arguments.out]
        subprocess.run([str(part) for part in command], check=True)
    file = read_bank_file(arguments.out)
    write_bank_file(
        type(file)(file.banks, {**file.card, "title": "embedded, oral and skin tissue", "licence": LICENCE}),
        arguments.out,
    )


if __name__ == "__main__":
    main()
