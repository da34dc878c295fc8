"""What every case script shares; needs nothing but the standard library and, to read the data, pyarrow."""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

#: Rows of the untimed first run: what a tool imports or compiles when it is first used is not timed.
WARM_ROWS = 2_000


@dataclass(frozen=True)
class Timed:
    """A result and what it took: seconds on the wall and of the CPU, all threads together."""

    answer: Any
    seconds: float
    cpu_seconds: float


def timed(work: Callable[[], Any]) -> Timed:
    """Runs ``work`` once."""
    cpu, wall = time.process_time(), time.perf_counter()
    answer = work()
    return Timed(answer, time.perf_counter() - wall, time.process_time() - cpu)


def frames(folder: Path) -> tuple[Any, Any]:
    """Both sides as pandas DataFrames: float64, and objects for text."""
    import pandas as pd

    return pd.read_parquet(folder / "reference.parquet"), pd.read_parquet(folder / "current.parquet")


def tables(folder: Path) -> tuple[Any, Any]:
    """Both sides as Arrow tables; text is plain ``string``, not a dictionary."""
    import pyarrow.parquet as pq

    return tuple(pq.read_table(folder / f"{side}.parquet") for side in ("reference", "current"))  # type: ignore


def arrays(folder: Path) -> tuple[Any, Any]:
    """The 20 numeric columns of both sides as lists of float64 NumPy arrays, missing rows left out."""
    out = []
    for table in tables(folder):
        columns = [table[n] for n in table.column_names if n.startswith("x")]
        # Copies, because datasketches refuses arrays that cannot be written to.
        out.append([c.drop_null().to_numpy().copy() for c in columns])
    return out[0], out[1]


#: Shares at which the reference is cut where a case works with deciles.
DECILES = [i / 10 for i in range(1, 10)]


def names_of_numbers(columns: list[str]) -> list[str]:
    """The numeric columns of the data."""
    return [n for n in columns if n.startswith("x")]


def answer(run: Timed, numbers: Any) -> dict[str, Any]:
    """What a case of one timed part returns."""
    return {"seconds": {"all": run.seconds}, "cpu_seconds": run.cpu_seconds, "numbers": numbers}


def psi(p: Any, q: Any) -> float:
    """PSI of counts, shares raised to 0.0001, as modelwatch's own."""
    import numpy as np

    p, q = (np.maximum(side / side.sum(), 1e-4) for side in (p, q))
    return float(np.sum((q - p) * np.log(q / p)))


def main(
    cases: dict[str, Callable[[Path, bool], dict[str, Any]]],
    packages: tuple[str, ...],
    known: dict[str, str] | None = None,
) -> None:
    """Runs the case that the command line names and writes what it returns, with versions and memory, as JSON.

    ``packages``: those whose versions matter; ``known``: versions that are known already.

    A case is called with the folder of the data, and whether numbers are wanted that take time of their own. It returns
    at least ``seconds`` (a name -> seconds), ``cpu_seconds`` and ``numbers``.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=sorted(cases))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--warm", type=Path, help="data for an untimed run first")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--check", action="store_true", help="also the numbers that only the check needs")
    options = parser.parse_args()
    if options.warm:
        cases[options.case](options.warm, False)
    found = cases[options.case](options.data, options.check)
    found["versions"] = (known or {}) | {name: version(name) for name in packages}
    found["peak_megabytes"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    found["cores"] = len(os.sched_getaffinity(0))
    options.out.write_text(json.dumps(_plain(found)), encoding="utf-8")


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's; what is not finite as text, which JSON lacks."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value
