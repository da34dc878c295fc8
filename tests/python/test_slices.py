"""The search for slices that changed more than the rest: what is planted is found, and nothing else."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from slice_worlds import BINS, Planted, joint, tables

from modelwatch_gpu.measures.slices import SearchOptions, SliceTable, worst_slices

THREE: Planted = {(("a", 1),): 0.5, (("d", 0),): -0.4, (("b", 4), ("c", 5)): 0.9}


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_three_planted_slices_are_the_first_three(seed: int, drift: float) -> None:
    rng = np.random.default_rng([seed, 1])
    reference, current = joint(rng, 60_000, {}), joint(rng, 60_000, THREE, drift)
    found = worst_slices(tables(current, reference), SearchOptions())
    assert {s.name for s in found[:3]} == {"a=1", "d=0", "b=4, c=5"}
    assert all(x.score >= y.score for x, y in itertools.pairwise(found))
    assert all(s.p <= 0.01 for s in found)


@pytest.mark.parametrize(("drift", "bins"), [(0.0, BINS), (0.3, BINS), (0.0, 2)])
def test_none_is_found_where_none_is_planted(drift: float, bins: int) -> None:
    clean = 0
    for seed in range(200):
        rng = np.random.default_rng([seed, 2, bins])
        reference, current = joint(rng, 20_000, {}, bins=bins), joint(rng, 20_000, {}, drift, bins=bins)
        clean += not worst_slices(tables(current, reference), SearchOptions(min_effect=0.0))
    assert clean >= 190


def test_a_bad_bin_is_searched_for_its_growth_alone() -> None:
    rng = np.random.default_rng(5)
    better: Planted = {(("a", 2),): -0.8}
    reference, current = joint(rng, 40_000, {}, bins=2), joint(rng, 40_000, {**better, (("c", 1),): 0.7}, bins=2)
    (found,) = worst_slices(tables(current, reference), SearchOptions(bad=1))
    assert found.name == "c=1"
    assert found.before < found.after


def test_the_rest_of_the_same_log_is_held_against_a_slice() -> None:
    rng = np.random.default_rng(6)
    current = joint(rng, 40_000, {(("b", 0), ("d", 2)): 0.8}, bins=2)
    found = worst_slices(tables(current), SearchOptions(bad=1))
    assert [s.name for s in found] == ["b=0, d=2"]
    clean = sum(
        not worst_slices(tables(joint(np.random.default_rng(s), 20_000, {}, bins=2)), SearchOptions(bad=1))
        for s in range(100)
    )
    assert clean >= 95


def test_the_statistic_of_two_bins_is_the_square_of_the_z_of_four_shares() -> None:
    cur, rest, ref, rest_before = (300, 700), (4_100, 5_900), (200, 800), (4_000, 6_000)
    table = SliceTable(
        ("a",),
        [("x",), ("y",)],
        np.array([cur, rest], dtype=float),
        np.array([ref, rest_before], dtype=float),
    )
    (found,) = worst_slices([table], SearchOptions(), tests=1)
    assert found.values == ("x",)
    p = [c[0] / sum(c) for c in (cur, rest, ref, rest_before)]
    assert found.effect == pytest.approx(abs((p[0] - p[2]) - (p[1] - p[3])))
    assert found.share == pytest.approx(1_000 / 11_000)
    assert found.score == pytest.approx(found.effect * found.share)
    shares = [(c[0] + 0.5) / (sum(c) + 1) for c in (cur, rest, ref, rest_before)]
    variance = sum(s * (1 - s) / sum(c) for s, c in zip(shares, (cur, rest, ref, rest_before), strict=True))
    from scipy.stats import norm

    assert found.p == pytest.approx(2 * norm.sf(found.effect / np.sqrt(variance)), rel=1e-9)


def test_no_rows_and_small_slices_make_no_slice() -> None:
    nothing = SliceTable(("a",), [("x",), ("y",)], np.zeros((2, 3)), np.zeros((2, 3)))
    assert worst_slices([], SearchOptions()) == []
    assert worst_slices([nothing], SearchOptions()) == []
    few = SliceTable(("a",), [("x",), ("y",)], np.array([[50.0, 0], [500, 500]]), np.array([[0.0, 50], [500, 500]]))
    assert worst_slices([few], SearchOptions()) == []
    assert [s.name for s in worst_slices([few], SearchOptions(min_rows=50))] == ["a=x"]
