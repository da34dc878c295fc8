"""Text and dictionaries that lie on a device: counted by value where they lie, as the host counts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from device_array import Arrow, Stream, leaked, runtime

import modelwatch_gpu as mw
from modelwatch_gpu.arrays import as_columns
from modelwatch_gpu.device_arrays import location
from modelwatch_gpu.device_text import DeviceText
from modelwatch_gpu.stats.categories import counts_of

pytestmark = pytest.mark.gpu

TYPES = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())
WORDS = ["", "a", "b", "a much longer value than twelve bytes", "\u2603", "same", "same ", "sam"]


def words(rows: int, seed: int, *, nulls: bool = True, distinct: int = 0) -> pa.Array:
    """Text with nulls; with ``distinct``, of so many other values too."""
    rng = np.random.default_rng(seed)
    every = [*WORDS, *(f"value {i}" for i in range(distinct))]
    picked = np.array([*every, None] if nulls else every, dtype=object)[rng.integers(0, len(every) + nulls, rows)]
    return pa.array(picked, pa.string())


def column_of(source: Any) -> DeviceText:
    (column,), batched = as_columns(source, "values")
    assert not batched
    assert isinstance(column, DeviceText)
    return column


def forms(array: pa.Array) -> list[pa.Array]:
    """The same values as text and as dictionaries."""
    dictionary = array.dictionary_encode()
    narrow = dictionary.cast(pa.dictionary(pa.int8(), pa.string())) if len(dictionary.dictionary) < 100 else dictionary
    return [*(array.cast(kind) for kind in TYPES), dictionary, narrow]


def host_counts(array: pa.Array) -> dict[Any, int]:
    return counts_of(array, "values")


@pytest.mark.parametrize("rows", [0, 1, 31, 32, 33, 1025, 3000])
def test_values_are_counted_as_on_the_host_from_any_row_on(rows: int) -> None:
    for nulls in (True, False):
        for array in forms(words(rows + 5, rows, nulls=nulls)):
            for part in (array.slice(5), array.slice(0, rows)):
                source = Arrow(part)
                column = column_of(source)
                assert (column.type, len(column), column.null_count) == (part.type, rows, part.null_count)
                assert column.value_counts == host_counts(part)
                assert column.to_arrow().to_pylist() == part.to_pylist()
                assert location(column) == "cuda:0"
                del column
                assert source.given_back == 1


@pytest.mark.parametrize("form", [pa.string(), pa.large_binary()], ids=str)
def test_many_values_are_learnt_in_some_turns(form: pa.DataType) -> None:
    """More than the host is shown at first, and once each."""
    array = words(5000, 1, distinct=4000).cast(form)
    assert column_of(Arrow(array)).value_counts == host_counts(array)
    once = pa.array([f"{i:05d}" for i in range(3000)], form)
    assert set(column_of(Arrow(once)).value_counts.values()) == {1}


def test_long_values_and_nothing_but_nulls() -> None:
    for values in (["x" * 5000, "x" * 4999 + "y", "x" * 5000, ""], [None] * 40, ["a"] * 40):
        array = pa.array(values, pa.string())
        assert column_of(Arrow(array)).value_counts == host_counts(array)


def test_a_dictionary_may_name_a_value_twice_and_null() -> None:
    dictionary = pa.array(["a", None, "a", "b"])
    array = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 2, None, 3], pa.uint8()), dictionary)
    column = column_of(Arrow(array))
    assert column.value_counts == {"a": 3, "b": 1, None: 2}
    assert column.null_count == array.null_count == 1
    sliced = pa.DictionaryArray.from_arrays(pa.array([1, 0, 1]), pa.array(["q", "a", "b"]).slice(1))
    assert column_of(Arrow(sliced)).value_counts == {"a": 1, "b": 2}


STATS: dict[str, Callable[..., Any]] = {
    name: getattr(mw.stats, name)
    for name in ("psi", "js_distance", "js_divergence", "kl", "hellinger", "tv", "l_infinity", "chi_square", "unseen")
}
ONE: dict[str, Callable[..., Any]] = {
    name: getattr(mw.stats, name) for name in ("missing", "nan", "row_count", "distinct")
}


@pytest.mark.parametrize("name", STATS)
def test_measures_of_two_columns_are_the_hosts(name: str) -> None:
    a, b = words(900, 1), pa.concat_arrays([words(700, 2), pa.array(["new"] * 9)])
    expected = STATS[name](a, b, full=True)
    for one, other in zip(forms(a), forms(b), strict=True):
        if not pa.types.is_binary(one.type) and not pa.types.is_large_binary(one.type):
            found = STATS[name](Arrow(one), Arrow(other), full=True)
            assert found.device == "cuda:0"
            assert (found.value, found.n, found.m, found.missing) == (
                expected.value,
                expected.n,
                expected.m,
                expected.missing,
            )
    # What lies on the host is counted there, and the answer is the device's.
    assert STATS[name](Arrow(a), b) == expected.value


@pytest.mark.parametrize("name", ONE)
def test_measures_of_one_column_are_the_hosts(name: str) -> None:
    array = words(900, 1)
    for form in forms(array):
        assert ONE[name](Arrow(form)) == ONE[name](array)
    assert (
        mw.stats.missing_change(Arrow(array), Arrow(words(900, 2, nulls=False)))
        == -pc.sum(array.is_null()).as_py() / 900
    )


@pytest.mark.parametrize("name", ["ks", "wasserstein", "mean_shift"])
def test_measures_of_numbers_refuse_text(name: str) -> None:
    array = Arrow(words(10, 1))
    with pytest.raises(mw.InputError, match="numbers, dates or times are needed"):
        getattr(mw.stats, name)(array, array)
    with pytest.raises(mw.InputError, match="reference is string and current is double; give both one type"):
        mw.stats.psi(array, Arrow(pa.array([1.0])))


def test_what_cannot_be_read_is_refused_in_a_sentence() -> None:
    bad = pa.array([b"\xff", b"a"]).view(pa.string())
    with pytest.raises(mw.InputError, match="text that is not UTF-8"):
        mw.stats.distinct(Arrow(bad))
    assert mw.stats.distinct(Arrow(pa.array([b"\xff", b"a"]))) == 2
    out = pa.DictionaryArray.from_arrays(pa.array([0, 7], pa.int16()), pa.array(["a", "b"]), safe=False)
    with pytest.raises(mw.InputError, match="a code of a column on a device is 7, and its dictionary has 2 values"):
        mw.stats.distinct(Arrow(out))
    for kind in (pa.string_view(), pa.dictionary(pa.int8(), pa.float64())):
        array = pa.array(["a"] if kind == pa.string_view() else [1.0], kind)
        with pytest.raises(mw.InputError, match="numbers, dates, times, text and dictionaries of text are read there"):
            as_columns(Arrow(array), "values")


def test_a_producers_stream_is_waited_for() -> None:
    stream = Stream()
    array = words(2000, 3)
    for form in forms(array):
        assert column_of(Arrow(form, stream=stream)).value_counts == host_counts(form)
    stream.close()


def test_nothing_is_left_behind() -> None:
    if not hasattr(runtime(), "ptxLeakCount"):
        pytest.skip("a real device does not count")
    array = words(2000, 4, distinct=1500)
    assert column_of(Arrow(array)).value_counts  # what is kept between calls is there from here on
    sources = [Arrow(array), Arrow(array.dictionary_encode())]
    held = leaked()
    for source in sources:
        assert column_of(source).value_counts == host_counts(array)
    more, handles = held()
    assert more <= 0  # streams that run late may give back now what was let go before
    assert handles == 0
