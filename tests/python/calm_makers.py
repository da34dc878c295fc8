"""A log in which nothing changes: the same distributions for years, with the habits of the day and of the week."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

ROWS_A_YEAR = 70_000
_YEAR = 365 * 86_400
_START = 1_577_836_800  # 2020-01-01, UTC


def calm(years: int, seed: int, *, first_year: int = 0) -> pa.Table:
    """Twelve numeric and eight categorical columns beside a time and an id, 70,000 rows a year.

    There are more rows by day than by night and fewer at weekends; tails are heavy, values tie, some are missing,
    rare categories come and go, and columns depend on one another and on the hour.
    """
    rng = np.random.default_rng([seed, first_year])
    rows = ROWS_A_YEAR * years
    day = rng.choice(365 * years, rows, p=_week(365 * years))
    hour = (rng.normal(14, 4.5, rows) % 24).astype(np.float64)
    when = np.sort(_START + first_year * _YEAR + day * 86_400 + (hour * 3_600).astype(np.int64))
    of_day = (when % 86_400) / 86_400
    common = rng.normal(size=rows)

    def holed(values: Any, share: float) -> pa.Array:
        return pa.array(values, mask=rng.random(rows) < share)

    def drawn(values: list[str], shares: Any) -> pa.Array:
        codes = rng.choice(len(values), rows, p=np.asarray(shares) / np.sum(shares))
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), values)

    many = [f"item {i}" for i in range(3_000)]
    return pa.table(
        {
            "when": pa.array(when).cast(pa.timestamp("s", "UTC")),
            "event_id": np.arange(rows) + 10**9 * (1 + first_year),
            "normal": common,
            "dependent": (0.7 * common + rng.normal(size=rows)).astype("f4"),
            "by_hour": 10 + 3 * np.sin(2 * np.pi * of_day) + rng.normal(size=rows),
            "heavy": rng.standard_t(2, rows),
            "skewed": rng.lognormal(2, 1.2, rows),
            "price": np.round(rng.gamma(2, 20, rows), 2),
            "count": rng.poisson(3, rows),
            "rare_count": holed(rng.poisson(0.05, rows), 0.02),
            "share": rng.beta(0.5, 2, rows),
            "mostly_zero": np.where(rng.random(rows) < 0.9, 0.0, rng.exponential(5, rows)),
            "holed": holed(rng.normal(100, 15, rows), 0.3),
            "mostly_missing": holed(rng.normal(size=rows), 0.95),
            "two": drawn(["no", "yes"], [0.97, 0.03]),
            "three": drawn(["a", "b", "c"], [0.5, 0.3, 0.2]),
            "region": drawn([f"r{i}" for i in range(25)], 1 / np.arange(1, 26)),
            "item": drawn(many, 1 / np.arange(1, 3_001) ** 1.1),
            "flag": holed(rng.random(rows) < 0.4, 0.01),
            "level": pa.array(rng.integers(1, 6, rows).astype("i1")),
            "code": pa.array(np.char.add("C", rng.integers(10, 99, rows).astype(str))),
            "device": drawn(["phone", "tablet", "desk"], [0.62, 0.08, 0.3]),
        }
    )


def _week(days: int) -> Any:
    weights = np.where(np.arange(days) % 7 < 5, 1.0, 0.6)
    return weights / weights.sum()
