"""Years in which nothing changes raise no alert at default thresholds, of drift nor of data quality."""

from __future__ import annotations

from calm_makers import ROWS_A_YEAR, calm

import modelwatch_gpu as mw


def test_three_calm_years_raise_no_alert() -> None:
    roles = mw.Roles(timestamp="when", id="event_id")
    baseline = mw.Baseline.fit(calm(1, 7), roles=roles, quality=True)
    log = calm(3, 7, first_year=1)
    report = mw.compare(baseline, log, window="1mo", expectations=True, as_of="2024-01-01")
    assert log.num_rows == 3 * ROWS_A_YEAR
    assert len({f.window for f in report.findings}) >= 36
    assert len({f.column for f in report.findings}) >= 20
    assert [f for f in report.findings if f.severity == "alert"] == []
    assert sum(f.severity == "warning" for f in report.findings) <= len(report.findings) // 200
    assert report.ok
