"""What performance costs beside drift: ``python benchmarks/job/scored.py FOLDER [--threads 2] [--turns 3]``.

FOLDER: Parquet files with a score and a label, such as make_log.py writes; the first is the reference. In turns, each
in a process of its own: `compare` in monthly windows with day blocks, once with everything that is held against labels
and once without (the same baseline, told that there is nothing to hold). Printed are medians and ratios of one turn.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from turns import files_in, fitted, medians, parser_of, ratio, timed, turns_of, write

JOBS: Final = ("drift", "both")


def one(job: str, files: list[str], baseline: str, threads: int) -> dict[str, float]:
    """One job in this process, once on the first file to warm up, then timed on all."""
    import modelwatch_gpu as mw

    pa.set_cpu_count(threads)
    own = mw.Baseline.load(baseline)
    if own.scoring is None:
        raise SystemExit("the log has no score and label, so there is no performance to measure")
    used = own if job == "both" else dataclasses.replace(own, scoring=None)
    mw.compare(used, files[:1], window="1mo", threads=threads)
    report, times = timed(lambda: mw.compare(used, files, window="1mo", threads=threads))
    told = sum(1 for block in report.results.blocks if "roc_auc" in block.values)
    if report.rows != sum(pq.read_metadata(path).num_rows for path in files) or told != (job == "both"):
        raise SystemExit(f"{job}: {report.rows} rows, performance of {told} columns")
    return {"rows": report.rows, **times}


def measured(folder: str, threads: int, turns: int, baseline: str) -> dict[str, Any]:
    """Medians, and medians of the ratios of each turn."""
    found = turns_of(__file__, JOBS, folder, baseline, threads, turns)
    out: dict[str, Any] = {"threads": threads, "turns": turns, "rows": int(found["both"][0]["rows"])}
    for name in ("seconds", "cpu_seconds"):
        out[f"ratio_{name}"] = ratio(found, "both", "drift", name)
    return out | medians(found)


def main() -> None:
    parser = parser_of(__doc__, JOBS)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    files = files_in(given.folder)
    if given.one:
        print(json.dumps(one(given.one, files, given.baseline, given.threads)))
        return
    with tempfile.TemporaryDirectory() as place:
        baseline = os.path.join(place, "baseline.mwb")
        fitted(files).save(baseline)
        row = measured(given.folder, given.threads, given.turns, baseline)
    print(
        f"{row['rows']:,} rows, {row['threads']} threads: {row['both_seconds']:.1f} s, drift alone "
        f"{row['drift_seconds']:.1f} s, ratio {row['ratio_seconds']:.2f} (CPU time {row['ratio_cpu_seconds']:.2f}); "
        f"peak {row['both_peak_mib']:.0f} MiB (drift {row['drift_peak_mib']:.0f})"
    )
    write(given.json, [row])


if __name__ == "__main__":
    main()
