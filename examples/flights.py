"""Fit on January to March, compare April to December month by month and airport by airport, write the report.

python examples/flights.py [FOLDER FOR THE FILES]
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

import modelwatch_gpu as mw

out = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
flights = files("modelwatch_gpu") / "data" / "flights"

# What the columns are. The delay in minutes is the label by another name, so it stays out.
roles = mw.Roles(
    label="label",
    score="score",
    prediction="prediction",
    timestamp="timestamp",
    id="prediction_id",
    version="model_version",
    ignore=["arr_delay_min"],
)
baseline = mw.Baseline.fit(f"{flights}/reference_2013-01_03.parquet", roles=roles, timezone="America/New_York")
baseline.save(out / "flights.mwb")

# The default checks, but weather may change with the season: of the features, judge those that describe the flight.
checks = [
    mw.Check("ks", columns=["score", "distance", "sched_*", "seats", "plane_age"], warn=0.1, alert=0.2),
    mw.Check("js_distance", columns=["carrier", "dest", "prediction", "label"], warn=0.1, alert=0.2),
    mw.Check("missing_change", warn=0.05, alert=0.1),
]
report = mw.compare(
    mw.Baseline.load(out / "flights.mwb"),
    f"{flights}/production_*.parquet",
    window="1mo",
    segments=["origin"],
    checks=checks,
)

print(report)
for finding in report.worst(5):
    place = report.segment_of(finding) or "all airports"
    print(f"{finding.severity:8} {finding.column:10} {report.iso_of(finding.start)} {place}: {finding.reason}")

report.to_json(out / "flights.json")
report.to_html(out / "flights.html", title="New York departures, 2013")
print(f"Wrote flights.mwb, flights.json and flights.html to {out.resolve()}.")
