"""Numbers that other packages gave themselves (tests/data/peers, with the scripts that made them)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tolerances import PEER

import modelwatch_gpu as mw
from modelwatch_gpu.stats.peers import PEERS

FIXTURES = Path(__file__).parents[1] / "data" / "peers"
sys.path.insert(0, str(FIXTURES))
from peer_cases import numbers, texts  # noqa: E402

CASES = {"numbers": numbers(), "texts": texts()}
PRESETS = json.loads((FIXTURES / "evidently.json").read_text())


def recorded(peer: str) -> list[tuple[str, str, str, float | None]]:
    content = json.loads((FIXTURES / f"{peer}.json").read_text())
    return [
        (group, case, measure, value)
        for group in ("numbers", "texts")
        for case, own in content[group].items()
        for measure, value in own.items()
        if measure != "preset" and (measure, peer) in PEERS
    ]


@pytest.mark.parametrize(("peer", "least"), [("evidently", 99), ("nannyml", 84), ("deepchecks", 38), ("tfdv", 15)])
def test_compat_gives_what_the_package_gave(peer: str, least: int) -> None:
    rows = recorded(peer)
    assert len(rows) >= least
    wrong = []
    for group, case, measure, value in rows:
        a, b = CASES[group][case]
        if group == "texts":
            a, b = pa.array(a, pa.string()), pa.array(b, pa.string())
        if value is None:  # theirs is NaN, of one category on both sides
            with pytest.raises(mw.InputError, match="has no answer"):
                getattr(mw.stats, measure)(a, b, compat=peer)
            continue
        ours = getattr(mw.stats, measure)(a, b, compat=peer)
        if not np.isclose(ours, value, rtol=PEER, atol=1e-12):
            wrong.append((group, case, measure, value, ours))
    assert wrong == []


def preset_of(group: str, case: str, preset: str = "evidently") -> mw.Finding:
    a, b = CASES[group][case]
    kind = pa.float64() if group == "numbers" else pa.string()
    tables = [pa.table({"x": pa.array(side, kind)}) for side in (a, b)]
    roles = mw.Roles(numeric=["x"]) if group == "numbers" else mw.Roles()
    report = mw.compare(*tables, roles=roles, preset=preset)
    (finding,) = [f for f in report.findings if f.column == "x"]
    return finding


@pytest.mark.parametrize(("group", "case"), [(g, c) for g in CASES for c in PRESETS[g]])
def test_the_preset_chooses_and_judges_as_evidently_does(group: str, case: str) -> None:
    theirs, finding = PRESETS[group][case]["preset"], preset_of(group, case)
    assert finding.reason.startswith(theirs["method"]), finding.reason
    assert finding.threshold == theirs["threshold"]
    if finding.lower is None or finding.lower == finding.upper:
        assert finding.value == pytest.approx(theirs["score"], rel=PEER, abs=1e-12)
    else:  # the log has values between those of the baseline
        assert finding.upper is not None
        assert finding.lower <= theirs["score"] * (1 + PEER)
        assert theirs["score"] <= finding.upper * (1 + PEER)
        assert finding.value == pytest.approx(theirs["score"], rel=0.02)
    assert (finding.severity == "alert") == theirs["drifted"]


DEEPCHECKS = json.loads((FIXTURES / "deepchecks.json").read_text())


@pytest.mark.parametrize(("group", "case"), [(g, c) for g in CASES for c in DEEPCHECKS[g]])
def test_the_preset_judges_as_deepchecks_does(group: str, case: str) -> None:
    finding = preset_of(group, case, "deepchecks")
    measure = "ks" if group == "numbers" else "cramers_v"
    theirs = DEEPCHECKS[group][case][measure]
    assert (finding.check, finding.threshold) == (f"deepchecks:{measure}", 0.2)
    if finding.lower is None or finding.lower == finding.upper:
        assert finding.value == pytest.approx(theirs, rel=PEER, abs=1e-12)
        assert finding.severity == ("alert" if theirs >= 0.2 else "ok")
    else:  # the log has values between those of the baseline
        assert finding.upper is not None
        assert finding.lower <= theirs * (1 + PEER)
        assert theirs <= finding.upper * (1 + PEER)


def test_deepchecks_judges_answers_by_a_lower_limit_and_nothing_of_fewer_than_ten_rows() -> None:
    rng = np.random.default_rng(8)
    normal, log = (pa.table({"x": rng.normal(0, 1, 4_000), "y": rng.random(4_000) < p}) for p in (0.3, 0.47))
    roles = mw.Roles(label="y")
    report = mw.compare(normal, log, roles=roles, preset="deepchecks")
    found = {f.column: f for f in report.findings}
    assert found["y"].threshold == 0.15
    assert found["y"].value is not None
    assert 0.15 <= found["y"].value < 0.2
    assert (found["y"].severity, found["x"].severity) == ("alert", "ok")
    few = mw.compare(normal, log.slice(0, 9), roles=roles, preset="deepchecks")
    assert {f.severity for f in few.findings} == {"not_enough_data"}


def test_a_preset_judges_the_table_too_and_nothing_else() -> None:
    a, b = CASES["numbers"]["large"]
    c, d = CASES["numbers"]["calm"]
    rows = min(len(a), len(b), len(c), len(d))
    sides = [pa.table({"x": x[:rows], "y": y[:rows]}) for x, y in ((a, c), (b, d))]
    report = mw.compare(*sides, preset="evidently")
    assert {f.check for f in report.findings} == {"evidently:wasserstein", "evidently:dataset_drift"}
    (table,) = [f for f in report.findings if f.column == ":table"]
    assert (table.value, table.severity) == (0.5, "alert")
    assert json.loads(report.to_json())["findings"][0]["check"].startswith("evidently:")


def test_columns_that_evidently_could_not_judge_have_a_reason() -> None:
    log = pa.table({"x": pa.array([None] * 50, pa.float64()), "y": [float(i) for i in range(50)]})
    normal = pa.table({"x": [float(i) for i in range(50)], "y": [float(i) for i in range(50)]})
    report = mw.compare(normal, log, preset="evidently")
    (finding,) = [f for f in report.findings if f.column == "x"]
    assert finding.severity == "not_enough_data"
    with pytest.raises(mw.InputError, match="There is no preset 'nannyml'"):
        mw.compare(normal, log, preset="nannyml")
    with pytest.raises(mw.InputError, match="preset= has checks of its own"):
        mw.compare(normal, log, preset="evidently", checks=[])
