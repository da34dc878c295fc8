"""Statistics of two samples of vectors by their rows, in tiles: no matrix of all pairs is ever made.

Samples are (rows, d) float32 or float64 matrices; sums are float64. Labels are dealt out anew by Philox numbers
(Salmon et al. 2011), the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.profile.embeddings import median_bandwidth as median_bandwidth

Matrix = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Rows of a tile: 1,024 x 1,024 distances of float32 are 4 MiB.
TILE: Final = 1_024
_LABEL_KEY: Final = 31


def centered(a: Matrix, b: Matrix) -> tuple[Matrix, Matrix]:
    """Both samples about the mean of the first, in one type: less is lost where lengths are subtracted."""
    kind = np.result_type(a.dtype, b.dtype)
    center = a.mean(axis=0, dtype=np.float64)
    return (a - center).astype(kind, copy=False), (b - center).astype(kind, copy=False)


def squared_lengths(rows: Matrix) -> Matrix:
    """(rows,) ||x||^2."""
    found: Matrix = np.einsum("ij,ij->i", rows, rows)
    return found


def squared_distances(a: Matrix, b: Matrix, a_squares: Matrix, b_squares: Matrix) -> Matrix:
    """(rows of a, rows of b) ||x - y||^2, not below 0."""
    out: Matrix = a @ b.T
    out *= -2
    out += a_squares[:, None]
    out += b_squares
    np.maximum(out, 0, out=out)
    return out


def tiles(rows: int) -> Iterator[slice]:
    """Consecutive tiles of rows."""
    for begin in range(0, rows, TILE):
        yield slice(begin, min(rows, begin + TILE))


def labels_dealt(first: int, rows: int, permutations: int, *, seed: int = 0) -> npt.NDArray[np.float32]:
    """(rows, 1 + permutations) 0 or 1: 1 for the rows of the first sample. The first column is as the rows lie; in
    every other, those with the smallest of ``rows`` Philox numbers are the first sample."""
    out = np.zeros((rows, 1 + permutations), dtype=np.float32)
    out[:first, 0] = 1
    generator = np.random.Generator(np.random.Philox(key=_LABEL_KEY + (seed << 8)))
    for at in range(permutations):
        out[np.argsort(generator.random(rows), kind="stable")[:first], at + 1] = 1
    return out


@dataclass(frozen=True, eq=False)
class PairSums:
    """Sums of a symmetric function of pairs of different rows: ``within``: (labels,) over ordered pairs of label 1,
    ``across``: over pairs of a row of label 1 and one of label 0, ``other``: over ordered pairs of label 0."""

    within: Floats
    across: Floats
    other: Floats


def pair_sums(
    rows: Matrix, labels: npt.NDArray[np.float32], functions: Sequence[Callable[[Matrix], Matrix]]
) -> list[PairSums]:
    """Sums of functions of squared distances over pairs, for every column of ``labels``.

    Every tile of distances is made once and multiplied with the label matrix: SUM_ij a_i k_ij a_j by products of
    matrices, and of the others from row sums.
    """
    squares = squared_lengths(rows)
    kind = rows.dtype
    marks = labels.astype(kind)
    within = np.zeros((len(functions), labels.shape[1]))
    by_row = np.zeros((len(functions), len(rows)))
    for i in tiles(len(rows)):
        for j in tiles(len(rows)):
            if j.start < i.start:
                continue
            distances = squared_distances(rows[i], rows[j], squares[i], squares[j])
            for at, function in enumerate(functions):
                values = function(distances)
                if i.start == j.start:
                    np.fill_diagonal(values, 0)
                else:
                    by_row[at, j] += values.sum(axis=0, dtype=np.float64)
                by_row[at, i] += values.sum(axis=1, dtype=np.float64)
                twice = 1 if i.start == j.start else 2
                within[at] += twice * np.einsum("rp,rp->p", marks[i], values @ marks[j], dtype=np.float64)
    out = []
    for at in range(len(functions)):
        touching = by_row[at] @ labels.astype(np.float64)
        out.append(PairSums(within[at], touching - within[at], by_row[at].sum() - 2 * touching + within[at]))
    return out


def gaussian(bandwidth: float) -> Callable[[Matrix], Matrix]:
    """exp(-d^2 / 2 sigma^2) of squared distances."""

    def kernel(squared: Matrix) -> Matrix:
        scaled: Matrix = squared * np.asarray(-0.5 / bandwidth**2, dtype=squared.dtype)
        np.exp(scaled, out=scaled)
        return scaled

    return kernel


def mmd_squared(sums: PairSums, n: int, m: int) -> Floats:
    """(labels,) unbiased MMD^2 from sums of the kernel (Gretton et al. 2012, eq. 3); needs two rows a side."""
    found: Floats = sums.within / (n * (n - 1)) + sums.other / (m * (m - 1)) - 2 * sums.across / (n * m)
    return found


def energy_of(sums: PairSums, n: int, m: int) -> Floats:
    """(labels,) 2 E|X-Y| - E|X-X'| - E|Y-Y'| from sums of distances, the V-statistic (Szekely and Rizzo 2013)."""
    found: Floats = 2 * sums.across / (n * m) - sums.within / n**2 - sums.other / m**2
    return found


def permutation_pvalue(found: Floats) -> float:
    """Share of statistics at least as large as the first, which is among them (Phipson and Smyth 2010). Sums of other
    orders of adding differ in the last digits: equal to 1e-12 is equal."""
    slack = 1e-12 * max(1.0, float(np.abs(found).max()))
    return float((found >= found[0] - slack).mean())


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest other rows of every row: ``index``: (rows, k) nearest first; ``distance``: (rows, k)."""

    index: Ints
    distance: Floats


def nearest(rows: Matrix, among: Matrix, k: int, *, same: bool) -> Neighbours:
    """The k nearest rows of ``among`` to each of ``rows``. ``same``: both are one sample, and no row is its own
    neighbour. Ties go to the earlier row.

    Candidates are found by products of matrices, a few more than asked for, and their distances are made again from
    differences, so that near duplicates lose no digits.
    """
    squares, other = squared_lengths(rows), squared_lengths(among)
    index = np.empty((len(rows), k), dtype=np.int64)
    distance = np.empty((len(rows), k))
    for i in tiles(len(rows)):
        count = i.stop - i.start
        best = np.full((count, 0), np.inf)
        at = np.empty((count, 0), dtype=np.int64)
        for j in tiles(len(among)):
            found = squared_distances(rows[i], among[j], squares[i], other[j]).astype(np.float64, copy=False)
            if same and i.start == j.start:
                np.fill_diagonal(found, np.inf)
            best = np.concatenate([best, found], axis=1)
            at = np.concatenate([at, np.broadcast_to(np.arange(j.start, j.stop), found.shape)], axis=1)
            if best.shape[1] > k + _SPARE:
                near = np.argpartition(best, k + _SPARE - 1, axis=1)[:, : k + _SPARE]
                best, at = np.take_along_axis(best, near, 1), np.take_along_axis(at, near, 1)
        exact = np.empty(best.shape)
        for row in range(count):
            moved = among[at[row]].astype(np.float64) - rows[i.start + row]
            exact[row] = np.einsum("ij,ij->i", moved, moved)
        exact[np.isinf(best)] = np.inf
        order = np.lexsort((at, exact), axis=1)[:, :k]
        index[i] = np.take_along_axis(at, order, 1)
        distance[i] = np.sqrt(np.take_along_axis(exact, order, 1))
    return Neighbours(index, distance)


#: Candidates beyond k whose order rounding may have changed.
_SPARE: Final = 8


@dataclass(frozen=True)
class Prdc:
    """``precision``: share of current rows within the k-ball of some reference row; ``recall``: share of reference rows
    within the k-ball of some current row; ``density``: mean number of reference balls a current row is in, over k;
    ``coverage``: share of reference balls with a current row inside."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc_of(reference: Matrix, current: Matrix, k: int) -> Prdc:
    """Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020)."""
    radii = nearest(reference, reference, k, same=True).distance[:, -1]
    own = nearest(current, current, k, same=True).distance[:, -1]
    squares, other = squared_lengths(reference), squared_lengths(current)
    inside = np.zeros(len(current), dtype=np.int64)
    covered = np.zeros(len(reference), dtype=bool)
    recalled = np.zeros(len(reference), dtype=bool)
    for i in tiles(len(reference)):
        for j in tiles(len(current)):
            found = np.sqrt(squared_distances(reference[i], current[j], squares[i], other[j]))
            ball = found < radii[i, None]
            inside[j] += ball.sum(axis=0)
            covered[i] |= ball.any(axis=1)
            recalled[i] |= (found < own[j]).any(axis=1)
    return Prdc(float((inside > 0).mean()), float(recalled.mean()), float(inside.mean() / k), float(covered.mean()))


# ---- the linear domain classifier ------------------------------------------------------------------------------------

#: Folds of cross-fitting.
FOLDS: Final = 4
#: The ridge, as a multiple of the mean squared length of a coordinate.
RIDGE: Final = 1.0
_FOLD_KEY: Final = 41


def fold_of_rows(rows: int) -> Ints:
    """(rows,) the fold of each, drawn without a look at its label."""
    order = np.argsort(np.random.Generator(np.random.Philox(key=_FOLD_KEY)).random(rows), kind="stable")
    fold = np.empty(rows, dtype=np.int64)
    fold[order] = np.arange(rows) * FOLDS // max(rows, 1)
    return fold


def cross_fitted(rows: Matrix, labels: npt.NDArray[np.float32]) -> Floats:
    """(rows, labels) scores of a linear classifier that did not see the row: ridge regression of the label on the
    centred vector, which for two classes is Fisher's discriminant with a ridge (Hastie et al. 2009, ch. 4).

    The regression is linear in the labels, so one factorisation serves every permutation.
    """
    x = rows.astype(np.float64)
    y = labels.astype(np.float64)
    fold = fold_of_rows(len(x))
    scores = np.zeros(y.shape)
    for at in range(FOLDS):
        test, train = fold == at, fold != at
        if not test.any() or train.sum() < 2:
            continue
        center = x[train].mean(axis=0)
        inner, outer = x[train] - center, x[test] - center
        own = y[train] - y[train].mean(axis=0)
        ridge = RIDGE * float((inner**2).sum()) / max(1, min(inner.shape)) + 1e-300
        if inner.shape[0] > inner.shape[1]:
            weights = np.linalg.solve(inner.T @ inner + ridge * np.eye(inner.shape[1]), inner.T @ own)
        else:
            weights = inner.T @ np.linalg.solve(inner @ inner.T + ridge * np.eye(inner.shape[0]), own)
        scores[test] = outer @ weights
    return scores


def auc_of(scores: Floats, labels: npt.NDArray[np.float32]) -> Floats:
    """(labels,) share of pairs (label 1, label 0) of one fold in which label 1 has the larger score, ties a half; the
    folds' pairs together. NaN where no fold has both labels."""
    fold = fold_of_rows(len(scores))
    wins, pairs = np.zeros(scores.shape[1]), np.zeros(scores.shape[1])
    for at in range(FOLDS):
        own = fold == at
        s, y = scores[own], labels[own].astype(np.float64)
        if not len(s):
            continue
        ranks = _mid_ranks(s)
        ones = y.sum(axis=0)
        wins += (ranks * y).sum(axis=0) - ones * (ones + 1) / 2
        pairs += ones * (len(s) - ones)
    with np.errstate(invalid="ignore", divide="ignore"):
        return wins / pairs


def _mid_ranks(scores: Floats) -> Floats:
    """(rows, columns) ranks from 1 within each column, ties sharing their mean."""
    order = np.argsort(scores, axis=0, kind="stable")
    ordered = np.take_along_axis(scores, order, 0)
    rows = np.arange(len(scores), dtype=np.float64)[:, None]
    first = np.vstack([np.ones((1, scores.shape[1]), dtype=bool), ordered[1:] != ordered[:-1]])
    begin = np.maximum.accumulate(np.where(first, rows, 0), axis=0)
    last = np.vstack([first[1:], np.ones((1, scores.shape[1]), dtype=bool)])
    end = np.minimum.accumulate(np.where(last, rows, len(scores))[::-1], axis=0)[::-1]
    ranks = np.empty(scores.shape)
    np.put_along_axis(ranks, order, (begin + end) / 2 + 1, 0)
    return ranks
