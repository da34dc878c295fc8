"""Baseline and profile files from outside: each is refused with InputError, or loads and can be used to the end.

``one_input`` reads an input as a sequence of decisions: which file of ours to begin with, what to change in it, and
whether its hash is made right again. So a fuzzer reaches the code behind the hash, and any bytes are a complete case.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import signal
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import modelwatch_gpu as mw
from modelwatch_gpu.profile import fileio

SCHEMA = pa.schema([("name", pa.string()), ("dtype", pa.string()), ("data", pa.large_binary())])
HASH_KEY = b'"sha256": "'
#: Of this process's own time: longer than any of these small cases may take, however busy the machine is.
MOST_SECONDS = 10
DTYPES = ("|u1", "<u2", "<u4", "<u8", "<i8", "<f8")
ROLES = mw.Roles(timestamp="when", numeric=["i"])
WINDOWS: dict[str, Any] = {"window": "1mo", "segments": ["text"]}
ODD_JSON: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    3,
    255,
    2**31,
    2**32,
    2**53,
    2**62,
    -(2**62),
    2**63,
    2**64,
    -(2**64),
    10**400,
    0.5,
    1e308,
    "",
    "x",
    "fine",
    "coarse",
    "numeric",
    "categorical",
    "window",
    "block",
    "segment",
    "UTC",
    "Nowhere/City",
    "../../etc/passwd",
    "1mo",
    "1min",
    "-1d",
    "99999y",
    "float32",
    "float64",
    "int64",
    "uint64",
    "timestamp[us]",
    "timestamp[fortnight]",
    "time32[ns]",
    "timestamp",
    "score",
    "label",
    "\ud800",
    "\0",
    [],
    [0],
    ["x"],
    [[0]],
    [[0, 0, ""]],
    {},
    {"x": 1},
    {"x": "x"},
)
ODD_NUMBERS = (0, 1, 2, 3, 7, 127, 128, 255, 2**15, 2**16 - 1, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1)

Arrays = dict[str, np.ndarray[Any, Any]]


class Decisions:
    """Bytes as small choices; past their end every answer is 0."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def below(self, bound: int) -> int:
        number = self.byte()
        while bound > 256:
            number = number * 256 + self.byte()
            bound //= 256
        return number % bound if bound <= 256 else number

    def index(self, length: int) -> int:
        return (self.byte() * 65536 + self.byte() * 256 + self.byte()) % length

    def pick(self, items: Any) -> Any:
        return items[self.index(len(items))]


@functools.cache
def originals() -> tuple[tuple[str, bytes], ...]:
    """The sound files that every case begins with: (kind, bytes)."""
    table = usable_log()
    weights = mw.Roles(timestamp="when", numeric=["i"], weight="f")
    return tuple(
        (kind, made.to_bytes())
        for fitted in (
            whole_baseline(),
            mw.Baseline.fit(table, roles=ROLES, exact_up_to=4),
            mw.Baseline.fit(table, roles=weights),
        )
        for kind, made in (
            ("baseline", fitted),
            ("profile", mw.Profile.count(fitted, [table.slice(0, 5), table.slice(3, 4)], **WINDOWS)),
            ("profile", mw.Profile.count(fitted, table)),
            # Values between knots fill buckets and registers; rows are windows; two columns are crossed.
            ("profile", mw.Profile.count(fitted, shifted_log(), window="4rows", segments=[("text", "i")], sample=3)),
        )
    )


@functools.cache
def parsed() -> tuple[tuple[str, tuple[tuple[str, str, bytes], ...]], ...]:
    """Of every original its header as JSON, and its arrays."""
    read = [fileio.from_bytes(raw, kind, "original") for kind, raw in originals()]
    return tuple((json.dumps(h), tuple((n, a.dtype.str, a.tobytes()) for n, a in arrays.items())) for h, arrays in read)


@functools.cache
def shifted_log() -> pa.Table:
    """Other values than the baseline's, in the same columns."""
    table = usable_log()
    numbers = pa.array([0.1 * i - 0.37 for i in range(12)])
    others = {
        "x": numbers,
        "f": pc.abs(numbers).cast("float32"),
        "i": pa.array(range(100, 112)),
        "text": pa.array(list("abcdefghijkl")),
    }
    for name, values in others.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table


@functools.cache
def usable_log() -> pa.Table:
    """Twelve rows with every kind of column."""
    seconds = [1_370_000_000 + 500_000 * i for i in range(11)]
    return pa.table(
        {
            "x": [1.5, 2.5, None, float("nan"), float("inf"), -8.0, 0.0, -0.0, 1e300, 5e-324, 3.0, 4.0],
            "f": pa.array([float(i) / 3 for i in range(12)], pa.float32()),
            "i": [2**53 + 1, -5, 7, 9, 11, 13, None, 17, 19, 23, 29, 31],
            "text": ["a", "b", "a", "", "b", "b", "a", None, "ü", "a", "a", "b"],
            "when": pa.array([*seconds, None], pa.timestamp("s", "UTC")),
        }
    )


@functools.cache
def whole_baseline() -> mw.Baseline:
    return mw.Baseline.fit(usable_log(), roles=mw.Roles(timestamp="when", numeric=["i"]))


def sealed(header: dict[str, Any], arrays: list[tuple[str, str, bytes]]) -> bytes:
    """A file with this header and these arrays, and a hash that is right for them."""
    full = {"sha256": "0" * 64, **{k: v for k, v in header.items() if k != "sha256"}}
    rows = [("header", "json", json.dumps(full).encode()), *arrays]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_table(pa.table([list(column) for column in zip(*rows, strict=True)], schema=SCHEMA))
    return rehashed(sink.getvalue().to_pybytes())


def rehashed(raw: bytes) -> bytes:
    """The same file with the hash that it should have, where it still has a place for one."""
    at = raw.find(HASH_KEY)
    if at < 0:
        return raw
    at += len(HASH_KEY)
    made = bytearray(raw)
    made[at : at + 64] = b"0" * len(made[at : at + 64])
    made[at : at + 64] = hashlib.sha256(made).hexdigest().encode()[: len(made[at : at + 64])]
    return bytes(made)


def one_input(data: bytes) -> bool:
    """Runs one case; True where the file was accepted. Whatever is no InputError is a finding and is raised."""
    choose = Decisions(data)
    original = choose.index(len(originals()))
    kind, raw = originals()[original]
    way = choose.below(16)
    if way == 0:
        return accepted(kind, flipped(choose, raw))
    if way <= 2:
        return accepted(kind, rehashed(flipped(choose, raw)))
    text, arrays = parsed()[original]
    header = json.loads(text)
    rows = [list(row) for row in arrays]
    for _ in range(1 + choose.below(4)):
        (change_array if choose.below(2) and rows else change_json)(choose, header, rows)
    if way == 3:
        try:
            return accepted(kind, sealed(header, [(n, d, c) for n, d, c in rows]))
        except (UnicodeEncodeError, RecursionError):  # what cannot be written cannot be in a file
            return False
    # As from_bytes hands them on, without the way through a file.
    whole = [(n, d, c) for n, d, c in rows if d in DTYPES and len(c) % np.dtype(d).itemsize == 0]
    return loads(kind, lambda: (header, {n: np.frombuffer(c, dtype=np.dtype(d)) for n, d, c in whole}))


def flipped(choose: Decisions, raw: bytes) -> bytes:
    made = bytearray(raw)
    for _ in range(1 + choose.below(3)):
        at = choose.index(len(made))
        what = choose.below(4)
        if what == 0:
            made[at] ^= 1 << choose.below(8)
        elif what == 1:
            made[at] = choose.byte()
        elif what == 2:
            del made[at : at + 1 + choose.below(16)]
        else:
            made[at:at] = bytes(choose.byte() for _ in range(1 + choose.below(8)))
        if not made:
            return b""
    return bytes(made)


def change_json(choose: Decisions, header: dict[str, Any], rows: list[list[Any]]) -> None:
    """Goes down some way into the header, and replaces, drops, doubles or nests what is there."""
    at: Any = header
    while True:
        names = list(at) if isinstance(at, dict) else range(len(at))
        if not names:
            return
        name = choose.pick(names)
        if name in ("format", "kind", "library", "sha256") and at is header:
            return
        if isinstance(at[name], (dict, list)) and at[name] and choose.below(5):
            at = at[name]
            continue
        break
    what = choose.below(8)
    if what == 0:
        del at[name]
    elif what == 1 and isinstance(at, list):
        at.insert(name, at[name])
    elif what == 2 and isinstance(at, list):
        other = choose.index(len(at))
        at[name], at[other] = at[other], at[name]
    elif what == 3 and type(at[name]) is int:
        at[name] += choose.pick((-1, 1, 1000, -(2**40), 2**40))
    elif what == 4:
        for _ in range(choose.pick((1, 3, 2000))):
            at[name] = [at[name]]
    else:
        at[name] = json.loads(json.dumps(choose.pick(ODD_JSON)))


def change_array(choose: Decisions, header: dict[str, Any], rows: list[list[Any]]) -> None:
    """Another length, type or name, or other numbers in one array."""
    row = choose.pick(rows)
    array = (
        np.frombuffer(row[2], dtype=np.dtype(row[1])).copy() if len(row[2]) % np.dtype(row[1]).itemsize == 0 else None
    )
    what = choose.below(10)
    if what == 0:
        rows.remove(row)
    elif what == 1:
        row[1] = choose.pick(DTYPES)
    elif what == 2:
        row[0] = choose.pick(rows)[0]
    elif what == 3:
        row[2] = choose.pick(rows)[2]
    elif what == 4:
        row[2] = row[2][: choose.index(len(row[2]) + 1)]
    elif array is None or not len(array):
        row[2] = bytes(choose.byte() for _ in range(choose.below(24)))
    elif what == 5:
        row[2] = np.append(array, array[choose.index(len(array))]).tobytes()
    elif what == 6:
        row[2] = array[::-1].tobytes()
    elif what == 7:
        a, b = choose.index(len(array)), choose.index(len(array))
        array[[a, b]] = array[[b, a]]
        row[2] = array.tobytes()
    else:
        wide = array.astype("<f8" if row[1] == "<f8" else "<u8")
        number = choose.pick(ODD_NUMBERS)
        wide[choose.index(len(wide))] = choose.pick((number, np.nan, np.inf, -1.0)) if row[1] == "<f8" else number
        row[1], row[2] = wide.dtype.str, wide.tobytes()


def accepted(kind: str, raw: bytes) -> bool:
    """Whether a file's bytes are accepted; what does not even pass the hash ends here."""
    return loads(kind, lambda: fileio.from_bytes(raw, kind, "case"))


def loads(kind: str, read: Callable[[], tuple[dict[str, Any], Any]]) -> bool:
    """Loads what ``read`` gives and uses it: compare, write, merge. InputError may end it anywhere."""
    try:
        with (
            in_time(),
            warnings.catch_warnings(),
            mock.patch.object(fileio, "read_file", side_effect=lambda path, of: read()),
        ):
            warnings.simplefilter("ignore", RuntimeWarning)  # overflow to infinity in absurd moments
            if kind == "baseline":
                use_baseline(mw.Baseline.load("case"))
            else:
                use_profile(mw.Profile.load("case"))
    except mw.InputError as error:
        if not str(error):
            raise AssertionError("a refusal says why") from error
        return False
    return True


def use_baseline(baseline: mw.Baseline) -> None:
    assert (
        mw.Baseline._from_file(*fileio.from_bytes(baseline.to_bytes(), "baseline", "again")).to_bytes()
        == baseline.to_bytes()
    )
    report = mw.compare(baseline, usable_log(), window="1mo" if baseline.timestamp == "when" else None)
    json.loads(report.to_json())
    report.to_html()


def use_profile(profile: mw.Profile) -> None:
    raw = profile.to_bytes()
    assert fileio.from_bytes(raw, "profile", "again")
    profile.merged()
    (profile + profile).merged()
    refusals = []
    for baseline in baselines():
        try:
            profile.check_fits(baseline)
        except mw.InputError as error:
            refusals.append(error)
            continue
        object.__setattr__(profile, "baseline", baseline.fingerprint)
        json.loads(mw.compare(baseline, profile).to_json())
        return
    raise refusals[0]


@functools.cache
def baselines() -> tuple[mw.Baseline, ...]:
    return tuple(
        mw.Baseline._from_file(*fileio.from_bytes(raw, "baseline", "original"))
        for kind, raw in originals()
        if kind == "baseline"
    )


class TooSlow(BaseException):
    """A case took longer than MOST_SECONDS."""


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    def late(*_: Any) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
