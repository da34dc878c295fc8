"""mw.stats.psi and mw.stats.js_distance against the usual few lines of NumPy, SciPy, and paper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from tolerances import DISTANCE_NEAR_ZERO, DIVERGENCE

import modelwatch_gpu as mw

Array = npt.NDArray[Any]


def decile_shares(a: Array, b: Array) -> tuple[Array, Array]:
    """Shares of both sides in the bins (.., e1], (e1, e2], .. that end at the distinct deciles of the first."""
    wide = a.astype(np.int64) if a.dtype.kind == "i" else a  # NumPy's own differences of int8 overflow
    ends = np.unique(np.quantile(wide, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]))
    places = [np.searchsorted(ends, side, side="left") for side in (a, b)]
    first, second = (np.bincount(p, minlength=len(ends) + 1) / len(p) for p in places)
    return first, second


def psi(a: Array, b: Array) -> float:
    """Every share is at least 1e-4; the sum of (q - p) times log(q / p)."""
    p, q = (np.maximum(s, 1e-4) for s in decile_shares(a, b))
    return math.fsum((q - p) * np.log(q / p))


VALUES = st.lists(st.floats(-1e6, 1e6, width=32).map(lambda x: round(x, 1)), min_size=1, max_size=60)


@given(VALUES, VALUES, st.sampled_from(["float64", "int64", "int8"]))
def test_psi_and_js_are_what_numpy_and_scipy_make_of_decile_bins(
    left: list[float], right: list[float], dtype: str
) -> None:
    a, b = (
        np.array(v).clip(-128, 127).astype(dtype) if dtype == "int8" else np.array(v).astype(dtype)
        for v in (left, right)
    )
    assert mw.stats.psi(a, b) == pytest.approx(psi(a, b), rel=DIVERGENCE, abs=DIVERGENCE)
    wanted = jensenshannon(*decile_shares(a, b), base=2)
    assert mw.stats.js_distance(a, b) == pytest.approx(wanted, rel=DIVERGENCE, abs=DISTANCE_NEAR_ZERO)


@pytest.mark.parametrize("rows", [11, 100, 5000])
@pytest.mark.parametrize("shift", [0.0, 0.1, 3.0])
def test_psi_of_float32_cuts_at_the_deciles_of_float32(rows: int, shift: float, device: str) -> None:
    rng = np.random.default_rng(rows)
    a, b = rng.normal(size=rows).astype("f4"), rng.normal(shift, 1.3, size=2 * rows).astype("f4")
    assert mw.stats.psi(a, b, device=device) == pytest.approx(psi(a, b), rel=DIVERGENCE, abs=DIVERGENCE)


def test_psi_worked_out_by_hand() -> None:
    # Two bins at the edge 0: shares (1/2, 1/2) and (1/4, 3/4): (-1/4) ln(1/2) + (1/4) ln(3/2) = ln(3) / 4.
    a, b = [0, 1, 0, 1], [0, 1, 1, 1]
    assert mw.stats.psi(a, b, edges=[0]) == pytest.approx(math.log(3) / 4, rel=DIVERGENCE)
    # A category the other side lacks has the share 1e-4 there.
    wanted = 2 * (1 - 1e-4) * math.log(1e4)
    assert mw.stats.psi(["x"], ["y"]) == pytest.approx(wanted, rel=DIVERGENCE)


def test_js_worked_out_by_hand() -> None:
    # Shares (1, 0) and (1/2, 1/2): middle (3/4, 1/4); (log2(4/3) + log2(2/3) / 2 + log2(2) / 2) / 2.
    divergence = (math.log2(4 / 3) + math.log2(2 / 3) / 2 + 1 / 2) / 2
    assert mw.stats.js_distance(["x", "x"], ["x", "y"]) == pytest.approx(math.sqrt(divergence), rel=DIVERGENCE)
    assert mw.stats.js_distance(["x"], ["y"]) == 1.0
    assert mw.stats.js_distance(["x", "y"], ["y", "x", "x", "y"]) == 0.0


def test_null_is_a_category_of_text_and_left_out_of_numbers() -> None:
    a, b = ["x", None, "y", None], ["x", "x", None, "z"]
    shares = [2 / 4, 1 / 4, 1 / 4, 0], [1 / 4, 2 / 4, 0, 1 / 4]
    assert mw.stats.js_distance(a, b) == pytest.approx(jensenshannon(*shares, base=2), rel=DIVERGENCE)
    result = mw.stats.psi([1, 2, None, 3], [None, 2.0, float("nan"), 9.0], full=True)
    assert (result.n, result.m, result.missing) == (3, 2, 2)
    assert result.value == mw.stats.psi([1.0, 2.0, 3.0], [2.0, 9.0])


def test_a_constant_reference_has_one_edge(device: str) -> None:
    a, b = np.full(50, 3.0), np.array([2.0, 3.0, 4.0, 4.0])
    assert mw.stats.psi(a, b, device=device) == pytest.approx(psi(a, b), rel=DIVERGENCE)
    assert mw.stats.psi(a, a, device=device) == 0.0


def test_infinite_values_have_a_place_in_the_outer_bins() -> None:
    a = np.concatenate([np.arange(100.0), [-np.inf, np.inf]])
    b = np.concatenate([np.arange(50.0), [np.inf] * 50])
    inner = np.arange(1.0, 99.0)
    edges = np.quantile(inner, [0.25, 0.5, 0.75])
    shares = [np.bincount(np.searchsorted(edges, s), minlength=4) / len(s) for s in (a, b)]
    assert mw.stats.js_distance(a, b, edges=edges) == pytest.approx(jensenshannon(*shares, base=2), rel=DIVERGENCE)
    assert math.isfinite(mw.stats.psi(a, b))


def test_text_counts_alike_however_it_is_stored() -> None:
    a, b = ["x", "y", "y", None], ["x", "z", "z", "y"]
    wanted = mw.stats.js_distance(a, b)
    kinds = (
        lambda v: pa.array(v, pa.large_string()),
        lambda v: pa.array(v).dictionary_encode(),
        lambda v: pa.chunked_array([pa.array(v[:2]).dictionary_encode(), pa.array(v[2:]).dictionary_encode()]),
        lambda v: pd.Series(v, dtype="category"),
        lambda v: pa.array(v, pa.string_view()),
    )
    for kind in kinds:
        assert mw.stats.js_distance(kind(a), b) == wanted
        assert mw.stats.js_distance(a, kind(b)) == wanted


def test_columns_are_answered_at_once_and_as_alone() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(200, 3)), rng.normal(0.5, 1, size=(100, 3))
    assert mw.stats.psi(a, b).tolist() == [mw.stats.psi(a[:, i], b[:, i]) for i in range(3)]
    assert len(mw.stats.js_distance(a, b, full=True)) == 3


@pytest.mark.parametrize(
    ("a", "b", "options", "says"),
    [
        ([], [1.0], {}, "no values|null"),
        ([1.0], [float("nan")], {}, "no values in the window"),
        ([1.0], ["x"], {}, "give both one type"),
        (["x"], ["y"], {"edges": [1]}, "edges can only cut numbers"),
        ([1.0], [2.0], {"edges": [[1.0]]}, "one-dimensional"),
        ([1.0], [2.0], {"edges": [float("nan")]}, "numbers"),
    ],
)
def test_what_has_no_divergence_is_refused_in_a_sentence(a: Any, b: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(mw.InputError, match=says):
        mw.stats.psi(a, b, **options)
