"""Streaming statistics of vectors beside one X'X and one X.W by NumPy, and exact MMD beside alibi-detect.

    python benchmarks/embeddings/scale.py stream [--rows 1000000] [--dimension 384]
    python benchmarks/embeddings/scale.py mmd --rows 20000 [--dimension 384] [--permutations 200]
    python benchmarks/embeddings/scale.py alibi --rows 4000 --backend pytorch|keops

Each prints one JSON object: seconds of this run, processor seconds, and the process's largest resident size. ``alibi``
needs alibi-detect with torch or pykeops and nothing of this package, so it runs in an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

BATCH = 65_536
#: Batches of vectors that are made; a longer log repeats them under new ids, so that making them takes no memory.
POOL = 4
SEGMENTS = 200


def timed(work: Any) -> tuple[dict[str, float], Any]:
    """Seconds by the clock and of all processors, and the answer."""
    begin, used = time.perf_counter(), time.process_time()
    answer = work()
    return {
        "seconds": round(time.perf_counter() - begin, 3),
        "cpu_seconds": round(time.process_time() - used, 3),
    }, answer


def stream(rows: int, dimension: int, turns: int) -> dict[str, Any]:
    """One pass over a log of vectors, without and with 200 segments, in turns with NumPy's two products."""
    import pyarrow as pa

    import modelwatch_gpu as mw

    rng = np.random.default_rng(2)
    pool = [rng.standard_normal((BATCH, dimension), dtype=np.float32) for _ in range(POOL)]
    lists = [pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), dimension) for values in pool]
    segment = pa.array(rng.integers(0, SEGMENTS, BATCH)).cast(pa.string())
    schema = pa.schema([("id", pa.int64()), ("segment", pa.string()), ("vector", lists[0].type)])

    def sizes() -> Iterator[tuple[int, int]]:
        for at, begin in enumerate(range(0, rows, BATCH)):
            yield at % POOL, min(BATCH, rows - begin)

    def log() -> Any:
        batches = (
            pa.record_batch(
                [pa.array(np.arange(count) + at * BATCH), segment.slice(0, count), lists[which].slice(0, count)],
                schema=schema,
            )
            for at, (which, count) in enumerate(sizes())
        )
        return pa.RecordBatchReader.from_batches(schema, batches)

    def products() -> Any:
        weights = np.random.default_rng(0).standard_normal((dimension, 512), dtype=np.float32)
        total = np.zeros((dimension, dimension))
        for which, count in sizes():
            x = pool[which][:count]
            total += x.T @ x
            _ = x @ weights
        return total

    reference = pa.record_batch([pa.array(np.arange(20_000)), segment[:20_000], lists[0][:20_000]], schema=schema)
    baseline = mw.Baseline.fit(reference, roles=mw.Roles(id="id", embedding="vector"))
    found: dict[str, Any] = {"numpy": [], "count": [], "count_in_200_segments": []}
    for _ in range(turns):
        took, total = timed(products)
        found["numpy"].append(took)
        took, profile = timed(lambda: mw.Profile.count(baseline, log(), keep_parts=False))
        found["count"].append(took)
        # The answer that was timed: squared lengths about the centre are those of the whole matrix.
        sums, column = profile.merged().embeddings["window", "vector"], baseline.embeddings[0]
        mean = sums.total[0] * 2.0**-30 * column.spread / rows + column.center
        spread = (
            sums.squares[0] * 2.0**-30 * column.spread**2 / rows + 2 * mean @ column.center - (column.center**2).sum()
        )
        assert abs(np.trace(total) / rows - spread) < 1e-4 * dimension
        took, _ = timed(lambda: mw.Profile.count(baseline, log(), segments=["segment"], keep_parts=False))
        found["count_in_200_segments"].append(took)
    best = {name: min(turn["seconds"] for turn in took) for name, took in found.items()}
    found["count_over_numpy"] = round(best["count"] / best["numpy"], 2)
    found["segments_over_count"] = round(best["count_in_200_segments"] / best["count"], 2)
    return found


def clouds(rows: int, dimension: int) -> tuple[Any, Any]:
    """Two samples of one distribution."""
    rng = np.random.default_rng(3)
    x, y = (rng.standard_normal((rows, dimension), dtype=np.float32) for _ in range(2))
    return x, y


def mmd(rows: int, dimension: int, permutations: int) -> dict[str, Any]:
    """Exact MMD with permutations by this package."""
    import modelwatch_gpu as mw

    x, y = clouds(rows, dimension)
    took, result = timed(lambda: mw.stats.mmd(x, y, permutations=permutations, full=True))
    return {**took, "mmd2": result.value, "pvalue": result.pvalue}


def alibi(rows: int, dimension: int, permutations: int, backend: str) -> dict[str, Any]:
    """The same by alibi-detect."""
    from alibi_detect.cd import MMDDrift

    x, y = clouds(rows, dimension)
    took, result = timed(lambda: MMDDrift(x, backend=backend, n_permutations=permutations, device="cpu").predict(y))
    return {
        **took,
        "backend": backend,
        "mmd2": float(result["data"]["distance"]),
        "pvalue": float(result["data"]["p_val"]),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["stream", "mmd", "alibi"])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--permutations", type=int, default=200)
    parser.add_argument("--backend", default="pytorch", choices=["pytorch", "keops"])
    given = parser.parse_args()
    rows, dimension = given.rows, given.dimension
    found: dict[str, Any] = {"what": given.what, "rows": rows, "dimension": dimension}
    found["cpus"] = len(os.sched_getaffinity(0))
    if given.what == "stream":
        found |= stream(rows, dimension, given.turns)
    elif given.what == "mmd":
        found |= mmd(rows, dimension, given.permutations)
    else:
        found |= alibi(rows, dimension, given.permutations, given.backend)
    found["largest_resident_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(found))


if __name__ == "__main__":
    main()
