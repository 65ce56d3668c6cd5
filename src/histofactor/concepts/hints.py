"""What can be measured of concepts that nobody has named yet, in words: hints, never names.

The stain of a concept is compared with that of the others of its bank, since laboratories stain more or less: with the
median over concepts, weighed by their tokens. The words, at most three, and what they mean:

- ``mostly empty``, ``partly empty``: at least half, or a fifth, of the px let light through as glass does: lumina, fat,
  tears, alveoli. Of what is mostly empty nothing else is said.
- ``many dark nuclei``: at least a quarter of the px have as much haematoxylin as nuclei have.
- ``cellular``: at least 6 % of the px have, and at least 1.4 times as many as the median.
- ``few nuclei``: at most 0.4 times as many as the median, where that is at least 1 %.
- ``eosin-rich``, ``haematoxylin-rich``: the share of eosin in both stains is 0.07 above, or below, the median. An
  eosin-rich concept with few nuclei may be collagen, muscle, keratin, colloid, or blood: the hint cannot tell.
- ``pale``, ``dense``: the optical density is at most 0.72 times the median, or at least 1.25 times.
Where none of these holds, there is no hint.

The two stains are told apart by the vectors of Ruifrok & Johnston (2001), see ``slides.stain``. At 2 µm/px and coarser
nuclei are not seen singly, and no word on them is to be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.concepts.bank.provenance import stains_in
from histofactor.concepts.bank.unnamed import is_unnamed
from histofactor.slides.stain import haematoxylin_eosin

MOSTLY_EMPTY, PARTLY_EMPTY = 0.5, 0.2
MANY_NUCLEI, SOME_NUCLEI, MORE_NUCLEI, FEWER_NUCLEI, ANY_NUCLEI = 0.25, 0.06, 1.4, 0.4, 0.01
EOSIN_SHARE = 0.07
PALE, DENSE = 0.72, 1.25
_WORDS = 3

Values = NDArray[np.float64]


def hints_of(provenance: Mapping[str, Any], k: int) -> tuple[str, ...]:
    """The hint of each of K concepts, "" where their stain was not measured or is like that of most.

    Args:
        provenance: of their bank, as the bank itself or ``segmentation.json`` has it.
        k: how many concepts.

    Raises:
        BankError: what is told of their stain cannot be read.
    """
    stains = stains_in(provenance, k)
    if stains is None:
        return ("",) * k
    counts = provenance.get("counts")
    weights = np.array(counts, np.float64) if isinstance(counts, list) and len(counts) == k else np.ones(k)
    return in_words(stains, weights)


def in_words(stains: Values, weights: Values) -> tuple[str, ...]:
    """The stain of concepts in words, see the module; "" where nothing sets it apart.

    Args:
        stains: (K, 5) as ``slides.stain`` measures them, NaN where nothing was measured.
        weights: (K,) ≥ 0, how much each concept counts in the median.
    """
    known = ~np.isnan(stains[:, 0])
    full = known & (stains[:, 3] < MOSTLY_EMPTY)
    density = np.nan_to_num(stains[:, :3]).astype(np.float64)
    amounts = np.asarray(haematoxylin_eosin(density.astype(np.float32)), np.float64)
    eosin = amounts[:, 1] / np.maximum(amounts.sum(axis=1), 1e-6)
    measures = np.stack([stains[:, 4], eosin, density.mean(axis=1)])
    typical = [_median(one[full], weights[full]) for one in measures]
    return tuple(
        _words(float(stains[index, 3]), measures[:, index].tolist(), typical) if known[index] else ""
        for index in range(len(stains))
    )


def shown_hint(name: str, hint: str) -> str:
    """The hint to show beside a name: none where somebody gave that name."""
    return hint if is_unnamed(name) else ""


def _words(empty: float, measured: list[float], typical: list[float]) -> str:
    (nuclei, eosin, density), (their_nuclei, their_eosin, their_density) = measured, typical
    if empty >= MOSTLY_EMPTY:
        return "mostly empty"
    found = ["partly empty"] if empty >= PARTLY_EMPTY else []
    if nuclei >= MANY_NUCLEI:
        found.append("many dark nuclei")
    elif nuclei >= max(SOME_NUCLEI, MORE_NUCLEI * their_nuclei):
        found.append("cellular")
    elif their_nuclei >= ANY_NUCLEI and nuclei <= FEWER_NUCLEI * their_nuclei:
        found.append("few nuclei")
    if abs(eosin - their_eosin) >= EOSIN_SHARE:
        found.append("eosin-rich" if eosin > their_eosin else "haematoxylin-rich")
    if density <= PALE * their_density:
        found.append("pale")
    elif density >= DENSE * their_density:
        found.append("dense")
    return ", ".join(found[:_WORDS])


def _median(values: Values, weights: Values) -> float:
    """The value at which half of the weight is reached; 0 of none."""
    if not len(values):
        return 0.0
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(np.maximum(weights[order], 1e-9))
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])
