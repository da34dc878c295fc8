"""A device's engine offers what the CPU's does, and `mw.stats` of host arrays answers there with the same numbers."""

from __future__ import annotations

import importlib
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import modelwatch_gpu as mw
from modelwatch_gpu import _core, keys
from modelwatch_gpu.device import engine as engine_named
from modelwatch_gpu.device import resolve
from modelwatch_gpu.errors import InputError

pytestmark = pytest.mark.gpu

#: The module; the package has the function under its name.
HISTOGRAM = importlib.import_module("modelwatch_gpu.stats.histogram")

#: What of ``_core`` does not go through the rows of a column, so that no device has it.
OF_THE_HOST = {
    "CategoryPlan",
    "FEATURE_SCALES",
    "Grid",
    "NumericPlan",
    "RowSum",
    "SetPlan",
    "add_features",
    "add_rows",
    "available_isas",
    "beta_fraction",
    "build_info",
    "center_rows",
    "default_threads",
    "find_cells",
    "hash_bytes",
    "isa",
    "knot_places",
    "known_groups",
    "pieces_with_rows",
    "rank_distances",
    "rank_ties",
    "read_cells",
    "reference",
    "register_counts",
    "renumber",
    "replaced_intervals",
    "rows_on_knots",
    "transport_between_knots",
    "unknown_pairs",
}


@pytest.fixture
def cuda() -> Any:
    return engine_named(resolve("cuda"))


def parameters(function: Any) -> list[str]:
    """Names of the parameters, which pybind11 writes into the first line."""
    line = (function.__doc__ or "").splitlines()[0]
    return [n for n in re.findall(r"(\w+): ", line) if n != "self"]


def test_the_device_has_the_functions_of_the_engine_with_their_parameters(cuda: Any) -> None:
    for name in sorted(n for n in vars(_core) if not n.startswith("_")):
        if name in OF_THE_HOST:
            continue
        assert hasattr(cuda, name), f"{name} counts rows, and the device has no such function"
        own, theirs = getattr(type(cuda), name), getattr(_core, name)
        if not isinstance(theirs, type) and name != "merge_rows":  # which hands on whatever it is given
            assert parameters(own) == parameters(theirs), name


class Counted:
    """An engine, and how often its functions were called."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self.inner, name)


def test_a_histogram_of_a_matrix_counts_all_columns_at_once(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(cuda)
    monkeypatch.setattr(HISTOGRAM, "engine", lambda device: counted)
    values = np.random.default_rng(1).normal(size=(3000, 7))
    values[::31] = np.nan
    edges = np.linspace(-2, 2, 9)
    found = mw.stats.histogram(values, edges, device="cuda", full=True)
    assert counted.calls == ["count_bins_of"]
    for own, expected in zip(found, mw.stats.histogram(values, edges, device="cpu", full=True), strict=True):
        assert own.counts.tolist() == expected.counts.tolist()
        assert (own.below, own.above, own.missing) == (expected.below, expected.above, expected.missing)
        assert own.device == resolve("cuda")


def test_bounds_of_what_is_counted_at_once_do_not_show(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(cuda)
    monkeypatch.setattr(HISTOGRAM, "engine", lambda device: counted)
    monkeypatch.setattr(HISTOGRAM, "_TOGETHER_BYTES", 3 * 8 * 500)
    values = np.random.default_rng(2).normal(size=(500, 7))
    found = mw.stats.histogram(values, 5, device="cuda")
    assert counted.calls == ["count_bins_of"] * 3
    np.testing.assert_array_equal(found, mw.stats.histogram(values, 5, device="cpu"))


@pytest.mark.parametrize("groups", [1, 7, 3000])
@pytest.mark.parametrize("domain", list(keys.DOMAINS))
def test_bins_by_group_are_those_of_loops(cuda: Any, domain: str, groups: int) -> None:
    """Few groups are counted in shared memory; 3,000 are not; columns with many cuts never are."""
    random = np.random.default_rng(3)
    rows, dtype = 2500, keys.dtype_of(domain)
    columns = [random.integers(0, 90, rows).astype(dtype) for _ in range(3)]
    cuts = [keys.keys_of(np.arange(n).astype(dtype), domain) for n in (4, 90, 6000)]
    of_row = random.integers(-2, groups, rows).astype(np.int32)
    missing = random.random(rows) < 0.1
    arrays = [pa.array(c, mask=missing) for c in columns]
    chosen = slice(0, 2) if groups == 3000 else slice(0, 3)
    found = cuda.count_bins_of(arrays[chosen], keys.DOMAINS[domain], cuts[chosen], of_row, groups)
    for own, column, cut in zip(found, columns[chosen], cuts[chosen], strict=True):
        expected = np.zeros((groups, len(cut) + 3), dtype=np.uint64)
        bins = np.where(missing, len(cut) + 2, np.searchsorted(cut, keys.keys_of(column, domain), side="right"))
        np.add.at(expected, (of_row[of_row >= 0], bins[of_row >= 0]), 1)
        np.testing.assert_array_equal(own, expected)
    for own, other in zip(
        found,
        _core.count_bins_of(arrays[chosen], keys.DOMAINS[domain], cuts[chosen], of_row, groups),
        strict=True,
    ):
        np.testing.assert_array_equal(own, other)


def test_what_cannot_be_counted_is_refused_by_both_engines(cuda: Any) -> None:
    floats, whole = pa.array([1.0, 2.0]), pa.array([1, 2])
    none, two = np.empty(0, dtype=np.uint64), np.array([0, 1], dtype=np.int32)
    for engine in (_core, cuda):
        with pytest.raises(InputError, match="types differ"):
            engine.count_bins_of([floats], keys.DOMAINS["int64"], [none])
        with pytest.raises(InputError, match="every column needs its cuts"):
            engine.count_bins_of([floats], keys.DOMAINS["float64"], [])
        with pytest.raises(InputError, match="not among the groups"):
            engine.count_bins_of([floats], keys.DOMAINS["float64"], [none], two, 1)
        with pytest.raises(InputError, match="every row needs a group"):
            engine.count_bins_of([floats], keys.DOMAINS["float64"], [none], two[:1], 2)
        with pytest.raises(InputError, match="no pivot"):
            engine.column_moments(floats, 1)
        with pytest.raises(InputError, match="one type"):
            engine.sup_distance(floats, whole)
        with pytest.raises(InputError, match="no nulls"):
            engine.sup_distance(floats, pa.array([1.0, None]))
        with pytest.raises(InputError, match="times must be integers"):
            engine.interval_of(floats, np.array([0, 1]))
        with pytest.raises(InputError, match="strictly increasing"):
            engine.interval_of(whole, np.array([1, 1]))
        with pytest.raises(InputError, match="cut that finely"):
            engine.SplitPass([(keys.DOMAINS["float64"], np.array([0], dtype=np.uint64), 4, 5)])
        with pytest.raises(InputError, match="another number of columns"):
            engine.DistinctPass([keys.DOMAINS["float64"]] * 2, 5).add(pa.record_batch([floats], names=["a"]))
    with pytest.raises(InputError, match="whole tiles"):
        cuda.chunk_rows = 1000


def samples() -> dict[str, tuple[Any, Any]]:
    """Two samples of every type that is taken in a way of its own."""
    random = np.random.default_rng(5)
    a, b = (random.normal(k, 40, 3000 + 10 * k) for k in (0, 1))
    a[::50], b[3::70] = np.nan, np.nan
    whole = [np.nan_to_num(x).round().astype(np.int64) for x in (a, b)]
    gone = [random.random(len(x)) < 0.1 for x in whole]
    return {
        "float64": (a, b),
        "float32 and float64": (a.astype(np.float32), b),
        "float16": (a.astype(np.float16), b.astype(np.float16)),
        "int8": (whole[0].clip(-128, 127).astype(np.int8), whole[1].clip(-128, 127).astype(np.int8)),
        "int64 beyond doubles": (whole[0] + 2**60, whole[1] + 2**60),
        "uint64": ((whole[0] + 2**62).astype(np.uint64) * 2, (whole[1] + 2**62).astype(np.uint64) * 2),
        "int16 with nulls": tuple(pa.array(w.astype(np.int16), mask=m) for w, m in zip(whole, gone, strict=True)),
        "timestamps": tuple(pa.array(w, pa.int64()).cast(pa.timestamp("us")) for w in whole),
        "decimals": tuple(pa.array(w, pa.int64()).cast(pa.decimal128(21, 2)) for w in whole),
    }


#: Some values of every sample lie between these.
EDGES = np.array([-60, -3, 0, 70, 2**60 - 50, 2**60, 2**60 + 60, 2**63 - 90, 2**63 - 1])
PAIRS = ("ks", "psi", "chi_square", "out_of_range", "unseen", "mean_shift", "sd_ratio", "wasserstein_sd")


@pytest.mark.parametrize("kind", samples())
@pytest.mark.parametrize("name", PAIRS)
def test_two_samples_of_the_host_have_one_number(name: str, kind: str) -> None:
    a, b = samples()[kind]
    function = getattr(mw.stats, name)
    found, expected = (function(a, b, device=device, full=True) for device in ("cuda", "cpu"))
    assert found.device == resolve("cuda")
    assert expected.device == "cpu"
    for own in ("value", "lower", "upper", "n", "m", "missing", "pvalue"):
        assert getattr(found, own) == getattr(expected, own), own


@pytest.mark.parametrize("kind", samples())
@pytest.mark.parametrize("name", ["moments", "approx_distinct", "log_linear_histogram", "histogram", "quantile"])
def test_one_sample_of_the_host_has_one_answer(name: str, kind: str) -> None:
    for values in samples()[kind]:
        more = {"quantile": (0.3,), "histogram": (EDGES,)}.get(name, ())
        found, expected = (getattr(mw.stats, name)(values, *more, device=device) for device in ("cuda", "cpu"))
        if name == "log_linear_histogram":
            found, expected = (np.stack([h.bucket, h.count]) for h in (found, expected))
        assert np.array_equal(found, expected) if isinstance(expected, np.ndarray) else found == expected
