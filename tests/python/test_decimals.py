"""Decimals are compared by the whole numbers of their unit, exactly, and told in the column's own units."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from comparing import NUMBERS, number, result_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, wasserstein_distance
from tolerances import KS, MOMENTS, WASSERSTEIN

import modelwatch_gpu as mw
from modelwatch_gpu.measures.numeric import bin_labels
from modelwatch_gpu.profile.columns import NumericColumn
from modelwatch_gpu.units import in_steps, in_units, unscaled

MONEY = pa.decimal128(12, 2)


def money(*texts: str | None) -> list[Decimal | None]:
    return [None if t is None else Decimal(t) for t in texts]


def baseline_of(values: Any, kind: pa.DataType = MONEY, **options: Any) -> mw.Baseline:
    return mw.Baseline.fit(pa.table({"x": pa.array(values, kind)}), **options)


def column_of(baseline: mw.Baseline) -> NumericColumn:
    (column,) = baseline.columns
    assert isinstance(column, NumericColumn)
    return column


def cents(seed: int, rows: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).lognormal(7, 1, rows).round().astype(np.int64)


def test_a_hand_checked_column_of_money_is_told_in_money() -> None:
    baseline = baseline_of(money("1.00", "2.00", "3.00", "4.00"))
    report = mw.compare(baseline, pa.table({"x": pa.array(money("1.50", "2.50", "3.50", "4.50", None), MONEY)}))
    (result,) = report.results
    row = report.to_dict()["profile"][0]
    assert (row["min"], row["max"], row["mean"]) == (1.5, 4.5, 3.0)
    assert row["sd"] == pytest.approx(np.sqrt(1.25), rel=MOMENTS)
    # Every value moved by 0.50; the interior of the baseline's sd is sqrt(1.25).
    assert number(result.values["wasserstein"]) == pytest.approx(0.5, rel=WASSERSTEIN)
    assert number(result.values["wasserstein_sd"]) == pytest.approx(0.5 / np.sqrt(1.25), rel=WASSERSTEIN)
    assert number(result.values["mean_shift"]) == pytest.approx(0.5 / np.sqrt(1.25), rel=MOMENTS)
    assert number(result.values["ks"]) == 0.25
    assert result.shift is not None
    assert (result.shift.before, result.shift.after) == (2.5, 3.0)
    column = column_of(baseline)
    assert (column.scale, column.unit) == (2, Fraction(1, 100))
    assert column.deciles == pytest.approx([1.3, 1.6, 1.9, 2.2, 2.5, 2.8, 3.1, 3.4, 3.7], rel=KS)
    assert bin_labels(column)[0] == "≤ 1.3"
    report.to_html()


@settings(max_examples=settings.default.max_examples // 2)
@given(
    seed=st.integers(0, 2**31),
    scales=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    exact_up_to=st.sampled_from([16, 1000]),
)
def test_another_scale_is_the_same_numbers(seed: int, scales: tuple[int, int], exact_up_to: int) -> None:
    coarser = min(scales)
    unit = Fraction(10) ** -coarser
    whole = cents(seed, 90) % 5000, cents(seed + 1, 70) % 6000
    sides = [[Decimal(int(v)).scaleb(-coarser) for v in side] for side in whole]
    a, b = (pa.array(side, pa.decimal128(20, scale)) for side, scale in zip(sides, scales, strict=True))
    baseline = mw.Baseline.fit(pa.table({"x": a}), exact_up_to=exact_up_to)
    result = result_of(baseline, b)
    x, y = (side.astype(np.float64) * float(unit) for side in whole)
    ks, distance = result.values["ks"], result.values["wasserstein"]
    assert ks.lower - KS <= ks_2samp(*whole, method="asymp").statistic <= ks.upper + KS
    slack = WASSERSTEIN * np.ptp(np.concatenate([x, y]))
    assert distance.lower - slack <= wasserstein_distance(x, y) <= distance.upper + slack
    assert number(result.values["mean_shift"]) == pytest.approx((y.mean() - x.mean()) / x.std(), rel=1e-9)


@pytest.mark.parametrize("exact", ["12.50", "-0.01", "999.99"])
def test_a_scale_that_would_round_is_named_and_not_rounded(exact: str) -> None:
    baseline = baseline_of(money("1.00", "2.50", exact))
    fine = pa.decimal128(12, 5)
    assert result_of(baseline, pa.array(money("1.00000", exact + "000"), fine)).present == 1.0
    report = mw.compare(baseline, pa.table({"x": pa.array(money("1.00000", exact + "001"), fine)}))
    assert report.results[0].present == 0.0
    assert any("decimal128(12, 5)" in note and "cannot be compared" in note for note in report.notes)


def test_whole_numbers_and_decimals_are_compared_where_they_are_exact() -> None:
    prices = baseline_of(money("1.00", "2.00", "2.50", "4.00"))
    for kind in (pa.int8(), pa.int64(), pa.uint64(), pa.decimal128(3, 0), pa.decimal128(4, -1)):
        values = [10, 20] if kind == pa.decimal128(4, -1) else [1, 2]
        current = pa.array([Decimal(v) for v in values]).cast(kind) if kind.bit_width == 128 else pa.array(values, kind)
        found = result_of(prices, current).values["ks"]
        assert number(found) == mw.stats.ks([1.0, 2.0, 2.5, 4.0], values)
    counts = mw.Baseline.fit(pa.table({"x": [1, 2, 3, 3]}), roles=NUMBERS)
    assert number(result_of(counts, pa.array(money("1.00", "2.00", "3.00", "3.00"), MONEY)).values["ks"]) == 0.0
    assert result_of(counts, pa.array(money("1.00", "2.50"), MONEY)).present == 0.0
    assert result_of(prices, pa.array([2**62])).present == 0.0  # 2^62 whole units are no int64 of cents


def test_a_decimal_is_no_binary_fraction() -> None:
    prices, floats = baseline_of(money("0.10", "0.20")), mw.Baseline.fit(pa.table({"x": [0.1, 0.2]}))
    assert result_of(prices, pa.array([0.1, 0.2])).present == 0.0
    assert result_of(floats, pa.array(money("0.10", "0.20"), MONEY)).present == 0.0
    whole = pa.array([Decimal(1), Decimal(2)], pa.decimal128(9, 0))
    assert number(result_of(mw.Baseline.fit(pa.table({"x": [1.0, 2.0]})), whole).values["ks"]) == 0.0
    assert number(result_of(mw.Baseline.fit(pa.table({"x": whole})), pa.array([1.0, 2.0])).values["ks"]) == 0.0


def test_the_last_digit_of_64_bits_counts() -> None:
    top = 2**63 - 1
    kind = pa.decimal128(38, 10)
    a = [Decimal(v).scaleb(-10) for v in (top, top - 1, -top - 1, 0)]
    baseline = baseline_of(a, kind)
    assert {-top - 1, 0, top - 1, top} <= set(column_of(baseline).values.tolist())
    b = [Decimal(v).scaleb(-10) for v in (top - 1, top - 1, -top - 1, 0)]
    assert number(result_of(baseline, pa.array(b, kind)).values["ks"]) == 0.25
    row = mw.compare(baseline, pa.table({"x": pa.array(a, kind)})).to_dict()["profile"][0]
    assert (row["min"], row["max"]) == (float(a[2]), float(a[0]))


@pytest.mark.parametrize("kind", [pa.decimal128(38, 10), pa.decimal256(76, 10)])
def test_more_digits_than_64_bits_are_refused_in_a_reference_and_named_in_a_log(
    kind: pa.DataType, tmp_path: Path
) -> None:
    wide = pa.array([Decimal(2**63).scaleb(-10), Decimal(1)], kind)
    with pytest.raises(
        mw.InputError, match=r"<table>: column 'x' .* more digits than 64 bits hold.*cast it to float64"
    ):
        mw.Baseline.fit(pa.table({"x": wide}))
    # What lies below a null is nobody's value.
    hidden = pa.Array.from_buffers(kind, 2, [pa.array([False, True], pa.bool_()).buffers()[1], wide.buffers()[1]])
    assert hidden.to_pylist() == [None, Decimal(1)]
    baseline = mw.Baseline.fit(pa.table({"x": hidden, "y": [1.5, 2.5]}))
    report = mw.compare(baseline, pa.table({"x": pa.concat_arrays([wide] * 20), "y": [1.5, 2.5] * 20}))
    assert [r.present for r in report.results] == [0.0, 1.0]
    assert any("cannot be compared" in note for note in report.notes)


def test_decimals_are_categories_by_their_value_where_they_are_asked_to_be() -> None:
    roles = mw.Roles(categorical="x")
    baseline = baseline_of(money("1.50", "2.00", "-0.00", None), roles=roles)
    assert baseline.columns[0].categories == (b"0", b"1.5", b"2")  # type: ignore[union-attr]
    for current in (pa.array(money("1.5000", "2.0000"), pa.decimal128(9, 4)), pa.array([1.5, 2.0]), pa.array(["2"])):
        assert number(result_of(baseline, current).values["unseen"]) == 0.0


def test_a_reference_whose_files_differ_in_scale_is_one_where_exact_and_refused_where_not() -> None:
    first = pa.table({"x": pa.array(money("1.25", "2.50"), MONEY)})
    finer = pa.table({"x": pa.array(money("1.2500", "3.7500"), pa.decimal128(12, 4))})
    for other, cents_of_both in ((finer, [125, 250, 125, 375]), (pa.table({"x": [7, 8]}), [125, 250, 700, 800])):
        baseline = mw.Baseline.fit([first, other])
        assert number(result_of(baseline, first["x"]).values["ks"]) == mw.stats.ks(cents_of_both, [125, 250])
        assert column_of(baseline).scale == 2
    for other in (pa.array(money("1.2501"), pa.decimal128(12, 4)), pa.array([1.25]), pa.array(["1.25"])):
        with pytest.raises(mw.InputError, match=r"<table 1>: a column changes its type .*column 'x'"):
            mw.Baseline.fit([first, pa.table({"x": other})])
    narrow, wide = pa.table({"x": pa.array([0.5, 0.25], pa.float32())}), pa.table({"x": [0.1]})
    with pytest.raises(mw.InputError, match="not exact as float"):
        mw.Baseline.fit([narrow, wide])


def test_a_baseline_of_decimals_survives_its_file(tmp_path: Path) -> None:
    baseline = baseline_of(money("1.50", "2.00", "7.25"))
    baseline.save(tmp_path / "b.mwb")
    loaded = mw.Baseline.load(tmp_path / "b.mwb")
    assert loaded.to_bytes() == baseline.to_bytes()
    assert column_of(loaded).scale == 2
    log = pa.table({"x": pa.array(money("1.50", "9.25"), MONEY)})
    assert mw.compare(loaded, log).to_json() == mw.compare(baseline, log).to_json()


@pytest.mark.parametrize("kinds", [(MONEY, MONEY), (MONEY, pa.decimal128(20, 5)), (pa.decimal256(50, 3), MONEY)])
def test_plain_arrays_of_decimals_are_compared_exactly(kinds: tuple[pa.DataType, pa.DataType]) -> None:
    whole = cents(1, 200), cents(2, 150)
    a, b = (pa.array([Decimal(int(v)).scaleb(-2) for v in side], kind) for side, kind in zip(whole, kinds, strict=True))
    assert mw.stats.ks(a, b) == mw.stats.ks(*whole)
    assert mw.stats.psi(a, b) == pytest.approx(mw.stats.psi(*whole), rel=KS)
    edges = [0.07, 5.55, 12.03]
    assert mw.stats.psi(a, b, edges=edges) == mw.stats.psi(*whole, edges=[7, 555, 1203])
    assert mw.stats.ks(a, [int(v) for v in whole[1]]) == mw.stats.ks(whole[0], whole[1] * 100)
    assert mw.stats.ks(money("1.5", "2.5"), money("1.50", "7.25")) == 0.5
    with pytest.raises(mw.InputError, match="give both one type"):
        mw.stats.ks(a, [0.1, 0.2])


def test_a_histogram_of_decimals_has_edges_in_their_units() -> None:
    whole = cents(3, 500)
    a = pa.array([Decimal(int(v)).scaleb(-2) for v in whole], MONEY)
    counts = mw.stats.histogram(a, [0, 5.55, 12.03, 100])
    assert counts.tolist() == np.histogram(whole, [0, 555, 1203, 10000])[0].tolist()
    full = mw.stats.histogram(a, 7, full=True)
    assert full.below == full.above == 0
    assert full.edges[[0, -1]].tolist() == [whole.min() / 100, whole.max() / 100]
    long = pa.array([Decimal(2**62 + i).scaleb(-7) for i in (1, 50_001, 90_003)], pa.decimal128(38, 7))
    full = mw.stats.histogram(long, 3, full=True)
    assert (full.below, full.above, int(full.counts.sum())) == (0, 0, 3)


def test_steps_and_units_are_inverse_and_round_once() -> None:
    assert in_units(1, 1) == 0.1
    assert in_units(2**62 + 1, 5) == (2**62 + 1) / 10**5
    assert in_units(7, -2) == 700.0
    assert in_steps(0.3, 1) == 3
    assert in_steps(Fraction(1, 3), 2) == Fraction(100, 3)
    assert in_steps(700, -2) == 7
    with pytest.raises(pa.ArrowInvalid):
        unscaled(pa.array([10, 15]), -1)
    assert unscaled(pa.array([10, 20, None]), -1).to_pylist() == [1, 2, None]
