"""The whole job on the bundled log, against reading the same columns with pyarrow."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import modelwatch_gpu as mw
from modelwatch_gpu.demo import ROLES, TIMEZONE


def test_comparing_nine_months_of_flights(against: Callable[..., Any]) -> None:
    folder = Path(str(files("modelwatch_gpu") / "data" / "flights"))
    reference, production = sorted(folder.glob("reference_*")), sorted(folder.glob("production_*"))
    baseline = mw.Baseline.fit(reference, roles=ROLES, timezone=TIMEZONE)
    names = [c.name for c in baseline.columns] + ["timestamp"]

    def decode() -> int:
        return sum(pq.read_table(path, columns=names).num_rows for path in production)

    report, rows = against(lambda: mw.compare(baseline, production, window="1mo"), decode, "decoding alone")
    assert report.rows == rows == 255_987
