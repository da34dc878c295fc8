"""Distances of embeddings from their sums: centroids, Frechet distance, random-feature MMD, effective rank.

All functions take what a window keeps of its vectors about the baseline's centre; nothing here reads rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.profile.embedding_sums import UNIT_BITS, EmbeddingTable
from modelwatch_gpu.profile.embeddings import BANDWIDTHS, FREQUENCIES, EmbeddingColumn

Floats = npt.NDArray[np.float64]

#: Times that the signs of pairs of groups are drawn for a p-value.
DEALS: Final = 499
_DEAL_KEY: Final = 21
#: Rows that hashed groups should have on average, and how many groups there are at least: eight pairs have 128 patterns
#: of signs, too few for a p-value of five bandwidths below 0.04.
_FULL_GROUP, _FEWEST_GROUPS = 8, 16


@dataclass(frozen=True, eq=False)
class Cloud:
    """Vectors x by their sums about a centre: ``n``, ``total`` (d,), ``squares`` = SUM ||x||^2, ``second`` (k, k) = SUM
    of products, where k = d or the number of principal directions; ``first``: (k,) the sums in these coordinates."""

    n: int
    total: Floats
    squares: float
    first: Floats
    second: Floats

    @property
    def mean(self) -> Floats:
        """(d,) about the centre."""
        return self.total / self.n

    @property
    def covariance(self) -> Floats:
        """(k, k), with n - 1; needs two vectors."""
        mean = self.first / self.n
        return (self.second - self.n * np.outer(mean, mean)) / (self.n - 1)

    def within(self, axes: Floats) -> Cloud:
        """In the coordinates of (d, k) orthonormal ``axes``; of a cloud whose k is d."""
        return Cloud(self.n, self.total, self.squares, self.first @ axes, axes.T @ self.second @ axes)


def cloud_of(table: EmbeddingTable, column: EmbeddingColumn, group: int, *, window: bool) -> Cloud:
    """The sums of a group, in the column's own units."""
    unit = column.spread * 2.0**-UNIT_BITS
    size = column.dimension if window else column.principal
    total = table.total[group] * unit
    upper = np.triu_indices(size)
    second = np.zeros((size, size))
    second[upper] = table.products[group] * (unit * column.spread)
    second = second + np.triu(second, 1).T
    first = total if window else total @ axes_of(column)
    return Cloud(int(table.taken[group]), total, float(table.squares[group]) * unit * column.spread, first, second)


def axes_of(column: EmbeddingColumn) -> Floats:
    """(d, k) the principal directions."""
    return column.directions[:, : column.principal].astype(np.float64)


def centroid_squared(a: Cloud, b: Cloud) -> float:
    """Unbiased ||mean_a - mean_b||^2: Chen and Qin (2010), eq. 2.1, the U-statistic of a linear kernel. May be below
    0; needs two vectors a side."""
    own = [(float(c.total @ c.total) - c.squares) / (c.n * (c.n - 1)) for c in (a, b)]
    return own[0] + own[1] - 2 * float(a.mean @ b.mean)


def centroid_z(a: Cloud, b: Cloud) -> float:
    """``centroid_squared`` over its standard deviation where the means are equal (Chen and Qin 2010, theorem 1), with
    tr S^2 freed of its bias under normality (Srivastava 2005). NaN where a side is constant or has three vectors."""
    if min(a.n, b.n) < 4:
        return float("nan")
    variance = 0.0
    for c in (a, b):
        s = c.covariance
        n = c.n - 1
        variance += (
            2 / (c.n * (c.n - 1)) * n**2 / ((n - 1) * (n + 2)) * (float((s * s).sum()) - float(np.trace(s)) ** 2 / n)
        )
    variance += 4 / (a.n * b.n) * float((a.covariance * b.covariance).sum())
    return centroid_squared(a, b) / float(np.sqrt(variance)) if variance > 0 else float("nan")


def cosine_distance(a: Floats, b: Floats) -> float:
    """1 - cosine of the angle between two vectors, 0 to 2; NaN where one is 0."""
    length = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return 1 - float(np.clip(a @ b / length, -1, 1)) if length > 0 else float("nan")


def root_of(matrix: Floats) -> Floats:
    """The symmetric square root of positive semidefinite matrices, (..., k, k)."""
    values, axes = np.linalg.eigh(matrix)
    root: Floats = (axes * np.sqrt(np.maximum(values, 0))[..., None, :]) @ np.swapaxes(axes, -1, -2)
    return root


def frechet_squared(mean_a: Floats, cov_a: Floats, mean_b: Floats, cov_b: Floats) -> float:
    """||m_a - m_b||^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2): the squared Frechet distance of two normal distributions
    (Dowson and Landau 1982)."""
    root = root_of(cov_a)
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0)).sum()
    moved = mean_a - mean_b
    return float(moved @ moved + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)


def frechet_floor(covariance: Floats, n: int, m: int) -> float:
    """What two samples of one normal distribution show on average, to first order in 1/n and 1/m:
    (1/n + 1/m) [tr S + 1/2 SUM_ij l_i l_j (1 + [i = j]) / (l_i + l_j)] with the eigenvalues l of S."""
    values = np.maximum(np.linalg.eigvalsh(covariance), 0)
    sums = values[:, None] + values
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(sums > 0, values[:, None] * values / sums, 0.0)
    return (1 / n + 1 / m) * float(values.sum() + 0.5 * (ratio.sum() + np.trace(ratio)))


def frechet_of(a: Cloud, b: Cloud) -> tuple[float, float]:
    """(squared Frechet distance, what chance adds) of two clouds in the same coordinates."""
    pooled = ((a.n - 1) * a.covariance + (b.n - 1) * b.covariance) / (a.n + b.n - 2)
    raw = frechet_squared(a.first / a.n, a.covariance, b.first / b.n, b.covariance)
    return raw, frechet_floor(pooled, a.n, b.n)


def effective_rank(covariance: Floats) -> float:
    """exp of the entropy of the eigenvalues' shares (Roy and Vetterli 2007): 1 to k; NaN of a constant."""
    values = np.maximum(np.linalg.eigvalsh(covariance), 0)
    total = values.sum()
    if not total > 0:
        return float("nan")
    share = values[values > 0] / total
    return float(np.exp(-(share * np.log(share)).sum()))


@dataclass(frozen=True, eq=False)
class FeatureMmd:
    """``squared``: unbiased MMD^2 at each of ``BANDWIDTHS``; ``pvalue``: of all of them together."""

    squared: Floats
    pvalue: float


def feature_mmd(base: EmbeddingTable, base_group: int, table: EmbeddingTable, group: int) -> FeatureMmd:
    """MMD^2 by random Fourier features (Rahimi and Recht 2007) at five bandwidths, with one p-value.

    The p-value pairs the hashed groups of rows of both sides and flips the signs of their differences at random,
    ``DEALS`` times. Under equal distributions a difference of two means is as likely as its negative: exactly where
    both have equally many rows, and as averages of many rows else. (Dealing the groups out anew instead alarms far too
    often where one side has many more rows than the other, for then their sums do not vary alike.) Bandwidths are
    combined by the smallest of their p-values, whose distribution the same signs give (Westfall and Young 1993).
    """
    sums = [t.features[g] * 2.0**-UNIT_BITS for t, g in ((base, base_group), (table, group))]
    rows = [t.dealt[g].astype(np.float64) for t, g in ((base, base_group), (table, group))]
    n, m = (float(r.sum()) for r in rows)
    squared = np.empty(len(BANDWIDTHS))
    for at in range(len(BANDWIDTHS)):
        own = slice(2 * FREQUENCIES * at, 2 * FREQUENCIES * (at + 1))
        x, y = (s[:, own].sum(axis=0) / np.sqrt(FREQUENCIES) for s in sums)
        squared[at] = (x @ x - n) / (n * (n - 1)) + (y @ y - m) / (m * (m - 1)) - 2 * (x @ y) / (n * m)
    sums, rows = _joined(sums, rows)
    both = (rows[0] > 0) & (rows[1] > 0)
    if not both.any():
        return FeatureMmd(squared, 1.0)
    means = [s[both] / r[both, None] for s, r in zip(sums, rows, strict=True)]
    weights = 1 / (1 / rows[0][both] + 1 / rows[1][both])
    moved = (means[0] - means[1]) * (weights / weights.sum())[:, None]
    signs = flipped_signs(int(both.sum()), DEALS)
    found = np.empty((DEALS + 1, len(BANDWIDTHS)))
    for at in range(len(BANDWIDTHS)):
        own = slice(2 * FREQUENCIES * at, 2 * FREQUENCIES * (at + 1))
        gram = moved[:, own] @ moved[:, own].T
        found[:, at] = ((signs @ gram) * signs).sum(axis=1)
    return FeatureMmd(squared, smallest_pvalue(found))


def _joined(sums: list[Floats], rows: list[Floats]) -> tuple[list[Floats], list[Floats]]:
    """Sums and rows of the hashed groups of both sides, joined by twos while those of one side have few rows: averages
    of few rows are not symmetric. At least ``_FEWEST_GROUPS`` stay."""
    while min(float(r.mean()) for r in rows) < _FULL_GROUP and len(rows[0]) > _FEWEST_GROUPS:
        sums = [s[::2] + s[1::2] for s in sums]
        rows = [r[::2] + r[1::2] for r in rows]
    return sums, rows


def flipped_signs(pairs: int, deals: int) -> Floats:
    """(deals + 1, pairs) 1 or -1: first all 1, then by Philox."""
    random = np.random.Generator(np.random.Philox(key=_DEAL_KEY)).random((deals, pairs))
    return np.concatenate([np.ones((1, pairs)), np.where(random < 0.5, -1.0, 1.0)])


def smallest_pvalue(found: Floats) -> float:
    """(1 + permutations, statistics), the first row as observed, large where samples differ: one p-value of all.

    Every row gets the smallest of its statistics' p-values; the answer is the share of rows that are at least as
    small as the first (Westfall and Young 1993; 1 / rows at the least, Phipson and Smyth 2010).
    """
    ranked = np.empty_like(found)
    for at in range(found.shape[1]):
        column = np.sort(found[:, at])
        # The same sum in another order of adding is equal.
        slack = 1e-9 * np.abs(found[:, at])
        ranked[:, at] = len(found) - np.searchsorted(column, found[:, at] - slack, side="left")
    least = ranked.min(axis=1)
    return float((least <= least[0]).mean())
