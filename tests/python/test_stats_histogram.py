"""mw.stats.histogram counts as numpy.histogram does, and what NumPy leaves out."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import modelwatch_gpu as mw
from modelwatch_gpu import _core

Array = npt.NDArray[Any]


def counted_exactly(values: list[Any], edges: list[Any]) -> tuple[list[int], int, int]:
    """Counts, below and above, with Python's exact comparisons of integers, floats and fractions."""
    exact = [Fraction(e) for e in edges]
    counts, below, above = [0] * (len(edges) - 1), 0, 0
    for value in values:
        if np.isinf(float(value)):
            below, above = below + (value < 0), above + (value > 0)
            continue
        x = Fraction(value)
        if x < exact[0]:
            below += 1
        elif x > exact[-1]:
            above += 1
        elif x == exact[-1]:
            counts[-1] += 1
        else:
            counts[sum(e <= x for e in exact) - 1] += 1
    return counts, below, above


def check(values: Array, edges: Array, device: str = "cpu") -> None:
    found = mw.stats.histogram(values, edges, device=device, full=True)
    there = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    counts, below, above = counted_exactly(there.tolist(), edges.tolist())
    assert found.counts.tolist() == counts
    assert (found.below, found.above, found.missing) == (below, above, len(values) - len(there))
    assert sum(counts) + below + above + found.missing == len(values)
    assert found.edges.tolist() == edges.tolist()
    assert mw.stats.histogram(values, edges, device=device).tolist() == counts


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int8", "int32", "int64", "uint16", "uint64"])
@pytest.mark.parametrize("rows", [1, 7, 1000, 70_000])
def test_counts_are_numpys_for_random_values(dtype: str, rows: int, device: str) -> None:
    rng = np.random.default_rng(rows)
    values = rng.integers(0, 100, rows).astype(dtype) if np.dtype(dtype).kind in "iu" else rng.normal(50, 30, rows)
    values = values.astype(dtype)
    for edges in (np.linspace(0, 100, 11), np.array([10, 20, 50]), np.sort(rng.uniform(-20, 120, 33))):
        found = mw.stats.histogram(values, edges, device=device)
        assert found.tolist() == np.histogram(values, edges)[0].tolist()


@given(
    st.sampled_from(["float32", "float64"]),
    st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=9),
    st.lists(st.floats(width=32, allow_nan=True), max_size=20),
)
def test_an_edge_and_its_neighbours_fall_where_comparison_says(
    dtype: str, cuts: list[float], more: list[float]
) -> None:
    edges = np.sort(np.array(cuts))
    with np.errstate(over="ignore"):
        near = edges.astype(dtype)
        kind = near.dtype.type
        sides = [near, np.nextafter(near, kind(-np.inf)), np.nextafter(near, kind(np.inf)), np.array(more, dtype=dtype)]
    check(np.concatenate(sides), edges)


@given(
    st.sampled_from(["int64", "uint64"]),
    st.lists(st.integers(-4, 4), min_size=2, max_size=6),
    st.lists(st.integers(-6, 6), min_size=1, max_size=20),
    st.sampled_from([0, 2**53, 2**60, 2**62]),
    st.booleans(),
)
def test_integers_beyond_2_to_the_53_are_counted_one_by_one(
    dtype: str, cuts: list[int], near: list[int], base: int, as_float: bool
) -> None:
    low = max(base, 6 if dtype == "uint64" else 0)
    edges = np.array(sorted(low + c for c in cuts), dtype=dtype)
    values = np.array([low + n for n in near], dtype=dtype)
    check(values, edges.astype(np.float64) if as_float else edges)


def test_integers_at_the_ends_of_their_type_meet_edges_beyond_it() -> None:
    info = np.iinfo(np.int64)
    values = np.array([info.min, info.min + 1, -1, 0, info.max - 1, info.max])
    check(values, np.array([-(2.0**63), 0.0, 2.0**63]))
    check(values, np.array([-1e30, 0.5, 1e30]))
    check(values, np.array([2.0**63, 1e30]))
    check(values.view(np.uint64), np.array([-1.0, 0.0, 2.0**63, 2.0**64]))


@pytest.mark.parametrize("edges", [[0, 1, 1, 2], [1, 1], [0, 0, 0, 1], [0, 1, 1, 1]])
def test_bins_of_no_width_count_as_numpys_do(edges: list[int]) -> None:
    values = np.array([0, 0.5, 1, 1, 1.5, 2, -1, 3])
    assert mw.stats.histogram(values, edges).tolist() == np.histogram(values, np.array(edges))[0].tolist()


def test_the_last_bin_is_closed_and_the_others_are_not(device: str) -> None:
    found = mw.stats.histogram([0, 1, 2, 3, -1, 4, None], [0, 1, 2, 3], device=device, full=True)
    assert found.counts.tolist() == [1, 1, 2]
    assert (found.below, found.above, found.missing, found.device) == (1, 1, 1, device)


def test_infinities_and_minus_zero_are_ordinary_values() -> None:
    values = np.array([-np.inf, np.inf, np.nan, -0.0, 0.0, 5e-324])
    found = mw.stats.histogram(values, [0.0, 5e-324, 1.0], full=True)
    assert found.counts.tolist() == [2, 1]
    assert (found.below, found.above, found.missing) == (1, 1, 1)


@given(
    st.sampled_from(["float32", "float64", "int16", "int64"]),
    st.integers(1, 50),
    st.integers(0, 2**32 - 1),
    st.sampled_from([None, (0, 10), (-3.5, 99.25), (0.1, 0.7)]),
)
def test_a_number_of_bins_makes_numpys_edges_and_counts(
    dtype: str, bins: int, seed: int, limits: tuple[float, float] | None
) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.normal(5, 10, 200) * 8).round(rng.integers(0, 4)).astype(dtype)
    counts, edges = np.histogram(values, bins, limits)
    found = mw.stats.histogram(values, bins, range=limits, full=True)
    assert found.edges.tolist() == edges.tolist()
    assert found.counts.tolist() == counts.tolist()
    assert found.below + found.above + found.counts.sum() == 200


def test_a_number_of_bins_covers_the_finite_values() -> None:
    found = mw.stats.histogram([1.0, 2.0, float("inf"), float("nan"), None, 5.0], 4, full=True)
    assert found.edges.tolist() == [1, 2, 3, 4, 5]
    assert found.counts.tolist() == [1, 1, 0, 1]
    assert (found.above, found.missing) == (1, 2)
    assert mw.stats.histogram(np.empty(0), 3).tolist() == [0, 0, 0]
    assert mw.stats.histogram([7, 7], 2).tolist() == np.histogram([7, 7], 2)[0].tolist()


def test_columns_are_counted_at_once_and_as_alone() -> None:
    values = np.random.default_rng(3).normal(size=(500, 3))
    edges = np.linspace(-2, 2, 9)
    found = mw.stats.histogram(values, edges)
    assert found.shape == (8, 3)
    assert found.dtype == np.int64
    for i in range(3):
        assert found[:, i].tolist() == np.histogram(values[:, i], edges)[0].tolist()
    assert [h.below for h in mw.stats.histogram(values, edges, full=True)] == (values < -2).sum(axis=0).tolist()


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_slices_and_threads_change_nothing(threads: int) -> None:
    values = np.random.default_rng(4).normal(size=200_003)
    table = pa.chunked_array([values[:70_001], values[70_001:]])
    edges = np.linspace(-1, 1, 5)
    assert mw.stats.histogram(table.slice(5, 150_000), edges, threads=threads).tolist() == (
        np.histogram(values[5:150_005], edges)[0].tolist()
    )


@pytest.mark.parametrize(
    ("edges", "says"),
    [
        ([1, 0], "must increase"),
        ([0.0, float("nan")], "must be finite"),
        ([0.0, float("inf")], "must be finite"),
        ([1.0], "at least two"),
        ([[0, 1], [1, 2]], "one-dimensional"),
        (["a", "b"], "numbers"),
        (0, "at least one bin"),
    ],
)
def test_edges_that_make_no_bins_are_refused_in_a_sentence(edges: Any, says: str) -> None:
    with pytest.raises(mw.InputError, match=says):
        mw.stats.histogram([1.0, 2.0], edges)


def test_values_that_are_not_numbers_are_refused_in_a_sentence() -> None:
    with pytest.raises(mw.InputError, match="numbers, dates or times are needed"):
        mw.stats.histogram(["a"], 3)


#: What the kernels could trip over: subnormals, both zeros, the ends of the type, one step beside 1.
HARD32 = np.array(
    [0.0, -0.0, 1e-45, -1e-45, 1.1754944e-38, 0.1, 1.0, 3.4028235e38, -3.4028235e38, np.inf, -np.inf, np.nan],
    dtype=np.float32,
)


@given(
    st.sampled_from(["float32", "float64"]),
    st.sampled_from(["uniform", "quantiles", "octaves", "crowded", "any"]),
    st.integers(2, 90),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.01, 0.5, 1.0]),
    st.booleans(),
)
def test_many_rows_are_counted_as_comparisons_count_them(
    dtype: str, shape: str, cuts: int, seed: int, nan_share: float, wide_edges: bool
) -> None:
    """Thousands of rows, so that the kernels for whole blocks run, and not the one for the rest alone."""
    rng = np.random.default_rng(seed)
    values = (rng.lognormal(0, 3, 3000) if shape == "octaves" else rng.normal(0, 1, 3000)).astype(dtype)
    edges: Array = {
        "uniform": lambda: np.histogram_bin_edges(values, cuts - 1, (-3, 3)),
        "quantiles": lambda: np.quantile(values, np.linspace(0, 1, cuts)),
        "octaves": lambda: np.quantile(values, np.linspace(0.02, 0.98, cuts)),
        "crowded": lambda: values[0] * (1 + np.arange(cuts) * 1e-7),
        "any": lambda: rng.standard_cauchy(cuts),
    }[shape]()
    edges = np.sort(edges if wide_edges else edges.astype(dtype))
    kind = np.dtype(dtype).type
    near = edges.astype(dtype)
    values[: 2 * cuts] = np.concatenate([near, np.nextafter(near, kind(-np.inf))])
    values[2 * cuts : 2 * cuts + len(HARD32)] = HARD32
    rng.shuffle(values)
    values[rng.random(len(values)) < nan_share] = np.nan
    found = mw.stats.histogram(values, edges, full=True)
    there = values[~np.isnan(values)].astype(np.float64)
    exact = edges.astype(np.float64)
    below = np.array([(there < e).sum() for e in exact[:-1]] + [(there <= exact[-1]).sum()])
    assert found.counts.tolist() == np.diff(below).tolist()
    assert (found.below, found.above) == (below[0], len(there) - below[-1])
    assert found.missing == len(values) - len(there)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("cuts", [2, 10, 65, 300])
def test_many_whole_numbers_are_counted_as_numpy_counts_them(dtype: str, cuts: int) -> None:
    info, rng = np.iinfo(dtype), np.random.default_rng(cuts)
    for low, high in ((info.min, info.max), (max(info.min, -50), 50)):
        values = rng.integers(low, high, 5000, dtype=dtype, endpoint=True)
        edges = np.sort(rng.integers(low, high, cuts, dtype=dtype, endpoint=True))
        assert mw.stats.histogram(values, edges).tolist() == np.histogram(values, edges)[0].tolist()


@pytest.mark.parametrize("values", [np.empty(0, "f4"), np.full(2000, np.nan, "f4"), np.full(2000, 1.0, "f4")])
def test_columns_of_nothing_of_nan_and_of_one_value(values: Array) -> None:
    found = mw.stats.histogram(values, np.array([0.0, 1.0, 2.0, 3.0]), full=True)
    assert found.counts.tolist() == [0, 2000 if len(values) and values[0] == 1 else 0, 0]
    assert found.missing == np.isnan(values).sum()


COUNTED = """
import numpy as np, modelwatch_gpu as mw
rng, out = np.random.default_rng(8), [mw.device.isa()]
for dtype in ("float32", "float64", "int16", "int32", "int64"):
    x = (rng.standard_t(2, 20_000) * 1000).astype(dtype)
    for cuts in (2, 10, 20, 65, 400):
        q = np.quantile(x, np.linspace(0, 1, cuts)).astype(dtype)
        for edges in (q, q * 0.9, np.linspace(-3000, 3000, cuts)):
            found = mw.stats.histogram(x, np.sort(edges), full=True)
            out += [*found.counts.tolist(), found.below, found.above]
print(*out)
"""


def test_every_instruction_set_counts_the_same() -> None:
    answers = {}
    for isa in _core.available_isas():
        done = subprocess.run(
            [sys.executable, "-c", COUNTED],
            env={**os.environ, "MODELWATCH_ISA": isa},
            capture_output=True,
            text=True,
            check=True,
        )
        used, *counts = done.stdout.split()
        assert used == isa
        answers[isa] = counts
    assert len(set(map(tuple, answers.values()))) == 1


@pytest.mark.parametrize("edges", [[0.0, np.inf], [-np.inf, 0.0, np.inf], [np.finfo("f8").max]])
def test_a_divergence_may_have_edges_without_end(edges: list[float]) -> None:
    a, b = np.array([-1.0, 0, 1, np.inf] * 50), np.array([0.0, 1, 1, -np.inf] * 50)
    shares = []
    for side in (a, b):
        inner = np.searchsorted(edges, side, side="left")
        shares.append(np.bincount(inner, minlength=len(edges) + 1) / len(side))
    assert mw.stats.tv(a, b, edges=edges) == pytest.approx(0.5 * np.abs(shares[0] - shares[1]).sum(), abs=1e-15)


@pytest.mark.parametrize("kind", ["numbers", "text", "booleans", "bytes"])
def test_rows_of_each_group_are_counted_apart(kind: str, device: str) -> None:
    """Against numpy.histogram of the rows that a mask chooses."""
    rng = np.random.default_rng(6)
    rows = 900
    values = rng.normal(size=(rows, 2))
    values[::17] = np.nan
    drawn = rng.integers(0, 2 if kind == "booleans" else 5, rows)
    names: dict[str, list[Any]] = {
        "numbers": [2.5, -1.0, 7.0, 0.0, 1e300],
        "text": ["b", "a", "\u00fc", "", "c"],
        "booleans": [False, True],
        "bytes": [b"b", b"\xff", b"", b"c", b"a"],
    }
    own = [None if rng.random() < 0.1 else names[kind][i] for i in drawn.tolist()]
    edges = np.linspace(-1, 1, 5)
    found = mw.stats.histogram(values, edges, groups=pa.array(own), device=device, full=True)
    groups = sorted({name for name in own if name is not None})
    for column, one in enumerate(found):
        assert list(one.groups) == groups
        assert one.edges.tolist() == edges.tolist()
        for g, name in enumerate(groups):
            x = values[np.array([o == name for o in own]), column]
            assert one.counts[g].tolist() == np.histogram(x, edges)[0].tolist()
            assert one.missing[g] == np.isnan(x).sum()
            assert (one.below[g], one.above[g]) == ((x < -1).sum(), (x > 1).sum())
    counts = mw.stats.histogram(values, edges, groups=pa.array(own), device=device)
    assert counts.shape == (len(groups), 4, 2)
    assert np.array_equal(counts, np.stack([one.counts for one in found], axis=2))


def test_two_groups_by_hand(device: str) -> None:
    found = mw.stats.histogram(
        [1.0, 2.0, 2.0, 3.0, 9.0, -4.0], [1, 2, 3], groups=[7, 8, 7, np.nan, 8, 7], device=device, full=True
    )
    assert found.groups == (7.0, 8.0)
    assert found.counts.tolist() == [[1, 1], [0, 1]]  # of 7: 1, 2, -4; of 8: 2, 9; the row of 3 is in no group
    assert (found.below.tolist(), found.above.tolist(), found.missing.tolist()) == ([1, 0], [0, 1], [0, 0])


def test_groups_of_no_rows_and_wrong_ones() -> None:
    assert mw.stats.histogram(np.ones(3), [0, 2], groups=pa.array([None] * 3, pa.int8())).shape == (0, 1)
    assert mw.stats.histogram(np.ones(0), [0, 2], groups=np.ones(0)).shape == (0, 1)
    with pytest.raises(mw.InputError, match="one column"):
        mw.stats.histogram(np.ones(3), [0, 2], groups=np.ones((3, 2)))
    with pytest.raises(mw.InputError, match="different numbers of rows"):
        mw.stats.histogram(np.ones(3), [0, 2], groups=[1, 2])
    with pytest.raises(mw.InputError, match="numbers, dates, times, text or booleans"):
        mw.stats.histogram(np.ones(2), [0, 2], groups=pa.array([[1], [2]]))
