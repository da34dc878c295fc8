"""What late labels cost: ``python benchmarks/job/labels.py FOLDER [--labels 1000000] [--threads 2] [--turns 3]``.

FOLDER: Parquet files with a whole-number id, a score and a label, such as make_log.py writes; the first is the
reference. In turns, each in a process of its own: `compare` in monthly windows with late labels for random ids of the
log, some of them corrected by a second file, and without. Printed are medians: seconds to add the labels and to
compare, and the peak of memory of either.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from turns import files_in, fitted, medians, parser_of, timed, turns_of, write

JOBS: Final = ("without", "late")
#: One in so many labels is corrected later, and as many are of ids that no row has.
ONE_IN: Final = 20
ID, AT = "prediction_id", "labelled_at"


def make_labels(files: list[str], folder: Path, count: int, label: str) -> int:
    """Two files of late labels; returns how many ids of the log they name."""
    rows = sum(pq.read_metadata(path).num_rows for path in files)
    rng = np.random.default_rng(7)
    chosen = np.zeros(rows, dtype=bool)
    chosen[rng.choice(rows, min(count, rows), replace=False)] = True
    found, begin = [], 0
    for path in files:
        ids = pq.read_table(path, columns=[ID])[ID].to_numpy()
        found.append(ids[chosen[begin : begin + len(ids)]])
        begin += len(ids)
    ids = rng.permutation(np.concatenate(found))
    few = len(ids) // ONE_IN
    orphans = np.arange(few) + (1 << 60)
    parts = (np.concatenate([ids, orphans]), ids[:few]) if few else (ids, ids[:1])
    for number, own in enumerate(parts):
        table = {
            ID: own,
            label: rng.integers(0, 2, len(own)).astype(np.int8),
            AT: pa.array(np.full(len(own), number), pa.timestamp("s")),
        }
        pq.write_table(pa.table(table), folder / f"late-{number}.parquet")
    return len(ids)


def one(job: str, files: list[str], baseline: str, threads: int) -> dict[str, float]:
    """One job in this process, timed. The labels lie beside the baseline."""
    import modelwatch_gpu as mw

    pa.set_cpu_count(threads)
    own = mw.Baseline.load(baseline)
    assert own.scoring is not None
    label, late = own.scoring.label, sorted(Path(baseline).parent.glob("late-*.parquet"))
    mw.compare(own, files[:1], window="1mo", threads=threads)
    labels, added = None, 0.0
    if job == "late":
        labels, adding = timed(lambda: added_labels(late, label))
        added = adding["seconds"]
    report, times = timed(lambda: mw.compare(own, files, window="1mo", threads=threads, labels=labels))
    wanted = pq.read_metadata(late[0]).num_rows  # the second file corrects ids of the first
    if labels is not None:
        info = report.labels
        if info is None or info.ids != wanted or info.joined != info.ids - info.orphans:
            raise SystemExit(f"late: {info}")
    return {"rows": report.rows, "add": added, **times}


def added_labels(late: list[Path], label: str) -> Any:
    """The labels of these files."""
    import modelwatch_gpu as mw

    labels = mw.Labels()
    for path in late:
        labels.add(str(path), id=ID, label=label, at=AT)
    return labels


def main() -> None:
    parser = parser_of(__doc__, JOBS)
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    files = files_in(given.folder)
    if given.one:
        print(json.dumps(one(given.one, files, given.baseline, given.threads)))
        return
    with tempfile.TemporaryDirectory() as place:
        baseline = os.path.join(place, "baseline.mwb")
        reference = fitted(files, id=ID)
        reference.save(baseline)
        if reference.scoring is None:
            raise SystemExit("the log has no score and label, so there is nothing to join labels for")
        count = make_labels(files, Path(place), given.labels, reference.scoring.label)
        found = turns_of(__file__, JOBS, given.folder, baseline, given.threads, given.turns)
    row: dict[str, Any] = {"threads": given.threads, "turns": given.turns, "labels": count}
    row |= {"rows": int(found["late"][0]["rows"]), **medians(found, "add")}
    print(
        f"{count:,} late labels, {row['rows']:,} rows, {given.threads} threads: {row['late_add']:.1f} s to add, "
        f"{row['late_seconds']:.1f} s to compare (without {row['without_seconds']:.1f} s; CPU time "
        f"{row['late_cpu_seconds']:.1f} and {row['without_cpu_seconds']:.1f} s); peak {row['late_peak_mib']:.0f} MiB "
        f"(without {row['without_peak_mib']:.0f})"
    )
    write(given.json, [row])


if __name__ == "__main__":
    main()
