"""Tell of the embedded bank how the tissue of each concept is stained, and colour its concepts by what they cover.

Vectors stay as they are: the hash of the bank does not change, and neither do labels made with it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from sources import SLIDE, check_hashes

from histofactor.concepts.bank.coloring import colored
from histofactor.concepts.bank.file import read_bank_file, write_bank_file
from histofactor.concepts.bank.provenance import counts_of
from histofactor.concepts.bank.record import bank_hash, check_features
from histofactor.concepts.learn.counts_and_examples import counts_and_examples
from histofactor.concepts.learn.split import level_by
from histofactor.runs.sample_builder import LearnOptions, SampleBuilder
from histofactor.runs.source import Source, Sources
from histofactor.segmentation.setup import learning_setup

TOKENS = 60_000  # as in make_bank.py
COLORED = 16  # K up to which colours are given anew: the worst pairs of more were further apart before


def main() -> None:
    """Sample the training images as the bank was learned from them, and write what they tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="folder with data/ and weights/")
    parser.add_argument("bank", type=Path, help="concepts.safetensors to write again")
    arguments = parser.parse_args()
    root: Path = arguments.root
    check_hashes(root)
    file = read_bank_file(arguments.bank)
    fields, tiles = sorted((root / "data/oscc").glob("*.jpg")), sorted((root / "data/ocdc/images").glob("*.jpg"))
    known = [*((path, 0.25) for path in fields), *((path, 0.5) for path in tiles), (root / SLIDE, None)]
    paths = {path.name: path for path, _ in known}
    sources = Sources(
        tuple(Source(path.name, mpp=mpp) for path, mpp in known), lambda wanted: (paths[one.name] for one in wanted)
    )
    setup = learning_setup("embedded", None, LearnOptions().encoder)
    builder = SampleBuilder(sources, setup, LearnOptions(tokens=TOKENS))
    builder.gather()
    sample = builder.sample
    sample.sort()
    used = builder.used
    slides = sample.slides[: sample.size].astype(np.int64)
    sides = [builder.slides[source.name]["side"] for source in used]
    banks = {}
    for k, bank in file.banks.items():
        check_features(bank, setup.encoder.spec.key)
        level = level_by(bank, sample.tokens[: sample.size])
        counts = counts_of(bank)
        print(f"K = {k}: {np.abs(level.counts - counts).sum() / 2:.0f} of {sample.size} tokens count elsewhere")
        stains = counts_and_examples(sample, slides, level, [None] * len(used), sides)["stains"]
        told = replace(bank, provenance={**bank.provenance, "stains": stains})
        banks[k] = colored(told) if k <= COLORED else told
        assert bank_hash(banks[k]) == bank_hash(bank)
    write_bank_file(replace(file, banks=banks), arguments.bank)


if __name__ == "__main__":
    main()
