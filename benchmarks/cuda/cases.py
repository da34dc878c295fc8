"""What is timed on a device: one operation of the engine on one column, or a whole table.

Every case has the same answer on the CPU, which is asserted; `bytes` is what a kernel that reads its input once reads.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from modelwatch_gpu import _core, keys

DTYPES = {"float32": np.float32, "float64": np.float64, "int64": np.int64}
#: Shapes of a column: what they are like to count.
SHAPES = ("normal", "lognormal", "few", "skewed", "constant")
KNOTS = (20, 1_000, 10_000, 100_000)


@dataclass(frozen=True)
class Case:
    """``run(engine, column)`` gives the answer. ``peers``: named functions of a module of arrays (CuPy or torch) and a
    device array of it, which do what a user of it would do instead."""

    operation: str
    dtype: str
    shape: str
    size: str
    run: Callable[[Any, Any], Any]
    peers: dict[str, Callable[[Any, Any], Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return "/".join(part for part in (self.operation, self.dtype, self.shape, self.size) if part)

    def values(self, rows: int) -> np.ndarray[Any, Any]:
        return column(self.dtype, self.shape, rows, zlib.crc32(self.name.encode()))


def column(dtype: str, shape: str, rows: int, seed: int) -> np.ndarray[Any, Any]:
    """Values of a shape: bell, heavy tail, 50 different ones, one in 19 of 20 rows, or one only."""
    rng = np.random.default_rng(seed)
    made = {
        "normal": lambda: rng.normal(0, 1000, rows),
        "lognormal": lambda: rng.lognormal(3, 2, rows),
        "few": lambda: rng.integers(0, 50, rows).astype(float),
        "skewed": lambda: np.where(rng.random(rows) < 0.95, 7.0, rng.normal(0, 1000, rows)),
        "constant": lambda: np.full(rows, 7.0),
    }[shape]()
    return made.astype(DTYPES[dtype])


def grid_of(dtype: str, knots: int) -> _core.Grid:
    """A grid whose knots lie where the bell's quantiles do."""
    rng = np.random.default_rng(knots)
    values = np.unique(rng.normal(0, 1000, knots).astype(DTYPES[dtype]))
    if dtype != "int64":
        values = np.unique(np.concatenate([values, np.array([-np.inf, np.inf], dtype=values.dtype)]))
    return _core.Grid(keys.DOMAINS[dtype], keys.keys_of(values, dtype))


def _ranks() -> Iterator[Case]:
    for dtype in DTYPES:
        for knots in KNOTS:
            grid = grid_of(dtype, knots)
            for shape in SHAPES if dtype == "float32" else SHAPES[:1]:
                yield Case("count_cells", dtype, shape, f"{knots} knots", lambda e, c, g=grid: e.count_cells(c, g))


def _bins() -> Iterator[Case]:
    for dtype in ("float32", "float64"):
        for bins in (19, 64, 1024):
            edges = np.linspace(-3000, 3000, bins + 1).astype(DTYPES[dtype])
            cuts = keys.keys_of(edges, dtype)
            peers = {
                "cupy": lambda cp, x, b=bins: cp.histogram(x, bins=b, range=(-3000, 3000)),
                "torch": lambda torch, x, b=bins: torch.histc(x, bins=b, min=-3000, max=3000),
            }
            for shape in SHAPES:
                yield Case(
                    "count_bins",
                    dtype,
                    shape,
                    f"{bins} bins",
                    lambda e, c, d=dtype, k=cuts: e.count_bins(c, keys.DOMAINS[d], k),
                    peers,
                )


def _columns() -> Iterator[Case]:
    for dtype in ("float32", "float64"):
        yield Case(
            "column_moments",
            dtype,
            "normal",
            "",
            lambda e, c: e.column_moments(c),
            {
                "cupy": lambda cp, x: (x.mean(), x.var(), x.min(), x.max(), cp.isnan(x).sum()),
                "torch": lambda torch, x: (*torch.var_mean(x), *torch.aminmax(x), torch.isnan(x).sum()),
            },
        )
        for shape in ("normal", "lognormal", "constant"):
            yield Case("log_linear_counts", dtype, shape, "", lambda e, c: e.log_linear_counts(c))
            yield Case(
                "column_registers",
                dtype,
                shape,
                "",
                lambda e, c: e.column_registers(c),
                {"cupy": lambda cp, x: cp.unique(x).size, "torch": lambda torch, x: torch.unique(x).numel()},
            )


def _sorts() -> Iterator[Case]:
    for dtype in ("float32", "float64"):
        yield Case(
            "sup_distance",
            dtype,
            "normal",
            "",
            lambda e, c: e.sup_distance(c, c),
            {"cupy, sort only": lambda cp, x: cp.sort(x), "torch, sort only": lambda torch, x: torch.sort(x)},
        )


def cases(names: Callable[[str], bool] = lambda name: True) -> list[Case]:
    """All cases whose operation every engine has, and whose name is wanted."""
    every = [*_ranks(), *_bins(), *_columns(), *_sorts()]
    return [case for case in every if names(case.name)]


def table(rows: int) -> pa.Table:
    """Ten float32 and ten float64 columns of all shapes, for the whole job."""
    columns = {
        f"{dtype}_{shape}_{k}": column(dtype, shape, rows, 100 * k + len(shape))
        for dtype in ("float32", "float64")
        for shape in SHAPES
        for k in range(2)
    }
    return pa.table(columns)


def equal(a: Any, b: Any) -> bool:
    """Whether two answers are the same, to the bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b))
    return bool(a == b)
