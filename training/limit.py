"""Tell above which residual tissue is unlike the embedded bank: writes it into the bank, all else unchanged."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from make_bank import TOKENS
from sources import SLIDE, check_hashes

from histofactor.concepts.bank import bank_hash
from histofactor.concepts.bank_file import read_bank_file, write_bank_file
from histofactor.concepts.card import LIMIT
from histofactor.concepts.choice import held_out_residuals
from histofactor.pipeline.engine import SegmentOptions, prepare
from histofactor.pipeline.gather import Collection, LearnOptions, LearnReporter, Supply, name_sources


def main() -> None:
    """Sample the training images as the bank was learned from them, and hold slides out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="folder with data/ and weights/")
    parser.add_argument("bank", type=Path, help="concepts.safetensors to complete")
    arguments = parser.parse_args()
    root: Path = arguments.root
    check_hashes(root)
    file = read_bank_file(arguments.bank)
    before = {k: bank_hash(bank) for k, bank in file.banks.items()}
    limits = measure(root, list(file.banks), file.banks[8].encoder.transform)
    choice = file.card["choice"]
    rows = [{**row, LIMIT: limits[row["k"]]} for row in choice["rows"]]
    banks = {k: replace(bank, provenance={**bank.provenance, LIMIT: limits[k]}) for k, bank in file.banks.items()}
    write_bank_file(replace(file, banks=banks, card={**file.card, "choice": {**choice, "rows": rows}}), arguments.bank)
    written = read_bank_file(arguments.bank)
    if {k: bank_hash(bank) for k, bank in written.banks.items()} != before:
        raise SystemExit("the bank has changed")
    print("\n".join(f"K = {k}: {limit:.4f}" for k, limit in limits.items()))


def measure(root: Path, ks: list[int], transform: str) -> dict[int, float]:
    """The limit of every K."""
    fields, tiles = sorted((root / "data/oscc").glob("*.jpg")), sorted((root / "data/ocdc/images").glob("*.jpg"))
    paths = [*fields, *tiles, root / SLIDE]
    mpps = [*(0.25 for _ in fields), *(0.5 for _ in tiles), None]
    sources = [replace(source, mpp=mpp) for source, mpp in zip(name_sources(paths), mpps, strict=True)]
    by_name = {source.name: path for source, path in zip(sources, paths, strict=True)}
    options = LearnOptions(tokens=TOKENS, encoder=SegmentOptions(transform=transform))
    engine = prepare(method="single", options=options.encoder)
    collection = Collection(Supply(sources, lambda todo: (by_name[one.name] for one in todo)), engine, options)
    collection.gather(LearnReporter())
    if collection.left_out:
        raise SystemExit(f"cannot be read: {collection.left_out}")
    sample = collection.sample
    sample.sort()
    X, slides, norms = (values[: sample.size] for values in (sample.tokens, sample.slides, sample.sq_norms))
    found = held_out_residuals(X, slides, ks, options.train, norms)
    return {k: limit for k, (_, limit) in found.items() if limit is not None}


if __name__ == "__main__":
    main()
