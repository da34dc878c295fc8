"""The data of the comparison: two Parquet files of equal form, seeded, so that every tool is given the same rows.

20 float64 columns of five shapes and two columns of text, with 8 and about 1,000 values. Seven columns change: four
numbers are shifted or stretched, one has a new mode, a category becomes more frequent and another is new.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

SEED = 20_261_125
NUMBERS = tuple(f"x{i:02d}" for i in range(20))
TEXTS = ("plan", "shop")
#: The version of the data: results of another one are not reused.
VERSION = 1

Floats = npt.NDArray[np.float64]


def _number(rng: np.random.Generator, rows: int, shape: int) -> Floats:
    if shape == 0:
        return rng.normal(size=rows)
    if shape == 1:
        return rng.lognormal(0.0, 1.0, rows)
    if shape == 2:
        return rng.uniform(-1.0, 1.0, rows)
    if shape == 3:
        return rng.gamma(2.0, 3.0, rows)
    return rng.standard_t(5, rows)


def _moved(rng: np.random.Generator, values: Floats, column: int) -> Floats:
    if column == 0:
        return values + 0.5
    if column == 1:
        return values * 1.25
    if column == 5:
        return values + 0.05
    if column == 8:
        return values * 1.5
    if column == 10:
        return np.where(rng.random(len(values)) < 0.1, values + 5.0, values)
    return values


def table(rows: int, *, current: bool) -> pa.Table:
    """One side, of ``rows`` rows. Every hundredth value of two columns is missing, in places of its own."""
    rng = np.random.default_rng([SEED, rows, int(current)])
    columns: dict[str, pa.Array] = {}
    for i, name in enumerate(NUMBERS):
        values = _number(rng, rows, i % 5)
        if current:
            values = _moved(rng, values, i)
        missing = rng.random(rows) < 0.01 if i in (3, 12) else None
        columns[name] = pa.array(values, mask=missing)
    plans = np.array([f"plan-{i}" for i in range(8)] + ["plan-new"], dtype=object)
    percent = (20, 20, 15, 12, 10, 8, 5, 8, 2) if current else (30, 20, 15, 12, 10, 8, 3, 2, 0)
    columns["plan"] = pa.array(plans[rng.choice(len(plans), rows, p=np.array(percent) / 100)], pa.string())
    # Shops grow rarer like 1 / (rank + 10).
    weights = 1.0 / (np.arange(1000) + 10.0)
    shops = np.array([f"shop-{i:04d}" for i in range(1000)], dtype=object)
    columns["shop"] = pa.array(shops[rng.choice(1000, rows, p=weights / weights.sum())], pa.string())
    return pa.table(columns)


def made(folder: Path, rows: int) -> Path:
    """The folder with ``reference.parquet`` and ``current.parquet`` of so many rows each, made where it is not."""
    home = folder / f"v{VERSION}-{rows}"
    for name in ("reference", "current"):
        path = home / f"{name}.parquet"
        if not path.exists():
            home.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            pq.write_table(table(rows, current=name == "current"), part, row_group_size=max(1, rows))
            part.rename(path)
    return home
