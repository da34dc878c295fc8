"""A service that watches itself: predictions are counted as they are made, and judged at the end of every month.

The bundled flights log plays the traffic, a thousand predictions at a time. Beside its columns a derived one is
watched: how many seats a thousand miles of the flight. Needs Numba: pip install 'modelwatch-gpu[jit]'.

python examples/service.py
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pyarrow.parquet as pq

import modelwatch_gpu as mw


@mw.derived
def seats_per_1000_miles(seats: float, distance: float) -> float | None:
    if distance <= 0:
        return None
    return 1000 * seats / distance


flights = Path(str(files("modelwatch_gpu") / "data" / "flights"))
roles = mw.Roles(label="label", score="score", timestamp="timestamp", ignore=["arr_delay_min", "prediction_id"])
derived = [seats_per_1000_miles]
baseline = mw.Baseline.fit(flights / "reference_2013-01_03.parquet", roles=roles, derived=derived)

live = mw.LiveProfile(baseline, derived=derived)
year: mw.Profile | None = None
for month in sorted(flights.glob("production_*.parquet")):
    for batch in pq.ParquetFile(month).iter_batches(1_000):
        live.add(batch)
    profile = live.take()
    report = mw.compare(baseline, profile)
    worst = report.worst(1)[0]
    print(f"{month.stem[-7:]}: {report.rows:,} predictions; {worst.severity}: {worst.column}. {worst.reason}")
    year = profile if year is None else year + profile

assert year is not None
same = next(f for f in mw.compare(baseline, year).findings if f.column == "seats_per_1000_miles")
print(f"April to December: {year.rows:,} predictions; seats_per_1000_miles is {same.severity}.")
