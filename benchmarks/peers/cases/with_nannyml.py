"""NannyML: ``UnivariateDriftCalculator``, fit and calculate, on pandas DataFrames."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from timing import frames, main, timed

warnings.filterwarnings("ignore")


def _run(folder: Path, chunks: int, continuous: Sequence[str], categorical: Sequence[str]) -> dict[str, Any]:
    from nannyml import UnivariateDriftCalculator

    reference, current = frames(folder)

    def fit() -> Any:
        calculator = UnivariateDriftCalculator(
            column_names=list(reference.columns),
            continuous_methods=list(continuous),
            categorical_methods=list(categorical),
            chunk_number=chunks,
        )
        return calculator.fit(reference)

    fitted = timed(fit)
    calculated = timed(lambda: fitted.answer.calculate(current).filter(period="analysis").to_df())
    found = calculated.answer
    numbers = {
        column: {method: found[(column, method, "value")].tolist() for method in continuous if column.startswith("x")}
        | {method: found[(column, method, "value")].tolist() for method in categorical if not column.startswith("x")}
        for column in reference.columns
    }
    return {
        "seconds": {"fit": fitted.seconds, "calculate": calculated.seconds},
        "cpu_seconds": fitted.cpu_seconds + calculated.cpu_seconds,
        "numbers": numbers,
    }


def ten_chunks(folder: Path, check: bool) -> dict[str, Any]:
    """The defaults: Jensen-Shannon distance of ten chunks."""
    return _run(folder, 10, ["jensen_shannon"], ["jensen_shannon"])


def one_chunk(folder: Path, check: bool) -> dict[str, Any]:
    """The same of one chunk."""
    return _run(folder, 1, ["jensen_shannon"], ["jensen_shannon"])


def all_methods(folder: Path, check: bool) -> dict[str, Any]:
    """Every method there is, of one chunk."""
    continuous = ["kolmogorov_smirnov", "jensen_shannon", "wasserstein", "hellinger"]
    return _run(folder, 1, continuous, ["chi2", "jensen_shannon", "l_infinity", "hellinger"])


main(
    {"ten-chunks": ten_chunks, "one-chunk": one_chunk, "all-methods": all_methods},
    ("nannyml", "pandas", "numpy", "scipy"),
)
