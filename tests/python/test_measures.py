"""Every measure of the registry, through mw.compare, against SciPy, NumPy, or paper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from comparing import fitted, measures, number, result_of
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, cramervonmises_2samp, entropy, ks_2samp, wasserstein_distance
from tolerances import (
    CHI_SQUARE,
    CVM,
    DISTANCE_NEAR_ZERO,
    DIVERGENCE,
    KS,
    MOMENTS,
    WASSERSTEIN,
    WASSERSTEIN_WIDTH,
)

import modelwatch_gpu as mw
from modelwatch_gpu.measures.registry import DRIFT, MEASURES
from modelwatch_gpu.measures.value import Value

Array = npt.NDArray[Any]
FLOOR = 1e-4


def samples(seed: int, kind: str, dtype: str, shift: float) -> tuple[Array, Array]:
    """A reference and a window: smooth, rounded (ties), mostly one value, or skewed."""
    rng = np.random.default_rng(seed)
    n, m = rng.integers(2, 400, size=2)
    a, b = rng.normal(20, 8, n), rng.normal(20 + shift, 10, m)
    if kind == "ties":
        a, b = a.round(), b.round()
    elif kind == "heavy":
        a, b = np.where(rng.random(n) < 0.7, 5.0, a), np.where(rng.random(m) < 0.6, 5.0, b)
    elif kind == "skewed":
        a, b = np.exp(a / 6), np.exp(b / 6)
    return a.astype(dtype), b.astype(dtype)


SAMPLES = {
    "seed": st.integers(0, 2**32 - 1),
    "kind": st.sampled_from(["smooth", "ties", "heavy", "skewed"]),
    "dtype": st.sampled_from(["float64", "float32", "int64", "int16"]),
    "shift": st.sampled_from([0.0, 1.0, 30.0]),
}


def bin_counts(a: Array, b: Array) -> Array:
    """(2, bins): both sides in the bins (a, b] between the reference's distinct deciles."""
    edges = np.unique(np.quantile(a.astype(np.int64) if a.dtype.kind == "i" else a, np.linspace(0, 1, 11)[1:-1]))
    return np.stack([np.bincount(np.searchsorted(edges, s), minlength=len(edges) + 1) for s in (a, b)])


def bin_measures(counts: Array) -> dict[str, float]:
    """What SciPy and NumPy make of two histograms."""
    p, q = counts[0] / counts[0].sum(), counts[1] / counts[1].sum()
    low, high = np.maximum(p, FLOOR), np.maximum(q, FLOOR)
    used = counts[:, counts.sum(axis=0) > 0]
    return {
        "psi": float(np.sum((high - low) * np.log(high / low))),
        "kl": float(np.sum(high * np.log(high / low))),
        "js_distance": float(jensenshannon(p, q, base=2)),
        "js_divergence": float((entropy(p, (p + q) / 2, base=2) + entropy(q, (p + q) / 2, base=2)) / 2),
        "hellinger": float(np.linalg.norm(np.sqrt(p) - np.sqrt(q)) / np.sqrt(2)),
        "tv": float(np.abs(p - q).sum() / 2),
        "l_infinity": float(np.abs(p - q).max()),
        "chi_square": float(chi2_contingency(used, correction=False).statistic) if used.shape[1] > 1 else 0.0,
    }


def assert_bin_measures(found: dict[str, Value], counts: Array) -> None:
    for name, wanted in bin_measures(counts).items():
        near_zero = DISTANCE_NEAR_ZERO if name in ("js_distance", "hellinger") else DIVERGENCE
        relative = CHI_SQUARE if name == "chi_square" else DIVERGENCE
        assert number(found[name]) == pytest.approx(wanted, rel=relative, abs=near_zero), name
        assert found[name].lower == found[name].upper


@given(**SAMPLES)
def test_measures_of_bins_are_scipys_over_decile_bins(seed: int, kind: str, dtype: str, shift: float) -> None:
    a, b = samples(seed, kind, dtype, shift)
    assert_bin_measures(measures(a, b), bin_counts(a, b))


@given(**SAMPLES)
def test_ks_is_scipys_statistic(seed: int, kind: str, dtype: str, shift: float) -> None:
    a, b = samples(seed, kind, dtype, shift)
    found = measures(a, b)["ks"]
    assert abs(number(found) - ks_2samp(a, b, method="asymp").statistic) <= KS
    assert found.lower == found.upper == mw.stats.ks(a, b)


@given(**SAMPLES, coarse=st.booleans())
def test_wasserstein_lies_within_its_bounds(seed: int, kind: str, dtype: str, shift: float, coarse: bool) -> None:
    a, b = samples(seed, kind, dtype, shift)
    found = measures(a, b, exact_up_to=8 if coarse else 1000)
    wanted, spread = wasserstein_distance(a, b), float(np.ptp(np.concatenate([a, b]).astype(np.float64)))
    slack = WASSERSTEIN * (wanted + spread)
    bounds = found["wasserstein"]
    assert bounds.lower - slack <= wanted <= bounds.upper + slack
    assert 0 <= bounds.lower <= number(bounds)
    sd = float(np.std(a.astype(np.float64)))
    if sd > 0:
        scaled = found["wasserstein_sd"]
        assert scaled.lower * sd - slack <= wanted <= scaled.upper * sd + slack
        assert number(scaled) == pytest.approx(number(bounds) / sd, rel=MOMENTS)
    else:
        assert found["wasserstein_sd"].reason == "constant_baseline"


def test_wasserstein_is_narrow_on_an_exact_grid_and_a_point_where_all_values_are_knots() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=2000), rng.normal(0.2, 1.1, size=1500)
    bounds = measures(a, b)["wasserstein"]
    assert bounds.upper - bounds.lower <= WASSERSTEIN_WIDTH * wasserstein_distance(a, b)
    both = rng.integers(0, 50, 2000), rng.integers(0, 45, 900)
    bounds = measures(*both)["wasserstein"]
    assert bounds.upper - bounds.lower <= WASSERSTEIN * 50
    assert number(bounds) == pytest.approx(wasserstein_distance(*both), rel=WASSERSTEIN)


def test_wasserstein_beyond_the_baselines_range_is_exact() -> None:
    bounds = measures([1.0, 2.0, 3.0], [11.0, 12.0, -17.0])["wasserstein"]
    assert number(bounds) == pytest.approx(wasserstein_distance([1, 2, 3], [11, 12, -17]), rel=WASSERSTEIN)
    assert bounds.upper - bounds.lower <= 1e-12
    huge = measures([2**62, 2**62 + 2, 2**62 + 4], np.array([2**62 + 1, 2**62 + 3, 2**62 + 9]))["wasserstein"]
    assert huge.lower <= (1 + 1 + 5) / 3 <= huge.upper


@given(**SAMPLES, coarse=st.booleans())
def test_cramer_von_mises_lies_within_its_bounds(seed: int, kind: str, dtype: str, shift: float, coarse: bool) -> None:
    a, b = samples(seed, kind, dtype, shift)
    bounds = measures(a, b, exact_up_to=8 if coarse else 1000)["cvm"]
    # SciPy ranks float32 in float32, so it gets float64.
    wide = (side.astype(np.float64) for side in (a, b))
    wanted = float(cramervonmises_2samp(*wide, method="asymptotic").statistic)
    slack = CVM * (len(a) + len(b))
    assert bounds.lower - slack <= wanted <= bounds.upper + slack
    number(bounds)
    if not coarse and set(b.tolist()) <= set(a.tolist()):
        assert bounds.upper - bounds.lower <= slack
        assert number(bounds) == pytest.approx(wanted, rel=CVM, abs=slack)


def test_cramer_von_mises_counts_ties_by_their_middle_rank() -> None:
    a, b = [1, 1, 2, 3, 3, 3], [1, 3, 3, 2, 2]
    bounds = measures(a, b)["cvm"]
    assert number(bounds) == pytest.approx(cramervonmises_2samp(a, b).statistic, rel=1e-12)
    assert bounds.upper - bounds.lower < 1e-12


@given(**SAMPLES, offset=st.sampled_from([0.0, 1e6]))
def test_moments_are_numpys(seed: int, kind: str, dtype: str, shift: float, offset: float) -> None:
    a, b = samples(seed, kind, dtype, shift)
    if dtype in ("float64", "int64"):
        a, b = a + a.dtype.type(offset), b + b.dtype.type(offset)
    found = measures(a, b)
    wide_a, wide_b = a.astype(np.longdouble), b.astype(np.longdouble)
    sd = float(wide_a.std())
    if sd == 0:
        assert found["mean_shift"].reason == found["sd_ratio"].reason == "constant_baseline"
        return
    slack = MOMENTS * (1 + offset / sd)
    assert number(found["mean_shift"]) == pytest.approx(float(wide_b.mean() - wide_a.mean()) / sd, rel=slack, abs=slack)
    assert number(found["sd_ratio"]) == pytest.approx(float(wide_b.std()) / sd, rel=slack, abs=slack)


@given(**SAMPLES, coarse=st.booleans())
def test_out_of_range_and_distinct_are_counted(seed: int, kind: str, dtype: str, shift: float, coarse: bool) -> None:
    a, b = samples(seed, kind, dtype, shift)
    found = measures(a, b, exact_up_to=8 if coarse else 1000)
    assert number(found["out_of_range"]) == np.mean((b < a.min()) | (b > a.max()))
    distinct = found["distinct"]
    assert distinct.lower <= len(np.unique(b)) <= distinct.upper
    number(distinct)
    assert number(found["row_count"]) == len(b)


def test_missing_counts_null_and_nan_and_nan_counts_itself() -> None:
    a = pa.array([1.0, 2.0, 3.0, None])
    b = pa.array([1.0, None, float("nan"), float("nan"), 2.0])
    found = measures(a, b)
    assert number(found["missing"]) == 3 / 5
    assert number(found["missing_change"]) == 3 / 5 - 1 / 4
    assert number(found["nan"]) == 2 / 5
    assert found["ks"].n == 2
    assert number(found["ks"]) == mw.stats.ks([1.0, 2.0, 3.0], [1.0, 2.0])
    assert "nan" not in measures([1, 2, 3], [1, 2, None])


def test_every_measure_of_the_registry_is_there_for_its_kind_of_column_and_within_its_range() -> None:
    for kind, sides in (("numeric", ([1.0, 2.0, 2.0], [1.0, 9.0])), ("categorical", (["a", "b"], ["b", "c", None]))):
        found = measures(*sides)
        assert set(found) == {m for m in DRIFT if kind in MEASURES[m].kinds}
        for name, value in found.items():
            least, most = MEASURES[name].least, MEASURES[name].most
            assert least is None or value.lower >= least
            assert most is None or value.upper <= most


# Categories


def category_counts(a: list[Any], b: list[Any]) -> Array:
    values = sorted(set(a) | set(b), key=str)
    return np.array([[side.count(v) for v in values] for side in (a, b)])


LETTERS = st.lists(st.sampled_from([None, "", "a", "b", "c", "ü", "long " * 9]), min_size=1, max_size=60)


@given(LETTERS, LETTERS)
def test_measures_of_categories_are_scipys_over_all_values_null_included(a: list[Any], b: list[Any]) -> None:
    if not any(v is not None for v in a):
        a = [*a, "a"]
    found = measures(pa.array(a, pa.string()), pa.array(b, pa.string()))
    assert_bin_measures(found, category_counts(a, b))
    there = [v for v in b if v is not None]
    assert number(found["missing"]) == b.count(None) / len(b)
    if there:
        assert number(found["unseen"]) == sum(v not in a for v in there) / len(there)
        assert number(found["distinct"]) == len(set(there))
    else:
        assert found["unseen"].reason == "all_missing"
    assert number(found["row_count"]) == len(b)


def test_new_categories_and_null_worked_out_by_hand() -> None:
    # Shares: null 1/3, a 1/3, b 1/3 against null 1/2, a 1/4, c 1/4.
    found = measures(["a", "b", None], ["a", "c", None, None])
    assert number(found["tv"]) == pytest.approx((1 / 6 + 1 / 12 + 1 / 3 + 1 / 4) / 2, rel=DIVERGENCE)
    assert number(found["l_infinity"]) == pytest.approx(1 / 3, rel=DIVERGENCE)
    terms = [(1 / 3, 1 / 2), (1 / 3, 1 / 4), (1 / 3, 1e-4), (1e-4, 1 / 4)]
    assert number(found["psi"]) == pytest.approx(sum((q - p) * math.log(q / p) for p, q in terms), rel=DIVERGENCE)
    assert number(found["kl"]) == pytest.approx(sum(q * math.log(q / p) for p, q in terms), rel=DIVERGENCE)
    assert number(found["unseen"]) == 1 / 2


@pytest.mark.parametrize("values", [[True, False, None, True], [3, 1, 2, 3], pa.array([1, 2, None, 2], pa.uint8())])
def test_booleans_and_small_integers_are_categories(values: Any) -> None:
    result = result_of(mw.Baseline.fit(pa.table({"x": pa.array(values)})), values)
    assert result.column.kind == "categorical"
    assert number(result.values["js_distance"]) == 0.0
    assert number(result.values["unseen"]) == 0.0


# What has no number has a reason


def test_infinities_have_a_place_in_ks_and_are_a_reason_where_they_cannot_be_added() -> None:
    a, b = np.array([-np.inf, 0.0, 1.0, 2.0]), np.array([0.0, 1.0, np.inf, np.inf])
    found = measures(a, b)
    assert abs(number(found["ks"]) - ks_2samp(a, b).statistic) <= KS
    assert found["wasserstein"].reason == found["wasserstein_sd"].reason == "infinite"
    assert number(found["mean_shift"]) == pytest.approx((0.5 - 1) / np.std([0, 1, 2]), rel=MOMENTS)
    assert number(found["out_of_range"]) == 0.5
    assert measures([0.0, 1.0], b)["wasserstein"].reason == "infinite"
    assert all(v.value is None or math.isfinite(v.value) for v in found.values())


def test_numbers_too_large_to_be_written_are_a_reason() -> None:
    found = measures([-1.7e308, 1.7e308], [1.7e308, 1.7e308, -1.7e308])
    for name, value in found.items():
        assert value.reason is not None or math.isfinite(number(value)), name
    mw.compare(fitted([-1.7e308, 1.7e308]), pa.table({"x": [1.7e308, -1.7e308, 1e308]})).to_json()


@pytest.mark.parametrize("constant", [5.0, 0.1, 1e300])
def test_a_constant_baseline_is_a_reason_only_where_a_standard_deviation_is_needed(constant: float) -> None:
    found = measures([constant] * 50, [constant, constant + constant / 2, constant])
    for name in ("wasserstein_sd", "mean_shift", "sd_ratio"):
        assert found[name].reason == "constant_baseline"
    assert number(found["ks"]) == pytest.approx(1 / 3)
    assert number(found["out_of_range"]) == 1 / 3
    assert found["wasserstein"].lower <= constant / 6 * (1 + 1e-12)
    assert found["wasserstein"].upper >= constant / 6 * (1 - 1e-12)


def test_a_column_without_values_says_so_and_the_report_still_comes_out() -> None:
    reference = pa.table({"x": [1.0, 2.0, 3.0] * 50, "y": ["a", "b", "a"] * 50})
    nothing = pa.table({"x": pa.nulls(40, pa.float64()), "y": pa.nulls(40, pa.string())})
    report = mw.compare(mw.Baseline.fit(reference), nothing)
    x, y = report.results
    assert x.values["ks"].reason == x.values["psi"].reason == "all_missing"
    assert number(x.values["missing"]) == number(y.values["missing"]) == 1.0
    assert number(y.values["js_distance"]) == pytest.approx(1.0, rel=DIVERGENCE)
    assert y.values["unseen"].reason == "all_missing"
    severities = {(f.column, f.check): f.severity for f in report.findings}
    assert severities[("x", "ks")] == "not_enough_data"
    assert severities[("x", "missing_change")] == severities[("y", "js_distance")] == "alert"


def test_a_baseline_without_values_is_a_reason() -> None:
    a = pa.table({"x": pa.nulls(5, pa.float64()), "y": [1.0, 2.0, 3.0, 4.0, 5.0]})
    report = mw.compare(mw.Baseline.fit(a), pa.table({"x": [1.0, 2.0], "y": [1.0, 2.0]}))
    assert report.results[0].values["ks"].reason == "baseline_all_missing"
    assert number(report.results[0].values["missing_change"]) == -1.0
    assert number(report.results[1].values["ks"]) == 0.6


def test_one_row_is_compared_and_not_judged() -> None:
    baseline = fitted(np.arange(100.0))
    report = mw.compare(baseline, pa.table({"x": [50.0]}))
    assert number(report.results[0].values["ks"]) == mw.stats.ks(np.arange(100.0), [50.0])
    assert {f.severity for f in report.findings if f.check == "ks"} == {"not_enough_data"}
    assert number(measures([3.0], [3.0])["ks"]) == 0.0


def test_a_log_without_rows_is_not_enough_data_and_says_so() -> None:
    report = mw.compare(fitted([1.0, 2.0]), pa.table({"x": pa.array([], pa.float64())}))
    assert "The log has no rows." in report.notes
    assert report.ok
    assert {f.reason for f in report.findings} == {"The window has no rows."}
