"""From a finding to its segments and to rows that show it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import modelwatch_gpu as mw
from modelwatch_gpu.report.drill import drill_down

ROWS = 6_000


def log(seed: int, moved: bool) -> pa.Table:
    rng = np.random.default_rng(seed)
    side = rng.choice(["left", "right"], ROWS)
    x = rng.normal(0, 1, ROWS) + np.where((side == "left") & moved, 3.0, 0.0)
    kind = np.where((side == "right") & moved & (rng.random(ROWS) < 0.5), "new", rng.choice(["a", "b"], ROWS))
    y = np.where((side == "left") & moved, np.nan, rng.normal(0, 1, ROWS))
    seconds = 1_704_067_200 + np.arange(ROWS) * 30
    columns = {"event_id": np.arange(ROWS), "ts": pa.array(seconds).cast(pa.timestamp("s", "UTC"))}
    return pa.table({**columns, "side": side, "x": x, "kind": kind, "y": y})


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(log(1, False))


def drilled(baseline: mw.Baseline, column: str, check: str, **options: str) -> tuple[mw.Report, object]:
    current = log(2, True)
    report = mw.compare(baseline, current, segments=["side"], **options)  # type: ignore[arg-type]
    finding = next(f for f in report.findings if (f.column, f.check, f.segment) == (column, check, None))
    return report, drill_down(report, finding, mw.Profile.count(baseline, current, sample=400))


@pytest.mark.parametrize(
    ("column", "check", "segment"), [("x", "ks", "left"), ("kind", "unseen", "right"), ("y", "missing_change", "left")]
)
@pytest.mark.parametrize("window", [{}, {"window": "1d"}])
def test_the_segment_and_the_rows_behind_a_finding_are_named(
    column: str, check: str, segment: str, window: dict[str, str], baseline: mw.Baseline
) -> None:
    _, found = drilled(baseline, column, check, **window)
    assert found.segments[0].segment == {"side": segment}  # type: ignore[attr-defined]
    assert found.segments[0].share == pytest.approx(0.5, abs=0.05)  # type: ignore[attr-defined]
    rows = found.rows  # type: ignore[attr-defined]
    assert rows.schema.names == ["event_id", "ts", column]
    assert 0 < rows.num_rows <= 10
    sides = dict(zip(log(2, True).column("event_id").to_pylist(), log(2, True).column("side").to_pylist(), strict=True))
    # Of x, the bin that grew also holds a tenth of the other side.
    assert np.mean([sides[i] == segment for i in rows.column("event_id").to_pylist()]) >= 0.7
    assert 0 < found.looked_at <= 400  # type: ignore[attr-defined]


def test_what_cannot_be_drilled_into_is_refused(baseline: mw.Baseline) -> None:
    report = mw.compare(baseline, log(2, True), segments=["side"])
    finding = report.findings[0]
    assert drill_down(report, finding).rows is None
    with pytest.raises(mw.InputError, match="keeps no rows"):
        drill_down(report, finding, mw.Profile.count(baseline, log(2, True)))
    with pytest.raises(mw.InputError, match="has no column"):
        drill_down(report, finding, pa.table({"z": [1]}))
    from dataclasses import replace

    with pytest.raises(mw.InputError, match="is no compared column"):
        drill_down(report, replace(finding, column=":table"))
