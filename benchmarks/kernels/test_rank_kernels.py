"""Exact KS distances, one thread, against SciPy: the reference as an array and prepared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kernel_columns import Kind
from scipy.stats import ks_2samp

import modelwatch_gpu as mw

ROWS = 2_000_000


@pytest.mark.parametrize("prepared", [False, True], ids=["array", "prepared"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("distinct", [10_000, 100_000])
@pytest.mark.parametrize("shape", ["normal", "lognormal"])
def test_ks_against_scipy(shape: str, distinct: int, dtype: str, prepared: bool, race: Callable[..., Any]) -> None:
    a, b = Kind(dtype, distinct, shape).values(1), Kind(dtype, ROWS, shape).values(2)
    reference = mw.stats.Prepared(a) if prepared else a
    mine, theirs = race(
        lambda: mw.stats.ks(reference, b, threads=1),
        lambda: ks_2samp(a, b, method="asymp").statistic,
        "scipy.stats.ks_2samp",
        ROWS,
        b.nbytes,
    )
    assert abs(mine - theirs) < 1e-12


@pytest.mark.parametrize("dtype", ["int16", "int64"])
def test_ks_of_whole_numbers_against_scipy(dtype: str, race: Callable[..., Any]) -> None:
    a, b = Kind(dtype, 100_000).values(1), Kind(dtype, ROWS).values(2)
    mine, theirs = race(
        lambda: mw.stats.ks(a, b, threads=1),
        lambda: ks_2samp(a, b, method="asymp").statistic,
        "scipy.stats.ks_2samp",
        ROWS,
        b.nbytes,
    )
    assert abs(mine - theirs) < 1e-12
