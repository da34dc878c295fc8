"""Writes nannyml.json: the numbers of NannyML itself for every case, of one chunk.

pip install -r benchmarks/peers/requirements/nannyml.txt   # in an environment of its own
python tests/data/peers/make_nannyml.py
"""

from __future__ import annotations

import json
import math
import os
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"  # before it is imported

import pandas as pd
from nannyml import UnivariateDriftCalculator
from peer_cases import numbers, texts

warnings.filterwarnings("ignore")
NUMERIC = {"js_distance": "jensen_shannon", "ks": "kolmogorov_smirnov", "wasserstein": "wasserstein",
           "hellinger": "hellinger"}  # fmt: skip
TEXT = {"js_distance": "jensen_shannon", "hellinger": "hellinger", "chi_square": "chi2", "l_infinity": "l_infinity"}


def measured(a: Any, b: Any, methods: dict[str, str], kind: str) -> dict[str, Any]:
    """Every method's value of the current side as one chunk."""
    sides = [
        pd.DataFrame({"x": pd.Series(side, dtype=None if kind == "continuous" else "category")}) for side in (a, b)
    ]
    options: dict[str, Any] = {f"{kind}_methods": list(methods.values())}
    calculator = UnivariateDriftCalculator(column_names=["x"], chunk_number=1, **options).fit(sides[0])
    found = calculator.calculate(sides[1]).filter(period="analysis").to_df()
    values = {measure: float(found[("x", method, "value")].iloc[0]) for measure, method in methods.items()}
    return {measure: value if math.isfinite(value) else None for measure, value in values.items()}


def main() -> None:
    out: dict[str, Any] = {"version": version("nannyml"), "numbers": {}, "texts": {}}
    for name, (a, b) in numbers().items():
        out["numbers"][name] = measured(a, b, NUMERIC, "continuous")
    for name, (a, b) in texts().items():
        out["texts"][name] = measured(a, b, TEXT, "categorical")
    Path(__file__).with_name("nannyml.json").write_text(json.dumps(out, indent=1) + "\n")


main()
