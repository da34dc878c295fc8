"""A column that comes back in another type: compared exactly where it can be, else named, and the rest goes on."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest
from comparing import NUMBERS, fitted, number, result_of
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp, wasserstein_distance
from tolerances import KS, MOMENTS, WASSERSTEIN

import modelwatch_gpu as mw

Array = npt.NDArray[Any]
NUMERIC = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8")


def values(seed: int, dtype: str, rows: int, *, hard: bool) -> Array:
    """Numbers that this type holds: halves and thirds in floats, ties, and values beyond the other types' ends."""
    rng = np.random.default_rng(seed)
    x = rng.normal(40, 25, rows)
    if np.dtype(dtype).kind == "f":
        x = np.where(rng.random(rows) < 0.5, np.round(x), np.round(x * 6) / 6).astype(dtype)
        if hard:
            x[rng.random(rows) < 0.1] = np.nan
            x[rng.random(rows) < 0.1] = rng.choice([np.inf, -np.inf, 60000.0, -0.0])
        return x
    info = np.iinfo(dtype)
    x = np.round(x)
    if hard:
        x[rng.random(rows) < 0.1] = rng.choice([2.0**40, -(2.0**40), 255, -1])
    return np.clip(x, max(info.min, -(2**53)), min(info.max, 2**53)).astype(dtype)


PAIRS = [pair for pair in itertools.product(NUMERIC, NUMERIC) if pair[0] != pair[1]]


@given(st.sampled_from(PAIRS), st.integers(0, 2**31), st.booleans(), st.booleans())
def test_numbers_of_another_type_are_compared_as_numbers(
    pair: tuple[str, str], seed: int, hard: bool, coarse: bool
) -> None:
    a, b = values(seed, pair[0], 120, hard=hard), values(seed + 1, pair[1], 90, hard=hard)
    result = result_of(fitted(a, exact_up_to=16 if coarse else 1000), b)
    fits = np.dtype(pair[1]).kind != "i" or pair[0] != "uint64" or b.min() >= 0
    if not fits:
        assert result.present == 0.0
        return
    assert result.present == 1.0
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    there_a, there_b = wide_a[~np.isnan(wide_a)], wide_b[~np.isnan(wide_b)]
    ks = result.values["ks"]
    wanted = ks_2samp(there_a, there_b, method="asymp").statistic
    assert ks.lower - KS <= wanted <= ks.upper + KS
    if not coarse:
        assert ks.lower == ks.value == ks.upper
    assert number(result.values["missing"]) == np.mean(np.isnan(wide_b))
    assert number(result.values["out_of_range"]) == np.mean((there_b < there_a.min()) | (there_b > there_a.max()))
    distance = result.values["wasserstein"]
    if np.isinf(there_a).any() or np.isinf(there_b).any():
        assert distance.reason == "infinite"
    else:
        truth = wasserstein_distance(there_a, there_b)
        slack = WASSERSTEIN * (truth + np.ptp(np.concatenate([there_a, there_b])))
        assert distance.lower - slack <= truth <= distance.upper + slack
    finite_a, finite_b = there_a[np.isfinite(there_a)], there_b[np.isfinite(there_b)]
    shift = (finite_b.mean() - finite_a.mean()) / finite_a.std()
    size = (1 + np.abs(finite_b).max()) / finite_a.std()
    assert number(result.values["mean_shift"]) == pytest.approx(shift, rel=MOMENTS, abs=MOMENTS * size)


def test_a_float64_between_two_float32_is_between_them() -> None:
    a = np.array([0.1, 0.2, 0.3] * 4, dtype="f4")
    b = np.array([0.1, 0.2, 0.3])
    found = result_of(fitted(a), b).values["ks"]
    assert number(found) == ks_2samp(a.astype("f8"), b).statistic > 0


def test_integers_as_pandas_floats_with_missing_rows_are_the_same_numbers() -> None:
    a = np.arange(50) % 23
    for frame in (
        pd.DataFrame({"x": [*a.tolist(), None]}, dtype="float64"),
        pd.DataFrame({"x": pd.array([*a.tolist(), None], dtype="Int64")}),
        pd.DataFrame({"x": pd.array([*a.tolist(), None], dtype="Float64")}),
    ):
        (result,) = mw.compare(fitted(a), frame).results
        assert number(result.values["ks"]) == 0.0
        assert number(result.values["missing"]) == 1 / 51


def test_integer_categories_as_floats_with_missing_rows_are_the_same_categories() -> None:
    baseline = mw.Baseline.fit(pa.table({"x": [1, 2, 3, 3]}))
    for column in (
        pa.array([1.0, 2.0, 3.0, 3.0, None]),
        pa.array(np.array([1.0, 2.0, 3.0, 3.0, np.nan])),
        pa.array(["1", "2", "3", "3", None]),
        pa.array([1, 2, 3, 3, None], pa.uint8()),
    ):
        result = result_of(baseline, column)
        assert result.column.kind == "categorical"
        assert number(result.values["unseen"]) == 0.0
        assert number(result.values["missing"]) == 1 / 5


@pytest.mark.parametrize(
    ("left", "right"), [("int16", "int64"), ("int64", "uint64"), ("uint64", "int64"), ("int64", "int8")]
)
def test_integers_of_another_width_are_compared_to_the_last_one(left: str, right: str) -> None:
    top = min(np.iinfo(left).max, np.iinfo(right).max)
    a = np.array([top, top - 1, top - 2, 0] * 9, dtype=left)
    b = np.array([top, top, top - 1, 0, 1], dtype=right)
    found = result_of(fitted(a), b).values["ks"]
    at = {v: i for i, v in enumerate(sorted({*a.tolist(), *b.tolist()}))}
    assert found.value == found.upper == mw.stats.ks([at[v] for v in a.tolist()], [at[v] for v in b.tolist()])


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        (np.array([1, 2, 3], "u8"), np.array([-1, 2, 3])),
        (np.array([1, 2, 3]), np.array([2**63, 1], "u8")),
        (np.array([2**53 + 1, 5, 7, 9]), np.array([1.5, 2.5])),
        (np.array([1.5, 2.5]), np.array([2**53 + 1, 5])),
    ],
)
def test_values_the_other_type_cannot_hold_are_named_and_not_rounded(reference: Array, current: Array) -> None:
    baseline = fitted(reference)
    report = mw.compare(baseline, pa.table({"x": np.tile(current, 30)}))
    (finding,) = [f for f in report.findings if f.check == "present"]
    assert finding.severity == "alert"
    assert "cannot be compared" in finding.reason
    assert any("'x'" in note and "cannot be compared" in note for note in report.notes)
    assert set(report.results[0].values) == {"row_count"}


MOMENTS_IN_TIME = [dt.datetime(2020, 1, 1) + dt.timedelta(hours=7 * i) for i in range(40)]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_timestamps_of_other_units_and_zones_are_the_same_instants(unit: str, zone: str | None) -> None:
    roles = mw.Roles(features=["x"])
    for own in ("ms", "us"):
        baseline = mw.Baseline.fit(pa.table({"x": pa.array(MOMENTS_IN_TIME, pa.timestamp(own, "UTC"))}), roles=roles)
        assert baseline.columns[0].kind == "numeric"
        later = pa.array(MOMENTS_IN_TIME[10:], pa.timestamp("us")).cast(pa.timestamp(unit))
        current = (
            later.cast(pa.timestamp(unit, zone))
            if zone in (None, "UTC")
            else later.cast(pa.int64()).cast(pa.timestamp(unit, zone))
        )
        assert number(result_of(baseline, current).values["ks"]) == 10 / 40


def test_finer_times_than_the_baselines_are_named_and_not_rounded() -> None:
    baseline = mw.Baseline.fit(pa.table({"x": pa.array([0, 1, 2], pa.timestamp("s"))}), roles=mw.Roles(features=["x"]))
    result = result_of(baseline, pa.array([1, 2_000_000_000], pa.timestamp("ns")))
    assert result.present == 0.0


@pytest.mark.parametrize(
    ("own", "other", "factor"),
    [
        (pa.date32(), pa.date64(), 86_400_000),
        (pa.date32(), pa.timestamp("ms"), 86_400_000),
        (pa.time32("s"), pa.time64("us"), 1_000_000),
        (pa.duration("ms"), pa.duration("ns"), 1_000_000),
    ],
)
def test_dates_times_and_durations_are_compared_across_their_types(own: Any, other: Any, factor: int) -> None:
    base, current = [0, 5, 9, 30, 31], [5, 9, 9, 40]
    integer = pa.int32() if own.bit_width == 32 else pa.int64()
    wide = pa.int32() if other.bit_width == 32 else pa.int64()
    baseline = mw.Baseline.fit(pa.table({"x": pa.array(base, integer).cast(own)}), roles=mw.Roles(features=["x"]))
    found = result_of(baseline, pa.array([c * factor for c in current], wide).cast(other))
    assert number(found.values["ks"]) == mw.stats.ks(base, current)


@pytest.mark.parametrize("current", [pa.array([1.0, 2.0] * 20), pa.array([1, 2] * 20)])
def test_numbers_are_no_times(current: pa.Array) -> None:
    baseline = mw.Baseline.fit(pa.table({"x": pa.array([0, 1], pa.timestamp("s"))}), roles=mw.Roles(features=["x"]))
    assert result_of(baseline, current).present == 0.0
    assert result_of(fitted([1.0, 2.0]), pa.array([0, 1], pa.timestamp("s"))).present == 0.0


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_timestamp_column_may_change_its_unit(unit: str) -> None:
    first = pa.table({"when": pa.array(MOMENTS_IN_TIME, pa.timestamp("us", "UTC")), "x": np.arange(40.0)})
    other = first.set_column(0, "when", first["when"].cast(pa.timestamp(unit, "UTC")))
    baseline = mw.Baseline.fit(first, roles=mw.Roles(timestamp="when"))
    wanted = mw.Profile.count(baseline, first, window="1d", timezone="America/New_York")
    assert mw.Profile.count(baseline, other, window="1d", timezone="America/New_York").to_bytes() == wanted.to_bytes()


# Text


@pytest.mark.parametrize("current", [pa.array(["1", "2"] * 20), pa.array([True, False] * 20), pa.array([[1]] * 40)])
def test_what_is_no_number_is_named_and_the_rest_of_the_report_comes_out(current: pa.Array) -> None:
    reference = pa.table({"x": np.arange(40.0), "y": np.arange(40.0), "text": ["a", "b"] * 20})
    report = mw.compare(mw.Baseline.fit(reference), reference.set_column(0, "x", current))
    findings = {(f.column, f.check): f for f in report.findings}
    assert findings["x", "present"].severity == "alert"
    assert "cannot be compared with the baseline" in findings["x", "present"].reason
    assert ("x", "ks") not in findings
    assert findings["y", "ks"].severity == findings["text", "js_distance"].severity == "ok"
    assert not report.ok
    report.to_json()
    report.to_html()


def text_kinds(words: list[str | None]) -> dict[str, pa.Array | pa.ChunkedArray]:
    plain = pa.array(words, pa.string())
    half = len(words) // 2
    return {
        "string": plain,
        "large_string": plain.cast(pa.large_string()),
        "string_view": plain.cast(pa.string_view()),
        "binary": plain.cast(pa.binary()),
        "large_binary": plain.cast(pa.large_binary()),
        "dictionary": plain.dictionary_encode(),
        "dictionary of int8": plain.dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string())),
        "dictionary of uint32": plain.dictionary_encode().cast(pa.dictionary(pa.uint32(), pa.string())),
        "dictionary of large_string": plain.cast(pa.large_string()).dictionary_encode(),
        "dictionary of string_view": plain.cast(pa.string_view()).dictionary_encode(),
        "null in the dictionary": pa.DictionaryArray.from_arrays(
            pa.array([["a", "b", None, "new", ""].index(w) for w in words], pa.int32()), ["a", "b", None, "new", ""]
        ),
        "a value twice in the dictionary": pa.DictionaryArray.from_arrays(
            pa.array([None if w is None else ["a", "b", "new", "", "a"].index(w) for w in words], pa.int16()),
            ["a", "b", "new", "", "a"],
        ),
        "values that do not occur": pa.DictionaryArray.from_arrays(
            pa.array([None if w is None else ["never", "new", "b", "a", ""].index(w) for w in words], pa.int16()),
            ["never", "new", "b", "a", ""],
        ),
        "sliced": pa.concat_arrays([pa.array(["zzz"]), plain, pa.array(["yyy"])]).slice(1, len(words)),
        "chunks with their own dictionaries": pa.chunked_array(
            [plain[:half].dictionary_encode(), plain[half:].dictionary_encode()]
        ),
    }


WORDS: list[str | None] = ["a", "b", None, "new", "a", "", "a", None, "b", "new"]


@pytest.mark.parametrize("kind", text_kinds(WORDS))
def test_text_counts_alike_however_it_is_stored(kind: str) -> None:
    baseline = mw.Baseline.fit(pa.table({"x": ["a", "b", "b", None, "", "gone"]}))
    wanted = mw.Profile.count(baseline, pa.table({"x": pa.array(WORDS)})).merged()
    found = mw.Profile.count(baseline, pa.table({"x": text_kinds(WORDS)[kind]})).merged()
    assert found is not None
    assert wanted is not None
    assert found.fingerprint == wanted.fingerprint
    fitted_from = mw.Baseline.fit(pa.table({"x": text_kinds(WORDS)[kind]}))
    (column,) = fitted_from.columns
    assert column.categories == (b"", b"a", b"b", b"new")


# Columns that come and go


def test_a_column_gone_from_some_files_is_a_warning_and_from_all_an_alert() -> None:
    whole = pa.table({"x": np.arange(100.0), "y": ["a", "b"] * 50})
    baseline = mw.Baseline.fit(whole)
    report = mw.compare(baseline, [whole, whole.select(["x"]), whole.select(["x"]), whole])
    (finding,) = [f for f in report.findings if f.check == "present"]
    assert (finding.column, finding.severity, finding.value) == ("y", "warning", 0.5)
    assert finding.reason == "Column 'y' is not in the log for 50.0% of the window's rows."
    assert number(next(r for r in report.results if r.column.name == "y").values["js_distance"]) == 0.0
    report = mw.compare(baseline, whole.select(["x"]))
    (finding,) = [f for f in report.findings if f.check == "present"]
    assert (finding.column, finding.severity, finding.reason) == ("y", "alert", "Column 'y' is not in the log.")
    assert number(report.results[0].values["ks"]) == 0.0


def test_a_column_whose_type_changes_between_files_counts_where_it_can() -> None:
    numbers = pa.table({"x": np.arange(100)})
    files = [
        numbers,
        pa.table({"x": np.arange(100.0) + 0.5}),
        pa.table({"x": [str(i) for i in range(50)]}),
        pa.table({"x": [True, False] * 25}),
    ]
    baseline = mw.Baseline.fit(numbers, roles=NUMBERS)
    report = mw.compare(baseline, files)
    (result,) = report.results
    assert result.present == 200 / 300
    both = [*range(100), *(i + 0.5 for i in range(100))]
    assert number(result.values["ks"]) == mw.stats.ks(np.arange(100.0), both)
    notes = {mw.compare(baseline, [files[i] for i in order]).notes for order in itertools.permutations(range(4))}
    assert notes == {report.notes}


def test_a_new_column_is_noted_and_not_compared() -> None:
    reference = pa.table({"x": np.arange(50.0)})
    current = reference.append_column("extra", pa.array(["?"] * 50)).append_column("more", pa.array([1] * 50))
    report = mw.compare(mw.Baseline.fit(reference), current)
    assert "In the log but not in the baseline: extra, more." in report.notes
    assert [r.column.name for r in report.results] == ["x"]
    assert report.ok


def test_a_column_of_the_null_type_is_missing_not_broken() -> None:
    reference = pa.table({"x": np.arange(50.0), "y": ["a", "b"] * 25})
    report = mw.compare(mw.Baseline.fit(reference), pa.table({"x": pa.nulls(40), "y": pa.nulls(40)}))
    for result in report.results:
        assert result.present == 1.0
        assert number(result.values["missing"]) == 1.0
