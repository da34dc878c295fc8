"""JSON lines: one object a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from ..errors import InputError
from .files import first_line
from .inference import ColumnKind, converted, text_of
from .text import BLOCK, TextLogFile, refuse_other_encodings

_LONGEST_LINE = 64 << 20
_DEEPEST = 64  # levels of lists and objects in one row; Arrow's parser would follow any number down the stack

_TEXT = pa.string()


class JsonLogFile(TextLogFile):
    """One JSON object a line; a field that an object lacks is null. Blank lines do not count."""

    def _check(self) -> tuple[list[tuple[str, ColumnKind]], int]:
        kinds: dict[str, ColumnKind] = {}
        self._mixed: set[str] = set()
        rows = 0
        for first, block in self._blocks():
            self._refuse_other_than_utf8(block, first)
            table = self._inferred(block, first, kinds)
            rows += table.num_rows
            for name, column in zip(table.schema.names, table.columns, strict=True):
                kind = kinds.setdefault(name, ColumnKind())
                for chunk in column.chunks:
                    kind.see(chunk, mixed=name in self._mixed)
                if kind.mixed:
                    self._mixed.add(name)
        if not rows:
            raise InputError(f"{self.name} is empty; write one JSON object a line, or leave it out.")
        return list(kinds.items()), rows

    def _typed(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        types = {name: self.schema.field(name).type for name in columns}
        stored = {name: _TEXT if self._kinds[name].mixed else self._kinds[name].stored for name in columns}
        mixed = self._mixed.intersection(columns)
        for first, block in self._blocks():
            text = _with_text(block, mixed) if mixed else block
            try:
                table = self._parsed(text, first, stored, only=True)
            except _ChangedKind as changed:
                raise InputError(
                    f"{self.name} was replaced while it was being read (column {changed.column!r}); run again."
                ) from None
            for batch in table.combine_chunks().to_batches():
                arrays = [converted(batch.column(name), kind) for name, kind in types.items()]
                yield pa.RecordBatch.from_arrays(arrays, names=columns)

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        """Whole lines, about a block of them at a time, with the number of the first; lines are counted from 1."""
        line, rest = 1, b""
        with self._opened() as text:
            while True:
                read = text.read(BLOCK)
                if line == 1 and not rest:
                    refuse_other_encodings(self.name, read)
                    read = read.removeprefix(b"\xef\xbb\xbf")
                whole, found, after = read.rpartition(b"\n")
                if read and not found:
                    rest += read
                    if len(rest) > _LONGEST_LINE:
                        raise InputError(f"{self.name}, line {line}, is longer than {_LONGEST_LINE >> 20} MiB; cut it.")
                    continue
                block = rest + whole + found if read else rest
                rest = after
                if block.strip():
                    yield line, block
                line += block.count(b"\n")
                if not read:
                    return

    def _inferred(self, block: bytes, first: int, kinds: Mapping[str, ColumnKind]) -> pa.Table:
        """One block with the types its own values have; text stays text, however it looks."""
        explicit = {name: _TEXT for name, kind in kinds.items() if kind.stored == _TEXT}
        while True:
            explicit.update(dict.fromkeys(self._mixed, _TEXT))
            text = _with_text(block, self._mixed) if self._mixed else block
            try:
                table = self._parsed(text, first, explicit)
            except _ChangedKind as changed:
                self._mixed.add(changed.column)
                continue
            wrong = {}
            for field in table.schema:
                kind = _without_times(field.type)
                if kind != field.type:
                    wrong[field.name] = kind
                elif kind == pa.float64() and field.name not in explicit and _may_be_uint64(table.column(field.name)):
                    wrong[field.name] = pa.uint64()
            if not wrong:
                return table
            try:
                return self._parsed(text, first, {**explicit, **wrong})
            except InputError:  # fractions among numbers beyond int64
                explicit.update({name: kind if kind != pa.uint64() else pa.float64() for name, kind in wrong.items()})

    def _parsed(self, block: bytes, first: int, explicit: Mapping[str, pa.DataType], *, only: bool = False) -> pa.Table:
        """A block in the types given; raises _ChangedKind for a field that has values of two kinds."""
        self._refuse_deep(block, first)
        try:
            table = pyarrow.json.read_json(
                pa.BufferReader(block),
                read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(block) + 64),
                parse_options=pyarrow.json.ParseOptions(
                    explicit_schema=pa.schema(list(explicit.items())),
                    unexpected_field_behavior="ignore" if only else "infer",
                ),
            )
        except (pa.ArrowException, ValueError) as error:
            self._refuse(block, first, error)
        lines = block.count(b"\n") + (not block.endswith(b"\n"))
        if table.num_rows != lines and table.num_rows != sum(bool(line.strip()) for line in block.split(b"\n")):
            self._refuse(block, first, ValueError("an object does not end with its line"))
        return table

    def _refuse(self, block: bytes, first: int, error: Exception) -> NoReturn:
        """Raises what is wrong with a block: the first line that is no object, or what the parser said of it."""
        said = str(error)
        path = _between(said, "Column(", ") changed from ")
        row = re.search(r" in row (\d+)$", said)
        objects = 0
        for number, line in enumerate(block.split(b"\n"), first):
            if not line.strip():
                continue
            where = f"{self.name}, line {number},"
            try:
                found = json.loads(line)
            except (ValueError, RecursionError) as broken:
                if number == 1 and line.lstrip().startswith(b"["):
                    raise InputError(_ARRAY.format(self.name)) from None
                why = getattr(broken, "msg", type(broken).__name__)
                at = f" at character {broken.colno}" if isinstance(broken, json.JSONDecodeError) else ""
                raise InputError(f"{where} is not valid JSON: {why}{at}; correct it or leave it out.") from None
            if not isinstance(found, dict):
                if number == 1 and isinstance(found, list):
                    raise InputError(_ARRAY.format(self.name))
                raise InputError(f"{where} is not an object of column names and values; correct it or leave it out.")
            if path:
                column = next((name for name in found if path == f"/{name}" or path.startswith(f"/{name}/")), None)
                if column is not None and column not in self._mixed:
                    raise _ChangedKind(column)
            if row is not None and objects == int(row[1]):
                reason = said[: row.start()].splitlines()[0].rstrip(".").removeprefix("JSON parse error: ")[:200]
                raise InputError(f"{where} cannot be read: {reason}; correct it or leave it out.")
            objects += 1
        raise InputError(f"{self.name}, from line {first} on, cannot be read: {first_line(error)}; write it again.")

    def _refuse_other_than_utf8(self, block: bytes, first: int) -> None:
        try:
            block.decode("utf-8")
        except UnicodeDecodeError as error:
            line = first + block.count(b"\n", 0, error.start)
            raise InputError(
                f"{self.name}, line {line}, is not UTF-8; convert it, such as by iconv -f latin1 -t utf-8."
            ) from None

    def _refuse_deep(self, block: bytes, first: int) -> None:
        if block.count(b"[") + block.count(b"{") - block.count(b"\n") < _DEEPEST:
            return
        codes = np.frombuffer(block, dtype=np.uint8)
        steps = np.zeros(256, dtype=np.int8)
        steps[list(b"[{")], steps[list(b"]}")] = 1, -1
        depth = np.cumsum(steps[codes], dtype=np.int32)
        ends = np.flatnonzero(codes == ord("\n"))
        starts = np.concatenate([[0], ends + 1])
        starts = starts[starts < len(codes)]
        deepest = np.maximum.reduceat(depth, starts) - np.concatenate([[0], depth[starts[1:] - 1]])
        for at in np.flatnonzero(deepest > _DEEPEST).tolist():
            line = block[starts[at] :].split(b"\n", 1)[0]
            if _depth(line) > _DEEPEST:  # brackets in text may have been counted
                raise InputError(
                    f"{self.name}, line {first + at}, is nested more than {_DEEPEST} levels deep; flatten or remove it."
                )


class _ChangedKind(Exception):
    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


_ARRAY = "{} is one JSON array; write one object a line instead, such as by jq -c '.[]'."


def _with_text(block: bytes, names: set[str]) -> bytes:
    """The block with these fields as text, whatever they are."""
    lines = []
    for line in block.split(b"\n"):
        try:
            found: Any = json.loads(line)
        except (ValueError, RecursionError):
            lines.append(line)  # the parser will say what is wrong with it
            continue
        if isinstance(found, dict):
            found.update({name: text_of(found[name]) for name in names if name in found})
        lines.append(json.dumps(found).encode())
    return b"\n".join(lines)


def _without_times(kind: pa.DataType) -> pa.DataType:
    """A type with text where the parser saw times in it."""
    if pa.types.is_timestamp(kind):
        return _TEXT
    if pa.types.is_list(kind):
        return pa.list_(_without_times(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_without_times(field.type)) for field in kind])
    return kind


def _may_be_uint64(column: pa.ChunkedArray) -> bool:
    span = pc.min_max(column)
    low, high = span["min"].as_py(), span["max"].as_py()
    return low is not None and low >= 0 and 2.0**63 <= high <= 2.0**64


def _between(text: str, before: str, after: str) -> str | None:
    start, end = text.find(before), text.rfind(after)
    return text[start + len(before) : end] if 0 <= start < end else None


def _depth(line: bytes) -> int:
    """How deep lists and objects are nested in a line, brackets in text left out."""
    depth = deepest = 0
    quoted = escaped = False
    for code in line:
        if quoted:
            quoted = escaped or code != 0x22
            escaped = not escaped and code == 0x5C
        elif code == 0x22:
            quoted = True
        elif code in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif code in b"]}":
            depth -= 1
    return deepest
