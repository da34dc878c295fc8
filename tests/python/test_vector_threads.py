"""Vectors are added up by several threads, in one order, while BLAS keeps to the thread that asks."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest
from embedding_makers import ROLES, log_of, vectors
from tolerances import EMBEDDING_SUMS

import modelwatch_gpu as mw
from modelwatch_gpu.profile import blas
from modelwatch_gpu.profile.embeddings import TILE


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(log_of(vectors(3_000, 24, seed=0), days=9), roles=ROLES)


@pytest.mark.parametrize("options", [{}, {"segments": ["topic"]}, {"window": "1d"}], ids=str)
def test_sums_are_the_same_for_any_number_of_threads(baseline: mw.Baseline, options: dict[str, object]) -> None:
    rows = 5 * TILE + 17
    log = log_of(vectors(rows, 24, seed=1, shift=0.1), days=3, first=10_000)
    ones, *others = [mw.Profile.count(baseline, log, threads=threads, **options).to_bytes() for threads in (1, 2, 5)]
    assert others == [ones, ones]


def test_the_answer_is_numpys_whoever_adds_it_up(baseline: mw.Baseline) -> None:
    values = vectors(3 * TILE, 24, seed=2)
    sums = mw.Profile.count(baseline, log_of(values), threads=3).merged().embeddings["window", "vector"]
    column = baseline.embeddings[0]
    found = sums.total[0] * 2.0**-30 * column.spread / len(values) + column.center
    expected = values.astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=EMBEDDING_SUMS * column.spread)


def test_blas_keeps_to_one_thread_while_one_holds_it_and_another_goes_without() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def most() -> int:
        found = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        assert found, "NumPy has no BLAS that can be asked"
        return int(max(found))

    told: list[bool] = []

    def other() -> None:
        with blas.one_thread_each() as alone:
            told.append(alone)

    with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
        before = most()
        with blas.one_thread_each() as alone:
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
            assert (alone, told, most()) == (True, [False], 1)
        assert most() == before
        with pytest.raises(KeyError), blas.one_thread_each():
            raise KeyError
        assert most() == before
        with blas.one_thread_each() as again:
            assert again


def test_without_threadpoolctl_one_thread_adds_up_the_same(
    baseline: mw.Baseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of(vectors(2 * TILE, 24, seed=3))
    threads: list[str] = []
    with_it = mw.Profile.count(baseline, log, threads=2)
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    from modelwatch_gpu.profile.embedding_counter import _Sums

    real = _Sums._summed
    monkeypatch.setattr(
        _Sums, "_summed", lambda own, *rest: (threads.append(threading.current_thread().name), real(own, *rest))[1]
    )
    without = mw.Profile.count(baseline, log, threads=2)
    assert threads
    assert not any(name.startswith("modelwatch-vectors") for name in threads)
    taken = [p.merged().embeddings["window", "vector"] for p in (with_it, without)]
    apart = float(np.abs(taken[0].total - taken[1].total).max()) * 2.0**-30
    assert apart <= EMBEDDING_SUMS * 2 * TILE
