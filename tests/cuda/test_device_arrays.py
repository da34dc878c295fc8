"""Arrays that lie on a device: read in place, by each protocol, and refused in a sentence where they cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import cuda_module
import numpy as np
import pyarrow as pa
import pytest
from device_array import Arrow, Dlpack, Interface, leaked, runtime

import modelwatch_gpu as mw
from modelwatch_gpu import _core, keys
from modelwatch_gpu.arrays import as_columns, in_domain
from modelwatch_gpu.device import engine
from modelwatch_gpu.device_arrays import DeviceColumn, location, resolve_for

pytestmark = pytest.mark.gpu

DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64")
PRODUCERS: tuple[Any, ...] = (Interface, Dlpack, lambda values: Dlpack(values, versioned=False))
SIZES = (0, 1, 31, 32, 33, 1025)


def hard(dtype: str, rows: int) -> np.ndarray[Any, Any]:
    """Values of a type, its hardest first."""
    own = np.dtype(dtype)
    bits = np.random.default_rng(rows).integers(0, 256, rows * own.itemsize).astype(np.uint8).view(own)
    if own.kind == "f":
        ends = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, np.finfo(own).max, np.finfo(own).smallest_subnormal], own)
    else:
        ends = np.array([np.iinfo(own).min, np.iinfo(own).max, 0], own)
    bits[: min(rows, len(ends))] = ends[:rows]
    return bits


def copied(column: Any) -> np.ndarray[Any, Any]:
    assert isinstance(column, DeviceColumn)
    return np.asarray(column.to_arrow().to_numpy(zero_copy_only=False))


def expected_of(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return values.astype(np.float32) if values.dtype == np.float16 else values


@pytest.mark.parametrize("producer", PRODUCERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_column_is_read_whatever_its_type_and_length(producer: Any, dtype: str) -> None:
    for rows in SIZES:
        values = hard(dtype, rows)
        (column,), batched = as_columns(producer(values), "values")
        assert not batched
        assert column.device == "cuda:0"
        assert column.type == pa.from_numpy_dtype(expected_of(values).dtype)
        assert len(column) == rows
        assert column.null_count == 0
        np.testing.assert_array_equal(copied(column), expected_of(values))


@pytest.mark.parametrize("producer", PRODUCERS)
def test_a_contiguous_column_is_read_in_place(producer: Any) -> None:
    source = producer(np.arange(5.0))
    (column,), _ = as_columns(source, "values")
    pointer = source.__cuda_array_interface__["data"][0] if isinstance(source, Interface) else source._pointer
    assert column.device_memory.pointer == pointer


@pytest.mark.parametrize("producer", PRODUCERS)
@pytest.mark.parametrize("dtype", ["uint8", "float16", "int32", "float64"])
def test_columns_of_matrices_are_gathered_whatever_the_order(producer: Any, dtype: str) -> None:
    whole = hard(dtype, 40 * 6).reshape(40, 6)
    for matrix in (whole, np.asfortranarray(whole), whole[::3, 1::2], whole[::-1], whole.T, whole[:, :0], whole[:0]):
        columns, batched = as_columns(producer(matrix), "values")
        assert batched
        assert len(columns) == matrix.shape[1]
        for i, column in enumerate(columns):
            np.testing.assert_array_equal(copied(column), expected_of(matrix[:, i]))
    assert [len(c) for c in as_columns(producer(whole), "values")[0][1:3]] == [40, 40]


@pytest.mark.parametrize("dtype", ["int16", "float16", "float64"])
def test_a_mask_says_which_values_are_there(dtype: str) -> None:
    for rows in SIZES:
        values, there = hard(dtype, rows), np.random.default_rng(1).random(rows) < 0.7
        (column,), _ = as_columns(Interface(values, mask=there), "values")
        assert column.null_count == np.count_nonzero(~there)
        found = column.to_arrow()
        assert found.is_valid().to_pylist() == there.tolist()
    matrix, masks = hard("float64", 100).reshape(20, 5), np.arange(100).reshape(20, 5) % 3 != 0
    columns, _ = as_columns(Interface(matrix, mask=masks), "values")
    for i, column in enumerate(columns):
        assert column.to_arrow().is_valid().to_pylist() == masks[:, i].tolist()


@pytest.mark.parametrize("kind", ["int8", "int64", "uint32", "float32", "float64"])
def test_arrow_arrays_with_nulls_are_read_from_any_row_on(kind: str) -> None:
    values = hard(kind, 100)
    for nulls in (np.zeros(100, bool), np.arange(100) % 3 == 0, np.ones(100, bool)):
        for begin, rows in ((0, 100), (3, 97), (13, 50), (100, 0)):
            array = pa.array(values, mask=nulls).slice(begin, rows)
            source = Arrow(array)
            (column,), _ = as_columns(source, "values")
            assert (column.type, len(column), column.null_count) == (array.type, rows, array.null_count)
            assert column.to_arrow().is_valid().to_pylist() == array.is_valid().to_pylist()
            there = array.is_valid().to_numpy(zero_copy_only=False)
            np.testing.assert_array_equal(copied(column)[there], array.to_numpy(zero_copy_only=False)[there])
            del column
            assert source.given_back == 1


def test_dates_and_times_keep_their_type() -> None:
    for kind in (pa.date32(), pa.timestamp("us", "UTC"), pa.duration("ms"), pa.time64("ns")):
        array = pa.array([5, None, 7], pa.int32() if kind.bit_width == 32 else pa.int64()).cast(kind)
        (column,), _ = as_columns(Arrow(array), "values")
        assert column.to_arrow().equals(array)


@pytest.mark.parametrize("rows", [1, 1024, 40_000])
def test_a_column_of_nulls_has_no_first_value_to_go_by(rows: int) -> None:
    for kind in (pa.int64(), pa.uint64()):
        nulls = pa.nulls(rows, kind)
        (column,), _ = as_columns(Arrow(nulls), "values")
        found, expected = engine("cuda:0").column_moments(column), _core.column_moments(nulls)
        assert {**found} == {**expected}


def test_bfloat16_is_widened() -> None:
    wide = np.array([0.0, -0.0, 1.0, -2.5, np.inf, np.nan, 3.0e38], np.float32)
    bits = (wide.view(np.uint32) >> 16).astype(np.uint16)
    (column,), _ = as_columns(Dlpack(bits, bfloat=True), "values")
    np.testing.assert_array_equal(copied(column), (bits.astype(np.uint32) << 16).view(np.float32))


def test_dlpack_gets_our_stream_and_its_tensor_back() -> None:
    for versioned in (True, False):
        source = Dlpack(np.arange(10.0), versioned=versioned, byte_offset=8)
        (column,), _ = as_columns(source, "values")
        assert copied(column).tolist() == list(range(10))
        assert source.streams == [engine("cuda:0").stream]  # type: ignore[attr-defined]
        assert source.streams[0] not in (None, 0, 1, 2)
        assert source.given_back == 0
        del column
        assert source.given_back == 1


def test_memory_stays_as_long_as_a_column_does() -> None:
    count = leaked()
    columns, _ = as_columns(Interface(np.arange(12.0).reshape(6, 2)), "values")
    second = columns[1]
    assert count()[0] > 0
    del columns
    assert copied(second).tolist() == [1, 3, 5, 7, 9, 11]


LAZY = """
import numpy as np, pyarrow as pa
from device_array import Arrow, Interface, Stream
from modelwatch_gpu.arrays import as_columns
for make in (Interface, lambda v, stream: Arrow(pa.array(v), stream=stream)):
    stream = Stream()
    (column,), _ = as_columns(make(np.arange(1000.0), stream=stream), "values")
    assert column.to_arrow().to_pylist() == list(range(1000)), column.to_arrow()
"""


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_the_producers_stream_is_waited_for(seed: str) -> None:
    """Where streams run only when somebody waits, memory that nobody filled holds 0xCD bytes."""
    if not hasattr(runtime(), "ptxLeakCount"):
        pytest.skip("the schedule is the stand-in's to choose")
    environment = {**os.environ, "PTX_STREAMS": "lazy", "PTX_SEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", cuda_module.IN_CHILD + LAZY], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_streams_by_number_are_the_default_ones() -> None:
    for stream in (1, 2):
        source = Interface(np.arange(3.0))
        source.__cuda_array_interface__["stream"] = stream
        assert copied(as_columns(source, "values")[0][0]).tolist() == [0, 1, 2]
    source.__cuda_array_interface__["stream"] = 0
    with pytest.raises(mw.InputError, match="stream 0"):
        as_columns(source, "values")
    assert copied(as_columns(Interface(np.arange(3.0), version=2), "values")[0][0]).tolist() == [0, 1, 2]
    assert copied(as_columns(Interface(np.arange(3.0), read_only=True), "values")[0][0]).tolist() == [0, 1, 2]


def test_counts_of_a_device_column_are_those_of_the_host() -> None:
    values = hard("float64", 3000).reshape(1000, 3)
    grid = _core.Grid(keys.DOMAINS["float64"], keys.keys_of(np.array([-np.inf, -1.0, 0.0, 1.0, np.inf]), "float64"))
    for i, column in enumerate(as_columns(Interface(values), "values")[0]):
        expected = _core.count_cells(pa.array(np.ascontiguousarray(values[:, i])), grid)
        np.testing.assert_array_equal(engine("cuda:0").count_cells(column, grid), expected)


def test_a_column_converts_exactly_or_not_at_all() -> None:
    for dtype, domain in (("int64", "float64"), ("uint64", "float64"), ("uint64", "int64"), ("int8", "float64")):
        small = np.arange(100).astype(dtype)
        (column,), _ = as_columns(Interface(small), "values")
        found = in_domain(column, domain, "values")
        assert found.to_arrow().to_pylist() == in_domain(pa.array(small), domain, "values").to_pylist()
    for dtype, domain, bad in (
        ("int64", "float64", -(2**53) - 1),
        ("uint64", "float64", 2**64 - 1),
        ("uint64", "int64", 2**63),
    ):
        values = np.array([1, bad, 3], dtype)
        for array in (pa.array(values), as_columns(Interface(values), "values")[0][0]):
            with pytest.raises(mw.InputError, match="cannot be compared exactly"):
                in_domain(array, domain, "values")
        # Where it is null, whatever lies there is nobody's value.
        (column,), _ = as_columns(Interface(values, mask=np.array([True, False, True])), "values")
        assert in_domain(column, domain, "values").to_arrow().to_pylist() == [1, None, 3]
    edge = np.array([2**53, -(2**53)], np.int64)
    (column,), _ = as_columns(Interface(edge), "v")
    assert in_domain(column, "float64", "v").to_arrow().to_pylist() == [2.0**53, -(2.0**53)]


def test_auto_is_the_device_that_the_data_lie_on() -> None:
    here, host = Interface(np.arange(3.0)), np.arange(3.0)
    for source in (here, Dlpack(np.arange(3.0)), Arrow(pa.array([1.0])), as_columns(here, "v")[0][0]):
        assert location(source) == "cuda:0"
        assert resolve_for("auto", host, source) == "cuda:0"
        assert resolve_for("cuda", source, source) == "cuda:0"
        with pytest.raises(mw.InputError, match=r"lies on cuda:0, and device='cpu' would copy"):
            resolve_for("cpu", source)
    elsewhere = (Dlpack(np.arange(3.0), kind=1), Arrow(pa.array([1.0]), kind=1))
    for source in (host, [1.0], pa.array([1.0]), *elsewhere, None, 3):
        assert location(source) is None
    assert resolve_for("auto", host, [1]) == "cpu"
    with pytest.raises(mw.DeviceUnavailable, match="CUDA found 1"):
        resolve_for("cuda:7", here)


def test_what_cannot_be_read_is_refused_in_a_sentence() -> None:
    plain = np.arange(4.0)
    big_endian = Interface(plain)
    big_endian.__cuda_array_interface__["typestr"] = ">f8"
    misaligned = Interface(plain)
    pointer = misaligned.__cuda_array_interface__["data"][0]
    misaligned.__cuda_array_interface__.update(data=(pointer + 1, False), shape=(2,))
    of_host = Interface(plain)
    of_host.__cuda_array_interface__["data"] = (plain.ctypes.data, False)
    for source, said in (
        (big_endian, "byte order"),
        (misaligned, "aligned"),
        (of_host, "memory of the host"),
        (Interface(np.zeros((2, 2, 2))), "3 dimensions"),
        (Interface(np.zeros(2, complex)), "complex128"),
        (Interface(np.zeros(2, bool)), "holds bool"),
        (Interface(plain, mask=np.ones(3, bool)), "mask of values"),
        (Interface(plain, mask=np.ones(4, np.int32)), "mask of values"),
        (Dlpack(np.zeros(2, complex)), "DLPack's type 5"),
        (Dlpack(plain, major=2), "later version of DLPack"),
        (Arrow(pa.array(["a"], pa.string_view())), "has type string_view on a device"),
        (Arrow(pa.array([True])), "has type bool on a device"),
    ):
        with pytest.raises(mw.InputError, match=said):
            as_columns(source, "values")


PAIRS = (
    "ks",
    "psi",
    "js_distance",
    "wasserstein",
    "energy_distance",
    "cvm",
    "out_of_range",
    "mean_shift",
    "chi_square",
)
ALONE = ("moments", "approx_distinct", "distinct", "missing", "nan", "row_count", "histogram", "log_linear_histogram")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
@pytest.mark.parametrize("name", PAIRS)
def test_two_samples_on_the_device_give_the_hosts_number(name: str, dtype: type) -> None:
    random = np.random.default_rng(7)
    a, b = (random.normal(10 * k, 100, 3000 + k).astype(dtype) for k in range(2))
    function = getattr(mw.stats, name)
    found = function(Interface(a), Dlpack(b), full=True)
    expected = function(a, b, full=True)
    assert found.device == "cuda:0"
    for own in ("value", "lower", "upper", "n", "m", "missing", "pvalue"):
        assert getattr(found, own) == getattr(expected, own), own
    assert function(a, b, device="cuda") == expected.value
    columns = np.stack([b, b[::-1]], axis=1)
    assert function(Interface(np.stack([a, a], axis=1)), Interface(columns)).tolist() == [expected.value] * 2


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize("name", ALONE)
def test_one_sample_on_the_device_gives_the_hosts_number(name: str, dtype: type) -> None:
    values = np.random.default_rng(8).normal(0, 100, 3000).astype(dtype)
    if dtype is np.float32:
        values[::50] = np.nan
    function = getattr(mw.stats, name)
    found, expected = function(Interface(values)), function(values)
    if hasattr(expected, "bucket"):
        found, expected = found.count, expected.count
    assert np.array_equal(found, expected) if isinstance(expected, np.ndarray) else found == expected


def test_quantiles_of_a_device_array() -> None:
    values = np.random.default_rng(8).normal(0, 100, 3000)
    shares = [0, 0.001, 0.25, 0.5, 1]
    assert mw.stats.quantile(Interface(values), shares).tolist() == mw.stats.quantile(values, shares).tolist()
