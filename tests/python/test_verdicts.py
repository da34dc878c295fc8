"""Thresholds of every kind, and what many looks and many tests do to verdicts."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import modelwatch_gpu as mw
from modelwatch_gpu.checks import sequential
from modelwatch_gpu.checks.files import checks_from_file
from modelwatch_gpu.cli import app

DAY = dt.timedelta(days=1)
START = dt.datetime(2024, 1, 1)  # a Monday


def log(days: int, *, first: int = 0, rows: int = 100, seed: int = 0, **columns: Any) -> pa.Table:
    """``columns``: name -> function of (generator, day) giving the day's values."""
    rng = np.random.default_rng(seed)
    made: dict[str, list[Any]] = {name: [] for name in columns}
    for day in range(first, first + days):
        for name, values in columns.items():
            made[name].append(values(rng, day))
    when = np.repeat([START + (first + i) * DAY for i in range(days)], rows)
    return pa.table(
        {"ts": pa.array(when, pa.timestamp("us"))} | {name: np.concatenate(values) for name, values in made.items()}
    )


def normal(shift: float = 0.0, between: float = 0.0, weekend: float = 0.0) -> Any:
    def values(rng: np.random.Generator, day: int) -> Any:
        mean = shift + between * rng.normal() + (weekend if day % 7 >= 5 else 0.0)
        return rng.normal(mean, 1.0, 100)

    return values


def holes(share: float) -> Any:
    def values(rng: np.random.Generator, day: int) -> Any:
        x = rng.normal(size=100)
        x[rng.random(100) < share] = np.nan
        return x

    return values


def severities(report: mw.Report, check: str = "ks") -> list[str]:
    """Of whole windows, in order."""
    own = [f for f in report.findings if f.check == check and f.segment is None]
    return [f.severity for f in sorted(own, key=lambda f: f.start)]


# ---- thresholds ------------------------------------------------------------------------------------------------------


def test_a_relative_threshold_is_growth_over_the_baselines_own_value() -> None:
    baseline = mw.Baseline.fit(log(20, x=holes(0.2)))
    checks = [mw.Check("missing", warn=0.5, alert=1.0, relative=True)]
    for share, severity in ((0.2, "ok"), (0.4, "warning"), (0.6, "alert")):
        found = mw.compare(baseline, log(20, first=20, seed=1, x=holes(share)), checks=checks).findings[0]
        assert found.severity == severity, share
        assert found.value == pytest.approx(found.raw / baseline_missing(baseline) - 1)
        assert found.interval_lower < found.value < found.interval_upper
    assert found.reason.startswith("Share of missing rows is 2")
    assert "more than in the baseline; alert above +100%" in found.reason


def baseline_missing(baseline: mw.Baseline) -> float:
    counts = baseline.part.tables[("window", "x")].of_group(0, baseline.by_name["x"].slots)
    return float(counts[-2:].sum() / counts.sum())


def test_nothing_can_be_relative_to_zero() -> None:
    baseline = mw.Baseline.fit(log(20, x=holes(0.0)))
    report = mw.compare(baseline, log(9, x=holes(0.5)), checks=[mw.Check("missing", alert=1.0, relative=True)])
    assert [(f.severity, f.reason) for f in report.findings] == [
        ("not_enough_data", "The measure is 0 in the baseline, so there is nothing to be relative to.")
    ]


def test_relative_row_counts_are_a_day() -> None:
    baseline = mw.Baseline.fit(log(20, x=normal()))
    checks = [mw.Check("row_count", warn=0.5, relative=True)]
    report = mw.compare(baseline, log(5, first=20, x=normal()), window="1d", checks=checks)
    assert {f.value for f in report.findings} == {0.0}


def test_a_conformal_threshold_lets_so_many_of_the_baselines_windows_lie_beyond() -> None:
    """Days differ a lot, so ks of one day against the rest is large: the baseline itself says how large."""
    baseline = mw.Baseline.fit(log(60, x=normal(between=1.0)))
    check = mw.Check("ks", warn=0.2, alert=0.05, learn="conformal")
    usual = mw.compare(baseline, log(200, first=60, seed=1, x=normal(between=1.0)), window="1d", checks=[check])
    beyond = [s != "ok" for s in severities(usual)]
    assert 0.1 < np.mean(beyond) < 0.32
    assert np.mean([s == "alert" for s in severities(usual)]) < 0.12
    far = mw.compare(baseline, log(5, first=60, x=normal(shift=9.0)), window="1d", checks=[check])
    assert severities(far) == ["alert"] * 5
    assert far.findings[0].reason.endswith("which the baseline's own windows set.")


def test_a_threshold_by_standard_deviations_is_that_of_the_days_left_out_one_by_one() -> None:
    table = log(12, x=normal(between=1.0))
    baseline = mw.Baseline.fit(table)
    report = mw.compare(baseline, table.slice(0, 100), window="1d", checks=[mw.Check("missing", warn=2, learn="sd")])
    assert report.findings[0].threshold == 0.0
    from scipy.stats import ks_2samp

    x = table["x"].to_numpy().reshape(12, 100)
    others = [ks_2samp(np.delete(x, i, axis=0).ravel(), x[i]).statistic for i in range(12)]
    report = mw.compare(baseline, table.slice(0, 100), window="1d", checks=[mw.Check("ks", warn=2, learn="sd")])
    exact = np.mean(others) + 2 * np.std(others, ddof=1)
    # The coarse grid knows 128 of 1,200 values: between them lie 0.8% of the rows.
    assert report.findings[0].threshold == pytest.approx(exact, abs=0.02)


def test_a_season_learns_only_from_its_own_days() -> None:
    """Weekends are far from weekdays. A weekend is usual for a weekend; a weekday that looks like one is not."""
    baseline = mw.Baseline.fit(log(84, x=normal(weekend=3.0)))
    weekend = log(7, first=84, seed=2, x=normal(weekend=3.0))
    strange = log(5, first=84, seed=3, x=normal(shift=2.7))
    for season, wanted in ((None, ["ok"] * 5), ("weekday", ["alert"] * 5)):
        check = mw.Check("ks", alert=0.1, learn="conformal", season=season)
        assert severities(mw.compare(baseline, strange, window="1d", checks=[check])) == wanted, season
    check = mw.Check("ks", alert=4, learn="sd", season="weekday")
    assert "alert" not in severities(mw.compare(baseline, weekend, window="1d", checks=[check]))


def test_too_few_windows_to_learn_from_leave_the_verdict_open() -> None:
    baseline = mw.Baseline.fit(log(6, x=normal()))
    for check in (mw.Check("ks", alert=3, learn="sd"), mw.Check("ks", alert=0.05, learn="conformal")):
        found = mw.compare(baseline, log(1, first=6, x=normal(9.0)), window="1d", checks=[check]).findings[0]
        assert (found.severity, found.value, found.threshold) == ("not_enough_data", None, None)
        assert found.reason == "The baseline has too few windows of this length to learn thresholds from."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learn": "magic"}, "can learn by conformal or sd"),
        ({"season": "weekday"}, "has a season, which is for learned thresholds"),
        ({"learn": "sd", "season": "moon"}, "can be weekday or month"),
        ({"learn": "sd", "relative": True}, "neither relative nor consecutive"),
        ({"learn": "conformal", "alert": 1.5}, "lies between 0 and 1, not 1.5"),
        ({"learn": "conformal", "warn": 0.01, "alert": 0.1}, "alert must not be higher"),
        ({"warn": 0.3, "alert": 0.1}, "alert must not be lower"),
        ({"relative": True, "against": "consecutive"}, "cannot be against the window before"),
        ({"alert": float("nan")}, "alert=nan, which is not a number"),
        ({"alert": "high"}, "alert='high', which is not a number"),
    ],
)
def test_thresholds_that_do_not_fit_together_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(mw.InputError, match=message):
        mw.Check("ks", **{"alert": 0.05, **options})


# ---- many tests and many looks ---------------------------------------------------------------------------------------


def test_segments_are_tested_only_where_their_column_is_off() -> None:
    def shop(rng: np.random.Generator, day: int) -> Any:
        return (np.arange(100) % 10 == 0).astype(str)

    def one_shop(rng: np.random.Generator, day: int) -> Any:
        return rng.normal(np.where(np.arange(100) % 10 == 0, 2.0, 0.0), 1.0)

    baseline = mw.Baseline.fit(log(30, x=normal(), shop=shop))
    production = log(30, first=30, seed=1, x=one_shop, shop=shop)
    for hierarchy, wanted in ((False, "alert"), (True, "not_enough_data")):
        report = mw.compare(baseline, production, segments=["shop"], hierarchy=hierarchy)
        own = next(f for f in report.findings if f.check == "ks" and f.segment == ((0, "True"),) and f.column == "x")
        assert own.severity == wanted
    assert "segments were not tested" in own.reason


def test_findings_make_a_tree_from_the_table_to_segments() -> None:
    def shop(rng: np.random.Generator, day: int) -> Any:
        return (np.arange(100) % 10 == 0).astype(str)

    baseline = mw.Baseline.fit(log(30, x=normal(), y=normal(), shop=shop))
    report = mw.compare(baseline, log(30, first=30, seed=1, x=normal(3.0), y=normal(), shop=shop), segments=["shop"])
    table = report.hierarchy(groups={"x": "moving", "y": "still", "shop": "still"})
    assert (table.level, table.severity, table.off, table.of) == ("table", "alert", 1, 3)
    assert [(g.name, g.severity, g.share) for g in table.children] == [("moving", "alert", 1.0), ("still", "ok", 0.0)]
    (column,) = table.children[0].children
    assert (column.level, column.name, column.off, column.of) == ("column", "x", 2, 2)
    assert {s.name for s in column.children} == {"shop = False", "shop = True"}
    assert report.hierarchy().children[0].name == "feature"


def test_a_correction_for_many_tests_takes_weak_verdicts_back() -> None:
    """One column a little beyond, among forty that are far below: on its own it is a warning."""
    columns = {f"c{i}": normal() for i in range(40)}
    baseline = mw.Baseline.fit(log(30, **columns))
    production = log(30, first=30, seed=1, **{**columns, "c7": normal(shift=0.35)})
    found = {}
    for correction in (None, "bh", "e-bh"):
        report = mw.compare(baseline, production, correction=correction, checks=[mw.Check("ks", warn=0.1)])
        found[correction] = next(f for f in report.findings if f.column == "c7")
    assert [f.severity for f in found.values()] == ["warning", "not_enough_data", "not_enough_data"]
    assert "among so many tests that is no evidence" in found["bh"].reason
    assert found[None].p_value == found["bh"].p_value == found["e-bh"].p_value
    assert found[None].p_adjusted < 0.025 < 0.05 < found["bh"].p_adjusted < found["e-bh"].p_adjusted
    assert found["e-bh"].e_value > 1


def test_an_e_process_is_the_mixture_of_products_that_begin_at_every_time() -> None:
    e = np.array([0.5, 4.0, 3.0, 0.2])
    wanted = []
    for k in range(1, 5):
        begun = sum(np.prod(e[j - 1 : k]) / (j * (j + 1)) for j in range(1, k + 1))
        wanted.append(begun + 1 / (k + 1))
    assert sequential.e_process(e) == pytest.approx(wanted)
    assert sequential.e_process(np.array([np.nan, 2.0]))[0] == 1.0


def test_an_e_process_hardly_ever_cries_wolf_however_often_one_looks() -> None:
    """Ville: of 2,000 runs without a change at most 5% are ever above 20 in 300 looks; a t-test at each look is."""
    rng = np.random.default_rng(0)
    from modelwatch_gpu.checks.multiplicity import e_values

    p = rng.random((2_000, 300))
    ever = (sequential.e_processes(e_values(p.ravel()).reshape(p.shape)) >= 20).any(axis=1)
    assert ever.mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 2_000)
    assert (p.min(axis=1) < 0.05).mean() > 0.99


def test_a_whole_threshold_beside_one_that_is_not_stays_what_it_is() -> None:
    baseline = mw.Baseline.fit(log(20, x=normal()))
    report = mw.compare(baseline, log(20, x=normal(shift=2.0)), checks=[mw.Check("ks", warn=0, alert=0.25)])
    (found,) = report.findings
    assert (found.severity, found.threshold) == ("alert", 0.25)
    assert "above 0.25" in found.reason


def test_anytime_verdicts_collect_evidence_from_window_to_window() -> None:
    baseline = mw.Baseline.fit(log(40, x=normal(between=0.2)))
    production = pa.concat_tables(
        [log(42, first=42, seed=1, x=normal(between=0.2)), log(56, first=84, seed=2, x=normal(0.75, between=0.2))]
    )
    checks = [mw.Check("ks", alert=0.1)]
    report = mw.compare(baseline, production, window="2w", anytime=True, correction=None, checks=checks)
    found = sorted(report.findings, key=lambda f: f.start)
    assert "alert" not in {f.severity for f in found[:3]}
    e = [f.e_value for f in found]
    assert all(later > earlier for earlier, later in pairwise(e[3:]))
    assert found[-1].severity == "alert"
    with pytest.raises(mw.InputError, match="anytime=True needs intervals"):
        mw.compare(baseline, production, units=None, anytime=True)


def test_a_confidence_sequence_holds_the_mean_at_all_times_and_narrows() -> None:
    rng = np.random.default_rng(3)
    missed, width = 0, []
    for _ in range(60):
        values = rng.beta(2, 6, 150)
        lower, upper = sequential.confidence_sequence(values, grid=400)
        missed += bool(((lower > 0.25) | (upper < 0.25)).any())
        assert (np.diff(lower) >= 0).all()
        assert (np.diff(upper) <= 0).all()
        width.append(upper[-1] - lower[-1])
    assert missed <= 6
    assert np.mean(width) < 0.16


@pytest.mark.parametrize("values", [[], [0.0], [1.0, 1.0], [0.0, 1.0], [0.5] * 5])
def test_a_confidence_sequence_of_hard_values_stays_in_range(values: list[float]) -> None:
    lower, upper = sequential.confidence_sequence(np.array(values))
    assert len(lower) == len(values)
    assert ((lower >= 0) & (upper <= 1) & (lower <= upper)).all()
    with pytest.raises(ValueError, match="between 0 and 1"):
        sequential.confidence_sequence(np.array([0.5, np.nan]))


# ---- files and the gate ----------------------------------------------------------------------------------------------


def test_checks_read_alike_from_yaml_toml_and_json(tmp_path: Path) -> None:
    texts = {
        "a.yaml": "checks:\n- measure: ks\n  columns: [x, 'y_*']\n  alert: 0.3\n  learn: sd\n  season: month\n",
        "b.yml": "- {measure: ks, columns: [x, 'y_*'], alert: 0.3, learn: sd, season: month}\n",
        "c.toml": '[[checks]]\nmeasure = "ks"\ncolumns = ["x", "y_*"]\nalert = 0.3\nlearn = "sd"\nseason = "month"\n',
        "d.json": '[{"measure": "ks", "columns": ["x", "y_*"], "alert": 0.3, "learn": "sd", "season": "month"}]',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        assert checks_from_file(tmp_path / name) == [
            mw.Check("ks", ["x", "y_*"], alert=0.3, learn="sd", season="month")
        ], name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("checks: [", "not a TOML, JSON or YAML file of checks"),
        ("!!python/object/apply:os.system ['true']", "not a TOML, JSON or YAML file of checks"),
        ("- measure: ks", "check 1: The check of ks has no threshold"),
        ("- {measure: psi, alert: 1}\n- {measure: kss, alert: 1}", "check 2: There is no measure 'kss'; did you mean"),
        ("- {measure: ks, alert: high}", "check 1: The check of ks has alert='high', which is not a number"),
        ("- {measure: ks, alert: 1, limit: 2}", "check 1: A check has the unknown field 'limit'"),
        ("just text", "expected a list of checks"),
        ("", "expected a list of checks"),
    ],
)
def test_a_file_that_says_something_wrong_is_refused_with_the_place(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "checks.yaml").write_text(text)
    with pytest.raises(mw.InputError, match=r"checks\.yaml") as refused:
        checks_from_file(tmp_path / "checks.yaml")
    assert message in str(refused.value)


def test_a_candidate_passes_or_not_by_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pq.write_table(log(20, x=normal()), "reference.parquet")
    pq.write_table(log(20, seed=1, x=normal()), "good.parquet")
    pq.write_table(log(20, seed=1, x=normal(2.0)), "bad.parquet")
    mw.Baseline.fit("reference.parquet").save("baseline.mwb")

    def run(*args: str) -> Any:
        return CliRunner().invoke(app, ["validate", *args], standalone_mode=False)

    good = run("good.parquet", "--against", "baseline.mwb")
    assert (good.exit_code, good.return_value) == (0, None)
    assert "The candidate passes: 0 alerts and 0 warnings." in good.output
    bad = run("bad.parquet", "--against", "reference.parquet", "--json", "found.json")
    assert bad.return_value == 1
    assert "The candidate does not pass: 1 alert and 0 warnings." in bad.output
    assert '"severity": "alert"' in (tmp_path / "found.json").read_text()
    assert run("bad.parquet", "--against", "baseline.mwb", "--fail-on", "never").exit_code == 0
