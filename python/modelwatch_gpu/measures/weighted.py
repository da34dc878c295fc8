"""What weights of rows do to measures: how many rows of equal weight tell as much, and which measures there are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.cells import Floats, Ints
from modelwatch_gpu.measures.value import HAS_NUMBER, REASON_CODES, Values
from modelwatch_gpu.profile.weights import WeightSums

#: Statistics of counts of independent rows: they grow with the scale of weights, so they have no weighted answer.
OF_INDEPENDENT_ROWS: Final = ("cvm", "chi_square")


@dataclass(frozen=True, eq=False)
class GroupWeights:
    """The stored weights w of groups. ``rows``: (groups,) rows, those of weight 0 too. ``total``: (groups,) SUM w.
    ``squares``: SUM w^2, Python integers."""

    rows: Ints
    total: Ints
    squares: Sequence[int]

    @classmethod
    def of(cls, rows: npt.NDArray[Any], sums: WeightSums) -> GroupWeights:
        """From a part's."""
        return cls(rows.astype(np.int64), sums.total.astype(np.int64), sums.squares)

    def take(self, begin: int, end: int) -> GroupWeights:
        """The groups from ``begin`` to ``end``, not included."""
        return GroupWeights(self.rows[begin:end], self.total[begin:end], self.squares[begin:end])

    @cached_property
    def per_count(self) -> Floats:
        """(groups,) rows of equal weight that one unit of stored weight tells as much as, SUM w / SUM w^2: with it the
        rows of a group come to Kish's effective sample size (SUM w)^2 / SUM w^2. 0 where nothing has weight."""
        pairs = zip(self.total.tolist(), self.squares, strict=True)
        return np.array([w / squares if squares else 0.0 for w, squares in pairs], dtype=np.float64)

    def effective(self, counts: Ints) -> Ints:
        """(groups,) sums of stored weights as effective rows, rounded down."""
        found = zip(counts.tolist(), self.total.tolist(), self.squares, strict=True)
        return np.array([c * w // squares if squares else 0 for c, w, squares in found], dtype=np.int64)

    def in_rows(self, counts: Ints) -> Ints:
        """(groups,) sums of stored weights as so many of the group's rows as have this share of its weight."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.minimum(np.rint(counts / self.total * self.rows), self.rows)
        return np.where(self.total > 0, found, 0).astype(np.int64)


def independent(weights: GroupWeights | None, counts: Ints) -> Ints | Floats:
    """(groups,) as how many independent rows counts tell: themselves where rows have no weights."""
    return counts if weights is None else counts * weights.per_count


def reworded(values: Mapping[str, Values], weights: GroupWeights) -> dict[str, Values]:
    """Measures of weighted groups: ``n`` in effective rows, no number for statistics of independent rows, and no more
    distinct values than rows."""
    made: dict[int, Ints] = {}

    def effective(n: Ints) -> Ints:
        if id(n) not in made:
            made[id(n)] = weights.effective(n)
        return made[id(n)]

    out = {
        name: Values(v.value, v.lower, v.upper, effective(v.n) if name != "row_count" else weights.rows, v.reason)
        for name, v in values.items()
    }
    for name in OF_INDEPENDENT_ROWS:
        if name in out:
            numbers = np.isin(out[name].reason, [HAS_NUMBER, REASON_CODES["not_finite"]])
            out[name] = out[name].replaced(numbers, "weighted")
    if "distinct" in out:
        out["distinct"] = _at_most(out["distinct"], weights.rows)
    if "row_count" in out:
        out["row_count"] = Values.exact(weights.rows.astype(np.float64), weights.rows)
    return out


def _at_most(found: Values, most: Ints) -> Values:
    """Intervals that end at ``most``, those that ended beyond with their middle as value."""
    beyond = found.upper > most
    if not beyond.any():
        return found
    upper = np.where(beyond, np.maximum(most, found.lower), found.upper)
    value = np.where(beyond & (found.lower < upper), (found.lower + upper) / 2, np.minimum(found.value, upper))
    return Values(value, found.lower, upper, found.n, found.reason)
