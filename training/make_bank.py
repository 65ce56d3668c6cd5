"""Learn the embedded encoder's concept bank from the training images, through histofactor's own interface."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sources import SLIDE, check_hashes

from histofactor.concepts.bank_file import save_bank
from histofactor.concepts.train import banks_from_features
from histofactor.pipeline.engine import prepare
from histofactor.pipeline.segment import tissue_features
from histofactor.slides.reader import open_slide

KS = (8, 16, 32, 64)
TOKENS_PER_IMAGE = 5_000


def main() -> None:
    """Encode, sample tissue tokens, cluster, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="folder with data/ and weights/")
    parser.add_argument("-o", "--out", type=Path, required=True, help="concepts.safetensors to write")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    root: Path = arguments.root
    check_hashes(root)
    inputs: list[tuple[Path, float | None]] = [(p, 0.25) for p in sorted((root / "data/oscc").glob("*.jpg"))]
    inputs += [(p, 0.5) for p in sorted((root / "data/ocdc/images").glob("*.jpg"))]
    inputs.append((root / SLIDE, None))

    engine = prepare(encoder="embedded", method="single")
    spec = engine.encoder.spec
    rng = np.random.default_rng(arguments.seed)
    samples = []
    for path, mpp in inputs:
        with open_slide(path, source_mpp=mpp) as slide:
            features = tissue_features(slide, engine)
        # a slide counts as four fields
        size = min(len(features), TOKENS_PER_IMAGE if mpp else 4 * TOKENS_PER_IMAGE)
        samples.append(features[np.sort(rng.choice(len(features), size, replace=False))])
        print(f"{path.name}: {size} of {len(features)} tokens", flush=True)
    provenance = {
        "images": [path.relative_to(root).as_posix() for path, _ in inputs],
        "licence": "CC BY 4.0 (oral fields and tiles), CC0 (slide)",
    }
    banks = banks_from_features(
        np.concatenate(samples), KS, spec.key, mpp=spec.mpp, seed=arguments.seed, provenance=provenance
    )
    save_bank(banks, arguments.out)


if __name__ == "__main__":
    main()
