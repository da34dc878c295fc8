"""The whole job on a big log, beside pyarrow decoding the same columns:
``python benchmarks/job/run.py FOLDER [--threads 1 2] [--turns 3] [--json FILE]``.

FOLDER: Parquet files with a timestamp, such as make_log.py writes; the first is the reference. In turns, each in a
process of its own and with as many threads: every batch of the columns is decoded and dropped, and `compare` in monthly
windows with its defaults. Printed are medians, ratios of the same turn, and the peak of resident memory.
"""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from turns import files_in, fitted, medians, parser_of, ratio, timed, turns_of, write

JOBS: Final = ("decode", "compare")


def decode(files: list[str], columns: list[str]) -> int:
    """Rows decoded, all columns, file by file through the dataset reader."""
    import pyarrow.dataset as ds

    return sum(batch.num_rows for batch in ds.dataset(files).to_batches(columns=columns))


def compare(files: list[str], baseline: str, threads: int) -> int:
    """Rows compared."""
    import modelwatch_gpu as mw

    return mw.compare(mw.Baseline.load(baseline), files, window="1mo", threads=threads).rows


def one(job: str, files: list[str], baseline: str, threads: int) -> dict[str, float]:
    """One job in this process, once on the first file to warm up, then timed on all."""
    import modelwatch_gpu as mw

    pa.set_cpu_count(threads)
    own = mw.Baseline.load(baseline)
    columns = [c.name for c in own.columns] + ([own.timestamp] if own.timestamp else [])

    def work(paths: list[str]) -> int:
        return decode(paths, columns) if job == "decode" else compare(paths, baseline, threads)

    work(files[:1])
    rows, times = timed(lambda: work(files))
    expected = sum(pq.read_metadata(path).num_rows for path in files)
    if rows != expected:
        raise SystemExit(f"{job}: {rows} rows of {expected}")
    return {"rows": rows, "columns": len(columns), **times}


def measured(folder: str, threads: int, turns: int, baseline: str) -> dict[str, Any]:
    """Medians of one number of threads."""
    found = turns_of(__file__, JOBS, folder, baseline, threads, turns)
    first = found["compare"][0]
    out = {"threads": threads, "ratio": ratio(found, "compare", "decode"), **medians(found)}
    return out | {"rows": int(first["rows"]), "columns": int(first["columns"])}


def main() -> None:
    parser = parser_of(__doc__, JOBS)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    files = files_in(given.folder)
    if given.one:
        print(json.dumps(one(given.one, files, given.baseline, given.threads[0])))
        return
    with tempfile.TemporaryDirectory() as place:
        baseline = os.path.join(place, "baseline.mwb")
        fitted(files).save(baseline)
        found = [measured(given.folder, threads, given.turns, baseline) for threads in given.threads]
    for row in found:
        print(
            f"{row['rows']:,} rows x {row['columns']} columns, {row['threads']} threads: "
            f"{row['compare_seconds']:.1f} s, decoding {row['decode_seconds']:.1f} s, ratio {row['ratio']:.2f}; "
            f"peak {row['compare_peak_mib']:.0f} MiB (decoding {row['decode_peak_mib']:.0f})"
        )
    write(given.json, found)


if __name__ == "__main__":
    main()
