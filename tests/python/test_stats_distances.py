"""mw.stats distances and divergences against SciPy and paper, with their p-values."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr
from tolerances import (
    CHI_SQUARE,
    CVM,
    DISTANCE_NEAR_ZERO,
    DIVERGENCE,
    ENERGY,
    KS_PVALUE,
    KS_PVALUE_ASYMPTOTIC,
    PVALUE_TAIL,
    WASSERSTEIN,
)

import modelwatch_gpu as mw
from modelwatch_gpu.measures.pvalues import chi_square_pvalue, ks_asymptotic, ks_exact, ks_one_sample

Array = npt.NDArray[Any]
VALUES = st.lists(st.integers(-40, 40).map(lambda v: v / 8), min_size=1, max_size=40)
DTYPES = st.sampled_from(["float64", "float32", "int64", "int16"])


def sides(left: list[float], right: list[float], dtype: str) -> tuple[Array, Array]:
    return np.array(left).astype(dtype), np.array(right).astype(dtype)


# ---- by rank ---------------------------------------------------------------------------------------------------------


@given(VALUES, VALUES, DTYPES)
def test_rank_distances_are_what_scipy_and_the_definition_make_of_tied_values(
    left: list[float], right: list[float], dtype: str
) -> None:
    a, b = sides(left, right, dtype)
    x, y = a.astype(float), b.astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in SciPy's p-value of one row, which is not used
        if min(len(a), len(b)) > 1:
            wanted = stats.cramervonmises_2samp(x, y, method="asymptotic").statistic
            assert abs(mw.stats.cvm(a, b) - wanted) <= CVM * (len(a) + len(b))
    spread = float(np.ptp(np.concatenate([x, y])))
    assert abs(mw.stats.wasserstein(a, b) - stats.wasserstein_distance(x, y)) <= WASSERSTEIN * (1 + spread)
    found = mw.stats.energy_distance(a, b)
    assert abs(found - stats.energy_distance(x, y)) <= ENERGY * (1 + math.sqrt(spread))
    mean_gap = [np.abs(u[:, None] - v[None, :]).mean() for u, v in ((x, y), (x, x), (y, y))]
    assert abs(found**2 - (2 * mean_gap[0] - mean_gap[1] - mean_gap[2])) <= ENERGY * (1 + spread)


@given(VALUES, VALUES)
def test_wasserstein_sd_is_wasserstein_over_numpys_sd(left: list[float], right: list[float]) -> None:
    a, b = sides(left, right, "float64")
    if len(set(left)) == 1:
        with pytest.raises(mw.InputError, match="baseline is constant"):
            mw.stats.wasserstein_sd(a, b)
        return
    result = mw.stats.wasserstein_sd(a, b, full=True)
    assert result.value == pytest.approx(stats.wasserstein_distance(a, b) / a.std(), rel=WASSERSTEIN, abs=WASSERSTEIN)
    assert result.lower <= result.value <= result.upper


def test_rank_distances_worked_out_by_hand(device: str) -> None:
    # F - G is 1/2 on [1, 2) and on [3, 4): W = 1, and the energy distance is sqrt(2 (1/4 + 1/4)) = 1.
    a, b = [1, 3], [2, 4]
    assert mw.stats.wasserstein(a, b, device=device) == pytest.approx(1, rel=WASSERSTEIN)
    assert mw.stats.energy_distance(a, b, device=device) == 1
    # The reference's sd is 1.
    assert mw.stats.wasserstein_sd(a, b, device=device) == pytest.approx(1, rel=WASSERSTEIN)
    # Ranks 1, 3 and 2, 4: U = 2 (0 + 1) + 2 (1 + 4) = 12, T = 12 / (4 * 4) - (16 - 1) / (6 * 4) = 1/8.
    assert mw.stats.cvm(a, b, device=device) == pytest.approx(1 / 8, rel=CVM)


def test_whole_numbers_beyond_2_to_the_53_keep_their_distances() -> None:
    a, b = np.array([2**60, 2**60 + 1]), np.array([2**60 + 2, 2**60 + 3])
    assert mw.stats.wasserstein(a, b) == pytest.approx(2, rel=WASSERSTEIN)
    assert mw.stats.energy_distance(a, b) == math.sqrt(2 * (1 / 4 + 1 + 1 / 4))
    ends = np.array([-(2**63)]), np.array([2**63 - 1])
    assert mw.stats.wasserstein(*ends) == pytest.approx(2.0**64, rel=WASSERSTEIN)
    unsigned = a.astype(np.uint64) + np.uint64(2**63), b.astype(np.uint64) + np.uint64(2**63)
    assert mw.stats.energy_distance(*unsigned) == mw.stats.energy_distance(a, b)


def test_infinities_have_ranks_but_no_distance() -> None:
    a, b = [0.0, math.inf], [-math.inf, 1.0]
    assert mw.stats.cvm(a, b) == pytest.approx(mw.stats.cvm([0.0, 9.0], [-9.0, 1.0]), rel=CVM)
    for measure in (mw.stats.wasserstein, mw.stats.wasserstein_sd, mw.stats.energy_distance):
        with pytest.raises(mw.InputError, match="infinite values"):
            measure(a, b)
    with pytest.raises(mw.InputError, match="too large"):
        mw.stats.energy_distance([-1.7e308], [1.7e308])


def test_subnormal_and_negative_zero_are_values_like_others() -> None:
    least = 5e-324
    assert mw.stats.wasserstein([0.0, -0.0], [-0.0, 0.0]) == 0
    assert mw.stats.energy_distance([-0.0], [0.0]) == 0
    assert mw.stats.cvm([-0.0, 1.0], [0.0, least]) == mw.stats.cvm([0, 2], [0, 1])


# ---- p-values --------------------------------------------------------------------------------------------------------


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1), st.floats(0, 2))
def test_exact_ks_pvalues_are_scipys(n: int, m: int, seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=n).round(2), rng.normal(shift, 1, m).round(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # SciPy says so where it gives up being exact
        wanted = stats.ks_2samp(a, b, method="exact")
    assert mw.stats.ks(a, b, full=True).pvalue == pytest.approx(wanted.pvalue, rel=KS_PVALUE)


@pytest.mark.parametrize(
    ("n", "m"), [(1000, 1000), (1000, 700), (9999, 40), (10_000, 2500), (10_001, 9), (30_000, 20_000)]
)
def test_ks_pvalues_of_larger_samples_are_those_of_scipys_auto(n: int, m: int) -> None:
    rng = np.random.default_rng(n + m)
    for shift in (0.0, 0.05, 0.4):
        a, b = rng.normal(size=n), rng.normal(shift, 1, m)
        near = KS_PVALUE if max(n, m) <= 10_000 else KS_PVALUE_ASYMPTOTIC
        assert mw.stats.ks(a, b, full=True).pvalue == pytest.approx(stats.ks_2samp(a, b).pvalue, rel=near, abs=1e-290)


def test_the_kolmogorov_distribution_is_scipys_from_one_row_to_a_billion() -> None:
    for n in (1, 2, 3, 10, 57, 140, 300, 1000, 1001, 5000, 30_000, 10**7, 10**9):
        for z in (0.3, 0.6, 1.0, 1.45, 1.5, 3.0):
            d = z / math.sqrt(n)
            assert ks_one_sample(d, n) == pytest.approx(stats.kstwo.sf(d, n), rel=KS_PVALUE_ASYMPTOTIC), (n, z)
    assert ks_one_sample(1.0, 5) == 0.0
    assert ks_one_sample(0.05, 10) == 1.0


def test_ks_pvalues_worked_out_by_hand() -> None:
    # Of 6 orders of two and two rows, 2 have D = 1: all of one sample first.
    assert ks_exact(1.0, 2, 2) == pytest.approx(2 / 6, rel=KS_PVALUE)
    # Of 3 places of one row among two, D = 1 at both ends.
    assert ks_exact(1.0, 1, 2) == pytest.approx(2 / 3, rel=KS_PVALUE)
    assert ks_exact(0.0, 7, 5) == 1.0
    assert mw.stats.ks([1.0, 2.0], [1.0, 2.0], full=True).pvalue == 1.0
    # One row: P(D > d) = P(|U - 1/2| > d - 1/2) = 2 (1 - d).
    assert ks_asymptotic(0.75, 1, 10**9) == pytest.approx(0.5, rel=KS_PVALUE)


@pytest.mark.parametrize("freedom", [1, 2, 3, 9, 50, 2000])
def test_chi_square_pvalues_are_scipys_deep_into_both_tails(freedom: int) -> None:
    for statistic in (1e-9, 0.1, 1.0, freedom / 2, freedom, 1.5 * freedom + 3, freedom + 400.0):
        wanted = stats.chi2.sf(statistic, freedom)
        assert chi_square_pvalue(statistic, freedom) == pytest.approx(wanted, rel=PVALUE_TAIL)
    assert chi_square_pvalue(0.0, freedom) == 1.0
    assert chi_square_pvalue(math.inf, freedom) == 0.0


# ---- by bin ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from("abcde"), min_size=1, max_size=60), st.lists(st.sampled_from("bcdef"), min_size=1))
def test_divergences_of_text_are_scipys(left: list[str], right: list[str]) -> None:
    every = sorted({*left, *right})
    p, q = (np.array([s.count(v) for v in every]) / len(s) for s in (left, right))
    near = {"rel": DIVERGENCE, "abs": DISTANCE_NEAR_ZERO}
    assert mw.stats.js_distance(left, right) == pytest.approx(jensenshannon(p, q, base=2), **near)
    assert mw.stats.js_divergence(left, right) == pytest.approx(jensenshannon(p, q, base=2) ** 2, **near)
    assert mw.stats.hellinger(left, right) == pytest.approx(math.sqrt(max(0, 1 - np.sqrt(p * q).sum())), **near)
    assert mw.stats.tv(left, right) == pytest.approx(np.abs(p - q).sum() / 2, **near)
    assert mw.stats.l_infinity(left, right) == pytest.approx(np.abs(p - q).max(), **near)
    floored = [np.maximum(s, 1e-4) for s in (p, q)]
    assert mw.stats.kl(left, right) == pytest.approx(np.sum(rel_entr(floored[1], floored[0])), **near)
    counts = np.array([[s.count(v) for v in every] for s in (left, right)])
    wanted = stats.chi2_contingency(counts, correction=False)
    result = mw.stats.chi_square(left, right, full=True)
    assert result.value == pytest.approx(wanted.statistic, rel=CHI_SQUARE, abs=CHI_SQUARE)
    assert result.pvalue == pytest.approx(wanted.pvalue, rel=PVALUE_TAIL)


def test_divergences_of_numbers_cut_where_the_edges_say(device: str) -> None:
    a, b = [1, 2, 3, 4], [2, 3, 5, None]
    # Bins (.., 2], (2, 4], (4, ..]: (2, 2, 0) of 4 and (1, 1, 1) of 3.
    options = {"edges": [2, 4], "device": device}
    assert mw.stats.tv(a, b, **options) == pytest.approx(1 / 3, rel=DIVERGENCE)
    assert mw.stats.l_infinity(a, b, **options) == pytest.approx(1 / 3, rel=DIVERGENCE)
    assert mw.stats.hellinger(a, b, **options) == pytest.approx(math.sqrt(1 - 2 * math.sqrt(1 / 6)), rel=DIVERGENCE)
    # Expected (12/7, 12/7, 4/7) and (9/7, 9/7, 3/7).
    assert mw.stats.chi_square(a, b, **options) == pytest.approx(14 / 9, rel=CHI_SQUARE)
    wanted = 2 * math.log(2 / 3) / 3 + math.log(1e4 / 3) / 3
    assert mw.stats.kl(a, b, **options) == pytest.approx(wanted, rel=DIVERGENCE)
    assert mw.stats.chi_square(["x"], ["x", "x"], full=True).pvalue == 1.0


# ---- what all distances share ----------------------------------------------------------------------------------------

RANKED = ("ks", "cvm", "wasserstein", "wasserstein_sd", "energy_distance")
BINNED = ("psi", "js_distance", "js_divergence", "kl", "hellinger", "tv", "chi_square", "l_infinity")


@pytest.mark.parametrize("name", [*RANKED, *BINNED])
def test_columns_slices_and_nulls_give_the_number_of_the_values_alone(name: str) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(90, 3)).round(1), rng.normal(0.4, 1, size=(70, 3)).round(1)
    measure = getattr(mw.stats, name)
    alone = [measure(a[:, i], b[:, i]) for i in range(3)]
    assert measure(a, b).tolist() == alone
    assert measure(np.asfortranarray(a), b[::-1]).tolist() == alone
    padded = [pa.array([99.0, None, *x[:, 0], None, math.nan, 99.0]).slice(1, len(x) + 3) for x in (a, b)]
    result = measure(*padded, full=True)
    assert result.value == alone[0]
    assert (result.n, result.m, result.missing, result.device) == (90, 70, 3, "cpu")
    assert measure(a, a).tolist() == pytest.approx([0, 0, 0] if name != "cvm" else measure(a, a).tolist())


@pytest.mark.parametrize("name", [*RANKED, *BINNED])
@pytest.mark.parametrize("nothing", [[], [None], [math.nan, None], np.empty(0, "f4")])
def test_a_side_without_values_has_no_distance(name: str, nothing: Any) -> None:
    for pair in ((nothing, [1.0, 2.0]), ([1.0, 2.0], nothing)):
        with pytest.raises(mw.InputError, match=r"(has no values|no answer: The column has no values in the \w+)\.$"):
            getattr(mw.stats, name)(*pair)


def test_one_row_a_side_is_enough() -> None:
    assert mw.stats.wasserstein([1.0], [3.5]) == pytest.approx(2.5, rel=WASSERSTEIN)
    assert mw.stats.energy_distance([1.0], [3.0]) == 2.0
    assert mw.stats.tv([1.0], [3.0]) == 1.0


@pytest.mark.parametrize("name", RANKED)
def test_text_has_no_ranks(name: str) -> None:
    with pytest.raises(mw.InputError, match="numbers, dates or times"):
        getattr(mw.stats, name)(["a"], ["b"])
