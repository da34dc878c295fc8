"""A log of any size from the bundled flights: ``python benchmarks/job/make_log.py FOLDER --rows 10_000_000``.

Rows of each month are drawn with replacement and get new times within it, so the drift from month to month stays real.
Continuous columns and the score get a little noise, rounded as the original is; what is missing stays missing. Two
columns that production logs have are added: a latency and a region. Parquet with zstd, row groups of 131,072 rows.
"""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP: Final = 131_072
#: Columns with noise, and their decimals.
NOISY: Final = {"temp": 2, "dewp": 2, "humid": 2, "wind_speed": 5, "wind_gust": 5, "precip": 2, "pressure": 1}
NOISE: Final = 0.05  # in standard deviations
REGIONS: Final = ("us-east-1", "us-west-2", "eu-west-1", "ap-southeast-1")


def months() -> list[pa.Table]:
    """The bundled log, reference first, each column in one piece."""
    folder = Path(str(files("modelwatch_gpu") / "data" / "flights"))
    paths = [*sorted(folder.glob("reference_*")), *sorted(folder.glob("production_*"))]
    return [pq.read_table(path).unify_dictionaries().combine_chunks() for path in paths]


def _noisy(column: pa.Array, decimals: int, rng: np.random.Generator) -> pa.Array:
    values = column.to_numpy(zero_copy_only=False).astype(np.float32)
    spread = np.float32(NOISE) * np.nanstd(values)
    moved = np.round(values + rng.standard_normal(len(values), dtype=np.float32) * spread, decimals)
    moved = np.where(values == 0, 0, moved).clip(np.nanmin(values), np.nanmax(values)).astype(np.float32)
    return pa.array(moved, mask=np.isnan(moved))


def drawn(month: pa.Table, rows: int, times: tuple[int, int], first_id: int, rng: np.random.Generator) -> pa.Table:
    """Rows of a month, at sorted times of [first, last) microseconds."""
    table = month.take(pa.array(rng.integers(0, len(month), rows))).combine_chunks()

    def put(name: str, values: pa.Array) -> None:
        nonlocal table
        at = table.schema.get_field_index(name)
        field = pa.field(name, values.type)
        table = table.set_column(at, field, values) if at >= 0 else table.append_column(field, values)

    put("prediction_id", pa.array(np.arange(first_id, first_id + rows)))
    put("timestamp", pa.array(np.sort(rng.integers(*times, rows))).cast(pa.timestamp("us", "UTC")))
    for name, decimals in NOISY.items():
        put(name, _noisy(table[name].chunk(0), decimals, rng))
    score = table["score"].to_numpy()
    odds = score / (1 - score) * np.exp(rng.standard_normal(rows, dtype=np.float32) * np.float32(NOISE))
    put("score", pa.array((odds / (1 + odds)).astype(np.float32)))
    latency = np.exp(rng.standard_normal(rows, dtype=np.float32) * np.float32(0.45) + np.float32(2.5))
    put("synthetic_latency_ms", pa.array(latency, mask=rng.random(rows) < 0.001))
    codes = np.minimum(rng.geometric(0.5, rows) - 1, len(REGIONS) - 1).astype(np.int8)
    put("synthetic_region", pa.DictionaryArray.from_arrays(codes, list(REGIONS)))
    return table


def _span(month: pa.Table) -> tuple[int, int]:
    times = month["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    return int(times.min()), int(times.max()) + 1


def make(folder: Path, rows: int, file_rows: int, seed: int = 0) -> None:
    """Writes the log; a tenth of it is drawn from the reference."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    tables = months()
    sizes = [len(t) for t in tables[1:]]
    shares = [rows // 10, *((rows - rows // 10) * size // sum(sizes) for size in sizes)]
    shares[-1] += rows - sum(shares)
    writer: Any = None
    number = inside = made = 0
    for month, share in zip(tables, shares, strict=True):
        low, high = _span(month)
        done = 0
        while done < share:
            count = min(ROW_GROUP, share - done)
            times = low + (high - low) * done // share, low + (high - low) * (done + count) // share
            table = drawn(month, count, times, made, rng)
            if writer is None or inside >= file_rows:
                if writer is not None:
                    writer.close()
                writer = pq.ParquetWriter(folder / f"part-{number:05d}.parquet", table.schema, compression="zstd")
                number, inside = number + 1, 0
            writer.write_table(table.cast(writer.schema), row_group_size=ROW_GROUP)
            done, inside, made = done + count, inside + count, made + count
    if writer is not None:
        writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--file-rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    make(given.folder, given.rows, given.file_rows, given.seed)


if __name__ == "__main__":
    main()
