"""What should the embedded encoder be asked to say?

The teachers of ``training``, alone, against their surround and side by side, and the encoder's revisions, on the grid
of 8 µm of ``glas-dev``: split-root features, less three quarters of what a field's mean differs from the mean of all,
are clustered without labels (K = 64, and its unions at 16; three seeds) and projected; a concept has the class of most
of its px on the other patients. ``probe`` is a logistic regression on features that are centred alike, patients held
out.

    python benchmarks/embedded_targets.py ../shared REVISION-2.safetensors      writes results/embedded_targets.csv
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from common import report
from PIL import Image
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

from histofactor.concepts.bank.hierarchy import nest
from histofactor.concepts.learn.kmeans import KMeansOptions, kmeans
from histofactor.encoders.embedded.network import HALO_PX, STRIDE_PX, EmbeddedNetwork
from histofactor.encoders.weights import embedded_path
from histofactor.evaluation.data.datasets import load_dataset, read_truth
from histofactor.evaluation.scores import metrics
from histofactor.factor.nnls import project, unit_concepts

sys.path.append(str(Path(__file__).parents[1] / "training"))
from targets import principal_components
from teachers import Teachers

KS, SEEDS, TOKENS, SHARE, PROBED = (16, 64), (0, 1, 2), 60_000, 0.75, 400
Grids = list[np.ndarray]  # features of every field, (h, w, d)


def main() -> None:
    """Score every kind of features."""
    shared = Path(sys.argv[1])
    dataset = load_dataset(shared / "data/glas-dev")
    images, truth = zip(*(at_one_micron(dataset, item) for item in dataset.items), strict=True)
    patients = np.unique([item.patient for item in dataset.items], return_inverse=True)[1]
    teachers = Teachers(shared)
    pathology, photographs = zip(*map(teachers, images), strict=True)
    first = in_units(pathology)
    second = in_units(principal_components([grid.astype(np.float16) for grid in photographs]))
    kinds = {
        "pathology": first,
        "pathology, less half of its surround": [grid - 0.5 * surround(grid) for grid in first],
        "photographs": second,
        "both, photographs at 0.6": joined(first, second, 0.6),
        "both, photographs at 1": joined(first, second, 1.0),
        "the student, revision 2": said(sys.argv[2], images),
        "the student, revision 3": said(embedded_path("encoder.safetensors"), images),
    }
    rows = []
    for name, grids in kinds.items():
        found = clustered(centred(rooted(grids)), truth, patients)
        probe = probed(centred(grids), truth, patients)
        rows += [(name, k, np.mean(v), min(v), max(v), probe) for k, v in found.items()]
        print(*rows[-len(KS) :], sep="\n", flush=True)
    report("embedded_targets", ("features", "K", "mIoU", "lowest seed", "highest seed", "probe"), rows, ("torch",))


def at_one_micron(dataset, item) -> tuple[np.ndarray, np.ndarray]:
    """A field at 1 µm/px, and the px of both classes in its tokens, (tokens, 2)."""
    image, truth = np.asarray(Image.open(item.image).convert("RGB")), read_truth(dataset, item)
    size = tuple(round(n * dataset.mpp) for n in truth.shape[::-1])
    rows, cols = (n // 16 * 2 for n in size[::-1])
    small, share = (cv2.resize(a, size, interpolation=cv2.INTER_AREA) for a in (image, (truth == 1).astype(np.float32)))
    tokens = share[: rows * STRIDE_PX, : cols * STRIDE_PX].reshape(rows, STRIDE_PX, cols, STRIDE_PX)
    px = np.rint(tokens.sum((1, 3))).astype(np.int64).ravel()
    return np.ascontiguousarray(small[: rows * STRIDE_PX, : cols * STRIDE_PX]), np.stack([STRIDE_PX**2 - px, px], 1)


@torch.no_grad()
def said(weights: str | Path, images: tuple[np.ndarray, ...]) -> Grids:
    """What a revision of the student makes of the fields."""
    stored = {name: value.float() for name, value in load_file(weights).items()}
    network, width = EmbeddedNetwork().eval(), len(stored["code.bias"])
    network.code = nn.Conv2d(network.code.in_channels, width, 3, padding=2, dilation=2)
    network.contrast = nn.Conv2d(width, width, 17, padding=8, groups=width)
    network.load_state_dict(stored)
    grids, edge = [], HALO_PX // STRIDE_PX
    for image in images:
        padded = cv2.copyMakeBorder(image, *[HALO_PX] * 4, cv2.BORDER_REFLECT_101)
        tokens = network(torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 127.5 - 1)[
            0, :, edge:-edge, edge:-edge
        ]
        grids.append(np.ascontiguousarray(tokens.permute(1, 2, 0).numpy()))
    return grids


def in_units(grids) -> Grids:
    """In units of their root mean square length."""
    length = np.sqrt(np.mean([np.mean((grid**2).sum(2)) for grid in grids]))
    return [np.asarray(grid / length, np.float32) for grid in grids]


def joined(first: Grids, second: Grids, share: float) -> Grids:
    return [np.concatenate([a, np.float32(share) * b], 2) for a, b in zip(first, second, strict=True)]


def surround(grid: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(grid, (0, 0), 5, borderType=cv2.BORDER_REFLECT_101)


def rooted(grids: Grids) -> Grids:
    return [np.sqrt(np.concatenate([np.maximum(grid, 0), np.maximum(-grid, 0)], 2)) for grid in grids]


def centred(grids: Grids) -> Grids:
    """Less a share of what a field's mean differs from the mean of all."""
    means = [grid.mean((0, 1)) for grid in grids]
    of_all = np.mean(means, axis=0)
    return [np.asarray(grid - SHARE * (m - of_all), np.float32) for grid, m in zip(grids, means, strict=True)]


def clustered(grids: Grids, truth, patients: np.ndarray) -> dict[int, list[float]]:
    """Mean IoU by K, one for every seed."""
    found: dict[int, list[float]] = {k: [] for k in KS}
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        flat = [grid.reshape(-1, grid.shape[2]) for grid in grids]
        rows = np.concatenate([one[rng.permutation(len(one))[: TOKENS // len(flat)]] for one in flat])
        leaves = kmeans(rng.permutation(rows), max(KS), KMeansOptions(seed))
        nearest = (rows @ leaves.T - 0.5 * (leaves**2).sum(1)).argmax(1)
        sizes = np.maximum(np.bincount(nearest, minlength=len(leaves)), 1)
        for k, union in nest(leaves, sizes, KS).items():
            means = np.stack([np.average(leaves[union == i], 0, sizes[union == i]) for i in range(k)])
            concepts = unit_concepts(np.maximum(means, 0).astype(np.float32))[0]
            tables = np.zeros((patients.max() + 1, k, 2), np.int64)
            for one, px, patient in zip(flat, truth, patients, strict=True):
                np.add.at(tables[patient], project(one, concepts).argmax(1), px)
            matrices = [metrics.apply_map(table, (tables.sum(0) - table).argmax(1)) for table in tables]
            found[k].append(metrics.mean_iou(np.sum(matrices, axis=0)))
    return found


def probed(grids: Grids, truth, patients: np.ndarray) -> float:
    """Mean IoU of a logistic regression, patients held out."""
    rng = np.random.default_rng(0)
    flat = [grid.reshape(-1, grid.shape[2]) for grid in grids]
    drawn = [rng.permutation(len(one))[:PROBED] for one in flat]
    x = np.concatenate([one[i] for one, i in zip(flat, drawn, strict=True)])
    px = np.concatenate([one[i] for one, i in zip(truth, drawn, strict=True)])
    of = np.repeat(patients, [len(i) for i in drawn])
    total = np.zeros((2, 2), np.int64)
    for patient in np.unique(patients):
        rest = of != patient
        scaler = StandardScaler().fit(x[rest])
        model = LogisticRegression(tol=1e-3, max_iter=1000)
        model.fit(scaler.transform(x[rest]), px[rest].argmax(1), px[rest].max(1))
        for i in np.flatnonzero(patients == patient):
            np.add.at(total, model.predict(scaler.transform(flat[i])), truth[i])
    return metrics.mean_iou(total)


if __name__ == "__main__":
    main()
