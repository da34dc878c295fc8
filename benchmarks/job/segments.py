"""What 10,000 segments cost: ``python benchmarks/job/segments.py FOLDER [--turns 3] [--json FILE]``.

FOLDER: a log such as make_log.py writes; the first file is the reference. A copy is made once beside it whose rows have
a customer, one of 10,000 at random: nearly every row of a tile has another one, which is the worst case. In turns,
each in a process of its own: 20 columns are counted without segments, and by customer. Printed are medians of seconds
and of CPU seconds, their ratios of the same turn, and the peak of resident memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CUSTOMERS: Final = 10_000
#: Left out, so that 20 columns are counted; the first was made from the label, the others have few values.
IGNORED: Final = (
    *("arr_delay_min", "customer", "model_version", "engine", "manufacturer", "tailnum", "synthetic_region"),
    *("dow", "prediction"),
)


def with_customers(folder: Path, seed: int = 3) -> Path:
    """The log's copy with a customer in every row; made where it is not there yet."""
    into = folder / "customers"
    if into.exists():
        return into
    rng = np.random.default_rng(seed)
    names = pa.array([f"customer-{i:05d}" for i in range(CUSTOMERS)])
    into.mkdir()
    for path in sorted(folder.glob("*.parquet")):
        file = pq.ParquetFile(path)
        schema = file.schema_arrow.append(pa.field("customer", pa.dictionary(pa.int16(), pa.string())))
        with pq.ParquetWriter(into / path.name, schema, compression="zstd") as writer:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                codes = pa.array(rng.integers(0, CUSTOMERS, len(table)).astype(np.int16))
                writer.write_table(table.append_column("customer", pa.DictionaryArray.from_arrays(codes, names)))
    return into


def one(files: list[str], by: list[str]) -> dict[str, float]:
    """Counts the log in this process."""
    import modelwatch_gpu as mw

    present = set(pq.read_schema(files[0]).names)
    baseline = mw.Baseline.fit(files[0], roles=mw.Roles(ignore=[n for n in IGNORED if n in present]))
    cpu, wall = time.process_time(), time.perf_counter()
    profile = mw.Profile.count(baseline, files, segments=by, keep_parts=False)
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    merged = profile.merged()
    assert merged is not None
    segments = len(merged.groups.get("segment:customer", ()))
    if segments != (CUSTOMERS if by else 0):
        raise SystemExit(f"{segments} segments were counted, not {CUSTOMERS}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    columns = len(baseline.columns)
    return {"rows": profile.rows, "columns": columns, "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mib": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", choices=["none", "customer"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    files = sorted(str(path) for path in with_customers(given.folder).glob("*.parquet"))
    if given.one:
        print(json.dumps(one(files, ["customer"] if given.one == "customer" else [])))
        return
    turns = []
    for _ in range(given.turns):
        turn = {}
        for what in ("none", "customer"):
            command = [sys.executable, __file__, str(given.folder), "--one", what]
            turn[what] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        turns.append(turn)
    out = {
        name: {what: statistics.median(t[what][name] for t in turns) for what in ("none", "customer")}
        for name in ("rows", "columns", "seconds", "cpu_seconds", "peak_mib")
    }
    for name in ("seconds", "cpu_seconds"):
        out[name]["ratio"] = statistics.median(t["customer"][name] / t["none"][name] for t in turns)
    print(json.dumps(out, indent=1))
    if given.json:
        given.json.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
