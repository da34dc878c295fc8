"""Row weights as integers: a row of weight w counts as w rows do, exactly and in any order (decision 0007)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.keys import domain_of
from modelwatch_gpu.log import Log, read_ahead

UInt32 = npt.NDArray[np.uint32]
UInt64 = npt.NDArray[np.uint64]

#: A stored weight is below 2^32; whole weights are stored as they are up to this size.
MOST_WEIGHT: Final = (1 << 32) - 1
WHOLE_UP_TO: Final = 1 << 20
#: Stored weights of a log add up to at most so much, so counts are exact as float64 and no sum of them overflows.
MOST_TOTAL: Final = 1 << 53
#: The mean weight of the reference is stored as about 2^15 where weights have fractions ...
MEAN_BITS: Final = 15
#: ... and its largest weight below 2^31, so that a weight twice as large can still be counted.
_LARGEST_BITS: Final = 30
#: A float64 is a whole number below 2^53 times a power of two.
_DIGITS: Final = 53

_LOW32: Final = np.uint64(0xFFFFFFFF)
_32: Final = np.uint64(32)


@dataclass
class WeightRange:
    """What the reference's weights are: filled batch by batch, then ``bits`` says how they are stored.

    ``rows``: with a weight above 0, as others count nowhere. ``sums``: exponent -> exact sum of the whole numbers that
    the weights are multiples of, so no order of batches shows.
    """

    rows: int = 0
    sums: dict[int, int] = field(default_factory=dict)
    most: float = 0.0
    whole: bool = True

    def add(self, weights: npt.NDArray[np.float64]) -> None:
        """Takes the weights of one batch, all finite and not negative."""
        weights = weights[weights > 0]
        self.rows += len(weights)
        self.most = max(self.most, float(weights.max(initial=0.0)))
        self.whole = self.whole and bool(np.all(weights == np.floor(weights)))
        digits, exponents = np.frexp(weights)
        numbers = np.ldexp(digits, _DIGITS).astype(np.uint64)
        for exponent in np.unique(exponents).tolist():
            own = numbers[exponents == exponent]
            total = int((own & _LOW32).sum()) + (int((own >> _32).sum()) << 32)
            self.sums[exponent] = self.sums.get(exponent, 0) + total

    @property
    def total(self) -> Fraction:
        """The sum of all weights."""
        return sum((Fraction(n) * Fraction(2) ** (e - _DIGITS) for e, n in self.sums.items()), Fraction(0))

    @property
    def bits(self) -> int:
        """A weight w is stored as the whole number nearest to w 2^bits. Raises InputError where all weights are 0."""
        if not self.rows:
            raise InputError("All weights of the reference are 0, so no row counts; give another column or none.")
        if self.whole and self.most <= WHOLE_UP_TO:
            return 0
        return min(MEAN_BITS - _log2(self.total / self.rows), _LARGEST_BITS - _log2(Fraction(self.most)))


def _log2(value: Fraction) -> int:
    """The largest whole k with 2^k <= value, which is above 0."""
    k = value.numerator.bit_length() - value.denominator.bit_length()
    return k if Fraction(2) ** k <= value else k - 1


def weight_values(array: pa.Array, name: str, where: str, first: int = 0) -> npt.NDArray[np.float64]:
    """(rows,) float64 weights of a column; raises InputError for a type or a value that cannot be a weight.

    ``where``: the file, for errors; ``first``: rows of it before this batch.
    """
    if domain_of(array.type) is None or pa.types.is_temporal(array.type):
        raise InputError(f"{where}: the weight column '{name}' has type {array.type}; weights are numbers.")
    if array.null_count:
        row = first + pc.index(pc.is_null(array), True).as_py()
        raise InputError(f"{where}: the weight in column '{name}' is null in row {row:,} (from 0); fill it in.")
    values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{where}: the weight in column '{name}' is {values[row]} in row {first + row:,} (from 0); "
            "weights are finite and not negative."
        )
    return np.asarray(values, dtype=np.float64)


def stored_weights(values: npt.NDArray[np.float64], bits: int, name: str, where: str) -> UInt32:
    """Weights as the whole numbers nearest to w 2^bits; raises InputError where one is too large for that."""
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.rint(np.ldexp(values, bits))
    if len(scaled) and float(scaled.max()) > MOST_WEIGHT:
        raise InputError(
            f"{where}: the weight {float(values.max()):g} in column '{name}' is more than {MOST_WEIGHT:,} times the "
            f"smallest this baseline can tell from 0; fit the baseline on weights of this size."
        )
    return scaled.astype(np.uint32)


@dataclass(frozen=True)
class Weighting:
    """Which column holds the weights, and how they are stored: w as the whole number nearest to w 2^bits."""

    column: str
    bits: int

    @classmethod
    def of(cls, log: Log, column: str) -> Weighting:
        """From one look at the weights of a reference. Raises InputError for a log or a weight that will not do."""
        seen, rows = WeightRange(), 0
        for file in log.files:
            if column not in file.schema.names:
                raise InputError(f"{file.name}: column '{column}' is missing, which holds the weights.")
            first, batches = 0, read_ahead(file.batches([column]))
            try:
                for batch in batches:
                    seen.add(weight_values(batch.column(column), column, file.name, first))
                    first += len(batch)
            finally:
                batches.close()
            rows += first
        if not rows:
            raise InputError("The reference has no rows; fit the baseline on a log that has some.")
        return cls(column, seen.bits)

    def stored(self, batch: pa.RecordBatch, where: str, first: int = 0) -> UInt32:
        """(rows,) stored weights of a batch; raises InputError as ``weight_values`` and ``stored_weights`` do."""
        values = weight_values(batch.column(self.column), self.column, where, first)
        return stored_weights(values, self.bits, self.column, where)

    def in_units(self, total: int) -> float:
        """A sum of stored weights in the log's own units; 0 or infinite where float64 does not reach."""
        try:
            return float(Fraction(total) / Fraction(2) ** self.bits)
        except OverflowError:
            return float("inf")


def weight_header(weighting: Weighting | None) -> dict[str, Any]:
    """What the header of a file says of weights: nothing where there are none."""
    return {} if weighting is None else {"weight": {"column": weighting.column, "bits": weighting.bits}}


def weighting_from(header: Mapping[str, Any]) -> Weighting | None:
    """The inverse of ``weight_header``."""
    found = header.get("weight")
    return None if found is None else Weighting(str(found["column"]), int(found["bits"]))


@dataclass(frozen=True, eq=False)
class WeightSums:
    """The stored weights w of groups: (groups,) uint64 each. ``total``: SUM w, at most 2^53 over all groups of a log.
    SUM w^2 is ``high`` 2^32 + ``low`` with ``low`` < 2^32; it stays below 2^32 SUM w, so ``high`` is at most 2^53.

    Exact state: whole numbers that are added.
    """

    total: UInt64
    low: UInt64
    high: UInt64

    @classmethod
    def zeros(cls, groups: int) -> WeightSums:
        """Groups without rows."""
        return cls(*(np.zeros(groups, dtype=np.uint64) for _ in range(3)))

    def __len__(self) -> int:
        return len(self.total)

    def plus(self, group: npt.NDArray[np.int32], weights: UInt32, groups: int) -> WeightSums:
        """With the rows of a batch: the group and stored weight of each, of ``groups`` so far."""
        w = weights.astype(np.uint64)
        squares = w * w
        out = []
        for before, values in ((self.total, w), (self.low, squares & _LOW32), (self.high, squares >> _32)):
            sums = np.zeros(groups, dtype=np.uint64)
            sums[: len(before)] = before
            if len(group) and group[0] == group[-1] and (group == group[0]).all():
                sums[group[0]] += values.sum(dtype=np.uint64)
            else:
                np.add.at(sums, group, values)
            out.append(sums)
        return WeightSums(*out)._carried()

    def regrouped(self, to: npt.NDArray[Any], groups: int) -> WeightSums:
        """The same with group g renumbered to ``to[g]``, of ``groups``; groups that meet are added."""
        return merge_weights([self], [to], groups)

    def _carried(self) -> WeightSums:
        return WeightSums(self.total, self.low & _LOW32, self.high + (self.low >> _32))

    @property
    def squares(self) -> list[int]:
        """(groups,) SUM w^2 as Python integers."""
        return [(high << 32) + low for high, low in zip(self.high.tolist(), self.low.tolist(), strict=True)]

    def arrays(self) -> dict[str, UInt64]:
        """Named arrays for a file."""
        return {"weight_total": self.total, "weight_low": self.low, "weight_high": self.high}

    @classmethod
    def from_arrays(cls, total: Any, low: Any, high: Any) -> WeightSums:
        """The inverse of ``arrays``."""
        return cls(*(a.astype(np.uint64) for a in (total, low, high)))


def merge_weights(sums: Sequence[WeightSums], to: Sequence[npt.NDArray[Any]], groups: int) -> WeightSums:
    """Adds sums: group g of the i-th is group ``to[i][g]`` of ``groups``. Raises InputError beyond ``MOST_TOTAL``."""
    out = WeightSums.zeros(groups)
    for own, at in zip(sums, to, strict=True):
        np.add.at(out.total, at, own.total)
        np.add.at(out.low, at, own.low)
        np.add.at(out.high, at, own.high)
    check_total(sum(int(own.total.sum()) for own in sums))
    return out._carried()


def check_total(total: int, where: str = "") -> None:
    """Raises InputError where stored weights add up to more than can be counted. ``where``: the file, if it is one."""
    if total > MOST_TOTAL:
        raise InputError(
            f"{where + ': the' if where else 'The'} weights add up to more than {MOST_TOTAL:,} times the smallest that "
            "this baseline can tell from 0; fit the baseline on weights of this size."
        )
