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

#: Rows of a tile: 512 x 512 distances of float32 are 1 MiB and stay in a core's cache.
TILE: Final = 512
_LABEL_KEY: Final = 31
#: Random numbers that are drawn together.
_DRAWN: Final = 1 << 18


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
    together = max(1, _DRAWN // max(rows, 1))
    for begin in range(1, permutations + 1, together):
        drawn = generator.random((min(together, permutations + 1 - begin), rows))
        np.put_along_axis(out.T[begin : begin + together], np.argsort(drawn, axis=1)[:, :first], 1, 1)
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
                touched = values @ marks[j]
                touched *= marks[i]
                within[at] += twice * touched.sum(axis=0, dtype=np.float64)
    out = []
    for at in range(len(functions)):
        touching = by_row[at] @ labels.astype(np.float64)
        out.append(PairSums(within[at], touching - within[at], by_row[at].sum() - 2 * touching + within[at]))
    return out


def gaussian(bandwidth: float, closest: float = 0.0) -> Callable[[Matrix], Matrix]:
    """exp(-(d^2 - c) / 2 sigma^2) of squared distances. ``closest``: c, a squared distance that the kernel is 1 at; for
    statistics whose scale does not matter, where all pairs lie many bandwidths apart."""

    def kernel(squared: Matrix) -> Matrix:
        scaled: Matrix = squared - np.asarray(closest, dtype=squared.dtype)
        scaled *= np.asarray(-0.5 / bandwidth**2, dtype=squared.dtype)
        # Below the smallest normal number products of matrices are a hundred times as slow.
        np.maximum(scaled, np.log(np.finfo(scaled.dtype).tiny) + 1, out=scaled)
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


def nearest(rows: Matrix, among: Matrix, k: int, *, same: bool, exact: bool = True) -> Neighbours:
    """The k nearest rows of ``among`` to each of ``rows``. ``same``: both are one sample, and no row is its own
    neighbour. Ties go to the earlier row.

    Candidates are found by products of matrices. ``exact``: a few more than asked for, and their distances are made
    again from differences, so that near duplicates lose no digits.
    """
    spare = _SPARE if exact else 0
    squares, other = squared_lengths(rows), squared_lengths(among)
    index = np.empty((len(rows), k), dtype=np.int64)
    distance = np.empty((len(rows), k))
    for i in tiles(len(rows)):
        count = i.stop - i.start
        best = np.empty((count, 0), dtype=rows.dtype)
        at = np.empty((count, 0), dtype=np.int64)
        for j in tiles(len(among)):
            found = squared_distances(rows[i], among[j], squares[i], other[j])
            if same and i.start == j.start:
                np.fill_diagonal(found, np.inf)
            # Of this tile the nearest, then of these and the nearest so far.
            near = np.arange(found.shape[1])[None]
            if found.shape[1] > k + spare:
                near = np.argpartition(found, k + spare - 1, axis=1)[:, : k + spare]
                found = np.take_along_axis(found, near, 1)
            best = np.concatenate([best, found], axis=1)
            at = np.concatenate([at, np.broadcast_to(near + j.start, found.shape)], axis=1)
            if best.shape[1] > k + spare:
                near = np.argpartition(best, k + spare - 1, axis=1)[:, : k + spare]
                best, at = np.take_along_axis(best, near, 1), np.take_along_axis(at, near, 1)
        final = best.astype(np.float64)
        for part in range(0, count if exact else 0, _RECHECKED):
            rechecked = slice(part, part + _RECHECKED)
            own = rows[i.start + part : i.start + min(count, part + _RECHECKED)]
            moved = among[at[rechecked]].astype(np.float64, copy=False) - own[:, None]
            final[rechecked] = np.einsum("ijk,ijk->ij", moved, moved)
        final[np.isinf(best)] = np.inf
        order = np.lexsort((at, final), axis=1)[:, :k]
        index[i] = np.take_along_axis(at, order, 1)
        distance[i] = np.sqrt(np.take_along_axis(final, order, 1))
    return Neighbours(index, distance)


#: Candidates beyond k whose order rounding may have changed, and rows whose candidates are looked at together.
_SPARE: Final = 8
_RECHECKED: Final = 16


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


def fold_of_rows(rows: int, seed: int = 0) -> Ints:
    """(rows,) the fold of each, drawn without a look at its label."""
    order = np.argsort(np.random.Generator(np.random.Philox(key=_FOLD_KEY + (seed << 8))).random(rows), kind="stable")
    fold = np.empty(rows, dtype=np.int64)
    fold[order] = np.arange(rows) * FOLDS // max(rows, 1)
    return fold


def cross_fitted(rows: Matrix, labels: npt.NDArray[np.float32], *, seed: int = 0) -> Floats:
    """(rows, labels) scores of a linear classifier that did not see the row: ridge regression of the label on the
    centred vector, which for two classes is Fisher's discriminant with a ridge (Hastie et al. 2009, ch. 4).

    The regression is linear in the labels, so one factorisation serves every permutation. Computed in the type of
    ``rows``. ``seed``: of the folds.
    """
    x = rows - rows.mean(axis=0, dtype=np.float64).astype(rows.dtype)
    y = labels.astype(x.dtype)
    fold = fold_of_rows(len(x), seed)
    scores = np.zeros(y.shape, dtype=x.dtype)
    primal = len(x) > x.shape[1]
    # Products of all rows once; those of a training set are these less the products of the rows it lacks.
    gram = x.T @ x if primal else x @ x.T
    moment = x.T @ y if primal else y
    for at in range(FOLDS):
        test, train = np.flatnonzero(fold == at), np.flatnonzero(fold != at)
        if not len(test) or len(train) < 2:
            continue
        n = len(train)
        center, share = x[train].mean(axis=0), y[train].mean(axis=0)
        outer = x[test] - center
        if primal:
            inner = gram - x[test].T @ x[test] - np.outer(n * center, center)
            right = moment - x[test].T @ y[test] - np.outer(n * center, share)
        else:
            own = gram[np.ix_(train, train)]
            mean = own.mean(axis=0)
            inner = own - mean - mean[:, None] + mean.mean()
            right = y[train] - share
        ridge = RIDGE * float(np.trace(inner)) / max(1, min(n, x.shape[1])) + float(np.finfo(x.dtype).tiny)
        inner.flat[:: len(inner) + 1] += ridge
        weights = np.linalg.solve(inner, right)
        scores[test] = outer @ (weights if primal else (x[train] - center).T @ weights)
    return scores


def auc_of(scores: Floats, labels: npt.NDArray[np.float32], *, seed: int = 0) -> Floats:
    """(labels,) share of pairs (label 1, label 0) of one fold in which label 1 has the larger score, ties a half; the
    folds' pairs together. NaN where no fold has both labels. ``seed``: of the folds."""
    fold = fold_of_rows(len(scores), seed)
    wins, pairs = np.zeros(scores.shape[1]), np.zeros(scores.shape[1])
    for at in range(FOLDS):
        own = fold == at
        s, y = scores[own].T, labels[own].T.astype(np.float64)
        if not s.shape[1]:
            continue
        ranks = _mid_ranks(s)
        ones = y.sum(axis=1)
        wins += (ranks * y).sum(axis=1) - ones * (ones + 1) / 2
        pairs += ones * (s.shape[1] - ones)
    with np.errstate(invalid="ignore", divide="ignore"):
        return wins / pairs


def _mid_ranks(scores: Floats) -> Floats:
    """(lines, rows) ranks from 1 within each line, ties sharing their mean."""
    order = np.argsort(scores, axis=1)
    ordered = np.take_along_axis(scores, order, 1)
    place = np.arange(1, scores.shape[1] + 1, dtype=np.float64)
    ranks = np.empty(scores.shape)
    new = np.ones(scores.shape, dtype=bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    if new.all():
        np.put_along_axis(ranks, order, np.broadcast_to(place, scores.shape), 1)
        return ranks
    last = np.ones(scores.shape, dtype=bool)
    last[:, :-1] = new[:, 1:]
    begin = np.maximum.accumulate(np.where(new, place, 0), axis=1)
    end = np.minimum.accumulate(np.where(last, place, len(place))[:, ::-1], axis=1)[:, ::-1]
    np.put_along_axis(ranks, order, (begin + end) / 2, 1)
    return ranks
