"""Write flights_oracle.csv: what SciPy and scikit-learn say about the bundled flights log.

One row per file (the reference, then each month), one group of columns per measure, always against the reference:

- `rows`, `label_null`, `base_rate`, `alarm`, `mean_score`: plain counts and means, summed in double precision;
- `auc`, `brier`, `f1`: scikit-learn, on the rows that have a label;
- `ks_`, `p_`: `scipy.stats.ks_2samp(..., method="asymp")` on the values that are there;
- `psi_`: bins (a, b] cut at the reference's interior deciles, shares below 1e-4 raised to 1e-4, natural logarithm;
- `w1_`: `scipy.stats.wasserstein_distance`, in the column's own units;
- `null_`: the share of missing values in this file;
- `js_`: `scipy.spatial.distance.jensenshannon(..., base=2)` over every category, null a category of its own.

Run it from anywhere; it needs numpy, scipy, pandas, scikit-learn and pyarrow:

    python tests/data/make_flights_oracle.py            # write the file
    python tests/data/make_flights_oracle.py --check    # compare with the file, to 1e-12

The file was made with numpy 2, scipy 1.17, pandas 3 and scikit-learn 1.9.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, wasserstein_distance
from sklearn.metrics import brier_score_loss, f1_score, roc_auc_score

LOG = Path(__file__).resolve().parents[2] / "python" / "modelwatch_gpu" / "data" / "flights"
ORACLE = Path(__file__).with_name("flights_oracle.csv")
REFERENCE = "reference_2013-01_03"
NUMERIC = [
    "score",
    "sched_dep_min",
    "sched_arr_min",
    "distance",
    "plane_age",
    "seats",
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
]
CATEGORICAL = ["carrier", "origin", "dest", "engine", "manufacturer", "dow", "tailnum"]
SMALLEST_SHARE = 1e-4
TOLERANCE = 1e-12


def psi(reference: pd.Series, current: pd.Series) -> float:
    """Population stability index on the reference's deciles; ties of the deciles are one edge."""
    deciles = np.unique(np.quantile(reference, np.linspace(0, 1, 11)[1:-1]))

    def shares(values: pd.Series) -> np.ndarray:
        counts = np.bincount(np.searchsorted(deciles, values, side="left"), minlength=len(deciles) + 1)
        return np.maximum(counts / len(values), SMALLEST_SHARE)

    expected, actual = shares(reference), shares(current)
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def js_distance(reference: pd.Series, current: pd.Series) -> float:
    """Jensen-Shannon distance of two category columns, in base 2."""
    counts = pd.concat(
        [column.astype(object).where(column.notna(), "<null>").value_counts() for column in (reference, current)],
        axis=1,
    ).fillna(0)
    # Sorted, because a sum of floats depends on its order and the file is compared to 1e-12.
    shares = (counts / counts.sum()).sort_index().to_numpy()
    return float(jensenshannon(shares[:, 0], shares[:, 1], base=2))


def oracle_row(name: str, reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, object]:
    labelled = current[current["label"].notna()]
    label = labelled["label"].astype(int)
    row: dict[str, object] = {
        "file": name,
        "rows": len(current),
        "label_null": len(current) - len(labelled),
        "base_rate": label.mean(),
        "alarm": current["prediction"].mean(),
        "mean_score": current["score"].astype("float64").mean(),
        "auc": roc_auc_score(label, labelled["score"]),
        "brier": brier_score_loss(label, labelled["score"]),
        "f1": f1_score(label, labelled["prediction"]),
    }
    for column in NUMERIC:
        before, after = reference[column].dropna(), current[column].dropna()
        test = ks_2samp(before, after, method="asymp")
        row[f"ks_{column}"] = float(test.statistic)
        row[f"p_{column}"] = float(test.pvalue)
        row[f"psi_{column}"] = psi(before, after)
        row[f"w1_{column}"] = float(wasserstein_distance(before, after))
        row[f"null_{column}"] = float(current[column].isna().mean())
    for column in CATEGORICAL:
        row[f"js_{column}"] = js_distance(reference[column], current[column])
    return row


def oracle() -> pd.DataFrame:
    reference = pd.read_parquet(LOG / f"{REFERENCE}.parquet")
    names = [REFERENCE, *sorted(path.stem for path in LOG.glob("production_*.parquet"))]
    return pd.DataFrame(oracle_row(name, reference, pd.read_parquet(LOG / f"{name}.parquet")) for name in names)


def differences(made: pd.DataFrame, stored: pd.DataFrame) -> list[str]:
    """Every cell that is not the same text, or not the same number to the tolerance (relative above one)."""
    if list(made.columns) != list(stored.columns) or len(made) != len(stored):
        return [f"shape or columns differ: made {made.shape}, stored {stored.shape}"]
    found = []
    for column in made.columns:
        for name, mine, theirs in zip(made["file"], made[column], stored[column], strict=True):
            same = mine == theirs or (
                column != "file" and math.isclose(mine, theirs, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
            )
            if not same:
                found.append(f"{name} {column}: made {mine!r}, stored {theirs!r}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Write or check tests/data/flights_oracle.csv.")
    parser.add_argument("--check", action="store_true", help="compare with the stored file instead of writing it")
    if not parser.parse_args().check:
        oracle().to_csv(ORACLE, index=False)
        print(f"wrote {ORACLE}")
        return 0
    found = differences(oracle(), pd.read_csv(ORACLE))
    print("\n".join(found) or f"{ORACLE.name} agrees to {TOLERANCE:g}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
