"""CSV and other delimited text."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.csv

from ..errors import InputError
from .inference import FALSE, NUMBERS_AND_TIMES, TRUE, ColumnKind, converted
from .text import BLOCK, TextLogFile, refuse_other_encodings

#: What stands for a missing value where it is not in quotes. NaN is a number.
NULLS = ("", "NULL", "null", "NA", "N/A", "n/a", "#N/A", "<NA>", r"\N")

_HEAD = 1 << 16


class CsvLogFile(TextLogFile):
    """Delimited text with a header. delimiter: None takes the first of comma, semicolon, tab and bar in the header."""

    def __init__(self, name: str, opener: Callable[[], pa.NativeFile], *, delimiter: str | None = None) -> None:
        self._delimiter = delimiter or ","
        self._sniff = delimiter is None
        self._names: list[str] = []
        super().__init__(name, opener)

    def _check(self) -> tuple[list[tuple[str, ColumnKind]], int]:
        self._names, only_header = self._header()
        for column in self._names:
            if self._names.count(column) > 1:
                raise InputError(f"{self.name} has two columns named {column!r}; rename one of them.")
        kinds = [(column, ColumnKind(NUMBERS_AND_TIMES)) for column in self._names]
        rows = 0
        if only_header:
            return kinds, rows
        for batch in self._read(dict.fromkeys(self._names, pa.string())):
            rows += batch.num_rows
            for (_, kind), values in zip(kinds, batch.columns, strict=True):
                kind.see(values)
        return kinds, rows

    def _typed(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        if not self.rows:
            return
        types = {name: self.schema.field(name).type for name in columns}
        # What pyarrow's own parser would refuse, such as blanks around a time, is read as text and converted here.
        read = {
            name: kind if self._kinds[name].plain and not pa.types.is_null(kind) else pa.string()
            for name, kind in types.items()
        }
        for batch in self._read(read):
            arrays = [converted(batch.column(name), kind) for name, kind in types.items()]
            yield pa.RecordBatch.from_arrays(arrays, names=columns)

    def _header(self) -> tuple[list[str], bool]:
        """The column names, and whether the file has nothing else."""
        with self._opened() as text:
            head = text.read(_HEAD)
        if not head.strip():
            raise InputError(f"{self.name} is empty; write it with a header line, or leave it out.")
        refuse_other_encodings(self.name, head)
        # Text that ends without a line break is all header if it has none.
        lines = head.lstrip(b"\r\n").splitlines()
        only_header = len(head) < _HEAD and not any(line.strip() for line in lines[1:])
        first = lines[0].removeprefix(b"\xef\xbb\xbf")
        names = self._decoded(first)
        if self._sniff:
            self._delimiter = _delimiter_of(first)
        if only_header:
            cells = next(csv.reader([names], delimiter=self._delimiter), [])
            return [str(cell) for cell in cells], True
        bad: list[pyarrow.csv.InvalidRow] = []
        try:
            with self._opened() as text, self._reader(text, {}, bad) as reader:
                return list(reader.schema.names), False
        except pa.ArrowException as error:
            raise self._explained(error, bad) from None

    def _decoded(self, line: bytes) -> str:
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{self.name}, row 1 (the header), is not UTF-8; {_CONVERT}.") from None

    def _read(self, types: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        bad: list[pyarrow.csv.InvalidRow] = []
        try:
            with self._opened() as text, self._reader(text, types, bad) as reader:
                yield from reader
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise self._explained(error, bad) from None

    @contextmanager
    def _reader(
        self,
        text: pa.NativeFile,
        types: dict[str, pa.DataType],
        bad: list[pyarrow.csv.InvalidRow],
        *,
        numbered: bool = False,
    ) -> Iterator[pa.RecordBatchReader]:
        def keep(row: pyarrow.csv.InvalidRow) -> str:
            bad.append(row)
            return "error"

        # Only one thread knows the numbers of rows, which are wanted once something is wrong.
        reader = pyarrow.csv.open_csv(
            text,
            read_options=pyarrow.csv.ReadOptions(block_size=BLOCK, use_threads=not numbered),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=keep
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=types,
                include_columns=list(types) or None,
                null_values=list(NULLS),
                true_values=list(TRUE),
                false_values=list(FALSE),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        with reader:
            yield reader

    def _explained(self, error: Exception, bad: list[pyarrow.csv.InvalidRow]) -> InputError:
        """The sentence for what the parser refused, with its row; reads the file again to find it."""
        said = str(error)
        if bad or "Expected" in said:
            row = self._first_ragged() or (bad[0] if bad else None)
            if row is not None:
                where = f", row {row.number}," if row.number is not None else " somewhere"
                return InputError(
                    f"{self.name}{where} has {row.actual_columns} cells where the header has {row.expected_columns}; "
                    "correct it, and put text with delimiters or line breaks in quotes."
                )
        if "UTF8" in said or "UTF-8" in said or isinstance(error, UnicodeDecodeError):
            return InputError(f"{self.name}{self._first_not_utf8()} is not UTF-8; {_CONVERT}.")
        if "straddl" in said:
            return InputError(
                f"{self.name} has a row longer than {BLOCK >> 20} MiB, or a quote that is not closed; correct it."
            )
        return InputError(f"{self.name} cannot be read: {said.splitlines()[0].rstrip('.')[:200]}; write it again.")

    def _first_ragged(self) -> pyarrow.csv.InvalidRow | None:
        found: list[pyarrow.csv.InvalidRow] = []
        try:
            with (
                self._opened() as text,
                self._reader(text, dict.fromkeys(self._names, pa.binary()), found, numbered=True) as reader,
            ):
                for _ in reader:
                    pass
        except pa.ArrowException:
            pass
        return found[0] if found else None

    def _first_not_utf8(self) -> str:
        """The first row and column that are not UTF-8, as ``, row 7, column 'city',``."""
        before = 2  # rows are counted from 1, and the header is one
        with (
            self._opened() as text,
            self._reader(text, dict.fromkeys(self._names, pa.binary()), [], numbered=True) as reader,
        ):
            for batch in reader:
                places = [
                    (at, name)
                    for name, values in zip(batch.schema.names, batch.columns, strict=True)
                    if (at := _first_bad(values)) is not None
                ]
                if places:
                    at, name = min(places, key=lambda place: place[0])
                    return f", row {before + at}, column {name!r},"
                before += batch.num_rows
        return ""


_CONVERT = "convert it, such as by iconv -f latin1 -t utf-8"


def _first_bad(values: pa.Array) -> int | None:
    """Where the first value that is not UTF-8 stands."""
    try:
        values.cast(pa.string())
        return None
    except pa.ArrowInvalid:
        pass
    for at, value in enumerate(values.to_pylist()):
        try:
            (value or b"").decode("utf-8")
        except UnicodeDecodeError:
            return at
    return None


def _delimiter_of(header: bytes) -> str:
    """The first of comma, semicolon, tab and bar that stands in the header outside quotes."""
    outside = b"".join(header.split(b'"')[::2])
    return next((mark for mark in (",", ";", "\t", "|") if mark.encode() in outside), ",")
