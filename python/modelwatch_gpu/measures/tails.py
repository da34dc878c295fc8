"""What is known of rows beyond the finite knots, and what Wasserstein-1 is at least and at most there."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from modelwatch_gpu import keys
from modelwatch_gpu.measures.cells import Floats, Ints


@dataclass(frozen=True, eq=False)
class Tail:
    """What is known of the rows of groups beyond one end of the finite knots; (groups,) each.

    ``rows``: how many there are. ``least``, ``most``: bounds of the sum of their distances to the outermost knot.
    ``reach``: at least the largest of these distances; inf where unknown.
    """

    rows: Ints
    least: Floats
    most: Floats
    reach: Floats

    def at(self, groups: Ints | slice) -> Tail:
        """The tails of some groups."""
        return Tail(self.rows[groups], self.least[groups], self.most[groups], self.reach[groups])


def reach_of(extreme: npt.NDArray[Any], edge: npt.NDArray[Any], rows: Ints, *, below: bool) -> Floats:
    """(groups,) distances from the outermost finite knot, one or that of each, to the outermost values of groups."""
    far: npt.NDArray[Any]
    at: npt.NDArray[Any]
    if extreme.dtype.kind == "f":
        far, at = extreme.astype(np.float64), edge.astype(np.float64)
    else:
        far, at = (keys.keys_of(v, str(extreme.dtype)) for v in (extreme, edge))
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(rows > 0, at - far if below else far - at, 0).astype(np.float64)


def tail_of(
    rows: Ints, reach: Floats, sums: dict[int, Fraction] | None, edge: Fraction | npt.NDArray[Any], *, below: bool
) -> Tail:
    """The tail of groups with ``rows`` rows that reach so far beyond the knot ``edge``, of all or of each.

    ``sums``: exact sums of these rows' values, by group; None where they were not kept. ``below``: the lower tail.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        least, most = np.zeros(len(rows)), np.where(rows > 0, reach * rows, 0.0)
    if sums is not None:
        for g in np.flatnonzero(rows).tolist():
            knot = edge if isinstance(edge, Fraction) else Fraction(edge[g].item())
            beyond = sums.get(g, Fraction(0)) - int(rows[g]) * knot
            try:
                least[g] = most[g] = float(-beyond if below else beyond)
            except OverflowError:
                least[g] = most[g] = np.inf
    return Tail(rows, least, most, reach)


def chord_of(mean: Floats, least: Floats, most: Floats) -> Floats:
    """The largest mean of |x| over x between ``least`` < 0 and ``most`` > 0 with this mean: |x| is convex, so it lies
    below the line through its ends."""
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = np.clip(mean, least, most)
        return (-least * (most - inside) + most * (inside - least)) / (most - least)


def tail_bounds(f: Tail, g: Tail, n: Floats, m: Floats) -> tuple[Floats, Floats]:
    """Bounds of the integral of |F - G| beyond the finite knots, where both sides may have rows.

    ``n``, ``m``: (groups,) all rows of either side.

    Let f and g be the shares of rows further out than a distance x from the outermost knot: they fall from p and q to
    0, reach 0 at R and S, and integrate to the mean distances A and B. The integral of |f - g| is

    * at least |A - B|, the absolute value of the integral of f - g;
    * at most A + B - 2 INT min(f, g). A row beyond x counts at least 1/n, so f >= 1/n up to R, and R >= A / p, the
      mean distance of the rows that are there: INT min(f, g) >= min(1/n, 1/m) min(A / p, B / q);
    * at most w times the chord of |d| over -q <= d <= p at the mean (A - B) / w, where w = max(R, S), as in a gap;
    * at most max(p, q) min(R, S), and beyond that the share of the side that reaches further.

    Where only one side has rows all of these are its own mean distance.
    """
    b, c = f.rows, g.rows
    if not b.any() and not c.any():
        return np.zeros(len(n)), np.zeros(len(n))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        p, q = b / n, c / m
        a_low, a_high = f.least / n, f.most / n
        b_low, b_high = g.least / m, g.most / m
        lower = np.maximum(0.0, np.maximum(a_low - b_high, b_low - a_high))
        both = (b > 0) & (c > 0)
        common = np.where(both, np.minimum(1 / n, 1 / m) * np.minimum(a_low / p, b_low / q), 0.0)
        upper = a_high + b_high - 2 * common
        wide = np.maximum(f.reach, g.reach)
        chord = wide * np.maximum(chord_of((a_low - b_high) / wide, -q, p), chord_of((a_high - b_low) / wide, -q, p))
        near, far = np.minimum(f.reach, g.reach), np.where(f.reach > g.reach, p, q)
        apart = np.maximum(p, q) * near + far * (wide - near)
        upper = np.where(both, np.fmin(np.fmin(upper, chord), apart), upper)
        slack = np.where(both, (a_high + b_high) * 2.0**-50, 0.0)  # what rounding does to a difference
        some = (b > 0) | (c > 0)
        lower, upper = np.where(some, np.maximum(0.0, lower - slack), 0.0), np.where(some, upper + slack, 0.0)
    return lower, np.maximum(lower, upper)
