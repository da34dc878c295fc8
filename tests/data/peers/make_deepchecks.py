"""Writes deepchecks.json: what Deepchecks' own check of drift gives for every case.

pip install deepchecks==0.19.1 "setuptools<81" "numpy<2"   # in an environment of its own (Python 3.10)
python tests/data/peers/make_deepchecks.py

Deepchecks has the AGPL licence: it is only asked here, for numbers to compare with.
"""

from __future__ import annotations

import json
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from deepchecks.tabular import Dataset
from deepchecks.tabular.checks import FeatureDrift
from peer_cases import numbers, texts

warnings.filterwarnings("ignore")
NUMBERS = {"ks": {"numerical_drift_method": "KS"}, "wasserstein": {"numerical_drift_method": "EMD"}}
TEXTS = {"psi": {"categorical_drift_method": "PSI"}, "cramers_v": {"categorical_drift_method": "cramers_v"}}


def drift(a: Any, b: Any, categorical: list[str], options: dict[str, str]) -> float:
    """The drift score of one column."""
    sides = [Dataset(pd.DataFrame({"x": side}), cat_features=categorical) for side in (a, b)]
    check = FeatureDrift(n_samples=None, **options)
    return float(check.run(*sides, with_display=False).value["x"]["Drift score"])


def main() -> None:
    out: dict[str, Any] = {"version": version("deepchecks"), "numbers": {}, "texts": {}}
    for group, cases, measures, categorical in (
        ("numbers", numbers(), NUMBERS, []),
        ("texts", texts(), TEXTS, ["x"]),
    ):
        for name, (a, b) in cases.items():
            out[group][name] = {m: drift(a, b, categorical, options) for m, options in measures.items()}
    Path(__file__).with_name("deepchecks.json").write_text(json.dumps(out, indent=1) + "\n")


main()
