"""What is timed on a device: one operation of the engine on one column, or a whole table.

Every case has the same answer on the CPU, which is asserted, of sums of vectors within what float32 loses; `bytes` is
what a kernel that reads its input once reads.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

import modelwatch_gpu as mw
from modelwatch_gpu import _core, keys
from modelwatch_gpu.device_arrays import DeviceColumn, DeviceMatrix
from modelwatch_gpu.measures.embedding_rows import gaussian, pair_sums
from modelwatch_gpu.profile.embedding_sums import DEALT
from modelwatch_gpu.profile.embeddings import BANDWIDTHS, FREQUENCIES

DTYPES = {"float32": np.float32, "float64": np.float64, "int64": np.int64}
#: Shapes of a column: what they are like to count.
SHAPES = ("normal", "lognormal", "few", "skewed", "constant")
KNOTS = (20, 1_000, 10_000, 100_000)


@dataclass(frozen=True)
class Case:
    """``run(engine, column)`` gives the answer. ``peers``: named functions of a module of arrays (CuPy or torch) and a
    device array of it, which do what a user of it would do instead. ``most``: values that it takes of a longer column;
    ``loses``: how far answers may be apart, relative to the largest number, where it is not 0; ``host``: the column
    comes from the host's memory, as batches do."""

    operation: str
    dtype: str
    shape: str
    size: str
    run: Callable[[Any, Any], Any]
    peers: dict[str, Callable[[Any, Any], Any]] = field(default_factory=dict)
    most: int = 1 << 40
    loses: float = 0.0
    host: bool = False

    @property
    def name(self) -> str:
        return "/".join(part for part in (self.operation, self.dtype, self.shape, self.size) if part)

    def values(self, rows: int) -> np.ndarray[Any, Any]:
        return column(self.dtype, self.shape, min(rows, self.most), zlib.crc32(self.name.encode()))

    def agree(self, a: Any, b: Any) -> bool:
        """Whether two answers are the same, to the bit or to what they may lose."""
        if not self.loses or not isinstance(a, dict):
            return equal(a, b)
        return all(np.allclose(a[k], b[k], rtol=0, atol=self.loses * max(1.0, float(np.abs(b[k]).max()))) for k in b)


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


def _groups() -> Iterator[Case]:
    cuts = keys.keys_of(np.linspace(-3000, 3000, 65, dtype=np.float32), "float32")
    for groups in (10, 1_000):

        def run(e: Any, c: Any, n: int = groups) -> Any:
            of_row = np.arange(len(c), dtype=np.int64) * 7919 % n
            return e.count_bins_of([c], keys.DOMAINS["float32"], [cuts], of_row.astype(np.int32), n)[0]

        yield Case("count_bins_of", "float32", "normal", f"64 bins x {groups} groups", run)


#: Elements of a vector, and the standard deviation of one.
_D = 64
_SD = 1000.0


def _vectors_of(column: Any) -> tuple[Any, int]:
    """A column's values as rows of vectors where they lie, and how many there are."""
    rows = len(column) // _D
    if isinstance(column, DeviceColumn):
        memory = column.device_memory
        return DeviceMatrix(column, memory.device, memory.pointer, "float32", rows, _D), rows
    return column.to_numpy()[: rows * _D].reshape(rows, _D), rows


def _pairs(e: Any, c: Any) -> Any:
    vectors, rows = _vectors_of(c)
    marks = np.zeros((rows, 1), dtype=np.float32)
    marks[: rows // 2] = 1
    bandwidth = _SD * _D**0.5
    if e is not _core:
        found = e.pair_sums([vectors], marks.astype(np.uint8), np.array([0.5 / bandwidth**2]))
        return {"within": found["within"][0], "touching": found["touching"][0]}
    (sums,) = pair_sums(vectors, marks, [gaussian(bandwidth)])
    return {"within": sums.within, "touching": sums.within + sums.across}


def _window(e: Any, c: Any) -> Any:
    vectors, rows = _vectors_of(c)
    frequencies = np.random.default_rng(3).normal(size=(_D, FREQUENCIES)) / (_SD * _D**0.5)
    hand = np.arange(rows) * 7919 % DEALT
    if e is not _core:
        adder = e.VectorAdder(frequencies, BANDWIDTHS[0], DEALT)
        adder.add(0, vectors, hand)
        found = adder.sums(0)
        trace = found["products"].reshape(_D, _D).trace()
        return {"total": found["total"], "trace": trace, "features": found["features"]}
    wide = vectors.astype(np.float64)
    angles = wide @ frequencies.astype(np.float32).astype(np.float64)
    turned = [f(angles / width) for width in BANDWIDTHS for f in (np.cos, np.sin)]
    features = np.zeros((DEALT, len(turned), FREQUENCIES))
    for at, values in enumerate(turned):
        np.add.at(features[:, at], hand, values)
    return {"total": wide.sum(axis=0), "trace": (wide**2).sum(), "features": features.reshape(-1)}


def _vectors() -> Iterator[Case]:
    yield Case("pair_sums", "float32", "normal", f"vectors of {_D}", _pairs, most=_D << 14, loses=1e-5)
    yield Case("VectorAdder", "float32", "normal", f"vectors of {_D}", _window, most=_D << 20, loses=1e-5)


def _device(e: Any) -> str:
    return "cpu" if e is _core else f"cuda:{e.device}"


def _fused(e: Any, c: Any) -> Any:
    """Ranks, moments, registers and a log-linear histogram of one counter set, in one read of the column."""
    grid, same = grid_of("float32", 1_000), np.empty(0, dtype=np.uint32)
    plan = _core.NumericPlan(
        grid=grid, to_fine=same, fine_slots=grid.slots, to_coarse=same, coarse_slots=0, gap_shift=0, pivot=0
    )
    counter = e.Counter([plan], [_core.SetPlan(coarse=False, moments=True, sketches=True)])
    counter.add(pa.RecordBatch.from_arrays([c], names=["x"]), [None])
    return counter.numeric(0, 0)["count"]


def _errors(e: Any, c: Any) -> Any:
    return mw.stats.mape(c, np.roll(c.to_numpy(), 1), device=_device(e))


def _ranking(e: Any, c: Any) -> Any:
    """Of queries of a hundred rows."""
    labels = (np.arange(len(c)) % 7 == 0).astype(np.int8)
    found = mw.stats.hit_rate(labels, c, queries=np.arange(len(c)) // 100, k=3, device=_device(e))
    return {"hit_rate": np.array([found])}


def _halves(c: Any) -> tuple[Any, Any]:
    """A column as two samples of vectors."""
    vectors, rows = _vectors_of(c)
    return vectors[: rows // 2], vectors[rows // 2 :]


def _neighbours(e: Any, c: Any) -> Any:
    return {"novelty": np.array([mw.stats.knn_novelty(*_halves(c), device=_device(e))])}


def _frechet(e: Any, c: Any) -> Any:
    return {"value": np.array(mw.stats.frechet_distance(*_halves(c), device=_device(e)))}


def _sliced(e: Any, c: Any) -> Any:
    return {"value": np.array(mw.stats.sliced_wasserstein(*_halves(c), projections=32, device=_device(e)))}


def _balls(e: Any, c: Any) -> Any:
    found = mw.stats.prdc(*_halves(c), k=3, device=_device(e))
    return found.precision, found.recall, found.density, found.coverage


def _weighted(e: Any, c: Any) -> Any:
    values = c.to_numpy()
    labels = (values > np.roll(values, 1)).astype(np.int8)
    return mw.stats.roc_auc(labels, values, weights=np.abs(np.roll(values, 2)), device=_device(e))


def _performance() -> Iterator[Case]:
    yield Case("Counter", "float32", "normal", "1000 knots, all kinds", _fused, host=True)
    yield Case("errors_beside", "float32", "normal", "", _errors, host=True)
    yield Case("ranked_rows", "float32", "normal", "", _ranking, loses=1e-12, host=True)
    yield Case("weighted_keys", "float32", "normal", "", _weighted, host=True)
    yield Case("nearest", "float32", "normal", f"vectors of {_D}", _neighbours, most=_D << 12, loses=1e-5, host=True)
    yield Case("balls", "float32", "normal", f"vectors of {_D}", _balls, most=_D << 12, host=True)
    yield Case("centered_sums", "float32", "normal", f"vectors of {_D}", _frechet, most=_D << 16, loses=1e-5, host=True)
    yield Case("projected", "float32", "normal", f"vectors of {_D}", _sliced, most=_D << 16, loses=1e-5, host=True)


def cases(names: Callable[[str], bool] = lambda name: True) -> list[Case]:
    """All cases whose operation every engine has, and whose name is wanted."""
    every = [*_ranks(), *_bins(), *_groups(), *_columns(), *_sorts(), *_vectors(), *_performance()]
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
