"""Rows with weights in `mw.stats` on a device: the host's bits, since weights are added up in its order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from device_array import Arrow, Dlpack, Interface

import modelwatch_gpu as mw
from modelwatch_gpu import keys
from modelwatch_gpu.device import engine as engine_named
from modelwatch_gpu.device import resolve
from modelwatch_gpu.errors import DeviceUnavailable

pytestmark = pytest.mark.gpu

SCORED = ("roc_auc", "average_precision", "log_loss", "brier", "ece", "gini", "score_separation", "lift")
CLASSED = ("accuracy", "precision", "recall", "f1", "mcc", "cohen_kappa", "balanced_accuracy")


@pytest.fixture
def cuda() -> Any:
    return engine_named(resolve("cuda"))


def rows_of(rows: int, dtype: str = "float64") -> tuple[Any, Any, Any]:
    """Scores with ties, labels, and weights whose sums depend on the order of adding."""
    random = np.random.default_rng(rows)
    scores = random.random(rows).round(2).astype(dtype)
    labels = (random.random(rows) < scores).astype(np.int32)
    labels[:2] = [0, 1][:rows]
    weights = random.lognormal(0, 6, rows)
    weights[3::11] = 0
    return labels, scores, weights


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 31, 33, 1024, 2500])
def test_sums_of_weights_by_value_are_added_up_in_the_order_of_rows(cuda: Any, dtype: str, rows: int) -> None:
    labels, scores, weights = rows_of(rows, dtype)
    missing = np.random.default_rng(2).random(rows) < 0.2
    column = pa.array(scores, mask=missing)
    groups = cuda.upload_groups(labels.astype(np.int32) - 1 + labels, 2)  # -1 or 1
    for group, chosen in ((-1, labels == 1), (1, labels == 1), (0, np.zeros(rows, dtype=bool))):
        found = cuda.weighted_keys(column, keys.DOMAINS[dtype], pa.array(weights), groups, group)
        taken = chosen & ~missing
        values, at = np.unique(scores[taken], return_inverse=True)
        np.testing.assert_array_equal(keys.values_of(found["keys"], dtype), values)
        np.testing.assert_array_equal(found["sums"], np.bincount(at, weights[taken], minlength=len(values)))
        assert found["rows"] == taken.sum()
    every = cuda.weighted_keys(column, keys.DOMAINS[dtype], pa.array(weights))
    assert every["rows"] == (~missing).sum()
    sums = cuda.weights_of_groups(groups, pa.array(weights))
    np.testing.assert_array_equal(sums, [0, np.bincount(labels, weights, minlength=2)[1]])


@pytest.mark.parametrize("kind", ["float64", "float32", "int16", "uint64"])
def test_weighted_scores_have_the_hosts_numbers(kind: str) -> None:
    labels, scores, weights = rows_of(2500)
    weights = weights if kind == "float64" else (weights % 1000).astype(kind)
    scores[5], labels = np.nan, labels.astype(np.float64)
    labels[9] = np.nan
    there = (Dlpack(labels), Interface(scores), Dlpack(weights))
    for name in SCORED:
        function = getattr(mw.stats, name)
        expected = function(labels, scores, weights=weights, device="cpu", full=True)
        for (a, b, w), device in (
            (there, "auto"),
            ((labels, scores, weights), "cuda"),
            ((labels, Dlpack(scores), pa.array(weights)), "auto"),
        ):
            found = function(a, b, weights=w, device=device, full=True)
            assert found.device == "cuda:0"
            own, other = ({k: v for k, v in vars(r).items() if k != "device"} for r in (found, expected))
            assert own == other, name
    for name, options in (("threshold_table", {}), ("best_threshold", {"by": "f1", "full": True})):
        function = getattr(mw.stats, name)
        found = function(*there[:2], weights=there[2], **options)
        expected = function(labels, scores, weights=weights, device="cpu", **options)
        for field, value in vars(expected).items():
            if field != "device":
                np.testing.assert_array_equal(getattr(found, field), value, field)


@pytest.mark.parametrize("kind", ["int8", "uint64", "float64"])
def test_weighted_classes_have_the_hosts_numbers(kind: str) -> None:
    random = np.random.default_rng(4)
    for rows, classes in ((5, 2), (3000, 6)):
        a = random.integers(0, classes, rows).astype(kind)
        b = np.where(random.random(rows) < 0.7, a, random.integers(0, classes + 1, rows)).astype(kind)
        a[:2], b[:2] = [0, 1], [1, 1]
        if kind == "float64" and rows > 100:
            a[10], b[11], a[12], b[13] = np.nan, np.nan, -0.0, np.inf
        weights = random.lognormal(0, 6, rows)
        weights[b == classes] = 0  # a class that weighs nothing is a class
        expected = mw.stats.confusion(a, b, weights=weights, device="cpu", full=True)
        for sides, w, device in (((Dlpack(a), Interface(b)), Interface(weights), "auto"), ((a, b), weights, "cuda")):
            found = mw.stats.confusion(*sides, weights=w, device=device, full=True)
            assert (found.classes, found.n, found.missing) == (expected.classes, expected.n, expected.missing)
            assert found.device == "cuda:0"
            np.testing.assert_array_equal(found.counts, expected.counts)
            assert found.counts.dtype == expected.counts.dtype
        for name in CLASSED:
            average = {"average": "macro"} if name in ("precision", "recall", "f1") else {}
            function = getattr(mw.stats, name)
            assert function(Dlpack(a), Dlpack(b), weights=Dlpack(weights), **average) == function(
                a, b, weights=weights, device="cpu", **average
            )
        own, other = (
            mw.stats.classification_report(*s, weights=w)
            for s, w in (((Dlpack(a), Dlpack(b)), Dlpack(weights)), ((a, b), weights))
        )
        for field in ("precision", "recall", "f1", "support"):
            np.testing.assert_array_equal(getattr(own, field), getattr(other, field), field)


def test_a_row_of_weight_three_counts_as_three_rows() -> None:
    labels, scores = np.array([0, 1, 1, 0]), np.array([0.1, 0.4, 0.8, 0.6])
    weights = np.array([1.0, 3.0, 1.0, 2.0])
    # Pairs (positive, negative) in order: 3 x 1 and 1 x (1 + 2), of 4 x 3.
    assert mw.stats.roc_auc(Dlpack(labels), Dlpack(scores), weights=Dlpack(weights)) == 6 / 12
    repeated = np.repeat([0, 1, 2, 3], [1, 3, 1, 2])
    for name in ("roc_auc", "average_precision", "brier"):
        function = getattr(mw.stats, name)
        found = function(Dlpack(labels), Dlpack(scores), weights=Dlpack(weights))
        assert found == function(Dlpack(labels[repeated]), Dlpack(scores[repeated]))


def test_weights_that_a_device_cannot_take_are_refused() -> None:
    labels, scores, weights = rows_of(100)
    below, infinite, unknown = weights.copy(), weights.copy(), weights.copy()
    below[7], infinite[8], unknown[9] = -1, np.inf, np.nan
    for wrong, said in (
        (below, "finite and not negative"),
        (infinite, "finite and not negative"),
        (unknown, "finite and not negative"),
        (weights[:99].copy(), "weights has 99 rows and labels has 100"),
        (np.stack([weights, weights], axis=1), "one column of numbers without nulls"),
    ):
        for there in (Dlpack(wrong), wrong):
            with pytest.raises(mw.InputError, match=said):
                mw.stats.roc_auc(Dlpack(labels), Dlpack(scores), weights=there)
            with pytest.raises(mw.InputError, match=said):
                mw.stats.accuracy(Dlpack(labels), Dlpack(labels), weights=there)
    with pytest.raises(mw.InputError, match="without nulls"):
        mw.stats.roc_auc(Dlpack(labels), Dlpack(scores), weights=Arrow(pa.array([None] + [1.0] * 99)))


@pytest.mark.parametrize("name", ["rmse", "mae", "r2", "error_quantiles", "calibration_curve", "fairness"])
def test_what_weighs_rows_on_the_host_alone_says_so(name: str) -> None:
    labels, scores, weights = rows_of(100)
    function = getattr(mw.stats, name)
    other = labels if name == "fairness" else scores
    more = {"groups": labels} if name == "fairness" else {}
    with pytest.raises(DeviceUnavailable, match="on the CPU only"):
        function(labels, other, weights=weights, device="cuda", **more)
    with pytest.raises(mw.InputError, match="lies on cuda:0; copy it to the host first"):
        function(labels, Interface(other), weights=weights, **more)
