"""Reading ahead in a thread of its own, and keeping a stream on disk so that it can be read again."""

from __future__ import annotations

import os
import queue
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

import pyarrow as pa

from ..errors import InputError, OutputError
from .files import Log, LogFile, first_line, span_of, ticks_of, wider
from .ipc import IpcLogFile

Item = TypeVar("Item")


class ReadAhead(Generic[Item]):
    """An iterator whose items a thread of its own reads, up to ``depth`` ahead.

    The thread starts with ``begin`` or the first item asked for. Whatever is raised in it, KeyboardInterrupt included,
    is raised here in place of the next item. It ends with the last item, or with ``close``, and it closes ``items``.
    """

    def __init__(self, items: Iterator[Item], depth: int) -> None:
        self._items = items
        self._ahead: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(maxsize=depth)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended = False

    def begin(self) -> None:
        """Starts reading, where it has not started yet."""
        if self._thread is None and not self._ended:
            arguments = (self._items, self._ahead, self._stop)
            self._thread = threading.Thread(target=_read, args=arguments, name="modelwatch-read-ahead", daemon=True)
            self._thread.start()

    def __iter__(self) -> ReadAhead[Item]:
        return self

    def __next__(self) -> Item:
        if self._ended:
            raise StopIteration
        self.begin()
        item = self._ahead.get()
        if isinstance(item, tuple):
            return item[0]
        self.close()
        if item is not None:
            raise item
        raise StopIteration

    def close(self) -> None:
        """Ends the thread; there are no more items."""
        self._ended = True
        self._stop.set()
        while self._thread is not None and self._thread.is_alive():  # it may wait for room in the queue
            try:
                self._ahead.get(timeout=0.01)
            except queue.Empty:
                self._thread.join(timeout=0.01)

    def __del__(self) -> None:
        self.close()


def _read(items: Iterator[Item], ahead: queue.Queue[tuple[Item] | BaseException | None], stop: threading.Event) -> None:
    """What the thread does; it knows nothing of the ReadAhead, which can be let go."""
    ending: BaseException | None = None
    try:
        for item in items:
            ahead.put((item,))
            if stop.is_set():
                break
    except BaseException as error:
        ending = error
    try:
        close = getattr(items, "close", None)
        if close is not None:
            close()
    except BaseException as error:
        ending = ending or error
    ahead.put(ending)


def read_ahead(items: Iterator[Item], depth: int = 2) -> ReadAhead[Item]:
    """The same items, read by a thread that stays up to ``depth`` ahead. Raises InputError for a depth below 1."""
    if depth < 1:
        raise InputError(f"The depth of reading ahead is at least 1, not {depth}.")
    return ReadAhead(items, depth)


@contextmanager
def spooled(log: Log, *, columns: Sequence[str] | None = None, folder: str | None = None) -> Iterator[Log]:
    """A log that can be read again: the log itself, or one whose streams were written to disk first.

    A stream is written once, batch by batch, to a temporary Arrow IPC stream (lz4), which is removed on leaving.
    columns: of a stream only these are kept (default all). folder: where to write (default the system's temporary
    folder). Raises OutputError where that fails, InputError where the stream cannot be read.
    """
    if log.reusable:
        yield log
        return
    try:
        holder = tempfile.TemporaryDirectory(prefix="modelwatch-", dir=folder)
    except OSError as error:
        raise OutputError(f"No temporary folder can be made: {first_line(error)}; set TMPDIR to one.") from None
    with holder as place:
        yield Log.of(
            [
                file if file.reusable else _spool(file, os.path.join(place, f"{number}.arrows"), columns)
                for number, file in enumerate(log.files)
            ]
        )


def _spool(file: LogFile, path: str, columns: Sequence[str] | None) -> LogFile:
    names = [name for name in file.schema.names if columns is None or name in columns]
    schema = pa.schema([file.schema.field(name) for name in names], file.schema.metadata)
    spans: dict[str, tuple[int, int] | None] = {
        field.name: None for field in schema if ticks_of(field.type) is not None
    }
    rows = 0
    batches = file.batches(names)
    try:
        # A stream, not a file: only a stream may bring a new dictionary with every batch.
        with pa.OSFile(path, "wb") as sink:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            with pa.ipc.new_stream(sink, schema, options=options) as writer:
                for batch in batches:
                    writer.write_batch(batch.replace_schema_metadata(schema.metadata))
                    rows += batch.num_rows
                    for name in spans:
                        spans[name] = wider(spans[name], span_of(batch.column(name)))
    except InputError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise OutputError(
            f"{file.name} cannot be kept in {path!r}: {first_line(error)}; set TMPDIR to a folder with room."
        ) from None
    return IpcLogFile(file.name, lambda: pa.OSFile(path), rows=rows, spans=spans)
