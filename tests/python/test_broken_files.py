"""Baseline and profile files that somebody broke on purpose: refused in a sentence, or usable to the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import modelwatch_gpu as mw
from modelwatch_gpu.profile import fileio

FUZZ = Path(__file__).parents[1] / "fuzz"
sys.path.insert(0, str(FUZZ))
import file_target  # noqa: E402


@pytest.fixture(scope="module")
def small() -> dict[str, bytes]:
    """The smallest file of each kind."""
    table = pa.table({"x": [1.5, 2.5, None], "t": ["a", "b", "a"]})
    baseline = mw.Baseline.fit(table)
    return {"baseline": baseline.to_bytes(), "profile": mw.Profile.count(baseline, table).to_bytes()}


@pytest.mark.parametrize("kind", ["baseline", "profile"])
def test_a_flip_of_any_single_byte_is_noticed(kind: str, small: dict[str, bytes]) -> None:
    raw = small[kind]
    made = bytearray(raw)
    for at in range(len(raw)):
        made[at] ^= 1 + at % 255
        with pytest.raises(mw.InputError):
            fileio.from_bytes(bytes(made), kind, "flipped")
        made[at] = raw[at]
    assert fileio.from_bytes(bytes(made), kind, "whole")


@pytest.mark.parametrize("kind", ["baseline", "profile"])
def test_a_file_cut_at_any_length_is_refused_even_with_a_hash_that_fits(kind: str, small: dict[str, bytes]) -> None:
    raw = small[kind]
    whole = fileio.from_bytes(raw, kind, "whole")[1]
    for length in range(0, len(raw), 41):
        cut = file_target.rehashed(raw[:length])
        try:
            arrays = fileio.from_bytes(cut, kind, "cut")[1]
        except mw.InputError:
            continue
        # Only the footer was cut off, which repeats what the file has said.
        assert {n: a.tobytes() for n, a in arrays.items()} == {n: a.tobytes() for n, a in whole.items()}


def kept_inputs() -> list[Path]:
    return sorted((FUZZ / "corpus" / "files").iterdir())


@pytest.mark.parametrize("path", kept_inputs(), ids=lambda p: p.name[:12])
def test_an_input_that_once_broke_the_loader_no_longer_does(path: Path) -> None:
    file_target.one_input(path.read_bytes())


def test_random_changes_behind_a_hash_that_fits_are_refused_or_usable() -> None:
    rng = np.random.default_rng(17)
    accepted = sum(file_target.one_input(rng.bytes(int(rng.integers(4, 60)))) for _ in range(250))
    assert 0 < accepted < 250  # both ends were reached


Change = Callable[[dict[str, Any], dict[str, Any]], Any]


def first_array(arrays: dict[str, Any], ends: str) -> str:
    return next(name for name in sorted(arrays) if name.endswith(ends))


def put(ends: str, values: Callable[[Any], Any]) -> Change:
    """Replaces the first array whose name ends so."""

    def change(header: dict[str, Any], arrays: dict[str, Any]) -> None:
        name = first_array(arrays, ends)
        arrays[name] = values(arrays[name])

    return change


def part_of(header: dict[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = header["part"] if "part" in header else header["parts"][0]
    return part


BOTH: dict[str, Change] = {
    "groups out of order": put("/cell_group", lambda a: np.append(a[1:], a[:1]) + np.arange(len(a), 0, -1, dtype="u1")),
    "a group that is not there": put("/cell_group", lambda a: np.full_like(a, 200)),
    "a range of a group that is not there": put("/range_group", lambda a: np.full_like(a, 200)),
    "a cell twice": put("/cell", lambda a: np.zeros_like(a)),
    "counts that overflow when added": put("/count", lambda a: np.full(len(a), 2**63, "<u8")),
    "counts below zero": put("/count", lambda a: np.full(len(a), -1, "<i8")),
    "counts that are no whole numbers": put("/count", lambda a: np.full(len(a), 0.5)),
    "rows that overflow when added": put("rows/window", lambda a: np.full(len(a), 2**64 - 1, "<u8")),
    "moments of a file that is not there": put("/moment_origin", lambda a: np.full_like(a, 9)),
    "a tail sum of no bytes": put("/tail_size", lambda a: np.append(a, np.array([0, 0], a.dtype))),
    "unseen values out of order": put("/unseen_size", lambda a: np.append(a, np.array([0, 0], a.dtype))),
    "rows below zero": lambda h, a: part_of(h).update(rows=-1),
    "rows as text": lambda h, a: part_of(h).update(rows="12"),
    "more rows than any log": lambda h, a: part_of(h).update(rows=2**60),
    "a span that ends before it begins": lambda h, a: part_of(h).update(span=[2, 1]),
    "a group key of another shape": lambda h, a: part_of(h)["groups"].update(window=[["x"]]),
    "a table twice": lambda h, a: part_of(h)["tables"].append(part_of(h)["tables"][0]),
    "a list for an object": lambda h, a: part_of(h).update(groups=[]),
    "a lone surrogate": lambda h, a: part_of(h).update(new=["\ud800"]),
    "origins out of order": lambda h, a: part_of(h).update(origins=["b", "a"]),
}
BASELINE: dict[str, Change] = {
    "a column twice": lambda h, a: h["columns"][1].update(name=h["columns"][0]["name"]),
    "an unknown domain": lambda h, a: h["columns"][0].update(domain="complex"),
    "a pivot that is no key": lambda h, a: h["columns"][0].update(pivot=2**64),
    "knots out of order": put("/knots", lambda a: a[::-1]),
    "a coarse grid out of order": put("/coarse", lambda a: a[::-1]),
    "categories out of order": put("/bytes", lambda a: a[::-1]),
    "a category kept twice": put("/kept", lambda a: np.zeros_like(a)),
    "deciles that are no numbers": put("/deciles", lambda a: np.full_like(a, np.nan)),
    "a range outside its type": put("/high", lambda a: np.full(len(a), 2**64 - 1, "<u8")),
    "no counts of its own": lambda h, a: part_of(h).update(tables=[]),
    "a derived column without a role": lambda h, a: h.update(derived=[{"name": "?", "inputs": [], "source": ""}]),
    "derived columns in another shape": lambda h, a: h.update(derived={"x": 1}),
    "a derived column without inputs": lambda h, a: h.update(derived=[{"name": "x", "source": ""}]),
}
PROFILE: dict[str, Change] = {
    "a derived column twice": lambda h, a: h.update(derived=[{"name": "x", "inputs": ["y"], "source": ""}] * 2),
    "a derived column from numbers": lambda h, a: h.update(derived=[{"name": "x", "inputs": [1], "source": ""}]),
    "a grid that does not exist": lambda h, a: h["sets"][0].update(grid="finest"),
    "a set twice": lambda h, a: h["sets"].append(h["sets"][0]),
    "segments without a set": lambda h, a: h.update(segments=["t"]),
    "a cap below zero": lambda h, a: h.update(segment_cap=-1),
    "groups of a set that is not there": lambda h, a: h["sets"].clear(),
}


@pytest.mark.parametrize(
    ("kind", "what"),
    [(kind, what) for kind, own in (("baseline", BASELINE), ("profile", PROFILE)) for what in [*BOTH, *own]],
)
def test_a_well_sealed_lie_is_refused_by_name(kind: str, what: str, small: dict[str, bytes], tmp_path: Path) -> None:
    header, arrays = fileio.from_bytes(small[kind], kind, "made here")
    {**BOTH, **BASELINE, **PROFILE}[what](header, arrays)
    path = tmp_path / "lie"
    path.write_bytes(file_target.sealed(header, [(n, a.dtype.str, a.tobytes()) for n, a in arrays.items()]))
    with pytest.raises(mw.InputError, match=r"lie: the \w+ does not fit together \(.+\); (fit|count) it again"):
        (mw.Baseline if kind == "baseline" else mw.Profile).load(path)


def rows_of(raw: bytes) -> list[tuple[str, str, bytes]]:
    header, arrays = fileio.from_bytes(raw, "baseline", "made here")
    return [
        ("header", "json", json.dumps(header).encode()),
        *((n, a.dtype.str, a.tobytes()) for n, a in arrays.items()),
    ]


def written(rows: list[tuple[Any, Any, Any]], **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, file_target.SCHEMA, **options) as writer:
        writer.write_table(pa.table([list(c) for c in zip(*rows, strict=True)], schema=file_target.SCHEMA))
    return file_target.rehashed(sink.getvalue().to_pybytes())


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_file_that_would_grow_when_it_is_read_is_refused(codec: str, small: dict[str, bytes]) -> None:
    rows = [*rows_of(small["baseline"]), ("bomb", "|u1", bytes(1 << 20))]
    assert fileio.from_bytes(written(rows), "baseline", "plain")
    packed = written(rows, options=pa.ipc.IpcWriteOptions(compression=codec))
    if file_target.HASH_KEY in packed:  # the header itself may have been packed away
        assert len(packed) < 100_000
    with pytest.raises(mw.InputError, match="bomb: not a modelwatch baseline file"):
        fileio.from_bytes(packed, "baseline", "bomb")


@pytest.mark.parametrize(
    "header",
    [
        b'{"sha256": "%s", "format": 1, "kind": "baseline", "notes": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"sha256": "%s", "format": 1, "kind": "baseline", "x": ' + b"9" * 10_000 + b"}",
        b'{"sha256": "%s", "format": 1, "kind": "baseline", "x": NaN}',
        b'{"sha256": "%s", "format": Infinity, "kind": "baseline"}',
        b'["sha256": "%s"]',
        b'[{"sha256": "%s"}]',
        b'{"sha256": "%s"',
        b'\xff{"sha256": "%s"}',
    ],
    ids=["deep", "a long number", "NaN", "Infinity", "no JSON", "a list", "cut", "no text"],
)
def test_a_header_that_is_no_honest_json_is_refused(header: bytes) -> None:
    raw = written([("header", "json", header.replace(b"%s", b"0" * 64))])
    with pytest.raises(mw.InputError, match="odd: not a modelwatch baseline file"):
        fileio.from_bytes(raw, "baseline", "odd")


def test_names_twice_rows_without_a_name_and_other_schemas_are_refused(small: dict[str, bytes]) -> None:
    rows: list[tuple[Any, Any, Any]] = list(rows_of(small["baseline"]))
    for made in (
        written([*rows, rows[-1]]),
        written([*rows, (None, "|u1", b"")]),
        written([*rows, ("x", "|u1", None)]),
    ):
        with pytest.raises(mw.InputError, match="odd: "):
            fileio.from_bytes(made, "baseline", "odd")
    table = pa.table([pa.array(c) for c in zip(*rows, strict=True)], names=["name", "dtype", "data"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(mw.InputError, match="odd: not a modelwatch baseline file"):
        fileio.from_bytes(file_target.rehashed(sink.getvalue().to_pybytes()), "baseline", "odd")


def test_windows_of_a_minute_over_a_thousand_years_are_listed_in_no_time(small: dict[str, bytes]) -> None:
    # Two stray timestamps must not make a list of half a billion windows between them.
    when = pa.array([-30_000_000_000, 30_000_000_000], pa.timestamp("s", "UTC"))
    table = pa.table({"x": [1.0, 2.0], "when": when})
    baseline = mw.Baseline.fit(table, roles=mw.Roles(timestamp="when"))
    years = [
        mw.Profile.count(baseline, table.slice(i, 1), window="1min", timezone="America/New_York") for i in range(2)
    ]
    report = mw.compare(baseline, years[0] + years[1])
    assert [w.rows for w in report.windows] == [1, 1]
