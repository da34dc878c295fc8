"""Every report fits the JSON Schema that comes with the package."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pytest

import modelwatch_gpu as mw
from modelwatch_gpu.measures import MEASURES
from modelwatch_gpu.report import json_schema


def log(rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "x": pa.array(rng.normal(size=rows), mask=rng.random(rows) < 0.1),
            "constant": np.ones(rows),
            "nothing": pa.nulls(rows, pa.float64()),
            "shop": pa.array(rng.choice(["a", "b"], rows), mask=rng.random(rows) < 0.1),
            "when": pa.array(1_362_000_000 + rng.integers(0, 90 * 86_400, rows)).cast(pa.timestamp("s", "UTC")),
        }
    )


@pytest.mark.parametrize(
    "options", [{}, {"window": "1mo"}, {"window": "1w", "segments": ["shop"]}, {"segments": ["shop"]}]
)
@pytest.mark.parametrize("rows", [0, 1, 400])
def test_every_report_fits_the_schema(options: dict[str, Any], rows: int) -> None:
    baseline = mw.Baseline.fit(log(500, 0), roles=mw.Roles(timestamp="when"))
    text = mw.compare(baseline, log(rows, 1).drop_columns(["constant"]), **options).to_json()
    jsonschema.Draft202012Validator(json_schema()).validate(json.loads(text))


def test_the_schema_is_a_schema_and_refuses_what_is_not_a_report() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    report = json.loads(mw.compare(log(100, 0), log(100, 1), roles=mw.Roles(timestamp="when")).to_json())
    assert {row["measure"] for row in report["measures"]} <= set(MEASURES)
    for spoil in (
        lambda r: r.pop("windows"),
        lambda r: r["findings"][0].update(severity="bad"),
        lambda r: r["measures"][0].update(value=None),
        lambda r: r.update(rows=-1),
    ):
        broken = json.loads(json.dumps(report))
        spoil(broken)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(json_schema()).validate(broken)
