"""Polars: PSI written by hand, on DataFrames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from timing import DECILES, answer, main, names_of_numbers, psi, tables, timed


def polars_psi(folder: Path, check: bool) -> dict[str, Any]:
    """PSI of 20 columns at deciles of the reference: quantiles, then cut and count."""
    import numpy as np
    import polars as pl

    a, b = (pl.from_arrow(t) for t in tables(folder))
    names = names_of_numbers(a.columns)

    def counts(frame: Any, name: str, edges: list[float]) -> Any:
        cut = frame.select(pl.col(name).drop_nulls().bin_intervals(edges, labels=False, right_closed=True).alias("bin"))
        found = cut.group_by("bin").len()
        return np.bincount(found["bin"].to_numpy(), found["len"].to_numpy(), minlength=10)

    def work() -> list[float]:
        out = []
        for name in names:
            edges = a.select(pl.col(name).quantile(s, "linear").alias(str(s)) for s in DECILES).row(0)
            out.append(psi(*(counts(frame, name, list(edges)) for frame in (a, b))))
        return out

    run = timed(work)
    return answer(run, run.answer)


main({"psi": polars_psi}, ("polars", "numpy"))
