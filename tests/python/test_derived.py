"""Derived columns: a function of a row counts as the column that NumPy would compute and store."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from state_makers import log

import modelwatch_gpu as mw
from modelwatch_gpu.log import open_log, with_derived

pytest.importorskip("numba", reason="numba is not installed")

RATE = 1.5
WEIGHTS = np.array([1.0, 2.0])


@mw.derived
def margin(price: float, cost: float) -> float:
    """What is left of the price."""
    return (price - cost) / price


@mw.derived
def doubled(x):  # type: ignore[no-untyped-def]
    return x + x


@mw.derived(columns={"number": "whole"})
def parity(number) -> bool:  # type: ignore[no-untyped-def]
    return number % 2 == 0


@mw.derived
def spread(x: float, small: float) -> float:
    return scaled(x) - small * WEIGHTS[1]


def scaled(x: float) -> float:
    return x * RATE


@mw.derived
def hour(when: int) -> int:
    return when // 3600 % 24


ROLES = mw.Roles(timestamp="when", numeric=["whole"])


def column(table: Any, *derived: mw.Derived) -> pa.ChunkedArray:
    """The last derived column of a log in memory."""
    made = with_derived(open_log(table), derived)
    batches = [batch for file in made.files for batch in file.batches([derived[-1].name])]
    for batch in batches:
        batch.validate(full=True)
    return pa.chunked_array([batch.column(0) for batch in batches], made.schema.field(derived[-1].name).type)


# ---- values ----------------------------------------------------------------------------------------------------------

HARD = [0.0, -0.0, 1.0, -1.0, 5e-324, -2.2e-308, 1.7976931348623157e308, np.inf, -np.inf, np.nan, 0.1, 3.0]


@pytest.mark.parametrize("kind", ["float64", "float32"])
def test_every_pair_of_hard_floats_gives_the_bits_that_numpy_gives(kind: str) -> None:
    with np.errstate(all="ignore"):
        price, cost = (side.ravel().astype(kind) for side in np.meshgrid(HARD, HARD))
    found = column(pa.table({"price": price, "cost": cost}), margin)
    with np.errstate(all="ignore"):
        wanted = (price.astype("f8") - cost.astype("f8")) / price.astype("f8")
    assert found.type == pa.float64()
    assert found.to_numpy().view("u8")[~np.isnan(wanted)].tolist() == wanted.view("u8")[~np.isnan(wanted)].tolist()
    assert np.isnan(found.to_numpy()[np.isnan(wanted)]).all()
    twice = column(pa.table({"x": price}), doubled)
    with np.errstate(all="ignore"):
        assert np.array_equal(twice.to_numpy(), price + price, equal_nan=True)
    assert twice.type == pa.array(price).type


def test_a_margin_worked_out_by_hand() -> None:
    table = pa.table({"price": [4, 10, 0, None, 8], "cost": [3.0, 12.0, 2.0, 1.0, None]})
    assert column(table, margin).to_pylist() == [0.25, -0.2, -math.inf, None, None]
    assert margin(4, 3) == 0.25
    assert repr(margin) == "Derived('margin' from price, cost)"


def test_whole_numbers_stay_whole_beyond_what_a_float_can_tell_apart() -> None:
    numbers = [2**62 - 1, 2**53 + 1, -(2**61), None, 7]
    found = column(pa.table({"x": pa.array(numbers, pa.int64())}), doubled)
    assert found.type == pa.int64()
    assert found.to_pylist() == [None if v is None else 2 * v for v in numbers]


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 5000])
@pytest.mark.parametrize("nulls", [0.0, 0.3, 1.0])
def test_nulls_slices_and_chunks_of_any_length(rows: int, nulls: float) -> None:
    rng = np.random.default_rng(rows)
    whole = rows + 5

    def some(values: Any, share: float) -> pa.Array:
        return pa.array(values, mask=rng.random(whole) < share)

    table = pa.table({"price": some(rng.random(whole), nulls), "cost": some(rng.integers(0, 9, whole), nulls / 2)})
    pieces = pa.concat_tables([table.slice(3, rows // 3), table.slice(3 + rows // 3, rows - rows // 3)])
    wanted = [
        None if p is None or c is None else (p - c) / p for p, c in zip(*pieces.to_pydict().values(), strict=True)
    ]
    assert column(pieces, margin).to_pylist() == wanted
    flags = pa.table({"whole": pieces["cost"]})
    assert column(flags, parity).to_pylist() == [None if c is None else c % 2 == 0 for c in flags["whole"].to_pylist()]


def test_inputs_of_every_type_that_is_a_number_or_a_time() -> None:
    @mw.derived(name="y")
    def itself(x):  # type: ignore[no-untyped-def]
        return x

    @mw.derived(name="y")
    def as_float(x: float) -> float:
        return x

    @mw.derived(name="y")
    def as_int(x: int) -> int:
        return x

    day = pa.array([0, 19_000, None], pa.int32()).cast(pa.date32())
    for array, wanted, kind in [
        (pa.array([1, -2, None], pa.int8()), [1, -2, None], "int8"),
        (pa.array([1, 2**64 - 1, None], pa.uint64()), [1, 2**64 - 1, None], "uint64"),
        (pa.array([0.5, None, -1.0], pa.float16()), [0.5, None, -1.0], "float"),
        (pa.array([Decimal("1.25"), None, Decimal("-3.50")]), [1.25, None, -3.5], "double"),
        (pa.array([1.5, 2.5, None]).dictionary_encode(), [1.5, 2.5, None], "double"),
        (pa.array([True, None, False]), [True, None, False], "bool"),
        (day, [0, 19_000, None], "int64"),
        (day.cast(pa.date64()), [0, 19_000 * 86_400_000, None], "int64"),
        (day.cast(pa.timestamp("ms", "UTC")), [0, 19_000 * 86_400_000, None], "int64"),
        (pa.array([3, None, 86_399], pa.int32()).cast(pa.time32("s")), [3, None, 86_399], "int64"),
        (pa.array([3, None, -4]).cast(pa.duration("us")), [3, None, -4], "int64"),
    ]:
        found = column(pa.table({"x": array}), itself)
        assert (found.to_pylist(), str(found.type)) == (wanted, kind)
    assert column(pa.table({"x": pa.nulls(3)}), as_float).to_pylist() == [None] * 3
    assert column(pa.table({"x": [2**53 + 1]}), as_float).to_pylist() == [float(2**53 + 1)]
    assert column(pa.table({"x": pa.array([5], pa.uint64())}), as_int).type == pa.int64()
    with pytest.raises(mw.InputError, match="<table>: a value of column 'x' is not exact as int64"):
        column(pa.table({"x": pa.array([2**63], pa.uint64())}), as_int)


def test_nan_for_null_where_that_is_asked_for() -> None:
    @mw.derived(nulls="nan", name="filled")
    def fill(x, y) -> float:  # type: ignore[no-untyped-def]
        return y if np.isnan(x) else x

    table = pa.table({"x": pa.array([1, None, 3, None]), "y": pa.array([9.0, 8.0, None, None], pa.float32())})
    found = column(table, fill)
    assert found.null_count == 0
    assert np.array_equal(found.to_numpy(), [1.0, 8.0, 3.0, np.nan], equal_nan=True)


def test_none_is_null() -> None:
    @mw.derived
    def root(x: float, y: float) -> float | None:
        if x < 0:
            return None
        return math.sqrt(x) + y

    table = pa.table({"x": [4.0, -1.0, None, 9.0, np.nan], "y": [1.0, 1.0, 1.0, None, 1.0]})
    found = column(table, root).to_pylist()
    assert found[:4] == [3.0, None, None, None]
    assert math.isnan(found[4])


def test_whole_numbers_divided_by_zero_raise_nothing() -> None:
    @mw.derived(name="y")
    def over(x: int, by: int) -> int:
        return x // by + x % by

    @mw.derived(name="z")
    def ratio(x: int, by: int) -> float:
        return x / by

    table = pa.table({"x": [5, -7, 0], "by": [0, 2, 0]})
    assert column(table, over).to_pylist() == [0, -4 + 1, 0]
    assert column(table, ratio).to_pylist()[:2] == [math.inf, -3.5]


def test_a_derived_column_may_read_those_before_it() -> None:
    @mw.derived
    def percent(margin):  # type: ignore[no-untyped-def]
        return 100 * margin

    table = pa.table({"price": [4.0, 5.0], "cost": [3.0, 5.0]})
    assert column(table, margin, percent).to_pylist() == [25.0, 0.0]
    with pytest.raises(mw.InputError, match="reads the column 'margin', which <table> does not have"):
        column(table, percent, margin)


# ---- counting --------------------------------------------------------------------------------------------------------


def stored(table: pa.Table) -> pa.Table:
    """The log with what the functions give in columns of its own."""
    for one in (spread, parity, hour):
        table = table.append_column(one.name, column(table, one))
    return table


ALL = [spread, parity, hour]


def test_a_baseline_with_derived_columns_is_that_of_the_log_that_stores_them(tmp_path: Path) -> None:
    table = log(3000, 1)
    derived = mw.Baseline.fit(table, roles=ROLES, derived=ALL)
    assert replace(derived, derived=()).to_bytes() == mw.Baseline.fit(stored(table), roles=ROLES).to_bytes()
    derived.save(tmp_path / "b.mwb")
    again = mw.Baseline.load(tmp_path / "b.mwb")
    assert again.to_bytes() == derived.to_bytes()
    assert [(d.name, d.inputs) for d in again.derived] == [
        ("spread", ("x", "small")), ("parity", ("whole",)), ("hour", ("when",))
    ]  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2])
def test_windows_and_segments_of_derived_columns_count_to_the_bytes_of_stored_ones(
    tmp_path: Path, threads: int
) -> None:
    baseline = mw.Baseline.fit(log(2000, 0), roles=ROLES, derived=ALL)
    plain = replace(baseline, derived=())
    files = []
    for i in range(2):
        pq.write_table(log(3000, i + 1), tmp_path / f"{i}.parquet", row_group_size=1024)
        files.append(tmp_path / f"{i}.parquet")
    options: dict[str, Any] = {"window": "1mo", "segments": ["parity", ("hour", "text")], "threads": threads}
    found = mw.Profile.count(baseline, files, derived=ALL, **options)
    wanted = mw.Profile.count(plain, [stored(pq.read_table(path)) for path in files], **options)
    assert found.rows == 6000
    assert [p.rows for p in found.parts] == [3000, 3000]
    for mine, theirs in zip(found.parts, wanted.parts, strict=True):
        assert mine.groups == theirs.groups
    merged, other = found.merged(), wanted.merged()
    assert merged is not None
    assert other is not None
    for key, table in merged.tables.items():
        own, its = table.arrays(), other.tables[key].arrays()
        assert all(np.array_equal(own[n], its[n], equal_nan=True) for n in own if "moment" not in n), key


def test_a_live_profile_computes_them_too(tmp_path: Path) -> None:
    baseline = mw.Baseline.fit(log(2000, 0), roles=ROLES, derived=ALL)
    table = log(900, 1)
    live = mw.LiveProfile(baseline, window="1mo", derived=ALL)
    for batch in table.to_batches(max_chunksize=100):
        live.add(batch)
    chunks = pa.Table.from_batches(table.to_batches(max_chunksize=100))
    wanted = mw.Profile.count(baseline, chunks, window="1mo", derived=ALL)
    assert live.profile().to_bytes() == wanted.to_bytes()


def test_only_the_columns_that_are_read_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = log(500, 0)
    pq.write_table(table, tmp_path / "log.parquet")
    asked: list[list[str]] = []
    file = with_derived(open_log(tmp_path / "log.parquet"), [spread]).files[0]
    inner = file._file._batches  # type: ignore[attr-defined]
    monkeypatch.setattr(file._file, "_batches", lambda columns: asked.append(columns) or inner(columns))  # type: ignore[attr-defined]
    assert sum(len(b) for b in file.batches(["spread"])) == 500
    assert sum(len(b) for b in file.batches(["text", "spread", "x"])) == 500
    assert asked == [["x", "small"], ["text", "x", "small"]]


def test_a_report_judges_a_derived_column_as_any_other() -> None:
    table = pa.table({"price": np.linspace(1, 2, 400), "cost": np.linspace(1, 2, 400) * 0.5})
    dearer = table.set_column(1, "cost", pa.array(table["cost"].to_numpy() + 0.4))
    report = mw.compare(table, dearer, derived=[margin])
    (finding,) = [f for f in report.findings if f.column == "margin" and f.check == "ks"]
    assert (finding.severity, finding.value) == ("alert", 1.0)
    assert mw.compare(table, table, derived=margin).ok
    baseline = mw.Baseline.fit(table, derived=[margin])
    assert mw.compare(baseline, mw.Profile.count(baseline, dearer, derived=[margin])).findings[0].column == "margin"


# ---- what a baseline remembers ---------------------------------------------------------------------------------------


def test_a_baseline_asks_for_the_functions_it_was_fitted_with() -> None:
    table = log(300, 0)
    baseline = mw.Baseline.fit(table, roles=ROLES, derived=ALL)
    for call in (mw.compare, mw.Profile.count):
        with pytest.raises(mw.InputError) as caught:
            call(baseline, table, derived=[parity, hour])  # type: ignore[operator]
        assert str(caught.value) == (
            "Column 'spread' of the baseline is derived from x, small; pass its function too, derived=[spread] "
            "(--derived FILE:spread)."
        )
    with pytest.raises(mw.InputError, match="Column 'spread' of the baseline is derived"):
        mw.LiveProfile(baseline)


def made(body: str, tmp_path: Path, name: str) -> mw.Derived:
    """A derived column from a module of its own."""
    path = tmp_path / f"{name}.py"
    path.write_text(f"import modelwatch_gpu as mw\nK = 2.0\nOTHER = 1.0\n{body}")
    space: dict[str, Any] = {"__name__": name, "__file__": str(path)}
    exec(compile(path.read_text(), str(path), "exec"), space)
    return space["f"]  # type: ignore[no-any-return]


def test_a_function_is_the_same_while_what_it_computes_reads_the_same(tmp_path: Path) -> None:
    texts = {
        "one": "@mw.derived\ndef f(x: float) -> float:\n    return x * K\n",
        "same": "@mw.derived(name='f')\ndef f(x: float)->float:\n    '''Doc.'''\n    # more\n    return x*K  # more\n",
        "constant": "K = 3.0\n@mw.derived\ndef f(x: float) -> float:\n    return x * K\n",
        "text": "@mw.derived\ndef f(x: float) -> float:\n    return x * K + 1\n",
        "nulls": "@mw.derived(nulls='nan')\ndef f(x: float) -> float:\n    return x * K\n",
        "input": "@mw.derived(columns={'x': 'small'})\ndef f(x: float) -> float:\n    return x * K\n",
        "helper": "def K(): return 2.0\n@mw.derived\ndef f(x: float) -> float:\n    return x * K()\n",
    }
    functions = {name: made(text, tmp_path, name) for name, text in texts.items()}
    definitions = {name: f.definition for name, f in functions.items()}
    assert definitions["one"] == definitions["same"]
    assert len(set(definitions.values())) == len(texts) - 1
    other_helper = made(texts["helper"].replace("return 2.0", "return 4.0"), tmp_path, "helper2")
    assert other_helper.definition != definitions["helper"]
    baseline = mw.Baseline.fit(log(300, 0), roles=ROLES, derived=[functions["one"]])
    assert mw.compare(baseline, log(300, 0), derived=[functions["same"]]).rows == 300
    for name in ("constant", "text", "nulls", "input"):
        with pytest.raises(mw.InputError, match=r"The function of the derived column 'f' \(from x\) is not the one"):
            mw.compare(baseline, log(300, 0), derived=[functions[name]])


def test_a_column_that_only_segments_are_cut_by_is_remembered_by_the_profile(tmp_path: Path) -> None:
    one = made("@mw.derived\ndef f(when: int) -> int:\n    return when % 3\n", tmp_path, "a")
    other = made("@mw.derived\ndef f(when: int) -> int:\n    return when % 4\n", tmp_path, "b")
    baseline = mw.Baseline.fit(log(300, 0), roles=ROLES)
    first, again = (mw.Profile.count(baseline, log(200, i), segments=["f"], derived=[one]) for i in (1, 2))
    assert {key[2] for key in first.parts[0].groups["segment:f"]} == {"0", "1", "2", ""}
    (first + again).save(tmp_path / "p.mwp")
    assert mw.Profile.load(tmp_path / "p.mwp").to_bytes() == (again + first).to_bytes()
    with pytest.raises(mw.InputError, match="different derived columns"):
        first + mw.Profile.count(baseline, log(200, 3), segments=["f"], derived=[other])


def test_files_without_derived_columns_keep_their_format(tmp_path: Path) -> None:
    baseline = mw.Baseline.fit(log(50, 0), roles=ROLES)
    assert b'"format": 1,' in baseline.to_bytes()
    assert b'"format": 3,' in mw.Baseline.fit(log(50, 0), roles=ROLES, derived=[spread]).to_bytes()


# ---- production that differs -----------------------------------------------------------------------------------------


def test_a_log_that_lacks_an_input_lacks_the_column_and_the_rest_is_compared() -> None:
    table = pa.table({"price": np.linspace(1, 2, 100), "cost": np.linspace(0, 1, 100), "other": np.arange(100.0)})
    baseline = mw.Baseline.fit(table, derived=[margin])
    report = mw.compare(baseline, table.drop_columns(["cost"]), derived=[margin])
    said = {f.column: f.reason for f in report.findings if f.severity == "alert"}
    assert {"cost", "margin"} <= said.keys()
    assert "other" not in said
    text = table.set_column(1, "cost", pa.array(["a"] * 100))
    report = mw.compare(baseline, text, derived=[margin])
    assert any("Column 'margin' is struct<price: double, cost: string> in the log" in note for note in report.notes)
    assert all(f.severity == "ok" for f in report.findings if f.column in ("price", "other"))
