"""How often names are suggested for what is like no class, and how often for what is like one: simulated embeddings.

No model is at hand whose right answers are known, so embeddings are drawn. A class and each of 32 words that name none
is a direction; a concept of noise is one that has nothing to do with them, and its eight patches lie around it at a
cosine of 0.96, which is coherent: they agree whatever it is. A concept that is like a class has the cosine ``like``
with it. Three spaces: ``even``, in which directions have all dimensions alike; ``cone``, in which images share a
direction, and texts another, so that any two of them have a cosine of 0.64, as in CLIP; and ``narrow``, a cone in which
directions fill some 30 dimensions of the space, as far as that many suffice to tell classes apart. Twelve concepts are
suggested for at once; ``sure`` is their share in percent, ``before`` that without the test of
``by_words``. ``same by four`` is the share of concepts that get the same answer where four patches may settle it, and
``patches`` how many are looked at then.

    python benchmarks/suggest_noise.py     writes results/suggest_noise.csv and results/suggest_like.csv
"""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

import numpy as np
from common import report

from histofactor.concepts import suggest as module
from histofactor.concepts.suggest import Embedded, Suggestion, settled, suggest

K, PATCHES, FIRST, WORDS, SPREAD, CONE, NARROW = 12, 8, 4, 32, 0.3, 0.8, 30
DIMS, CLASSES, SCALES, STUDIES = (256, 512, 768), (3, 6, 12), (10.0, 30.0, 100.0), 200
LIKE, SPACES = (0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0), ("even", "cone", "narrow")
Draw = Callable[[int], Embedded]
NEVER = 0.0


def units(rows: Embedded) -> Embedded:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


class Study:
    """Classes, words that name none, and concepts, of which some are like a class."""

    def __init__(self, rng: np.random.Generator, space: str, dim: int, classes: int, like: float) -> None:
        weights = np.exp(-np.arange(dim) / (2 * NARROW)) if space == "narrow" else np.ones(dim)

        def draw(*shape: int) -> Embedded:
            return units(rng.normal(size=(*shape, dim)) * weights)

        images, texts = draw(2)
        cone = 0.0 if space == "even" else CONE
        says, rest = draw(classes), np.sqrt(1 - cone**2)
        self.classes, self.others = units(cone * texts + rest * says), units(cone * texts + rest * draw(WORDS))
        self.of = rng.integers(0, classes, K)
        shows = units(like * says[self.of] + np.sqrt(1 - like**2) * draw(K))
        self.patches = units(cone * images + rest * units(shows[:, None] + SPREAD * draw(K, PATCHES)))
        self.names = [f"class {place}" for place in range(classes)]

    def found(self, scale: float, *, first: bool = False) -> list[Suggestion]:
        """Suggestions from all patches, or from the first where they settle it."""
        patches = {
            label: one[:FIRST] if first and settled(one[:FIRST], self.classes) else one
            for label, one in enumerate(self.patches)
        }
        return [*suggest(patches, self.classes, self.names, scale, self.others).values()]

    def before(self, scale: float) -> list[Suggestion]:
        """Suggestions as they were without the test that looks beyond the classes."""
        with patch.object(module, "by_words", lambda *_: np.zeros(K)):
            return self.found(scale)


def sure(found: list[Suggestion]) -> Embedded:
    return np.array([not one.unsure for one in found])


def noise(rng: np.random.Generator, space: str, dim: int, classes: int) -> list[list[object]]:
    """One row for each scale."""
    studies = [Study(rng, space, dim, classes, NEVER) for _ in range(STUDIES)]
    return [
        [space, dim, classes, scale, K * STUDIES]
        + [100 * float(np.mean([sure(found(one, scale)) for one in studies])) for found in (Study.before, Study.found)]
        for scale in SCALES
    ]


def alike(rng: np.random.Generator, space: str, like: float) -> list[object]:
    """A row of concepts that are like a class."""
    told = []
    for _ in range(STUDIES):
        study = Study(rng, space, DIMS[1], CLASSES[1], like)
        before, now, four = study.before(SCALES[2]), study.found(SCALES[2]), study.found(SCALES[2], first=True)
        right = [one.best[0].name == study.names[place] for one, place in zip(now, study.of, strict=True)]
        same = [
            (one.best[0].name, one.unsure == "") == (other.best[0].name, other.unsure == "")
            for one, other in zip(now, four, strict=True)
        ]
        told.append([right, sure(before), sure(now), sure(now) & ~np.array(right), same])
        told[-1].append([one.patches / 100 for one in four])
    return [space, like, K * STUDIES, *(100 * np.mean(told, axis=(0, 2)))]


def main() -> None:
    rng = np.random.default_rng(0)
    rows = [
        row
        for space in SPACES
        for dim in (DIMS if space == "even" else DIMS[1:2])
        for classes in CLASSES
        for row in noise(rng, space, dim, classes)
    ]
    report("suggest_noise", ["space", "dim", "classes", "scale", "concepts", "before %", "sure %"], rows, ["numpy"])
    header = ["space", "like", "concepts", "first right %", "before %", "sure %", "sure, wrong %", "same by four %"]
    report(
        "suggest_like", [*header, "patches"], [alike(rng, space, like) for space in SPACES for like in LIKE], ["numpy"]
    )


if __name__ == "__main__":
    main()
