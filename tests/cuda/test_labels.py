"""Labels beside scores, classes and numbers on a device: the bytes of profiles, and the numbers of `mw.stats`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from device_array import Arrow, Dlpack, Interface, runtime

import modelwatch_gpu as mw
from modelwatch_gpu import _core, keys
from modelwatch_gpu.device import engine

pytestmark = pytest.mark.gpu


def log_of(kind: str, rows: int, seed: int) -> pa.Table:
    """Rows with a time, a segment, a weight, and an answer beside a label that some rows lack."""
    rng = np.random.default_rng(seed)
    when = 1_400_000_000 + rng.integers(0, 4 * 86_400, rows)
    columns: dict[str, Any] = {
        "when": pa.array(when * 1_000_000).cast(pa.timestamp("us", "UTC")),
        "place": pa.array(np.array(["eu", "us", "asia"])[rng.integers(0, 3, rows)]).dictionary_encode(),
        "x": rng.normal(size=rows),
        "times": rng.integers(0, 4, rows),
    }
    missing = rng.random(rows) < 0.1
    if kind == "numbers":
        columns["label"] = pa.array(rng.normal(10, 3, rows), mask=missing)
        columns["prediction"] = rng.normal(10, 2, rows)
    elif kind == "binary":
        score = rng.random(rows)
        columns["score"] = pa.array(score.round(3), mask=rng.random(rows) < 0.05)
        columns["label"] = pa.array((rng.random(rows) < score).astype(np.int64), mask=missing)
        columns["prediction"] = (score > 0.6).astype(np.int64)
    else:
        scores = rng.dirichlet([1, 1, 1], rows).astype(np.float32)
        names = np.array(["a", "b", "\u00e9"])
        columns |= {f"score_{n}": scores[:, i] for i, n in enumerate(names)}
        columns["label"] = pa.array(names[rng.integers(0, 3, rows)], mask=missing)
        columns["prediction"] = pa.array(names[scores.argmax(axis=1)]).dictionary_encode()
    return pa.table(columns)


ROLES: dict[str, dict[str, Any]] = {
    "binary": {"score": "score", "prediction": "prediction"},
    "classes": {"score": ["score_a", "score_b", "score_\u00e9"], "prediction": "prediction"},
    "numbers": {"prediction": "prediction"},
}


@pytest.mark.parametrize("weighted", [False, True], ids=["rows", "weighted rows"])
@pytest.mark.parametrize("kind", list(ROLES))
def test_answers_counted_by_label_are_the_same_bytes(kind: str, weighted: bool) -> None:
    weight = {"weight": "times"} if weighted else {"ignore": ["times"]}
    roles = mw.Roles(timestamp="when", label="label", **ROLES[kind], **weight)
    reference, log = log_of(kind, 2500, 1), log_of(kind, 3100, 2)
    fitted = [mw.Baseline.fit(reference, roles=roles, device=device) for device in ("cpu", "cuda")]
    assert fitted[0].scoring is not None
    assert fitted[0].to_bytes() == fitted[1].to_bytes()
    options: dict[str, Any] = {"window": "1d", "segments": ["place"]}
    profiles = [mw.Profile.count(fitted[0], log, device=device, **options) for device in ("cpu", "cuda")]
    assert profiles[0].to_bytes() == profiles[1].to_bytes()
    labelled = [name for name, _ in profiles[1].merged().tables if name.startswith("label")]
    assert bool(labelled) == (kind != "numbers")  # whose errors are columns of their own
    reports = [mw.compare(fitted[0], log, device=device, **options) for device in ("cpu", "cuda")]
    rows = [[row for row in r.to_dict()["measures"] if row["value"] is not None] for r in reports]
    assert rows[0] == rows[1]
    wanted = {"binary": "roc_auc", "classes": "accuracy", "numbers": "rmse"}[kind]
    assert any(row["measure"] == wanted for row in rows[1])


def scored(rows: int, dtype: str, labels: str) -> tuple[Any, Any]:
    rng = np.random.default_rng(rows + 3)
    score = rng.random(rows).round(2).astype(dtype)
    label = (rng.random(rows) < score).astype(labels)
    if labels == "float64" and rows:
        label[rng.random(rows) < 0.1] = np.nan
    if rows > 20:
        score[3], score[7] = np.nan, -0.0
    return label, score


SCORED = (
    "roc_auc", "average_precision", "log_loss", "brier", "ece", "gini", "score_separation", "cumulative_gain", "lift",
    "best_threshold",
)  # fmt: skip


@pytest.mark.parametrize("labels", ["int8", "float64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scores_beside_labels_have_the_hosts_numbers(dtype: str, labels: str) -> None:
    for rows in (2, 1100):
        a, b = scored(rows, dtype, labels)
        if rows == 2:
            a, b = np.array([0, 1]).astype(labels), np.array([0.25, 0.75]).astype(dtype)
        there = Dlpack(a), Interface(b)
        for name in SCORED:
            function = getattr(mw.stats, name)
            expected = function(a, b, device="cpu", full=True)
            for sides, device in ((there, "auto"), ((a, b), "cuda")):
                found = function(*sides, device=device, full=True)
                assert found.device == "cuda:0"
                own, other = ({k: v for k, v in vars(r).items() if k != "device"} for r in (found, expected))
                assert own == other, name


def test_tables_of_scores_and_several_columns() -> None:
    a, b = scored(2000, "float32", "int64")
    b = np.stack([b, np.roll(b, 1)], axis=1)
    for name in ("threshold_table", "calibration_curve"):
        function = getattr(mw.stats, name)
        found, expected = function(Dlpack(a), Dlpack(b)), function(a, b)
        assert len(found) == len(expected) == 2
        for own, other in zip(found, expected, strict=True):
            assert own.device == "cuda:0"
            for field in vars(other):
                if field != "device":
                    np.testing.assert_array_equal(getattr(own, field), getattr(other, field), field)


@pytest.mark.parametrize("kind", ["int16", "uint64", "float64"])
def test_classes_beside_labels_have_the_hosts_numbers(kind: str) -> None:
    rng = np.random.default_rng(8)
    for rows, classes in ((5, 2), (3000, 7)):
        a = rng.integers(0, classes, rows).astype(kind)
        b = np.where(rng.random(rows) < 0.7, a, rng.integers(0, classes + 1, rows)).astype(kind)
        a[:2], b[:2] = [0, 1], [1, 1]
        if kind == "float64" and rows > 100:
            a[10], b[11], a[12] = np.nan, np.nan, -0.0
        found, expected = mw.stats.confusion(Dlpack(a), Interface(b), full=True), mw.stats.confusion(a, b, full=True)
        assert found.device == "cuda:0"
        assert (found.classes, found.n, found.missing) == (expected.classes, expected.n, expected.missing)
        np.testing.assert_array_equal(found.counts, expected.counts)
        for name in ("accuracy", "cohen_kappa", "mcc", "balanced_accuracy"):
            function = getattr(mw.stats, name)
            assert function(Dlpack(a), Dlpack(b)) == function(a, b)
            assert function(a, b, device="cuda") == function(a, b)
        assert mw.stats.f1(Dlpack(a), Dlpack(b), average="macro") == mw.stats.f1(a, b, average="macro")
        own, other = (mw.stats.classification_report(*s) for s in ((Dlpack(a), Dlpack(b)), (a, b)))
        np.testing.assert_array_equal(own.f1, other.f1)


def test_booleans_and_nulls_of_the_host_are_counted_there() -> None:
    rng = np.random.default_rng(9)
    label = pa.array(rng.random(1500) < 0.4, mask=rng.random(1500) < 0.1)
    guess = pa.array(rng.random(1500) < 0.5, mask=rng.random(1500) < 0.1)
    score = pa.array(rng.random(1500), mask=rng.random(1500) < 0.1)
    assert mw.stats.roc_auc(label, score, device="cuda") == mw.stats.roc_auc(label, score, device="cpu")
    found, expected = (mw.stats.confusion(label, guess, device=d, full=True) for d in ("cuda", "cpu"))
    assert found.classes == expected.classes == (False, True)
    np.testing.assert_array_equal(found.counts, expected.counts)


def test_what_a_device_does_not_count_is_said() -> None:
    a, b = scored(100, "float64", "int64")
    for labels in (pa.array(["x", "y"] * 50), Arrow(pa.array(["x", "y"] * 50))):
        with pytest.raises(mw.InputError, match="on a device labels and classes are numbers or booleans"):
            mw.stats.roc_auc(labels, Dlpack(b), positive="x")
    with pytest.raises(mw.InputError, match="labels have 3 classes"):
        mw.stats.roc_auc(Dlpack(np.arange(100) % 3), Dlpack(b))
    with pytest.raises(mw.InputError, match="name the positive one"):
        mw.stats.roc_auc(Dlpack(np.arange(100) % 2 + 4), Dlpack(b))
    with pytest.raises(mw.InputError, match="from 0 to 1"):
        mw.stats.brier(Dlpack(a), Dlpack(b + 2))
    with pytest.raises(mw.InputError, match="give both the same rows"):
        mw.stats.roc_auc(Dlpack(a[1:]), Dlpack(b))
    for none in (np.full(100, np.nan), np.ones(0)):
        with pytest.raises(mw.InputError, match="no answer"):
            mw.stats.roc_auc(Dlpack(none), Dlpack(b[: len(none)]))


def test_auto_leaves_to_the_host_what_a_device_would_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELWATCH_DEVICE", "cuda")
    a, b = scored(100, "float64", "int64")
    words = np.array(["no", "yes"])[a]
    found = [mw.stats.roc_auc(side, b, positive=p, full=True) for side, p in ((a, 1), (words, "yes"), (a.tolist(), 1))]
    assert [r.device for r in found] == ["cuda:0", "cpu", "cpu"]
    assert len({r.value for r in found}) == 1
    assert mw.stats.accuracy(words, words, full=True).device == "cpu"


@pytest.mark.parametrize("kind", ["int8", "float32", "uint64", "timestamp"])
def test_histograms_by_group_are_those_of_each_group(kind: str) -> None:
    rng = np.random.default_rng(10)
    for rows, many in ((0, 3), (1, 3), (1025, 1), (4000, 9)):
        values = rng.normal(size=(rows, 2))
        groups = rng.integers(0, many, rows)
        own: Any = groups.astype("int64" if kind == "timestamp" else kind)
        if kind == "float32" and rows:
            own[rng.random(rows) < 0.2] = np.nan
        if kind == "timestamp":
            own = pa.array(own, mask=rng.random(rows) < 0.2).cast(pa.timestamp("s"))
        there = Arrow(own) if kind == "timestamp" else Dlpack(own)
        edges = np.linspace(-1, 1, 6)
        expected = mw.stats.histogram(values, edges, groups=own, device="cpu", full=True)
        for found in (
            mw.stats.histogram(Dlpack(values), edges, groups=there, full=True),
            mw.stats.histogram(values, edges, groups=own, device="cuda", full=True),
        ):
            for one, other in zip(found, expected, strict=True):
                assert (one.device, one.groups) == ("cuda:0", other.groups)
                for field in ("counts", "below", "above", "missing"):
                    np.testing.assert_array_equal(getattr(one, field), getattr(other, field), field)


def launches() -> int:
    """Kernels that ran so far; 0 on a real device."""
    return int(runtime().ptxLaunchCount()) if hasattr(runtime(), "ptxLaunchCount") else 0


@pytest.mark.parametrize("kind", ["float32", "int32"])
def test_bins_of_groups_that_fit_no_block_are_counted_in_copies(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One column fits a block and one does not, with rows enough that several copies of its counters pay."""
    rng = np.random.default_rng(12)
    rows, many = 70_000, 24
    values = rng.normal(0, 900, (rows, 2)).astype(kind)
    groups = rng.integers(-1, many, rows).astype(np.int32)
    device: Any = engine("cuda:0")
    monkeypatch.setattr(device, "chunk_rows", 1 << 20)  # a test before may have left it halved
    domain = keys.DOMAINS["float32" if kind == "float32" else "int64"]
    name = "float32" if kind == "float32" else "int64"
    cuts = [keys.keys_of(np.unique(np.linspace(-2000, 2000, k).astype(name)), name) for k in (4, 350)]
    columns = [pa.array(v) for v in values.T.copy()]
    expected = _core.count_bins_of(columns, domain, cuts, groups, many)
    there = device.upload_groups(groups, many)
    for of_row in (groups, there):
        before = launches()
        for own, other in zip(device.count_bins_of(columns, domain, cuts, of_row, many), expected, strict=True):
            np.testing.assert_array_equal(own, other)
        # Those that fit, those that do not, and the adding up of copies.
        assert launches() - before in (3, 0)
    with pytest.raises(mw.InputError, match="not among the groups"):
        device.upload_groups(groups, many - 1)


def test_groups_of_text_are_told_apart_on_the_host() -> None:
    rng = np.random.default_rng(11)
    values, words = rng.random(500), pa.array([["x", "y", None][i % 3] for i in range(500)])
    found, expected = (mw.stats.histogram(values, 4, groups=words, device=d) for d in ("cuda", "cpu"))
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(mw.InputError, match="different numbers of rows"):
        mw.stats.histogram(Dlpack(values), 4, groups=Dlpack(np.arange(499)), range=(0, 1))
