"""Scale the bundled flights log to any number of rows, in constant memory.

    python tools/make_big_log.py OUT --rows 10_000_000 --files 10 --row-group 131072 --seed 0

The bundled files are read once.  Each row group of the output belongs to one of them (the first part of the rows to the
reference, the rest to the months in proportion to their real sizes) and draws its rows from it with replacement, whole
rows at a time, so the drift between months, the joint gaps and the links between columns stay real.  Then

- weather columns get noise of a twentieth of the file's standard deviation, rounded as the column is and kept within
  its range (an exact zero stays one), so that a big log has more distinct values than a small one;
- the score gets noise of 0.05 on the logit, and the prediction is the score against the model's real threshold;
- timestamps are spread over the row group's slice of the file's time, in order; ids count up from 1.

The rows are noisy copies: good for speed and memory, worthless for p-values.  Equal options give equal rows.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

FLIGHTS = Path(__file__).resolve().parents[1] / "python" / "modelwatch_gpu" / "data" / "flights"
NOISE_SHARE = 0.05  # of the file's standard deviation
SCORE_NOISE = 0.05  # on the logit
# Column -> decimals it is recorded with.
NOISY = {"temp": 2, "dewp": 2, "humid": 2, "wind_speed": 5, "wind_gust": 5, "precip": 2, "pressure": 1}

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Source:
    """One bundled file in memory, with what noise needs to know about each noisy column."""

    table: pa.Table
    sd: dict[str, float]
    range: dict[str, tuple[float, float]]
    start: int  # microseconds since 1970
    end: int


@dataclass(frozen=True)
class Piece:
    """One row group to write: so many rows, drawn from one source, within a slice of its time."""

    source: int
    rows: int
    start: int
    end: int


def read_source(path: Path) -> Source:
    table = pq.read_table(path).combine_chunks()
    stamps = pc.min_max(table["timestamp"].cast(pa.int64())).as_py()
    spans = {column: pc.min_max(table[column]).as_py() for column in NOISY}
    return Source(
        table=table,
        sd={column: pc.stddev(table[column]).as_py() for column in NOISY},
        range={column: (span["min"], span["max"]) for column, span in spans.items()},
        start=stamps["min"],
        end=stamps["max"],
    )


def share_out(rows: int, weights: list[int]) -> list[int]:
    """Split `rows` in proportion to `weights`; the shares add up exactly."""
    ends = [rows * sum(weights[: place + 1]) // sum(weights) for place in range(len(weights))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def plan(sources: list[Source], rows: int, reference_share: float, row_group: int) -> Iterator[Piece]:
    reference_rows = int(rows * reference_share)
    months = share_out(rows - reference_rows, [source.table.num_rows for source in sources[1:]])
    for place, (source, wanted) in enumerate(zip(sources, [reference_rows, *months], strict=True)):
        done = 0
        while done < wanted:
            size = min(row_group, wanted - done)
            length = source.end - source.start
            start = source.start + length * done // wanted
            done += size
            yield Piece(place, size, start, max(start + 1, source.start + length * done // wanted))


def floats(column: pa.ChunkedArray) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The values, with nulls as NaN, and where the nulls are."""
    missing = column.is_null().to_numpy()
    return column.to_numpy().astype(np.float32), missing


def noisy(column: pa.ChunkedArray, source: Source, name: str, random: np.random.Generator) -> pa.Array:
    values, missing = floats(column)
    noise = random.standard_normal(len(values), dtype=np.float32) * np.float32(NOISE_SHARE * source.sd[name])
    moved = np.round(values + np.where(values == 0, np.float32(0), noise), NOISY[name])
    return pa.array(np.clip(moved, *source.range[name]).astype(np.float32), mask=missing)


def noisy_score(column: pa.ChunkedArray, random: np.random.Generator) -> Floats:
    values, _ = floats(column)
    noise = random.standard_normal(len(values), dtype=np.float32) * np.float32(SCORE_NOISE)
    logit = np.log(values) - np.log1p(-values) + noise
    score: Floats = (1 / (1 + np.exp(-logit))).astype(np.float32)
    return score


def row_group_of(
    piece: Piece, source: Source, first_id: int, threshold: float, random: np.random.Generator
) -> pa.Table:
    drawn = source.table.take(pa.array(random.integers(0, source.table.num_rows, piece.rows)))
    stamps = np.sort(random.integers(piece.start, piece.end, piece.rows))
    score = noisy_score(drawn["score"], random)
    columns: dict[str, Any] = {
        "prediction_id": pa.array(np.arange(first_id, first_id + piece.rows)),
        "timestamp": pa.array(stamps).cast(drawn.schema.field("timestamp").type),
        "score": pa.array(score),
        "prediction": pa.array((score >= np.float32(threshold)).astype(np.int8)),
    }
    for name in NOISY:
        columns[name] = noisy(drawn[name], source, name, random)
    return pa.table([columns.get(name, drawn[name]) for name in drawn.column_names], schema=drawn.schema)


def make(out: Path, rows: int, files: int, row_group: int, reference_share: float, seed: int) -> dict[str, object]:
    """Write the files and return what was written."""
    paths = [FLIGHTS / "reference_2013-01_03.parquet", *sorted(FLIGHTS.glob("production_*.parquet"))]
    sources = [read_source(path) for path in paths]
    schema = sources[0].table.schema
    threshold = float(schema.metadata[b"threshold"])
    random = np.random.default_rng(seed)
    out.mkdir(parents=True, exist_ok=True)
    file_ends = np.cumsum(share_out(rows, [1] * files)).tolist()
    made: list[Path] = []
    written = 0
    writer: pq.ParquetWriter | None = None
    for piece in plan(sources, rows, reference_share, row_group):
        # A file is closed after the row group that reaches its share, so no row group is cut in two.
        if writer is None:
            made.append(out / f"part-{len(made):05d}.parquet")
            writer = pq.ParquetWriter(made[-1], schema, compression="zstd")
        table = row_group_of(piece, sources[piece.source], written + 1, threshold, random)
        writer.write_table(table, row_group_size=row_group)
        written += piece.rows
        if written >= file_ends[len(made) - 1]:
            writer.close()
            writer = None
    return {"rows": written, "files": len(made), "bytes": sum(path.stat().st_size for path in made)}


def count(text: str) -> int:
    """A whole number above zero; 10_000_000 is one too."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def share(text: str) -> float:
    if not 0 <= (value := float(text)) <= 1:
        raise argparse.ArgumentTypeError("must lie between 0 and 1")
    return value


def main() -> int:
    parser = argparse.ArgumentParser(description="Scale the bundled flights log to any number of rows.")
    parser.add_argument("out", type=Path, help="folder to write part-00000.parquet, ... into")
    parser.add_argument("--rows", type=count, default=10_000_000)
    parser.add_argument("--files", type=count, default=10, help="at most so many: no row group is cut in two")
    parser.add_argument("--row-group", type=count, default=131_072)
    parser.add_argument("--reference-share", type=share, default=0.1, help="share of the rows drawn from the reference")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.perf_counter()
    made = make(options.out, options.rows, options.files, options.row_group, options.reference_share, options.seed)
    print(json.dumps(made | {"seconds": round(time.perf_counter() - start, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
