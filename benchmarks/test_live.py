"""Batches of 1,000 rows by 20 columns added to a live profile, as a service does: below a millisecond each.

Every call adds another batch, so neither the processor's caches nor its guesses know the values already.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import modelwatch_gpu as mw

ROWS = 1_000
BATCHES = 100
NAMES = np.array([f"v{i}" for i in range(50)])


def log(rows: int, seed: int) -> pa.RecordBatch:
    """Five columns of float32, five of float64, four of int64, three of dictionaries, three of strings."""
    rng = np.random.default_rng(seed)
    numbers = [pa.array(rng.normal(size=rows).astype("f4")) for _ in range(5)]
    numbers += [pa.array(rng.normal(size=rows)) for _ in range(5)]
    numbers += [pa.array(rng.integers(0, 1_000, rows)) for _ in range(4)]
    text = [pa.array(NAMES[rng.integers(0, 50, rows)]) for _ in range(6)]
    columns = [*numbers, *(column.dictionary_encode() for column in text[:3]), *text[3:]]
    return pa.RecordBatch.from_arrays(columns, names=[f"c{i}" for i in range(20)])


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(log(200_000, 0), roles=mw.Roles(infer=False))


@pytest.fixture(scope="module")
def batches() -> list[pa.RecordBatch]:
    return [log(ROWS, seed) for seed in range(1, BATCHES + 1)]


def adding(baseline: mw.Baseline, batches: list[pa.RecordBatch]) -> tuple[mw.LiveProfile, Callable[[], None]]:
    """A live profile that has seen its schema, and what adds the next batch to it."""
    live, coming = mw.LiveProfile(baseline), itertools.cycle(batches)
    live.add(batches[0])
    live.take()
    live.add(batches[0])
    return live, lambda: live.add(next(coming))


def test_a_batch_against_describe(
    against: Callable[..., Any], baseline: mw.Baseline, batches: list[pa.RecordBatch]
) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    live, add = adding(baseline, batches)
    frames = itertools.cycle([batch.to_pandas() for batch in batches])
    against(add, lambda: next(frames).describe(include="all"), "pandas.DataFrame.describe")
    assert live.rows % ROWS == 0
    profile = live.take()
    assert profile.rows > ROWS


def test_a_batch_against_numpy(
    against: Callable[..., Any], baseline: mw.Baseline, batches: list[pa.RecordBatch]
) -> None:
    live, add = adding(baseline, batches)
    coming = itertools.cycle([[c.to_numpy() for c in batch.columns[:14]] for batch in batches])
    bins = np.linspace(-3, 3, 11)

    def summary() -> list[Any]:
        return [
            (np.histogram(x, bins)[0], x.mean(), x.std(), x.min(), x.max(), np.isnan(x).sum()) for x in next(coming)
        ]

    against(add, summary, "NumPy's histogram, mean, std, min and max of the 14 columns of numbers")
    assert live.take().rows % ROWS == 0


def test_a_hundred_batches_against_one_profile_of_all_rows(
    against: Callable[..., Any], baseline: mw.Baseline, batches: list[pa.RecordBatch]
) -> None:
    table = pa.Table.from_batches(batches)
    whole = table.combine_chunks()

    def live() -> mw.Profile:
        own = mw.LiveProfile(baseline)
        for batch in batches:
            own.add(batch)
        return own.profile()

    added, at_once = against(live, lambda: mw.Profile.count(baseline, whole, threads=1), "one batch of all rows")
    assert added.rows == at_once.rows == ROWS * BATCHES
    assert added.to_bytes() == mw.Profile.count(baseline, table, threads=1).to_bytes()


def test_a_batch_against_a_profile_of_its_own(
    against: Callable[..., Any], baseline: mw.Baseline, batches: list[pa.RecordBatch]
) -> None:
    live, add = adding(baseline, batches)
    own = itertools.cycle(batches)
    _, alone = against(add, lambda: mw.Profile.count(baseline, next(own), threads=1), "Profile.count of each batch")
    assert alone.rows == ROWS
    assert live.rows % ROWS == 0
