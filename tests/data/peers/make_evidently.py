"""Writes evidently.json: the numbers of Evidently itself for every case, with its defaults.

pip install -r benchmarks/peers/requirements/evidently.txt   # in an environment of its own
python tests/data/peers/make_evidently.py
"""

from __future__ import annotations

import json
import math
import os
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["DO_NOT_TRACK"] = "1"  # before it is imported

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.legacy.calculations import stattests
from evidently.legacy.core import ColumnType
from evidently.presets import DataDriftPreset
from peer_cases import numbers, texts

warnings.filterwarnings("ignore")
NUMERIC = {
    "psi": stattests.psi_stat_test,
    "js_distance": stattests.jensenshannon_stat_test,
    "hellinger": stattests.hellinger_stat_test,
    "ks": stattests.ks_stat_test,
    "wasserstein": stattests.wasserstein_stat_test,
}
TEXT = {
    "psi": stattests.psi_stat_test,
    "js_distance": stattests.jensenshannon_stat_test,
    "chi_square": stattests.chi_stat_test,
}


def preset(a: Any, b: Any, kind: str) -> dict[str, Any]:
    """The test that Evidently chooses for a column, its score, and whether it calls it drift."""
    definition = DataDefinition(**{f"{kind}_columns": ["x"]})
    sides = [Dataset.from_pandas(pd.DataFrame({"x": side}), data_definition=definition) for side in (a, b)]
    found = Report([DataDriftPreset()]).run(sides[1], sides[0]).dict()["metrics"]
    (one,) = [m for m in found if "column" in m["config"]]
    (count,) = [m for m in found if "column" not in m["config"]]
    return {
        "method": one["config"]["method"],
        "threshold": one["config"]["threshold"],
        "score": float(one["value"]),
        "drifted": count["value"]["count"] == 1,
    }


def main() -> None:
    out: dict[str, Any] = {"version": version("evidently"), "numbers": {}, "texts": {}}
    for group, cases, tests, kind in (
        ("numbers", numbers(), NUMERIC, "numerical"),
        ("texts", texts(), TEXT, "categorical"),
    ):
        for name, (a, b) in cases.items():
            a, b = pd.Series(a), pd.Series(b)
            column = ColumnType.Numerical if kind == "numerical" else ColumnType.Categorical
            own = {}
            for measure, test in tests.items():
                # The tests are given what the report gives them: without missing values.
                score = float(test(a.dropna(), b.dropna(), column, None).drift_score)
                own[measure] = score if math.isfinite(score) else None
            out[group][name] = {**own, "preset": preset(a, b, kind)}
    Path(__file__).with_name("evidently.json").write_text(json.dumps(out, indent=1) + "\n")


main()
