"""Measures of many groups at once are those of one group after the other, and hold what the rows say."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from cell_makers import knots_of, sample_on, together, true_quantile, true_wasserstein
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import cramervonmises_2samp, ks_2samp, kurtosis, skew
from tolerances import CVM, KS, MOMENTS, WASSERSTEIN

from modelwatch_gpu.measures import bins, moments, rank, transport
from modelwatch_gpu.measures.cells import Cells
from modelwatch_gpu.measures.quantiles import SHOWN, quantile_bounds, rank_of
from modelwatch_gpu.measures.value import REASON_CODES, Value, Values
from modelwatch_gpu.profile.moments import MomentRows

Array = npt.NDArray[Any]


def draws(seed: int, kind: str, groups: int) -> list[Array]:
    """Samples of different sizes and places; some share gaps and some lie far beyond the others."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(groups):
        x = rng.normal(rng.choice([0.0, 3.0, 40.0]), rng.choice([1.0, 9.0]), rng.integers(1, 40))
        if kind == "int64":
            x = 2**60 + x.round().astype(np.int64)
        elif kind == "ties":
            x = x.round()
        found.append(x.astype(np.float32 if kind == "float32" else x.dtype))
    return found


def grid(seed: int, kind: str, samples: Sequence[Array]) -> Array:
    """A few of the values as knots, so that samples share gaps and have rows beyond the knots."""
    rng = np.random.default_rng(seed)
    values = np.concatenate(samples)
    middle = values[(values > np.quantile(values, 0.2)) & (values < np.quantile(values, 0.8))]
    chosen = rng.choice(middle if len(middle) else values, size=int(rng.integers(1, 12)))
    return knots_of(chosen.tolist(), str(values.dtype))


CASES = {
    "seed": st.integers(0, 2**31),
    "kind": st.sampled_from(["smooth", "ties", "float32", "int64"]),
    "sums": st.booleans(),
}


@given(st.integers(0, 2**31), st.integers(1, 6), st.sampled_from([1, 2**20, 2**44]))
def test_ks_of_weighted_counts_is_that_of_python_integers(seed: int, groups: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.integers(0, size + 1, (groups + 1, 31), dtype=np.int64) * (rng.random((groups + 1, 31)) < 0.5)
    if seed % 3 == 0:
        dense[1:] = dense[:1] * np.arange(1, groups + 1)[:, None]  # distances of 0, or of next to nothing
        dense[-1, 3] += 1
    baseline, current = Cells.dense(dense[:1]), Cells.dense(dense[1:])
    found = rank.ks_of(baseline, current)
    for g in range(groups):
        a, b = dense[0].tolist(), dense[1 + g].tolist()
        if not sum(a) or not sum(b):
            assert found[g].value is None
            continue
        f, h = (list(accumulate(side)) for side in (a, b))
        ends = [abs(x * sum(b) - y * sum(a)) for x, y in zip(f, h, strict=True)]
        most = max(ends)
        for k in range(0, 31, 2):
            if a[k] and b[k]:
                before = (f[k - 1], h[k - 1]) if k else (0, 0)
                most = max(most, f[k] * sum(b) - before[1] * sum(a), h[k] * sum(a) - before[0] * sum(b))
        assert (found[g].lower, found[g].upper) == (max(ends) / (sum(a) * sum(b)), most / (sum(a) * sum(b)))


def inside(value: Value, truth: float, slack: float) -> None:
    assert value.lower is not None
    assert value.upper is not None
    assert value.value is not None
    assert value.lower - slack <= truth <= value.upper + slack
    assert value.lower <= value.value <= value.upper


@given(**CASES)
def test_distances_of_windows_that_share_gaps_hold_what_their_rows_say(seed: int, kind: str, sums: bool) -> None:
    samples = draws(seed, kind, 3)
    knots = grid(seed, kind, samples)
    ranked = [sample_on(x, knots, sums=sums) for x in samples]
    earlier, current = together(ranked[:-1], knots), together(ranked[1:], knots)
    distance = transport.wasserstein_of(earlier, current, knots)
    ks, cvm = rank.ks_of(earlier.cells, current.cells), rank.cvm_of(earlier.cells, current.cells)
    for at, (a, b) in enumerate(pairwise(samples)):
        truth = float(true_wasserstein(a, b))
        inside(distance[at], truth, WASSERSTEIN * truth)
        wide = [(side - 2**60 if kind == "int64" else side).astype(np.float64) for side in (a, b)]
        inside(ks[at], float(ks_2samp(*wide, method="asymp").statistic), KS)
        if min(len(a), len(b)) > 1:  # SciPy wants two rows
            inside(cvm[at], cramervonmises_2samp(*wide, method="asymptotic").statistic, CVM * (len(a) + len(b)))


@given(**CASES)
def test_groups_against_one_baseline_are_what_each_is_alone(seed: int, kind: str, sums: bool) -> None:
    samples = draws(seed, kind, 5)
    knots = grid(seed, kind, samples[:1])
    ranked = [sample_on(x, knots, sums=sums) for x in samples]
    baseline, current = together(ranked[:1], knots), together(ranked[1:], knots)
    measured = (
        transport.wasserstein_of(baseline, current, knots),
        rank.ks_of(baseline.cells, current.cells),
        rank.cvm_of(baseline.cells, current.cells),
    )
    for at, own in enumerate(ranked[1:]):
        alone = together([own], knots)
        assert measured[0][at] == transport.wasserstein_of(baseline, alone, knots)[0]
        assert measured[1][at] == rank.ks(ranked[0].cells, own.cells)
        assert measured[2][at] == rank.cvm(ranked[0].cells, own.cells)
        truth = float(true_wasserstein(samples[0], samples[at + 1]))
        inside(measured[0][at], truth, WASSERSTEIN * truth)
        by_hand = rank.wasserstein(ranked[0], own, knots)
        if kind != "int64":  # a float cannot say the range of numbers beyond 2^53
            assert by_hand == measured[0][at]


@given(**CASES)
def test_one_baseline_for_all_is_a_baseline_for_each(seed: int, kind: str, sums: bool) -> None:
    samples = draws(seed, kind, 4)
    knots = grid(seed, kind, samples)
    ranked = [sample_on(x, knots, sums=sums) for x in samples]
    one, each = together(ranked[:1], knots), together([ranked[0]] * 3, knots)
    current = together(ranked[1:], knots)
    found, same = (transport.wasserstein_of(side, current, knots) for side in (one, each))
    np.testing.assert_allclose(found.lower, same.lower, rtol=WASSERSTEIN)
    np.testing.assert_allclose(found.upper, same.upper, rtol=WASSERSTEIN)
    assert rank.ks_of(one.cells, current.cells).value.tolist() == rank.ks_of(each.cells, current.cells).value.tolist()
    cvms = [rank.cvm_of(side.cells, current.cells) for side in (one, each)]
    assert cvms[0].lower.tolist() == cvms[1].lower.tolist()


def test_two_single_rows_beyond_the_knots_are_as_far_apart_as_they_are() -> None:
    knots = knots_of([0.0, 1.0], "float64")
    a, b = (together([sample_on(np.array(x), knots)], knots) for x in ([0.0, 1.0, 5.0], [0.0, 1.0, 3.5]))
    found = transport.wasserstein_of(a, b, knots)[0]
    inside(found, 0.5, 1e-12)
    assert found.lower is not None
    assert found.upper is not None
    assert found.upper - found.lower < 1e-12


def test_tails_worked_out_by_hand() -> None:
    # Beyond 1: two of four rows at 3 and 5 against one of two at 4. |F - G| is 0 up to 3, then 1/4 up to 5: 1/2.
    knots = knots_of([0.0, 1.0], "float64")
    sides = [np.array([0.0, 1.0, 3.0, 5.0]), np.array([0.5, 4.0])]
    a, b = (together([sample_on(x, knots)], knots) for x in sides)
    found = transport.wasserstein_of(a, b, knots)[0]
    # Inside [0, 1] it is 1/4 up to 0.5 and 1/4 after it: 1/4.
    assert true_wasserstein(*sides) == 3 / 4
    inside(found, 0.75, 1e-12)


def test_sizes_whose_product_passes_64_bits_are_compared_in_whole_numbers() -> None:
    big = np.uint64(3_000_000_019)
    base = np.array([0, big, 0, 7, 0], dtype=np.uint64)
    windows = np.array([[0, big, 0, 8, 0], [0, 3, 0, 0, 0], [5, 0, 0, big, 1]], dtype=np.uint64)
    found = rank.ks_of(Cells.dense(base), Cells.dense(windows))
    n = int(big) + 7
    assert found.value[0] == (7 * (n + 1) * -1 + 8 * n) / (n * (n + 1))
    assert found.value[1] == 7 / n
    for g in range(3):
        assert found[g] == rank.ks(base, windows[g])


@given(st.integers(0, 2**31), st.sampled_from(["smooth", "ties", "float32", "int64"]))
def test_quantiles_lie_within_their_bounds_and_on_knots_are_exact(seed: int, kind: str) -> None:
    samples = draws(seed, kind, 4)
    knots = grid(seed, kind, samples)
    cells = together([sample_on(x, knots) for x in samples], knots).cells
    ends = [np.array([getattr(x, end)() for x in samples]) for end in ("min", "max")]
    for name, found in zip(SHOWN, quantile_bounds(cells, knots, list(SHOWN.values()), *ends), strict=True):
        for g, x in enumerate(samples):
            truth = true_quantile(x, str(SHOWN[name]))
            inside(found[g], float(truth), 0.0)
            if truth in knots:
                assert found.lower[g] == found.upper[g] == float(truth)
            assert float(x.min()) <= found.lower[g] <= found.upper[g] <= float(x.max())


def test_quantiles_worked_out_by_hand() -> None:
    knots = knots_of([0.0, 10.0], "float64")
    cells = Cells.dense(sample_on(np.array([0.0, 2.0, 4.0, 6.0, 8.0, 10.0, np.inf]), knots).cells)
    half, most, least = quantile_bounds(cells, knots, [0.5, 1.0, 0.0], np.array([0.0]), np.array([np.inf]))
    # The 4th of 7 rows is the 3rd of 4 in the gap: 0 + 10 (3 - 1/2) / 4.
    assert half[0] == Value(6.25, 0.0, 10.0, 7)
    assert most[0] == Value(None, None, None, 7, "not_finite")
    assert least[0].value == 0.0
    empty = quantile_bounds(Cells.dense(np.zeros(9, dtype=np.uint64)), knots, [0.5])[0]
    assert empty[0].reason == "all_missing"
    assert rank_of(0.05, np.array([100, 1, 0, 2**60])).tolist() == [5, 1, 1, 2**60 // 20 + 1]
    with pytest.raises(ValueError, match="between 0 and 1"):
        rank_of(1.5, np.array([1]))


@given(st.integers(0, 2**31), st.integers(1, 5))
def test_moments_of_many_groups_are_folded_as_those_of_one_and_are_scipys(seed: int, parts: int) -> None:
    rng = np.random.default_rng(seed)
    groups = [rng.lognormal(0, 1, rng.integers(2, 60)) for _ in range(4)]
    rows = [(g, o, p) for g, x in enumerate(groups) for o, p in enumerate(np.array_split(x, parts))]
    table = moment_rows(rows)
    found = moments.folded(table, 0, len(groups))
    for g, x in enumerate(groups):
        alone = moments.folded(table, g, g + 1)
        for name in ("count", "mean", "m2", "m3", "m4", "skewness", "kurtosis"):
            assert getattr(found, name)[g] == getattr(alone, name)[0], name
        assert found.count[g] == len(x)
        assert found.sd[g] == pytest.approx(x.std(), rel=MOMENTS)
        assert found.skewness[g] == pytest.approx(skew(x), rel=1e-9, abs=1e-9)
        assert found.kurtosis[g] == pytest.approx(kurtosis(x), rel=1e-9, abs=1e-9)


def moment_rows(rows: list[tuple[int, int, Array]]) -> Any:
    """Partials of groups, as a table keeps them."""
    means = [float(np.mean(p)) if len(p) else 0.0 for _, _, p in rows]
    sums = [[m, *(float(np.sum((p - m) ** k)) for k in (2, 3, 4))] for m, (_, _, p) in zip(means, rows, strict=True)]
    groups, origins = (np.array([row[at] for row in rows], dtype=np.uint32) for at in (0, 1))
    count, size = np.array([len(p) for _, _, p in rows], dtype=np.uint64), int(groups.max()) + 1
    return SimpleNamespace(moments_by_origin=MomentRows.of(groups, origins, count, np.array(sums), size))


def test_a_constant_has_no_skewness_and_two_zeros_and_a_one_have_the_root_of_a_half() -> None:
    table = moment_rows([(0, 0, np.full(5, 3.0)), (1, 0, np.array([0.0, 0.0, 1.0])), (2, 0, np.array([]))])
    found = moments.folded(table, 0, 3)
    assert np.isnan(found.skewness[[0, 2]]).all()
    assert np.isnan(found.kurtosis[[0, 2]]).all()
    assert found.sd[0] == 0.0
    # About their mean 1/3 the powers sum to m2 = 2/3, m3 = 2/9, m4 = 2/9: (2/27) / (2/9)^1.5 and (2/27) / (2/9)^2 - 3.
    assert found.skewness[1] == pytest.approx(0.5**0.5)
    assert found.kurtosis[1] == pytest.approx(-1.5)


WHOLE = st.one_of(st.integers(0, 2**10), st.integers(2**52, 2**54), st.integers(0, 2**62))


@given(st.lists(st.tuples(WHOLE, WHOLE, st.integers(0, 2**124)), min_size=1, max_size=20))
def test_quotients_of_whole_numbers_are_rounded_once(rows: list[tuple[int, int, int]]) -> None:
    n, m, d = zip(*[(n, m, min(d, n * m)) for n, m, d in rows], strict=True)
    high, low = (np.array(half, dtype=np.uint64) for half in ([x >> 64 for x in d], [x & (2**64 - 1) for x in d]))
    found = rank._quotients(high, low, np.array(n), np.array(m))
    assert found.tolist() == [float(Fraction(x, max(1, a * b))) for x, a, b in zip(d, n, m, strict=True)]


@given(st.integers(0, 2**31))
def test_divergences_of_many_histograms_are_those_of_each_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 300))
    base, windows = rng.poisson(3, (1, size)), rng.poisson(3, (4, size)) * rng.integers(0, 2, size)
    base[0, 0], windows[:, 0] = 1, 1
    found = bins.bin_measures(bins.Histograms(base, windows))
    for name, measure in bins.BIN_MEASURES.items():
        assert found[name].tolist() == [measure(base[0], w) for w in windows], name
    pooled = bins.pooled(bins.Histograms(base, windows))
    for g in range(4):
        p, q = bins.pool_rare(base[0], windows[g])
        assert bins.js_divergence(p, q) == pytest.approx(
            bins.bin_measures(pooled)["js_divergence"][g], rel=1e-12, abs=1e-12
        )
        assert len(p) == max(1, int(bins.used_bins(pooled)[g]))
        assert (int(p.sum()), int(q.sum())) == (int(base.sum()), int(windows[g].sum()))


def test_bounds_of_two_grids_meet_in_the_narrower_ones() -> None:
    n = np.array([9, 9, 9], dtype=np.int64)
    none = Values.absent("not_finite", n)
    a = Values.between(np.array([1.0, 1.0, 0.0]), np.array([4.0, 2.0, 9.0]), n)
    b = Values.between(np.array([2.0, 0.0, 5.0]), np.array([6.0, 1.5, np.inf]), n)
    both = a.intersected(b)
    assert both.lower.tolist() == [2.0, 1.0, 0.0]
    assert both.upper.tolist() == [4.0, 1.5, 9.0]
    assert both.value.tolist() == [2.5, 1.5, 4.5]
    assert none.intersected(a).value.tolist() == a.value.tolist()
    assert none.intersected(none).reason.tolist() == [REASON_CODES["not_finite"]] * 3
