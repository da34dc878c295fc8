"""The columns that peers and we are given: outliers, ties, NaN, constants, new categories. NumPy alone makes them."""

from __future__ import annotations

from typing import Any

import numpy as np

Pair = tuple[Any, Any]


def numbers() -> dict[str, Pair]:
    """Name -> reference and current, float64."""
    rng = np.random.default_rng(1202)

    def normal(rows: int, mean: float = 0.0, sd: float = 1.0) -> Any:
        return rng.normal(mean, sd, rows)

    def holed(values: Any, share: float) -> Any:
        return np.where(rng.random(len(values)) < share, np.nan, values)

    cases: dict[str, Pair] = {
        "small": (normal(400), normal(300, 0.2)),
        "large": (normal(3_000), normal(2_500, 0.2, 1.2)),
        "calm": (normal(2_000), normal(2_000)),
        "outlier": (normal(2_000), np.append(normal(1_999), 1e6)),
        "outliers in the reference": (np.append(normal(1_999), [-1e5]), normal(1_500, 0.3)),
        "ties": (np.round(normal(1_500), 1), np.round(normal(1_200, 0.1), 1)),
        "few values": (rng.integers(0, 5, 1_200).astype(float), rng.integers(0, 4, 900).astype(float)),
        "few values, few rows": (rng.integers(0, 4, 500).astype(float), rng.integers(0, 4, 400).astype(float)),
        "NaN": (holed(normal(1_500), 0.1), holed(normal(1_500, 0.3), 0.3)),
        "heavy tail": (rng.lognormal(0, 2, 2_500), rng.lognormal(0.1, 2.1, 2_500)),
        "beyond the range": (rng.random(2_000), rng.random(2_000) + 0.5),
        "constant": (np.full(500, 3.0), np.full(400, 3.0)),
        "two constants": (np.full(500, 3.0), np.full(400, 4.0)),
        "constant before": (np.full(1_500, 0.5), normal(1_200)),
    }
    return {name: (np.asarray(a, dtype=float), np.asarray(b, dtype=float)) for name, (a, b) in cases.items()}


def texts() -> dict[str, Pair]:
    """Name -> reference and current, text with None."""
    rng = np.random.default_rng(1203)

    def drawn(rows: int, values: list[Any], shares: list[float]) -> list[Any]:
        return [values[i] for i in rng.choice(len(values), rows, p=shares).tolist()]

    abc = ["a", "b", "c"]
    return {
        "three": (drawn(2_000, abc, [0.5, 0.3, 0.2]), drawn(1_500, abc, [0.4, 0.35, 0.25])),
        "three, few rows": (drawn(600, abc, [0.5, 0.3, 0.2]), drawn(500, abc, [0.4, 0.35, 0.25])),
        "two, few rows": (drawn(600, ["y", "n"], [0.5, 0.5]), drawn(500, ["y", "n"], [0.6, 0.4])),
        "a new one": (drawn(1_500, abc, [0.5, 0.3, 0.2]), drawn(1_500, [*abc, "d"], [0.45, 0.3, 0.2, 0.05])),
        "one is gone": (drawn(1_500, abc, [0.5, 0.3, 0.2]), drawn(1_500, ["a", "b"], [0.6, 0.4])),
        "rare ones": (
            drawn(3_000, [*abc, "r", "s"], [0.5, 0.3, 0.19, 0.006, 0.004]),
            drawn(3_000, [*abc, "r", "s"], [0.5, 0.29, 0.19, 0.001, 0.019]),
        ),
        "constant": (["a"] * 500, ["a"] * 400),
        "missing": (
            drawn(1_500, [*abc, None], [0.4, 0.3, 0.2, 0.1]), drawn(1_500, [*abc, None], [0.2, 0.3, 0.2, 0.3])
        ),
    }  # fmt: skip
