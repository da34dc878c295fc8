"""Columns of every kind, for the benchmarks of kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MANY, FEW = 4_000_000, 100_000


@dataclass(frozen=True)
class Kind:
    """A column: its type, rows, the shape of its values and the share of NaN."""

    dtype: str = "float32"
    rows: int = MANY
    shape: str = "normal"
    nan: float = 0.0

    def __str__(self) -> str:
        return f"{self.dtype}-{self.rows}-{self.shape}" + (f"-nan{self.nan:g}" if self.nan else "")

    def values(self, seed: int = 1) -> Array:
        """The column; of whole numbers a thousand is one standard deviation, or what the type holds."""
        rng = np.random.default_rng(seed)
        if self.shape == "constant":
            values = np.full(self.rows, 0.5)
        elif self.shape == "ten-values":
            values = rng.integers(-5, 5, self.rows) / 4.0
        elif self.shape == "lognormal":
            values = rng.lognormal(0, 2, self.rows)
        else:
            values = rng.normal(0, 1, self.rows)
        if np.dtype(self.dtype).kind == "i":
            info = np.iinfo(self.dtype)
            return np.clip(np.rint(values * min(1000, info.max // 4)), info.min, info.max).astype(self.dtype)
        values[rng.random(self.rows) < self.nan] = np.nan
        return values.astype(self.dtype)
