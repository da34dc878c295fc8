"""modelwatch-gpu: the same jobs as the case scripts of the peers, on Arrow tables and NumPy arrays."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from timing import DECILES, answer, arrays, main, names_of_numbers, tables, timed

import modelwatch_gpu as mw
from modelwatch_gpu.device import isa

#: What a report says of a column that a peer says too.
REPORTED = ("ks", "wasserstein_sd", "wasserstein", "js_distance", "row_count", "missing_share")


def _compared(folder: Path, window: Callable[[int], str | None]) -> tuple[dict[str, Any], mw.Report]:
    """Fit, compare, and compare with the baseline read from its file, each timed."""
    reference, current = tables(folder)
    size = window(current.num_rows)
    fitted = timed(lambda: mw.Baseline.fit(reference))
    report = timed(lambda: mw.compare(fitted.answer, current, window=size))
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "baseline.mwb")
        fitted.answer.save(path)
        saved = timed(lambda: mw.compare(path, current, window=size))
    found = {
        "seconds": {"fit": fitted.seconds, "compare": report.seconds, "saved baseline": saved.seconds},
        "cpu_seconds": fitted.cpu_seconds + report.cpu_seconds,
        "numbers": _numbers(report.answer),
    }
    return found, report.answer


def _numbers(report: mw.Report) -> dict[str, Any]:
    """Column -> measure -> [lower, value, upper], and what the profile says of the window, for the first window."""
    out: dict[str, Any] = {}
    for result in report.results:
        if result.column.name in out:
            continue
        own = {n: [v.lower, v.value, v.upper] for n in REPORTED if (v := result.values.get(n)) is not None}
        s = result.summary
        own |= {"missing": s.missing, "min": s.minimum, "max": s.maximum, "mean": s.mean}
        out[result.column.name] = own
    return out


def _columns(folder: Path) -> list[tuple[str, Any, Any]]:
    reference, current = tables(folder)
    return [(n, reference[n].combine_chunks(), current[n].combine_chunks()) for n in reference.column_names]


def _as(peer: str, measures: dict[str, str], columns: list[tuple[str, Any, Any]]) -> dict[str, dict[str, float]]:
    """Column -> the peer's name of a method -> its number by our rule of it."""
    return {
        name: {method: getattr(mw.stats, measure)(a, b, compat=peer) for method, measure in measures.items()}
        for name, a, b in columns
    }


def evidently(folder: Path, check: bool) -> dict[str, Any]:
    """Fit and compare; the check has Evidently's two scores by our rules of them."""
    found, _ = _compared(folder, lambda rows: None)
    if check:
        columns = _columns(folder)
        found["compat"] = _as("evidently", {"wasserstein": "wasserstein"}, [c for c in columns if c[0][0] == "x"])
        found["compat"] |= _as("evidently", {"js": "js_distance"}, [c for c in columns if c[0][0] != "x"])
    return found


def nannyml_ten_chunks(folder: Path, check: bool) -> dict[str, Any]:
    """Fit and compare in ten windows of equal size; the check has NannyML's numbers of each."""
    found, _ = _compared(folder, lambda rows: f"{rows // 10}rows")
    if check:
        columns = _columns(folder)
        rows = len(columns[0][2])
        parts = [[(n, a, b.slice(k * rows // 10, rows // 10)) for n, a, b in columns] for k in range(10)]
        chunks = [_as("nannyml", {"jensen_shannon": "js_distance"}, part) for part in parts]
        found["compat"] = {n: {"jensen_shannon": [c[n]["jensen_shannon"] for c in chunks]} for n, _, _ in columns}
    return found


def nannyml_one_chunk(folder: Path, check: bool) -> dict[str, Any]:
    """Fit and compare; the check has NannyML's Jensen-Shannon distances."""
    found, _ = _compared(folder, lambda rows: None)
    if check:
        found["compat"] = _as("nannyml", {"jensen_shannon": "js_distance"}, _columns(folder))
    return found


def nannyml_all_methods(folder: Path, check: bool) -> dict[str, Any]:
    """Fit and compare; the check has NannyML's numbers of every method that we have a rule for."""
    found, _ = _compared(folder, lambda rows: None)
    if check:
        numeric = {
            "kolmogorov_smirnov": "ks",
            "jensen_shannon": "js_distance",
            "wasserstein": "wasserstein",
            "hellinger": "hellinger",
        }
        texts = {"jensen_shannon": "js_distance", "chi2": "chi_square", "hellinger": "hellinger"}
        columns = _columns(folder)
        found["compat"] = _as("nannyml", numeric, [c for c in columns if c[0][0] == "x"])
        found["compat"] |= _as("nannyml", texts, [c for c in columns if c[0][0] != "x"])
    return found


def whylogs(folder: Path, check: bool) -> dict[str, Any]:
    """Fit and compare; the check has exact medians."""
    found, _ = _compared(folder, lambda rows: None)
    if check:
        for name, _, current in _columns(folder):
            if name.startswith("x"):
                ranked = current.drop_null().sort()
                found["numbers"][name]["around the median"] = [
                    ranked[int(len(ranked) * share)].as_py() for share in (0.48, 0.52)
                ]
    return found


def _of_pairs(measure: str, folder: Path) -> dict[str, Any]:
    a, b = arrays(folder)
    function = getattr(mw.stats, measure)
    run = timed(lambda: [function(x, y) for x, y in zip(a, b, strict=True)])
    return answer(run, run.answer)


def scipy_ks(folder: Path, check: bool) -> dict[str, Any]:
    """D and p of 20 columns."""
    a, b = arrays(folder)
    run = timed(lambda: [mw.stats.ks(x, y, full=True) for x, y in zip(a, b, strict=True)])
    return answer(run, [r.value for r in run.answer])


def scipy_wasserstein(folder: Path, check: bool) -> dict[str, Any]:
    """Wasserstein-1 of 20 columns."""
    return _of_pairs("wasserstein", folder)


def psi(folder: Path, check: bool) -> dict[str, Any]:
    """PSI of 20 columns at deciles of the reference."""
    reference, current = tables(folder)
    names = names_of_numbers(reference.column_names)
    run = timed(lambda: [mw.stats.psi(reference[n], current[n]) for n in names])
    return answer(run, run.answer)


def histogram(folder: Path, check: bool) -> dict[str, Any]:
    """Counts of 20 columns in 64 equal bins from -8 to 8."""
    a, _ = arrays(folder)
    run = timed(lambda: [mw.stats.histogram(x, 64, range=(-8, 8)) for x in a])
    return answer(run, run.answer)


def quantile(folder: Path, check: bool) -> dict[str, Any]:
    """The nine deciles of 20 columns; the check has the values around each that KLL may give."""
    import numpy as np

    a, _ = arrays(folder)
    run = timed(lambda: [mw.stats.quantile(x, DECILES) for x in a])
    found = answer(run, run.answer)
    if check:
        # A rank is off by more than the stated error, 1.33%, in one of a hundred; none by three times as much.
        shares = np.array(DECILES)
        found["within"] = [[np.quantile(x, shares - 0.04), np.quantile(x, shares + 0.04)] for x in a]
    return found


main(
    {
        "evidently-preset": evidently,
        "nannyml-ten-chunks": nannyml_ten_chunks,
        "nannyml-one-chunk": nannyml_one_chunk,
        "nannyml-all-methods": nannyml_all_methods,
        "whylogs-profiles": whylogs,
        "scipy-ks": scipy_ks,
        "scipy-wasserstein": scipy_wasserstein,
        "polars-psi": psi,
        "duckdb-psi": psi,
        "boost-histogram-fill": histogram,
        "datasketches-kll": quantile,
    },
    ("numpy", "pyarrow"),
    {"modelwatch-gpu": mw.__version__, "instruction set": isa()},
)
