"""Ranking by query from a log: the numbers of arrays, in windows, whatever the order and split of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import ndcg_score

import modelwatch_gpu as mw

START = 1_700_006_400  # midnight, UTC


def log(rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    query = rng.integers(0, rows // 12, rows)
    score = rng.random(rows)
    return pa.table(
        {
            "query": [f"q{i}" for i in query],
            "label": pa.array((rng.random(rows) < score).astype(int), mask=rng.random(rows) < 0.05),
            "score": score,
            "when": pa.array(START + (query % 3) * 86_400 + rng.integers(0, 86_400, rows)).cast(
                pa.timestamp("s", "UTC")
            ),
        }
    )


def numbers(table: pa.Table, window: str | None = None) -> dict[str, Any]:
    return {r["measure"]: r["value"] for r in table.to_pylist() if r["window"] == window}


def test_a_log_has_the_numbers_of_its_arrays_in_every_window() -> None:
    rows = log(3000, 1)
    found = mw.ranking(rows, query="query", k=5)
    frame = rows.to_pandas().dropna(subset=["label"])
    arrays = {"queries": frame["query"].to_numpy(), "k": 5}
    for name, value in numbers(found).items():
        wanted = getattr(mw.stats, name)(frame["label"].to_numpy(int), frame["score"].to_numpy(), **arrays)
        assert value == pytest.approx(wanted, rel=1e-12), name
    by_day = mw.ranking(rows, query="query", k=5, timestamp="when", window="1d")
    for day in range(3):
        start = f"2023-11-{15 + day}T00:00:00+00:00"
        own = frame[frame["when"].dt.day == 15 + day]
        wanted = mw.stats.ndcg(
            own["label"].to_numpy(int), own["score"].to_numpy(), queries=own["query"].to_numpy(), k=5
        )
        assert numbers(by_day, start)["ndcg"] == pytest.approx(wanted, rel=1e-12)


def test_scikit_learn_says_the_same_of_one_query() -> None:
    rng = np.random.default_rng(2)
    y, s = rng.integers(0, 4, 30), rng.random(30)
    found = numbers(mw.ranking(pa.table({"q": [7] * 30, "label": y, "score": s}), query="q", k=10))
    assert found["ndcg"] == pytest.approx(ndcg_score([y], [s], k=10))


def test_any_order_and_split_takes_the_same_queries() -> None:
    rows = log(2000, 3)
    whole = mw.ranking(rows, query="query", queries=20)
    assert set(whole["queries"].to_pylist()) == {20}
    assert not any(whole["complete"].to_pylist())
    assert all(mw.ranking(rows, query="query")["complete"].to_pylist())
    rng = np.random.default_rng(4)
    for pieces in (2, 9):
        mixed = rows.take(pa.array(rng.permutation(2000)))
        files = [mixed.slice(2000 * i // pieces, 2000 * (i + 1) // pieces - 2000 * i // pieces) for i in range(pieces)]
        again = mw.ranking(files, query="query", queries=20)
        assert again["value"].to_numpy() == pytest.approx(whole["value"].to_numpy(), rel=1e-12)
        assert again["rows"] == whole["rows"]


def test_what_does_not_fit_is_refused_and_nothing_gives_an_empty_table() -> None:
    with pytest.raises(mw.InputError, match="timestamp="):
        mw.ranking(log(50, 1), query="query", window="1d")
    with pytest.raises(mw.InputError, match="has no column 'quary'"):
        mw.ranking(log(50, 1), query="quary")
    with pytest.raises(mw.InputError, match="queries=0"):
        mw.ranking(log(50, 1), query="query", queries=0)
    empty = pa.table(
        {"query": pa.array([], pa.string()), "label": pa.array([], pa.int64()), "score": pa.array([], pa.float64())}
    )
    assert mw.ranking(empty, query="query").num_rows == 0
