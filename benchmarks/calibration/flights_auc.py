"""The area under the ROC curve on the flights log: alerts by whole days, and by rows as if they were independent.

    python benchmarks/calibration/flights_auc.py

Prints the table of docs/verdicts.md. Scores are counted on 1,000 cells of equal share, by label and day; what draws
them again is the library's own.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from modelwatch_gpu.checks.intervals import CONFIDENCE, Table, spread_of
from modelwatch_gpu.checks.statistics import Statistic, auc_drop
from modelwatch_gpu.measures.pvalues import student_t_quantile

CELLS = 1_000
#: A drop is judged as it is, so nothing has to be chosen from a column's cells.
DROP = Statistic(lambda _, counts, __: counts, auc_drop, linear=True, low=-1.0)


def days(path: Path, edges: npt.NDArray[np.float64] | None) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(days, 2 cells) counts of negatives and positives, and the edges of the cells."""
    table = pq.read_table(path, columns=["timestamp", "score", "label"]).drop_null()
    score, label = table["score"].to_numpy().astype(np.float64), table["label"].to_numpy().astype(np.int64)
    local = table["timestamp"].cast(pa.timestamp("us", "America/New_York")).to_pandas().dt.date
    number = np.unique(local, return_inverse=True)[1]
    if edges is None:
        edges = np.unique(np.quantile(score, np.arange(1, CELLS) / CELLS))
    width = len(edges) + 1
    cell = label * width + np.searchsorted(edges, score, side="right")
    counts = np.zeros((int(number.max()) + 1, 2 * width))
    np.add.at(counts, (number, cell), 1)
    return counts, edges


def by_rows(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The same rows in 64 units of random rows, as if days did not matter."""
    flat = np.repeat(np.tile(np.arange(counts.shape[1]), len(counts)), counts.ravel().astype(np.int64))
    unit = np.random.Generator(np.random.Philox(1)).permutation(len(flat)) % 64
    out = np.zeros((64, counts.shape[1]))
    np.add.at(out, (unit, flat), 1)
    return out


def months() -> list[tuple[str, float, float, float, float, float]]:
    """Month, drop, and both ends of the interval by rows and by days."""
    folder = Path(str(files("modelwatch_gpu") / "data" / "flights"))
    reference, edges = days(next(folder.glob("reference_*.parquet")), None)
    out = []
    for path in sorted(folder.glob("production_*.parquet")):
        month, _ = days(path, edges)
        drop = float(auc_drop(reference.sum(axis=0)[None], month.sum(axis=0)[None])[0])
        ends = []
        for sides in ((by_rows(reference), by_rows(month)), (reference, month)):
            one, other = Table(sides[0]), Table(sides[1])
            spread = spread_of(DROP, one, other, one, one, relabel=False)
            reach = spread.error * student_t_quantile((1 - CONFIDENCE) / 2, spread.freedom)
            ends += [drop - reach, drop + reach]
        out.append((path.stem.removeprefix("production_"), drop, ends[0], ends[1], ends[2], ends[3]))
    return out


def main() -> None:
    """Prints the table."""
    print("| month | AUC of the baseline less the month's | by rows | by days |\n|---|---|---|---|")
    for month, drop, row_low, row_high, day_low, day_high in months():
        mark = ["**" if low > 0 else "" for low in (row_low, day_low)]
        rows, whole = f"{row_low:+.3f} to {row_high:+.3f}", f"{day_low:+.3f} to {day_high:+.3f}"
        print(f"| {month} | {drop:+.4f} | {mark[0]}{rows}{mark[0]} | {mark[1]}{whole}{mark[1]} |")


if __name__ == "__main__":
    main()
