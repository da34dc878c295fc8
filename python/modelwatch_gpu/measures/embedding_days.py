"""Whether a window's vectors differ from the baseline's by more than days differ from one another.

Rows of one day are alike, so a permutation of rows takes the usual change of topics from day to day for drift. Here
whole days (or longer units) are dealt out anew, from their sums, which are of all rows and not of a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.embedding_ensemble import frechet_by_labels, scaled, together
from modelwatch_gpu.profile.embeddings import BANDWIDTHS, FREQUENCIES

Floats = npt.NDArray[np.float64]

#: Times that units are dealt out anew, where there are more ways to do it.
DEALS: Final = 999
#: With fewer ways to deal units out their smallest p-value says little, and the tail beyond the largest is estimated.
FEW_WAYS: Final = 200
_DEAL_KEY: Final = 61
#: What the largest of the ways must at least be of, for the tail beyond it.
_LEAST_TAIL: Final = 4


@dataclass(frozen=True, eq=False)
class UnitSums:
    """Sums of vectors about the baseline's centre, a line for each unit. ``rows``: (units,); ``total``: (units, d) in
    baseline spreads; ``squares``: (units,) of ||x||^2; ``first``: (units, k) along the principal directions, and
    ``second``: (units, k (k + 1) / 2) of their products, upper triangle; ``features``: (units, all random features)."""

    rows: Floats
    total: Floats
    squares: Floats
    first: Floats
    second: Floats
    features: Floats

    def __len__(self) -> int:
        return len(self.rows)

    def and_then(self, other: UnitSums) -> UnitSums:
        """The units of both, one after the other."""
        return UnitSums(*(np.concatenate([a, b]) for a, b in zip(_fields(self), _fields(other), strict=True)))


def _fields(sums: UnitSums) -> tuple[Floats, ...]:
    return sums.rows, sums.total, sums.squares, sums.first, sums.second, sums.features


def pvalue_by_units(window: UnitSums, baseline: UnitSums) -> float:
    """How likely units dealt out at random differ as the window's from the baseline's do: distance of centroids, MMD by
    random features at five bandwidths and Frechet distance along the principal directions, together as in ``ensemble``.

    All ways to deal the units out where there are no more than ``DEALS``, else so many at random, by Philox numbers.
    With fewer than ``FEW_WAYS`` a statistic that is the largest of all may lie far beyond the others, and 1 / ways
    would not say so. Its p-value is then that of an exponential tail whose mean excess is that of the largest quarter
    (Pickands 1975: excesses over a high threshold; of k of them the next one's odds are F(2, 2k)). Needs two units.
    """
    both = window.and_then(baseline)
    labels = ways(len(window), len(both))
    few = len(labels) < FEW_WAYS
    put = _scaled_without_itself if few else scaled
    members = [put(_centroid(both, labels)), np.max([put(one) for one in _mmd(both, labels)], axis=0)]
    frechet = _frechet(both, labels)
    if frechet is not None:
        members.append(put(frechet))
    found = together(members)
    plain = float((found >= found[0] - 1e-9).mean())
    if not few or not found[0] > found[1:].max(initial=-np.inf):
        return plain
    return min(plain, _tail(found, len(both) // len(window)))


def ways(first: int, units: int) -> Floats:
    """(ways, units) 1 for units of the first side: first as they lie, then all other ways, or ``DEALS`` at random."""
    if comb(units, first) <= DEALS:
        chosen: Any = np.array(list(combinations(range(units), first)), dtype=np.int64)
    else:
        drawn = np.random.Generator(np.random.Philox(key=_DEAL_KEY)).random((DEALS, units))
        chosen = np.concatenate([np.arange(first)[None], np.argsort(drawn, axis=1)[:, :first]])
    out = np.zeros((len(chosen), units))
    np.put_along_axis(out, chosen, 1.0, axis=1)
    return out


def _sides(labels: Floats, sums: Floats) -> tuple[Floats, Floats]:
    """(ways, ...) sums of the units of the first side, and of the others."""
    own = labels @ sums
    return own, sums.sum(axis=0) - own


def _centroid(both: UnitSums, labels: Floats) -> Floats:
    """(ways,) unbiased squared distance of means, as ``centroid_squared``."""
    return _unbiased(_sides(labels, both.total), _sides(labels, both.squares), _sides(labels, both.rows))


def _mmd(both: UnitSums, labels: Floats) -> list[Floats]:
    """For each bandwidth (ways,) unbiased MMD^2 by random features, as ``feature_mmd``."""
    rows = _sides(labels, both.rows)
    each = 2 * FREQUENCIES
    return [
        _unbiased(_sides(labels, both.features[:, each * at : each * (at + 1)] / np.sqrt(FREQUENCIES)), rows, rows)
        for at in range(len(BANDWIDTHS))
    ]


def _unbiased(sums: tuple[Floats, Floats], squares: tuple[Floats, Floats], rows: tuple[Floats, Floats]) -> Floats:
    out: Floats = -2 * np.einsum("ij,ij->i", *sums) / (rows[0] * rows[1])
    for own, square, n in zip(sums, squares, rows, strict=True):
        out += (np.einsum("ij,ij->i", own, own) - square) / np.maximum(n * (n - 1), 1)
    return out


def _frechet(both: UnitSums, labels: Floats) -> Floats | None:
    """(ways,) as the ensemble's; None where a side may have too few rows for a covariance."""
    rows = _sides(labels, both.rows)
    k = both.first.shape[1]
    if not k or min(float(n.min()) for n in rows) <= 2 * k:
        return None
    return frechet_by_labels(_sides(labels, both.first), _sides(labels, both.second), rows)


def _scaled_without_itself(found: Floats) -> Floats:
    """As ``scaled``, each value on the scale of the others: of few the largest would set its own."""
    order = np.sort(found)
    out = np.empty(len(found))
    for at, value in enumerate(found.tolist()):
        gone = int(np.searchsorted(order, value))
        middle, high = np.quantile(np.delete(order, gone), [0.5, 0.95])
        width = high - middle
        out[at] = (value - middle) / width if width > 0 else (np.inf if value > middle else 0.0)
    return out


def _tail(found: Floats, sets: int) -> float:
    """The p-value of the first, the largest of all. ``sets``: how many sets of units share none, which is how much the
    ways say that is not said twice."""
    others = np.sort(found[1:])[::-1]
    k = max(_LEAST_TAIL, len(others) // 4)
    if len(others) <= k:
        return 1.0
    beyond = float(others[:k].mean() - others[k])
    if not beyond > 0:
        return 1 / len(found)
    independent = max(2, min(k, sets // 4))
    far = float(found[0] - others[k]) / (independent * beyond)
    return float((k + 1) / len(found) * (1 + far) ** -independent)
