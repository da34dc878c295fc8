"""Makes car_loan.parquet: ``python tests/data/make_car_loan.py REFERENCE PRODUCTION``.

From the synthetic car loan log of NannyML 0.13.1 (Apache License 2.0, copyright NannyML NV; changed: three columns are
kept, scores as hundredths), whose model is worse in the second half of production: when, whether the loan was repaid,
and the score.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PATH = Path(__file__).parent / "car_loan.parquet"


def main() -> None:
    sides = [pq.read_table(path, columns=["timestamp", "repaid", "y_pred_proba"]) for path in sys.argv[1:3]]
    score = np.concatenate([side["y_pred_proba"].to_numpy() for side in sides])
    hundredths = np.rint(100 * score).astype(np.uint8)
    if not np.array_equal(hundredths / 100, score):
        raise SystemExit("The scores are no hundredths.")
    table = pa.table(
        {
            "timestamp": pa.concat_tables([s.select(["timestamp"]) for s in sides])["timestamp"].cast("timestamp[ms]"),
            "repaid": np.concatenate([side["repaid"].to_numpy() for side in sides]).astype(np.int8),
            "score": pa.array(hundredths),
            "reference": np.repeat([True, False], [len(side) for side in sides]),
        }
    )
    pq.write_table(
        table, PATH, compression="zstd", column_encoding={"timestamp": "DELTA_BINARY_PACKED"}, use_dictionary=["score"]
    )


if __name__ == "__main__":
    main()
