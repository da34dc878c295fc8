"""Streaming statistics of vectors beside one X'X and one X.W by NumPy, and exact MMD with permutations.

    python benchmarks/embeddings/scale.py [--rows 1000000] [--dimension 384] [--mmd 20000]

Prints one JSON object: seconds of each in this run, and the process's largest resident size.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from typing import Any

import numpy as np
import pyarrow as pa

import modelwatch_gpu as mw

ROLES = mw.Roles(id="id", embedding="vector")
BATCH = 65_536


def table_of(rows: int, dimension: int, segments: int, seed: int) -> pa.Table:
    """A log in batches, with a segment column."""
    rng = np.random.default_rng(seed)
    batches = []
    for begin in range(0, rows, BATCH):
        count = min(BATCH, rows - begin)
        values = rng.standard_normal((count, dimension), dtype=np.float32)
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), dimension)
        segment = pa.array(rng.integers(0, segments, count)).cast(pa.string())
        ids = pa.array(np.arange(begin, begin + count))
        batches.append(pa.RecordBatch.from_arrays([ids, segment, vectors], names=["id", "segment", "vector"]))
    return pa.Table.from_batches(batches)


def timed(work: Any) -> tuple[float, Any]:
    """Seconds, and the answer."""
    begin = time.perf_counter()
    answer = work()
    return time.perf_counter() - begin, answer


def by_numpy(table: pa.Table, dimension: int) -> Any:
    """One X'X and one X.W (dimension x 512) over the same batches."""
    weights = np.random.default_rng(0).standard_normal((dimension, 512), dtype=np.float32)
    total = np.zeros((dimension, dimension))
    for batch in table.to_batches():
        x = batch.column("vector").flatten().to_numpy().reshape(-1, dimension)
        total += x.T @ x
        _ = x @ weights
    return total


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--mmd", type=int, default=20_000)
    given = parser.parse_args()
    found: dict[str, Any] = {"rows": given.rows, "dimension": given.dimension, "cpus": len(os.sched_getaffinity(0))}
    reference = table_of(20_000, given.dimension, 200, 1)
    baseline = mw.Baseline.fit(reference, roles=ROLES)
    table = table_of(given.rows, given.dimension, 200, 2)
    found["numpy_seconds"], total = timed(lambda: by_numpy(table, given.dimension))
    found["count_seconds"], profile = timed(lambda: mw.Profile.count(baseline, table, keep_parts=False))
    sums = profile.merged().embeddings["window", "vector"]
    column = baseline.embeddings[0]
    # The answer that was timed: squared lengths about the centre are those of the whole matrix.
    mean = sums.total[0] * 2.0**-30 * column.spread / given.rows + column.center
    assert abs(np.trace(total) / given.rows - (mean**2).sum() - given.dimension) < 0.05 * given.dimension
    found["count_in_200_segments_seconds"], _ = timed(
        lambda: mw.Profile.count(baseline, table, segments=["segment"], keep_parts=False)
    )
    if given.mmd:
        rng = np.random.default_rng(3)
        x, y = (rng.standard_normal((given.mmd, given.dimension), dtype=np.float32) for _ in range(2))
        found["mmd_rows"] = given.mmd
        found["mmd_seconds"], result = timed(lambda: mw.stats.mmd(x, y, permutations=200, full=True))
        assert result.pvalue > 0
    found["largest_resident_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(found))


if __name__ == "__main__":
    main()
