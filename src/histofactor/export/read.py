"""Results of one input opened again: sealed, whole, as they were written, and of one run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histofactor.base.digests import DamagedError, check_digest
from histofactor.base.names import LABELS, SEAL, WEIGHTS
from histofactor.concepts.bank.record import is_a
from histofactor.errors import ImageError, OptionError
from histofactor.export.labels import open_labels
from histofactor.export.seal import read_seal
from histofactor.export.weights import SparseWeights
from histofactor.records import Raster

_AGAIN = "segment the input again"


@dataclass(frozen=True, slots=True)
class Results:
    """What ``segment`` wrote of one input.

    Attributes:
        folder: where it lies.
        recipe: ``segmentation.json``, without the digests.
        labels: (height, width), read by slices.
        weights: the largest weights of every token, or None where they were not kept.
    """

    folder: Path
    recipe: dict[str, Any]
    labels: Raster
    weights: SparseWeights | None


@contextmanager
def open_results(folder: Path) -> Iterator[Results]:
    """Open the results of one input and check that they are as they were written.

    Args:
        folder: of the results.

    Yields:
        The results, until the block ends.

    Raises:
        OptionError: the folder holds no finished results.
        ImageError: they are damaged, or not of one run.
    """
    if not (folder / SEAL).exists():
        raise OptionError(
            f"{folder} holds no finished results",
            expected="the folder of one input that `histofactor segment` wrote",
            got=f"no {SEAL}",
            mend=_AGAIN,
        )
    try:
        recipe = read_seal(folder)
        digests = recipe.pop("digests")
        kept = WEIGHTS in digests and (folder / WEIGHTS).exists()
        for name in (LABELS, WEIGHTS) if kept else (LABELS,):
            check_digest(folder / name, digests[name])
        checked = check_recipe(recipe)
    except (DamagedError, KeyError, TypeError, ValueError) as error:
        raise ImageError(
            f"the results in {folder} are damaged, or of another version",
            expected="what this version of histofactor wrote",
            got=str(error),
            mend=_AGAIN,
        ) from error
    weights = SparseWeights(folder / WEIGHTS) if kept else None
    with open_labels(folder / LABELS) as labels:
        if weights is not None:
            _check_fit(folder, checked, weights, labels)
        yield Results(folder, checked, labels, weights)


def check_recipe(recipe: dict[str, Any]) -> dict[str, Any]:
    """The content of a seal, which must say what is read from it.

    Raises:
        KeyError, TypeError, ValueError: it does not.
    """
    source, unlike, finer = recipe["source"], recipe.get("unlike"), recipe.get("weights_of")
    if finer is not None and not all(isinstance(finer[name], str) for name in ("recipe", "bank")):
        raise ValueError(f"{SEAL} does not say what its weights are of")
    excluded = recipe.get("excluded", [])
    if not isinstance(excluded, list) or not all(is_a(int, label) for label in excluded):
        raise ValueError(f"{SEAL} names artefacts that are no labels")
    text = recipe["recipe_sha256"], recipe["bank"]["sha256"], recipe["method"], source["reader"]
    numbers = *source["size"], *(value for value in (source["mpp"], unlike) if value is not None)
    if not all(isinstance(value, str) for value in text) or len(source["size"]) != 2:
        raise ValueError(f"{SEAL} lacks what belongs in it")
    if not all(is_a((int, float), value) and value > 0 for value in numbers):
        raise ValueError(f"{SEAL} has numbers that no segmentation has")
    return recipe


def _check_fit(folder: Path, recipe: dict[str, Any], weights: SparseWeights, labels: Raster) -> None:
    header = weights.header
    stated = recipe.get("weights_of", {}).get("recipe", recipe["recipe_sha256"])
    if stated != header.recipe:
        raise ImageError(
            f"the weights in {folder} belong to another run than its {SEAL}",
            expected=f"recipe {stated[:12]}…",
            got=f"recipe {header.recipe[:12]}…",
            mend=f"{_AGAIN} with --keep-weights",
        )
    if labels.shape != header.size[::-1]:
        expected, got = f"{header.size[::-1]}", f"{labels.shape}"
        raise ImageError(f"{LABELS} and {WEIGHTS} in {folder} differ in size", expected=expected, got=got)
