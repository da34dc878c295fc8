"""Labels that come late: kept by id in a folder, and put beside the rows of a log while it is read.

What is kept of an id is the label with the latest time, whatever the order in which label files come. Two labels of one
id and one time contradict each other, and then there is none. Both are the least upper bounds of a semilattice, so any
order, repetition and split of label files ends in the same state. Keys are 128 bits of hashes of the id, 33 bytes an id
in all, in files that are sorted by them; adding works through a part of the keys at a time, so memory stays bounded.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .. import _core
from ..errors import InputError, OutputError
from ..plain import plain_array, plain_type
from .files import LogFile, ticks_of
from .sources import open_log

UInt64 = npt.NDArray[np.uint64]

#: Ids whose labels are put in order at a time: some 150 MB.
PART_IDS: Final = 1 << 21
#: So many new labels are kept in memory before they are written, some 17 MB.
_FEW: Final = 1 << 19
#: The first bits of a key, by which new labels are split before they are put in order.
_SPLIT_BITS: Final = 8
_FORMAT: Final = 1
#: Fields of the index, each a file: two halves of the key, time in nanoseconds, label, and flags.
_FIELDS: Final = {"first": "<u8", "second": "<u8", "time": "<i8", "value": "<i8", "flags": "|u1"}
_RECORD: Final = np.dtype([(name, kind) for name, kind in _FIELDS.items()])
#: Flags: the latest labels contradict each other; an earlier label was another one.
CONFLICT, _CORRECTED = 1, 2
_NO_TIME: Final = -(2**63)
_PER_SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True)
class LabelCounts:
    """What the label files held. ``events``: rows with an id and a label; ``ids``: different ids among them.
    ``repeated``: events beyond the first of their id. ``corrected``: ids whose latest label differs from an earlier
    one. ``conflicting``: ids whose latest labels contradict each other, so they have none. ``without_id``,
    ``without_label``: rows that say nothing."""

    events: int
    ids: int
    corrected: int
    conflicting: int
    without_id: int
    without_label: int

    @property
    def repeated(self) -> int:
        """Events beyond the first of their id."""
        return self.events - self.ids


class Labels:
    """Labels by id, in a folder: ``labels = mw.Labels("labels.mwl"); labels.add("late/*.parquet", id="flight_id")``.

    A folder that is there already is opened and added to. Not safe to add to from several processes at once.

    Args:
        folder: Where they are kept; None: in a temporary folder that goes with the object.

    Raises:
        InputError: The folder is something else, or of a newer version.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._holder = tempfile.TemporaryDirectory(prefix="modelwatch-labels-") if folder is None else None
        self.folder = Path(self._holder.name if self._holder is not None else os.fspath(folder or ""))
        self._about: dict[str, Any] = {
            "format": _FORMAT,
            "type": None,
            "texts": [],
            "events": 0,
            "without_id": 0,
            "without_label": 0,
            "generation": 0,
        }
        about = self.folder / "labels.json"
        if about.exists():
            try:
                found = json.loads(about.read_text(encoding="utf-8"))
                version = found["format"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise InputError(f"{self.folder}: not a folder of labels ({type(error).__name__}).") from None
            if type(version) is not int or not 1 <= version <= _FORMAT:
                raise InputError(
                    f"{self.folder}: labels of format {version}; this version reads formats up to {_FORMAT}, so "
                    "upgrade modelwatch-gpu."
                )
            self._about = found
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise InputError(f"{self.folder}: the folder holds something else; give an empty or a new one.")
        self._texts = {text: at for at, text in enumerate(self._about["texts"])}

    # ---- adding ------------------------------------------------------------------------------------------------------

    def add(self, source: Any, *, id: str | Sequence[str], label: str = "label", at: str | None = None) -> Labels:
        """Takes label files. Adding a file again changes nothing but ``counts.repeated``.

        Args:
            source: Whatever a log can be: paths, patterns, tables, queries ...
            id: The column, or the columns, that name a row.
            label: The column with the label: text, a whole number, a number or a bool, in all files the same.
            at: A timestamp or date column that says when a label was given; the latest one of an id holds. Without it
                all labels of an id must agree.

        Raises:
            InputError: A column is missing or of a type that cannot be taken; nothing of ``source`` is kept then.
            OutputError: The folder cannot be written.
        """
        ids = (id,) if isinstance(id, str) else tuple(id)
        log = open_log(source, name="labels")
        about = {**self._about, "texts": list(self._about["texts"])}
        texts = dict(self._texts)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".adding-", dir=self.folder) as place:
                spill = _Spill(place)
                for file in log.files:
                    for records in self._records(file, ids, label, at, about, texts):
                        spill.take(records)
                self._settle(spill, about)
        except OSError as error:
            raise OutputError(f"{self.folder}: cannot be written ({error.strerror or error}).") from error
        self._about, self._texts = about, texts
        return self

    def _records(
        self,
        file: LogFile,
        ids: Sequence[str],
        label: str,
        at: str | None,
        about: dict[str, Any],
        texts: dict[str, int],
    ) -> Iterator[npt.NDArray[Any]]:
        """The labels of a file, batch by batch."""
        names = [*ids, label, *([at] if at is not None else [])]
        if at is not None and at in file.schema.names and ticks_of(plain_type(file.schema.field(at).type)) is None:
            raise InputError(
                f"{file.name}: column '{at}' says when a label was given, but its type is "
                f"{file.schema.field(at).type}; cast it to a timestamp or a date."
            )
        for batch in file.batches(list(dict.fromkeys(names))):
            columns = [plain_array(batch.column(name)) for name in ids]
            known = _label_values(batch.column(label), label, file.name, about, texts)
            named = ~any_null(columns)
            there = named & known[1]
            about["without_id"] += int(np.count_nonzero(~named))
            about["without_label"] += int(np.count_nonzero(named & ~known[1]))
            about["events"] += int(np.count_nonzero(there))
            records = np.zeros(len(batch), dtype=_RECORD)
            records["first"], records["second"] = keys_of(columns, ids, file.name)
            records["value"] = known[0]
            records["time"] = _times(batch.column(at), file.name) if at is not None else _NO_TIME
            yield records[there]

    def _settle(self, new: _Spill, about: dict[str, Any]) -> None:
        """Puts new labels and those that are there in order, a part of the keys at a time, into new files."""
        old = self.index()
        about["generation"] += 1
        files = {
            name: open(self.folder / f"{about['generation']}.{name}", "wb")  # noqa: SIM115
            for name in _FIELDS
        }
        try:
            begin = 0
            for after, fresh in new.parts(len(old["first"])):
                end = len(old["first"]) if after is None else int(np.searchsorted(old["first"], after))
                kept = np.empty(end - begin, dtype=_RECORD)
                for name in _FIELDS:
                    kept[name] = old[name][begin:end]
                begin = end
                for records in fresh:
                    kept = settled(np.concatenate([kept, records]))
                for name, file in files.items():
                    file.write(np.ascontiguousarray(kept[name]).tobytes())
        finally:
            for file in files.values():
                file.close()
        del old
        before = self._about["generation"]
        beside = self.folder / ".labels.json"
        beside.write_text(json.dumps(about), encoding="utf-8")
        os.replace(beside, self.folder / "labels.json")  # from here on the new files are the labels
        for name in _FIELDS:
            (self.folder / f"{before}.{name}").unlink(missing_ok=True)

    @property
    def type(self) -> str | None:
        """bool, int64, float64 or string; None where there is no label yet."""
        own: str | None = self._about["type"]
        return own

    @property
    def texts(self) -> list[str]:
        """What the numbers of labels that are text stand for."""
        return list(self._about["texts"])

    def index(self) -> dict[str, Any]:
        """The fields of the index as arrays that stay on disk, (ids,) each, in the order of their keys."""
        out: dict[str, Any] = {}
        for name, kind in _FIELDS.items():
            path = self.folder / f"{self._about['generation']}.{name}"
            some = path.exists() and path.stat().st_size > 0
            out[name] = np.memmap(path, dtype=kind, mode="r") if some else np.empty(0, dtype=kind)
        if len({len(array) for array in out.values()}) != 1:
            raise InputError(f"{self.folder}: the labels are damaged; make them again from the label files.")
        return out

    # ---- asking ------------------------------------------------------------------------------------------------------

    @property
    def counts(self) -> LabelCounts:
        """What all label files together held; the same for any order of them."""
        index, about = self.index(), self._about
        flags = index["flags"]
        return LabelCounts(
            events=about["events"],
            ids=len(flags),
            corrected=int(np.count_nonzero(flags == _CORRECTED)),
            conflicting=int(np.count_nonzero(flags & CONFLICT)),
            without_id=about["without_id"],
            without_label=about["without_label"],
        )

    def __len__(self) -> int:
        return len(self.index()["flags"])

    def __repr__(self) -> str:
        return f"Labels({len(self):,} ids in {self.folder})"


class _Spill:
    """New labels, in memory while they are few, else in files by the first bits of their keys."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._held: list[npt.NDArray[Any]] = []
        self._rows = 0
        self._split = False

    def take(self, records: npt.NDArray[Any]) -> None:
        """More labels."""
        self._held.append(records)
        self._rows += len(records)
        if self._rows > _FEW:
            self._write()

    def _write(self) -> None:
        records = np.concatenate(self._held)
        part = (records["first"] >> np.uint64(64 - _SPLIT_BITS)).astype(np.int64)
        order = np.argsort(part, kind="stable")
        ends = np.searchsorted(part[order], np.arange((1 << _SPLIT_BITS) + 1))
        for i in np.flatnonzero(np.diff(ends)).tolist():
            with open(self._path(i), "ab") as file:
                file.write(records[order[ends[i] : ends[i + 1]]].tobytes())
        self._held, self._rows, self._split = [], 0, True

    def _path(self, part: int) -> str:
        return os.path.join(self._place, f"{part:02x}")

    def parts(self, there: int) -> Iterator[tuple[np.uint64 | None, Iterator[npt.NDArray[Any]]]]:
        """Stretches of keys in order: the first key after each (None after the last), and its new labels. ``there``:
        how many labels there are already."""
        if not self._split and there + self._rows <= PART_IDS:
            yield None, iter([np.concatenate(self._held)] if self._held else [])
            return
        if self._rows:
            self._write()
        last = (1 << _SPLIT_BITS) - 1
        for i in range(last + 1):
            end = None if i == last else np.uint64(i + 1) << np.uint64(64 - _SPLIT_BITS)
            yield end, self._of(i)

    def _of(self, part: int) -> Iterator[npt.NDArray[Any]]:
        path = self._path(part)
        size = os.path.getsize(path) // _RECORD.itemsize if os.path.exists(path) else 0
        for begin in range(0, size, PART_IDS):
            yield np.fromfile(path, dtype=_RECORD, count=PART_IDS, offset=begin * _RECORD.itemsize)


def settled(records: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """One record for each key, sorted by key: the latest label, or a conflict where the latest ones differ."""
    order = np.lexsort([records["value"], records["time"], records["second"], records["first"]])
    records = records[order]
    new_key = np.ones(len(records), dtype=bool)
    new_key[1:] = (records["first"][1:] != records["first"][:-1]) | (records["second"][1:] != records["second"][:-1])
    begin = np.flatnonzero(new_key)
    if len(begin) == len(records):
        out: npt.NDArray[Any] = records
        return out
    last = np.append(begin[1:], len(records)) - 1
    out = records[last].copy()
    key = np.cumsum(new_key) - 1
    other = records["value"] != out["value"][key]
    latest = records["time"] == out["time"][key]
    conflict, differs = np.zeros(len(begin), dtype=bool), np.zeros(len(begin), dtype=bool)
    # A conflict of before holds only where nothing later was said.
    np.logical_or.at(conflict, key, latest & (other | (records["flags"] & CONFLICT > 0)))
    np.logical_or.at(differs, key, other | (records["flags"] & (_CORRECTED | CONFLICT) > 0))
    # Of labels that contradict each other none is kept: the smallest stands for them, in any order.
    smallest = np.full(len(begin), np.iinfo(np.int64).max)
    np.minimum.at(smallest, key[latest], records["value"][latest])
    out["value"] = np.where(conflict, smallest, out["value"])
    out["flags"] = np.where(conflict, CONFLICT, 0) | np.where(differs, _CORRECTED, 0)
    return out


def keys_of(columns: Sequence[pa.Array], names: Sequence[str], where: str) -> tuple[UInt64, UInt64]:
    """(rows,) twice: 128 bits that name the id of each row. Equal ids have equal keys in every type that holds them."""
    once: list[pa.Array] = []
    again: list[pa.Array] = []
    for array, name in zip(columns, names, strict=True):
        kind = array.type
        if pa.types.is_dictionary(kind):
            array = array.dictionary_decode()
            kind = array.type
        if pa.types.is_integer(kind):
            once.append(array)
            again.append(pc.bit_wise_not(array.cast(pa.int64(), safe=kind != pa.uint64())))
            continue
        if pa.types.is_fixed_size_binary(kind):
            array = array.cast(pa.binary())
        elif not (
            pa.types.is_string(kind)
            or pa.types.is_large_string(kind)
            or pa.types.is_binary(kind)
            or pa.types.is_large_binary(kind)
            or pa.types.is_string_view(kind)
            or pa.types.is_binary_view(kind)
        ):
            raise InputError(
                f"{where}: column '{name}' is an id of type {kind}; ids are whole numbers, text or bytes, so cast it."
            )
        large = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
        plain = array.cast(pa.large_binary() if large else pa.binary())
        once.append(plain)
        again.append(pc.binary_reverse(plain))
    numbers = [str(i) for i in range(len(names))]
    first, second = (
        _core.hash_rows(pa.RecordBatch.from_arrays(side, names=numbers)).astype(np.uint64) for side in (once, again)
    )
    return first, second


def any_null(columns: Sequence[pa.Array]) -> npt.NDArray[np.bool_]:
    out = np.zeros(len(columns[0]), dtype=bool)
    for array in columns:
        if array.null_count:
            out |= pc.is_null(array).to_numpy(zero_copy_only=False)
    return out


def _times(array: pa.Array, where: str) -> npt.NDArray[np.int64]:
    """Nanoseconds since 1970; a null is before all times."""
    array = plain_array(array)
    kind = array.type
    if pa.types.is_date(kind):
        array = array.cast(pa.timestamp("s"))
        kind = array.type
    ticks = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    per = _PER_SECOND_NS // int(ticks_of(kind) or 1)
    if per > 1 and len(ticks) and max(abs(int(ticks.min())), abs(int(ticks.max()))) > (2**63 - 1) // per:
        raise InputError(f"{where}: a label was given beyond the years 1678 to 2262; check the unit of that column.")
    none = pc.is_null(array).to_numpy(zero_copy_only=False)
    return np.where(none, _NO_TIME, ticks * per)


def _label_values(
    array: pa.Array, name: str, where: str, about: dict[str, Any], texts: dict[str, int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Labels as 64 bits each, and which rows have one. Numbers are their own bits, text is numbered."""
    array = plain_array(array)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    t = pa.types
    there = pc.is_valid(array).to_numpy(zero_copy_only=False)
    if t.is_null(kind):
        return np.zeros(len(array), dtype=np.int64), there
    own = (
        "bool"
        if t.is_boolean(kind)
        else "int64"
        if t.is_integer(kind)
        else "float64"
        if t.is_floating(kind)
        else "string"
        if t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind)
        else None
    )
    if own is None:
        raise InputError(
            f"{where}: column '{name}' holds labels of type {kind}; labels are numbers, bools or text, so cast it."
        )
    if about["type"] is None:
        about["type"] = own
    if own != about["type"]:
        raise InputError(
            f"{where}: column '{name}' holds labels of type {own}, and earlier label files of type {about['type']}; "
            "cast one of them."
        )
    if own == "string":
        coded = array.dictionary_encode()
        place = []
        for text in coded.dictionary.to_pylist():
            if text not in texts:
                texts[text] = len(texts)
                about["texts"].append(text)
            place.append(texts[text])
        codes = coded.indices.fill_null(0).to_numpy(zero_copy_only=False)
        return np.array([*place, 0], dtype=np.int64)[codes], there
    wide = array.cast(pa.float64() if own == "float64" else pa.int64())
    values = wide.fill_null(0).to_numpy(zero_copy_only=False)
    if own == "float64":
        there = there & ~np.isnan(values)
        return (values + 0.0).view(np.int64), there  # -0.0 is 0.0
    return values.astype(np.int64), there
