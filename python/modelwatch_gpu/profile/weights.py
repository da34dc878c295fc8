"""Row weights as integers: a row of weight w counts as w rows do, exactly and in any order (decision 0006)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.keys import domain_of

UInt32 = npt.NDArray[np.uint32]

#: A stored weight is below 2^32; whole weights are stored as they are up to this size.
MOST_WEIGHT: Final = (1 << 32) - 1
WHOLE_UP_TO: Final = 1 << 20
#: The mean weight of the reference is stored as about 2^15 where weights have fractions.
_MEAN_BITS: Final = 15


@dataclass
class WeightRange:
    """What the reference's weights are: filled batch by batch, then ``bits`` says how they are stored."""

    rows: int = 0
    total: float = 0.0
    most: float = 0.0
    whole: bool = True

    def add(self, weights: npt.NDArray[np.float64]) -> None:
        """Takes the weights of one batch, all finite and not negative."""
        self.rows += len(weights)
        self.total += math.fsum(weights.tolist())
        self.most = max(self.most, float(weights.max(initial=0.0)))
        self.whole = self.whole and bool(np.all(weights == np.floor(weights)))

    @property
    def bits(self) -> int:
        """A weight w is stored as the whole number nearest to w 2^bits. Raises InputError where all weights are 0."""
        if self.total <= 0:
            raise InputError("All weights of the reference are 0, so no row counts; give another column or none.")
        if self.whole and self.most <= WHOLE_UP_TO:
            return 0
        return _MEAN_BITS - math.floor(math.log2(self.total / self.rows))


def weight_values(array: pa.Array, name: str, where: str) -> npt.NDArray[np.float64]:
    """(rows,) float64 weights of a column; raises InputError for a type or a value that cannot be a weight."""
    if domain_of(array.type) is None or pa.types.is_temporal(array.type):
        raise InputError(f"{where}: the weight column '{name}' has type {array.type}; weights are numbers.")
    if array.null_count:
        row = pc.index(pc.is_null(array), True).as_py()
        raise InputError(f"{where}: the weight in column '{name}' is null in row {row} of a batch; fill it in.")
    values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{where}: the weight in column '{name}' is {values[row]} in row {row} of a batch; "
            "weights are finite and not negative."
        )
    return np.asarray(values, dtype=np.float64)


def stored_weights(values: npt.NDArray[np.float64], bits: int, name: str, where: str) -> UInt32:
    """Weights as the whole numbers nearest to w 2^bits; raises InputError where one is too large for that."""
    scaled = np.rint(np.ldexp(values, bits))
    if len(scaled) and float(scaled.max()) > MOST_WEIGHT:
        raise InputError(
            f"{where}: the weight {float(values.max()):g} in column '{name}' is more than {MOST_WEIGHT:,} times the "
            f"smallest this baseline can tell from 0; fit the baseline on weights of this size."
        )
    return scaled.astype(np.uint32)
