"""Every Arrow type a log can hold: its numbers agree with NumPy and SciPy on the same values, however it is stored."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from comparing import NUMBERS, number, result_of
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp
from tolerances import DISTANCE_NEAR_ZERO, DIVERGENCE, KS, MOMENTS

import modelwatch_gpu as mw

ROWS = 120
HOUR = 3_600
EPOCH = dt.datetime(2021, 3, 5, 1, 30)

Values = list[Any]


def small_integers(seed: int) -> Values:
    rng = np.random.default_rng(seed)
    drawn = np.clip(rng.normal(60 + 5 * (seed % 2), 25, ROWS).round(), 0, 127).astype(int).tolist()
    return [None if rng.random() < 0.1 else v for v in drawn]


def each(make: Callable[[int], Any]) -> Callable[[int], Values]:
    return lambda seed: [None if v is None else make(v) for v in small_integers(seed)]


def decimals(kind: pa.DataType) -> tuple[pa.DataType, Callable[[int], Values], float]:
    return kind, each(lambda v: (Decimal(v) - 60).scaleb(-kind.scale)), 10.0**-kind.scale


#: Type, values of a seed, and the unit: what one step of the numbers below is worth in the report.
NUMERIC: dict[str, tuple[pa.DataType, Callable[[int], Values], float]] = {
    **{
        f"{sign}int{bits}": (getattr(pa, f"{sign}int{bits}")(), each(int), 1.0)
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
    "float16": (pa.float16(), each(lambda v: v / 8), 1.0),
    "float32": (pa.float32(), each(lambda v: float(np.float32(v / 7))), 1.0),
    "float64": (pa.float64(), each(lambda v: v / 7), 1.0),
    "decimal128": decimals(pa.decimal128(10, 2)),
    "decimal128 of 38 digits": decimals(pa.decimal128(38, 4)),
    "decimal128 without digits after the point": decimals(pa.decimal128(9, 0)),
    "decimal256": decimals(pa.decimal256(60, 3)),
    "date32": (pa.date32(), each(lambda v: EPOCH.date() + dt.timedelta(days=v)), 1.0),
    "date64": (pa.date64(), each(lambda v: EPOCH.date() + dt.timedelta(days=v)), 1.0),
    **{
        f"time[{unit}]": (
            (pa.time32 if unit in ("s", "ms") else pa.time64)(unit),
            each(lambda v: (EPOCH + dt.timedelta(seconds=v)).time()),
            1.0,
        )
        for unit in ("s", "ms", "us", "ns")
    },
    **{
        f"timestamp[{unit}{', ' + zone if zone else ''}]": (
            pa.timestamp(unit, zone),
            each(lambda v: EPOCH + dt.timedelta(hours=v)),
            1.0,
        )
        for unit, zone in (("s", None), ("ms", "UTC"), ("us", "America/New_York"), ("ns", None))
    },
    **{
        f"duration[{unit}]": (pa.duration(unit), each(lambda v: dt.timedelta(minutes=v - 60)), 1.0)
        for unit in ("s", "ns")
    },
}
if hasattr(pa, "decimal32"):
    NUMERIC["decimal32"] = decimals(pa.decimal32(7, 3))
    NUMERIC["decimal64"] = decimals(pa.decimal64(15, 6))

CATEGORICAL: dict[str, tuple[pa.DataType, Callable[[int], Values]]] = {
    "bool": (pa.bool_(), each(lambda v: v > 60)),
    "string": (pa.string(), each(lambda v: f"v{v // 16}é")),
    "large_string": (pa.large_string(), each(lambda v: f"v{v // 16}é")),
    "string_view": (pa.string_view(), each(lambda v: f"a long text, not inline: {v // 16}é")),
    "binary": (pa.binary(), each(lambda v: bytes([v // 16, 255]))),
    "large_binary": (pa.large_binary(), each(lambda v: bytes([v // 16, 255]))),
    "binary_view": (pa.binary_view(), each(lambda v: bytes([v // 16, 255]) * 9)),
    "fixed_size_binary": (pa.binary(2), each(lambda v: bytes([v // 16, 255]))),
}


def array_of(kind: pa.DataType, values: Values) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.timestamp(kind.unit)).cast(kind)  # the values are instants in UTC
    return pa.array(values, kind)


def stored(array: pa.Array, folder: Path) -> Iterator[tuple[str, Any]]:
    """The same rows in every way a log can come."""
    yield "plain", pa.table({"x": array})
    padded = pa.concat_arrays([array.slice(0, 3), array, array.slice(0, 5)])
    yield "sliced", pa.table({"x": padded.slice(3, len(array))})
    # In the struct that a batch is, the offset stands outside the column.
    batch = pa.RecordBatch.from_arrays([padded], ["x"]).slice(3, len(array))
    yield "a slice of a batch", batch
    yield "chunked", pa.table({"x": pa.chunked_array([array.slice(0, 13), array.slice(13, 50), array.slice(63)])})
    table = pa.table({"x": pa.chunked_array([array.slice(0, 77), array.slice(77)])})
    with pa.ipc.new_file(folder / "x.arrow", table.schema) as writer:
        writer.write_table(table)
    yield "ipc", folder / "x.arrow"
    try:
        pq.write_table(table, folder / "x.parquet", row_group_size=50)
    except pa.ArrowNotImplementedError:
        return  # not every type exists in Parquet
    yield "parquet", folder / "x.parquet"


def ticks(kind: pa.DataType, values: Values) -> np.ndarray[Any, Any]:
    """What is compared, as NumPy numbers, without nulls: of decimals and times the whole numbers of their unit."""
    there = [v for v in values if v is not None]
    if pa.types.is_decimal(kind):
        return np.array([int(v.scaleb(kind.scale)) for v in there])
    if pa.types.is_temporal(kind):
        whole = array_of(kind, there).cast(pa.int32() if kind.bit_width == 32 else pa.int64())
        return np.array(whole.to_pylist())
    dtype = kind.to_pandas_dtype()
    return np.array(there, dtype=dtype)


@pytest.mark.parametrize("name", NUMERIC)
def test_numbers_of_every_type_agree_with_numpy_and_scipy_however_they_are_stored(name: str, tmp_path: Path) -> None:
    kind, make, unit = NUMERIC[name]
    base, current = make(2), make(3)
    x, y = ticks(kind, base), ticks(kind, current)
    x64, y64 = x.astype(np.float64), y.astype(np.float64)
    baseline = mw.Baseline.fit(pa.table({"x": array_of(kind, base)}), roles=mw.Roles(numeric="x", infer=False))
    (column,) = baseline.columns
    assert column.kind == "numeric"
    assert column.type == str(kind)
    cuts = np.unique(np.quantile(x64, np.linspace(0, 1, 11)[1:-1]))
    p, q = (np.histogram(np.searchsorted(cuts, side, side="left"), np.arange(len(cuts) + 2))[0] for side in (x, y))
    p, q = np.maximum(p / p.sum(), 1e-4), np.maximum(q / q.sum(), 1e-4)
    seen = {}
    for how, log in stored(array_of(kind, current), tmp_path):
        report = mw.compare(baseline, log)
        (result,) = report.results
        row = report.to_dict()["profile"][0]
        assert (row["rows"], row["count"], row["missing"]) == (ROWS, len(y), ROWS - len(y)), how
        assert row["min"] == pytest.approx(float(y.min()) * unit, rel=KS), how
        assert row["max"] == pytest.approx(float(y.max()) * unit, rel=KS), how
        size = np.abs(y64).max() * unit
        assert row["mean"] == pytest.approx(y64.mean() * unit, rel=MOMENTS, abs=MOMENTS * size), how
        assert row["sd"] == pytest.approx(y64.std() * unit, rel=MOMENTS, abs=MOMENTS * size), how
        assert number(result.values["ks"]) == pytest.approx(ks_2samp(x, y, method="asymp").statistic, abs=KS), how
        assert number(result.values["psi"]) == pytest.approx(np.sum((q - p) * np.log(q / p)), abs=DIVERGENCE), how
        assert number(result.values["missing"]) == (ROWS - len(y)) / ROWS, how
        seen[how] = result.values
    assert len(seen) >= 5
    assert all(values["ks"] == seen["plain"]["ks"] for values in seen.values())
    for how, log in stored(array_of(kind, base), tmp_path):
        again = mw.Baseline.fit(log, roles=mw.Roles(numeric="x", infer=False))
        if again.columns[0].type == column.type:  # Parquet gives some back in another unit
            assert np.array_equal(again.columns[0].knots, column.knots), how  # type: ignore[union-attr]
        assert number(result_of(again, pa.table({"x": array_of(kind, base)})).values["ks"]) == 0.0, how


@pytest.mark.parametrize("name", CATEGORICAL)
def test_categories_of_every_type_agree_with_scipy_however_they_are_stored(name: str, tmp_path: Path) -> None:
    kind, make = CATEGORICAL[name]
    base, current = make(2), make(3)
    p, q = Counter(base), Counter(current)
    every = list(p | q)
    wanted = jensenshannon([p[v] for v in every], [q[v] for v in every], base=2)
    baseline = mw.Baseline.fit(pa.table({"x": pa.array(base, kind)}))
    (column,) = baseline.columns
    assert column.kind == "categorical"
    text = {(str(v).lower().encode() if isinstance(v, bool) else v.encode() if isinstance(v, str) else v) for v in p}
    assert set(column.categories) == text - {None}  # type: ignore[union-attr]
    for how, log in stored(pa.array(current, kind), tmp_path):
        result = mw.compare(baseline, log).results[0]
        assert number(result.values["js_distance"]) == pytest.approx(wanted, abs=DISTANCE_NEAR_ZERO), how
        assert number(result.values["missing"]) == q[None] / ROWS, how
        present = ROWS - q[None]
        assert number(result.values["unseen"]) == sum(n for v, n in q.items() if v not in p) / present, how
    for how, log in stored(pa.array(base, kind), tmp_path):
        assert mw.Baseline.fit(log).columns[0].categories == column.categories, how  # type: ignore[union-attr]


# Dictionaries

CODED: dict[str, tuple[pa.DataType, Callable[[int], Values], Callable[[Any], str]]] = {
    "text": (pa.string(), each(lambda v: f"v{v // 16}"), str),
    "bytes": (pa.binary(), each(lambda v: b"v%d" % (v // 16)), lambda v: str(v.decode())),
    "bytes of one size": (pa.binary(2), each(lambda v: b"v%d" % (v // 16)), lambda v: str(v.decode())),
    "text views": (pa.string_view(), each(lambda v: f"v{v // 16}"), str),
    "integers": (pa.int16(), each(lambda v: v // 16), str),
    "floats": (pa.float32(), each(lambda v: v // 16 / 2), lambda v: str(int(v)) if v == int(v) else str(v)),
    "bools": (pa.bool_(), each(lambda v: v > 60), lambda v: str(v).lower()),
    "dates": (pa.date32(), each(lambda v: dt.date(2020, 1, 1 + v // 16)), str),
    "times": (pa.time64("us"), each(lambda v: dt.time(v // 16, 30)), str),
    "timestamps": (pa.timestamp("ms", "Asia/Tokyo"), each(lambda v: dt.datetime(2020, 1, 1, v // 16)), str),
    "durations": (pa.duration("ms"), each(lambda v: dt.timedelta(milliseconds=500 * (v // 16))), lambda v: _seconds(v)),
    "decimals": (pa.decimal128(6, 2), each(lambda v: Decimal(v // 16) / 4), lambda v: f"{float(v):g}"),
}


def _seconds(value: dt.timedelta) -> str:
    return f"{value.total_seconds():g}s"


@pytest.mark.parametrize("name", CODED)
def test_dictionaries_of_any_values_and_codes_are_categories_of_their_text(name: str, tmp_path: Path) -> None:
    kind, make, text = CODED[name]
    rows = make(2)
    plain = array_of(kind, rows)
    wanted = sorted({text(v).encode() for v in rows if v is not None})
    for index in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        distinct = list(dict.fromkeys(v for v in rows if v is not None))
        # One value stands there twice, one is null, and one is never used.
        entries = [*distinct, distinct[0], None]
        codes = [None if v is None and i % 2 else (len(entries) - 1 if v is None else distinct.index(v))
                 for i, v in enumerate(rows)]  # fmt: skip
        codes = [len(distinct) if c == 0 and i % 3 == 0 else c for i, c in enumerate(codes)]
        coded = pa.DictionaryArray.from_arrays(pa.array(codes, getattr(pa, index)()), array_of(kind, entries))
        assert coded.to_pylist() == plain.to_pylist()
        log = pa.table({"x": pa.chunked_array([coded.slice(0, 31), coded.slice(31)])})
        baseline = mw.Baseline.fit(log, roles=mw.Roles(categorical="x"))
        (column,) = baseline.columns
        assert list(column.categories) == wanted  # type: ignore[union-attr]
        result = result_of(baseline, plain)
        assert number(result.values["js_distance"]) == 0.0
        assert number(result.values["missing"]) == rows.count(None) / ROWS
    if name == "durations":
        return  # Parquet would give them back as integers
    coded = plain if name == "text views" else plain.dictionary_encode()
    pq.write_table(pa.table({"x": coded}), tmp_path / "x.parquet")
    assert number(result_of(baseline, pq.read_table(tmp_path / "x.parquet")).values["js_distance"]) == 0.0
    assert number(mw.compare(baseline, tmp_path / "x.parquet").results[0].values["js_distance"]) == 0.0


@pytest.mark.parametrize("name", ["float64", "int16", "decimal128", "date32", "timestamp[ms, UTC]", "duration[ns]"])
def test_numbers_in_a_dictionary_are_numbers_where_they_are_asked_to_be_or_the_baseline_says_so(name: str) -> None:
    kind, make, _ = NUMERIC[name]
    plain, other = array_of(kind, make(2)), array_of(kind, make(3))
    coded = other.dictionary_encode()
    by_values, by_codes = (
        mw.Baseline.fit(pa.table({"x": a}), roles=NUMBERS) for a in (plain, plain.dictionary_encode())
    )
    assert np.array_equal(by_values.columns[0].knots, by_codes.columns[0].knots)  # type: ignore[union-attr]
    wanted = result_of(by_values, other).values
    for baseline in (by_values, by_codes):
        assert result_of(baseline, coded).values == wanted
    if name == "float64":
        assert mw.Baseline.fit(pa.table({"x": plain.dictionary_encode()})).columns[0].kind == "categorical"


def test_a_small_code_type_does_not_limit_how_many_values_the_whole_log_has(tmp_path: Path) -> None:
    parts = [pa.array([f"{i}" for i in range(start, start + 100)]).dictionary_encode() for start in (0, 60)]
    chunks = [p.cast(pa.dictionary(pa.int8(), pa.string())) for p in parts]
    log = pa.table({"x": pa.chunked_array(chunks)})
    (column,) = mw.Baseline.fit(log).columns
    assert len(column.categories) == 160  # type: ignore[union-attr]
    reader = pa.RecordBatchReader.from_batches(log.schema, log.to_batches())
    (column,) = mw.Baseline.fit(reader).columns
    assert len(column.categories) == 160  # type: ignore[union-attr]


@pytest.mark.parametrize("value", [pa.nulls(2), pa.array([[1], None]), pa.array([{"a": 1}, None])])
def test_a_dictionary_of_what_cannot_be_counted_is_missing_or_named_and_crashes_nothing(value: pa.Array) -> None:
    coded = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0], pa.int8()), value)
    for reference in (np.arange(40.0), ["a", "b"] * 20):
        baseline = mw.Baseline.fit(pa.table({"x": reference}))
        result = result_of(baseline, coded)
        if pa.types.is_null(value.type):
            assert number(result.values["missing"]) == 1.0
        else:
            assert result.present == 0.0
    log = pa.table({"x": coded, "y": [1.5, 2.5, 3.5, 4.5]})
    fitted = mw.Baseline.fit(log)
    assert [c.name for c in fitted.columns] == ["y"]
    assert set(fitted.skipped) == (set() if pa.types.is_null(value.type) else {"x"})
    assert [r.column.name for r in mw.compare(fitted, log).results] == ["y"]


def test_texts_of_one_instant_do_not_depend_on_unit_or_zone() -> None:
    moments = [dt.datetime(2020, 1, 1, 12, 30), dt.datetime(1969, 12, 31, 23, 59, 59, 500_000)]
    roles = mw.Roles(categorical="x")
    baseline = mw.Baseline.fit(pa.table({"x": pa.array(moments, pa.timestamp("ms"))}), roles=roles)
    (column,) = baseline.columns
    assert column.categories == (b"1969-12-31 23:59:59.5", b"2020-01-01 12:30:00")  # type: ignore[union-attr]
    for unit in ("ms", "us", "ns"):
        for zone in (None, "UTC", "America/New_York"):
            log = pa.table({"x": array_of(pa.timestamp(unit, zone), moments)})
            assert number(mw.compare(baseline, log).results[0].values["unseen"]) == 0.0


# Types that only store another type in their own way


class Celsius(pa.ExtensionType):
    """An extension type of floats."""

    def __init__(self) -> None:
        super().__init__(pa.float64(), "modelwatch.test.celsius")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> Celsius:
        return cls()


def test_an_extension_type_is_counted_as_what_it_stores(tmp_path: Path) -> None:
    x = pa.array([1.5, None, 2.5, 7.25] * 30)
    log = pa.table({"x": pa.ExtensionArray.from_storage(Celsius(), x)})
    plain, own = mw.Baseline.fit(pa.table({"x": x})), mw.Baseline.fit(log)
    assert own.to_bytes() == plain.to_bytes()
    with pa.ipc.new_stream(tmp_path / "x.arrows", log.schema) as writer:
        writer.write_table(log)
    pq.write_table(log, tmp_path / "x.parquet")
    for source in (log, tmp_path / "x.arrows", tmp_path / "x.parquet"):
        assert number(mw.compare(plain, source).results[0].values["ks"]) == 0.0


def test_run_end_encoded_columns_are_counted_as_their_values(tmp_path: Path) -> None:
    import pyarrow.compute as pc

    for values in (
        pa.array([1.5, 1.5, None, 2.5, 2.5, 2.5] * 20),
        pa.array(["a", "a", None, "b", "b", "b"] * 20),
        pa.array([dt.date(2020, 1, 1)] * 60 + [None] * 20 + [dt.date(2020, 1, 5)] * 40),
    ):
        plain = mw.Baseline.fit(pa.table({"x": values}))
        encoded = pc.run_end_encode(values)
        for array in (encoded, pa.concat_arrays([pc.run_end_encode(values.slice(0, 7)), encoded]).slice(7)):
            log = pa.table({"x": array})
            assert mw.Baseline.fit(log).to_bytes() == plain.to_bytes()
            with pa.ipc.new_stream(tmp_path / "x.arrows", log.schema) as writer:
                writer.write_table(log)
            assert mw.compare(plain, tmp_path / "x.arrows").to_json() == mw.compare(plain, log).to_json()
    runs = pa.RunEndEncodedArray.from_arrays(
        pa.array([2, 5], pa.int16()), pa.array(["b", "a"]).dictionary_encode(), pa.run_end_encoded(
            pa.int16(), pa.dictionary(pa.int32(), pa.string()))
    )  # fmt: skip
    (column,) = mw.Baseline.fit(pa.table({"x": runs})).columns
    assert column.categories == (b"a", b"b")  # type: ignore[union-attr]


def test_columns_stored_another_way_can_be_the_timestamp() -> None:
    import pyarrow.compute as pc

    days = pa.array([0, 0, 86_400, 86_400, 200_000], pa.timestamp("s"))
    log = pa.table({"ts": pc.run_end_encode(days), "x": [1.0, 2.0, 3.0, 4.0, 5.0]})
    report = mw.compare(mw.Baseline.fit(log), log, window="1d")
    assert [w.rows for w in report.windows] == [2, 2, 1]


def test_a_column_of_the_null_type_has_no_values_and_a_note_says_so() -> None:
    log = pa.table({"x": pa.nulls(9), "y": np.arange(9.0)})
    baseline = mw.Baseline.fit(log)
    assert "Column 'x' has no values in the reference, so it is not compared." in baseline.notes
    assert [r.column.name for r in mw.compare(baseline, log).results] == ["y"]


def test_the_page_of_types_has_a_row_for_every_type() -> None:
    text = (Path(__file__).parents[2] / "docs" / "types.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"\| Arrow type .*?\n\n", text, re.DOTALL)
    stated = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}
    tested = {re.split(r"\W", name)[0] for name in (*NUMERIC, *CATEGORICAL)} - {"time"} | {"time32", "time64"}
    assert tested <= stated
    assert {"dictionary", "null", "run_end_encoded", "fixed_size_list", "list", "struct", "map", "union"} <= stated
