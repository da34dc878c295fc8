"""Writes whylogs.bin and whylogs.json: a profile of whylogs, and what whylogs itself reads out of it.

pip install -r benchmarks/peers/requirements/whylogs.txt   # in an environment of its own
python tests/data/peers/make_whylogs.py
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import whylogs as why
from peer_cases import numbers, texts

HERE = Path(__file__).parent
KEPT = ("counts/n", "counts/null", "types/integral", "types/fractional", "types/string", "distribution/min",
        "distribution/max", "distribution/mean", "distribution/stddev", "distribution/median",
        "cardinality/est")  # fmt: skip


def main() -> None:
    rows = 1_500
    frame = pd.DataFrame(
        {
            "holed": numbers()["NaN"][0][:rows],
            "ties": numbers()["ties"][0][:rows],
            "kind": texts()["a new one"][0][:rows],
            "count": range(rows),
        }
    )
    view = why.log(frame).view()
    (HERE / "whylogs.bin").write_bytes(view.serialize())
    found = {}
    for name, column in view.get_columns().items():
        summary = column.to_summary_dict()
        values = {key: summary.get(key) for key in KEPT}
        found[name] = {key: None if value != value else value for key, value in values.items()}
    (HERE / "whylogs.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


main()
