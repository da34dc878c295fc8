"""Every function of mw.stats keeps the same promises, and every measure of a report has its function."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelwatch_gpu as mw
from modelwatch_gpu.measures import performance
from modelwatch_gpu.measures.registry import MEASURES
from modelwatch_gpu.stats.peers import PEERS
from modelwatch_gpu.stats.registry import REPORT_ONLY, STATS

PAGE = (Path(__file__).parents[2] / "docs" / "stats.md").read_text(encoding="utf-8")
FUNCTIONS = {name for name in mw.stats.__all__ if inspect.isfunction(getattr(mw.stats, name))}

#: Functions whose answer is more than one number, and has no full form.
SUMMARIES = {
    "moments",
    "quantile",
    "histogram",
    "log_linear_histogram",
    "calibration_curve",
    "threshold_table",
    "classification_report",
    "fairness",
    "proportion_interval",
    "proportion_difference",
    "prdc",
}
#: Functions whose answer is more than one number a column.
TABLES = {"confusion", "error_quantiles"}
#: Functions that take numbers above 0 alone.
ABOVE_ZERO = {"poisson_deviance", "gamma_deviance"}
#: Functions whose columns belong to one model.
OF_ALL_COLUMNS = {"top_k_accuracy"}

#: Functions that take a vector a row.
OF_VECTORS = {name for name, info in STATS.items() if info.takes == "vectors"}

#: What a function needs beside two arrays: of n rows.
NEEDED: dict[str, dict[str, Any]] = {
    "expected_cost": {"cost": [[0, 1], [1, 0]]},
    **{name: {"k": 3} for name in ("knn_novelty", "prdc", "neighbour_overlap")},
    "mmd": {"bandwidth": 1.0},
    "cluster_js": {"clusters": 2},
}
KEYS = {"ranked": "queries", "grouped": "groups"}


def called(name: str, a: Any, b: Any, **options: Any) -> Any:
    """The function on two arrays, whatever it takes."""
    function, takes = getattr(mw.stats, name), STATS[name].takes
    options = {**NEEDED.get(name, {}), **options}
    if takes in KEYS:
        options[KEYS[takes]] = [str(i % 2) for i in range(len(a))]
    if name == "quantile":
        return function(b, 0.5, **options)
    if name in OF_ALL_COLUMNS and isinstance(b, list):
        b = np.stack([b, b[::-1]], axis=1)
    return function(b, **options) if takes == "column" else function(a, b, **options)


def test_the_registry_lists_every_function_once() -> None:
    assert set(STATS) == FUNCTIONS


def test_every_measure_of_a_report_has_a_function_or_a_reason() -> None:
    answered = {s.measure for s in STATS.values() if s.measure is not None}
    assert answered | set(REPORT_ONLY) == set(MEASURES)
    assert not answered & set(REPORT_ONLY)
    assert all(reason.endswith(".") for reason in REPORT_ONLY.values())


def test_the_registry_says_who_has_compat_and_what_each_takes() -> None:
    for name, info in STATS.items():
        parameters = inspect.signature(getattr(mw.stats, name)).parameters
        assert ("compat" in parameters) == info.compat == any(m == name for m, _ in PEERS)
        first = {
            "pair": ["reference", "current"],
            "column": ["values"],
            "labelled": ["labels"],
            "ranked": ["labels", "scores"],
            "grouped": ["labels", "predictions"],
            "counts": ["successes", "trials"],
            "vectors": ["reference", "current"],
        }[info.takes]
        assert list(parameters)[: len(first)] == first
        positional = [p for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert len(positional) <= 2
        assert getattr(mw.stats, name).__doc__


def test_the_page_of_functions_has_a_row_for_each_and_for_each_peer() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(STATS)
    peers = re.findall(r"^\| `(\w+)`, `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(peers) == sorted(PEERS)
    for reason in performance.REASONS.values():
        assert reason.rstrip(".") in PAGE


@pytest.mark.parametrize("name", sorted(STATS))
def test_an_unknown_or_absent_device_is_refused(name: str) -> None:
    with pytest.raises(mw.InputError, match="'auto', 'cpu', 'cuda'"):
        called(name, [0, 1], [0, 1], device="tpu")


@pytest.mark.parametrize("name", sorted(STATS))
def test_columns_that_cannot_be_paired_or_read_are_refused(name: str) -> None:
    # A number alone is a count of trials, and no column.
    for bad in (np.zeros((2, 2, 2)), object()) if STATS[name].takes == "counts" else (3, np.zeros((2, 2, 2)), object()):
        with pytest.raises(mw.InputError, match=r"\.$"):
            called(name, [0, 1], bad)
    if STATS[name].takes == "pair":
        with pytest.raises(mw.InputError, match="reference has 2 columns and current has 3"):
            called(name, np.zeros((4, 2)), np.zeros((4, 3)))


@pytest.mark.parametrize("name", sorted(set(STATS) - SUMMARIES))
def test_full_results_are_frozen_and_hold_the_number(name: str) -> None:
    a, b = [0, 1, 1, 0, 1], [0, 1, 0, 1, 1]
    if name in ABOVE_ZERO:
        a, b = [v + 1 for v in a], [v + 1 for v in b]
    if name == "embedding_drift":  # of eight rows at least
        a, b = [*a, 2, 3, 4], [*b, 5, 6, 7]
    result = called(name, a, b, full=True)
    if name in TABLES:
        numbers = result.counts if name == "confusion" else result.values
        assert numbers.tolist() == called(name, a, b).tolist()
    else:
        assert result.value == called(name, a, b)
    assert result.device == "cpu"
    with pytest.raises(AttributeError):
        result.device = "cuda"


@pytest.mark.parametrize("name", sorted(set(STATS) - SUMMARIES - TABLES - OF_ALL_COLUMNS - OF_VECTORS))
def test_many_columns_give_one_number_each_and_no_columns_none(name: str) -> None:
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 2, (40, 3)), rng.integers(0, 2, (40, 3))
    if name in ABOVE_ZERO:
        a, b = a + 1, b + 1
    found = called(name, a, b)
    assert found.shape == (3,)
    assert found.tolist() == [called(name, a[:, i].copy(), b[:, i].copy()) for i in range(3)]
    assert called(name, a[:, :0], b[:, :0]).shape == (0,)


def test_columns_of_an_array_are_read_one_at_a_time_and_shared_where_contiguous() -> None:
    from modelwatch_gpu.arrays import as_columns

    x = np.asfortranarray(np.arange(12.0).reshape(4, 3))
    columns, batched = as_columns(x, "x")
    assert batched
    assert len(columns) == 3
    assert [c.buffers()[1].address for c in columns] == [x[:, i].ctypes.data for i in range(3)]
    assert columns[-1].to_pylist() == x[:, 2].tolist()
    assert [c.to_pylist() for c in columns[1:]] == x[:, 1:].T.tolist()
    with pytest.raises(IndexError):
        columns[3]
