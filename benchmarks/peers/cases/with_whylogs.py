"""whylogs: both sides profiled with ``why.log``, then its drift scores, on pandas DataFrames."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from timing import frames, main, names_of_numbers, timed

warnings.filterwarnings("ignore")


def profiles(folder: Path, check: bool) -> dict[str, Any]:
    """Seconds of either profile and of the scores; counts, extremes, mean and median of the numeric columns."""
    import whylogs as why
    from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

    reference, current = frames(folder)
    first = timed(lambda: why.log(reference).view())
    second = timed(lambda: why.log(current).view())
    scores = timed(lambda: calculate_drift_scores(target_view=second.answer, reference_view=first.answer))
    numbers: dict[str, Any] = {}
    for name in names_of_numbers(list(current.columns)):
        column = second.answer.get_column(name).to_summary_dict()
        numbers[name] = {
            "rows": column["counts/n"],
            "missing": column["counts/null"],  # NaN among them
            "min": column["distribution/min"],
            "max": column["distribution/max"],
            "mean": column["distribution/mean"],
            "median": column["distribution/median"],
        }
    drift = {name: None if found is None else found["pvalue"] for name, found in scores.answer.items()}
    return {
        "seconds": {"profile reference": first.seconds, "profile current": second.seconds, "drift": scores.seconds},
        "cpu_seconds": first.cpu_seconds + second.cpu_seconds + scores.cpu_seconds,
        "numbers": numbers,
        "pvalues": drift,
    }


main({"profiles": profiles}, ("whylogs", "pandas", "numpy", "scipy"))
