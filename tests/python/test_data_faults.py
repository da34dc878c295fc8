"""Every kind of data fault is found and named by its own check, and a clean log has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fault_makers import FAULTS, ROLES, Fault, clean

import modelwatch_gpu as mw
from modelwatch_gpu.checks.expectations import RULES


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(clean(7, 0), roles=ROLES, quality=True)


@pytest.fixture(scope="module")
def expectations(baseline: mw.Baseline) -> mw.Expectations:
    return mw.Expectations.infer(baseline)


@pytest.mark.parametrize("fault", FAULTS, ids=[f.name.replace(" ", "-") for f in FAULTS])
def test_a_planted_fault_is_found_and_named(
    fault: Fault, baseline: mw.Baseline, expectations: mw.Expectations, tmp_path: Path
) -> None:
    (tmp_path / "countries.csv").write_text("at\nde\nfr\nit\npl\nse\n")
    if fault.edit is not None:
        for own in fault.edit["columns"].values():
            for limits in own.values():
                if "list" in limits:
                    limits["list"] = str(tmp_path / "countries.csv")
        expectations = expectations + mw.Expectations.from_dict(fault.edit)
    log = fault.spoil(clean(8, 1), np.random.default_rng(1))
    report = mw.compare(baseline, log, checks=[], expectations=expectations, as_of=fault.as_of)
    found = {(f.column, f.check): f for f in report.findings}
    assert (fault.column, fault.check) in found, sorted(found)
    finding = found[fault.column, fault.check]
    assert finding.reason.endswith((".", "did."))
    assert "nan" not in finding.reason.lower() or fault.check == "nan"


def test_there_are_forty_kinds_and_every_rule_has_one() -> None:
    assert len({f.name for f in FAULTS}) >= 40
    named = {f.check for f in FAULTS} | {"columns"}
    assert set(RULES) <= named


@pytest.mark.parametrize("seed", range(5))
def test_a_clean_log_has_none(seed: int, baseline: mw.Baseline, expectations: mw.Expectations) -> None:
    end = "2024-02-10T06:00:00+00:00"
    report = mw.compare(baseline, clean(100 + seed, 1), checks=[], expectations=expectations, as_of=end)
    assert [(f.column, f.check, f.reason) for f in report.findings] == []
    assert any("expectations hold" in note for note in report.notes)


def test_every_window_is_judged_on_its_own(baseline: mw.Baseline) -> None:
    log = pa.concat_tables([clean(8, 1).slice(0, 4_000), FAULTS[-3].spoil(clean(8, 1).slice(4_000), None)])  # type: ignore[arg-type]
    report = mw.compare(baseline, log, checks=[], expectations=True, window="1d")
    windows = sorted({report.iso_of(f.start) for f in report.findings if f.check == "equals_label"})  # type: ignore[type-var]
    assert len(windows) >= 9
    assert windows[0] >= "2024-01-29"  # type: ignore[operator]
