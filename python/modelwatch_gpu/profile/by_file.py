"""Counts a log file by file: in turn, or several at once where several devices count."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import accumulate
from typing import Final

from modelwatch_gpu.device import devices_of
from modelwatch_gpu.log import Log, LogFile, RowWindow, read_ahead
from modelwatch_gpu.profile import heap
from modelwatch_gpu.profile.columns import Column
from modelwatch_gpu.profile.counting import CountSpec, FileCounter, PreparedBatch, Progress, check_segments
from modelwatch_gpu.profile.kept_keys import KeptKeys
from modelwatch_gpu.profile.parts import Part

#: A file of fewer groups is put in order in no time.
_MANY: Final = 1_000


def count_log(columns: Sequence[Column], log: Log, spec: CountSpec, progress: Progress | None = None) -> Iterator[Part]:
    """One part per file of the log, in the order of its files.

    Several devices count as many files at a time; where there are fewer files, each counts some of the columns. The
    parts are the same. ``progress`` is never called by two threads at once.
    """
    check_segments(spec, log.schema)
    files, devices = log.files, devices_of(spec.device)
    # Windows of rows begin where the file before ended.
    numbered = not isinstance(spec.window, RowWindow) or all(file.rows is not None for file in files)
    if 1 < len(devices) <= len(files) and numbered:
        yield from _count_at_once(columns, files, spec, devices, progress)
        return
    yield from _count_in_turn(columns, files, spec, progress)


def _count_in_turn(
    columns: Sequence[Column], files: Sequence[LogFile], spec: CountSpec, progress: Progress | None
) -> Iterator[Part]:
    """As ``count_log``: one file after the other, read by one thread that goes on with the next file while the end of
    this one is counted. Its counts are put in order beside the next one's where there is room for the counters of both.
    """
    batches = read_ahead(_batches_in_turn(columns, files, spec))
    made: Future[Part] | None = None
    with ThreadPoolExecutor(1, thread_name_prefix="modelwatch-part") as helper:
        try:
            for at, first in enumerate(batches):
                assert first is not None
                current, own = first[0], _of_one_file(first, batches)
                del first  # a batch is let go when it has been counted
                current.count(own, progress)
                del own
                if made is not None:
                    part, made = made.result(), None
                    yield part
                    del part  # whoever takes it may let it go while the next file is counted
                last = at + 1 == len(files)
                if not last and current.groups >= _MANY and current.bytes <= spec.spare and spec.is_plain:
                    made = helper.submit(_named, current)
                    del current
                    continue
                part = current.part()
                large = current.counter.bytes >= heap.WORTH_IT
                del current
                if large:
                    heap.trim()
                yield part
                del part
        finally:
            batches.close()


def _named(counter: FileCounter) -> Part:
    """What was counted, with its fingerprint: made beside the counting of another file, not when parts are added."""
    part = counter.part()
    _ = part.origins
    return part


#: A batch and the counter of its file; without a batch, of a file that has none.
_Read = tuple[FileCounter, PreparedBatch | None]


def _batches_in_turn(columns: Sequence[Column], files: Sequence[LogFile], spec: CountSpec) -> Iterator[_Read | None]:
    """The batches of all files, and None where one ends. Nothing here keeps a counter whose file has ended."""
    keys = KeptKeys()
    row = 0
    for file in files:
        counter = FileCounter(columns, file, spec, row, keys)
        batch = None
        for batch in counter.prepared():
            yield counter, batch
        if batch is None:
            yield counter, None
        row += counter.rows
        del counter, batch
        yield None


def _of_one_file(first: _Read, batches: Iterator[_Read | None]) -> Iterator[PreparedBatch]:
    """The batches until the file ends of which ``first`` is the first."""
    read: _Read | None = first
    del first
    while read is not None:
        if read[1] is not None:
            yield read[1]
        read = next(batches)


class _Stopped(Exception):
    """A file is not wanted any more."""


def _count_at_once(
    columns: Sequence[Column], files: Sequence[LogFile], spec: CountSpec, devices: list[str], progress: Progress | None
) -> Iterator[Part]:
    """As ``count_log``: every file is counted by one device, the next one by the first that is free."""
    free: queue.SimpleQueue[str] = queue.SimpleQueue()
    for device in devices:
        free.put(device)
    stop, telling = threading.Event(), threading.Lock()

    def told(rows: int) -> None:
        if stop.is_set():
            raise _Stopped
        if progress is not None:
            with telling:
                progress(rows)

    def count(file: LogFile, first: int) -> Part:
        device = free.get()
        try:
            counter = FileCounter(columns, file, replace(spec, device=device), first)
            counter.read(told)
            return _named(counter)
        finally:
            free.put(device)

    firsts = accumulate((file.rows or 0 for file in files), initial=0)
    waiting: deque[Future[Part]] = deque()
    with ThreadPoolExecutor(len(devices), thread_name_prefix="modelwatch-count") as pool:
        try:
            for file, first in zip(files, firsts, strict=False):
                # One more than are counted, so that no device waits for whoever takes the parts.
                if len(waiting) > len(devices):
                    yield waiting.popleft().result()
                waiting.append(pool.submit(count, file, first))
            while waiting:
                yield waiting.popleft().result()
        finally:
            stop.set()
            for future in waiting:
                future.cancel()
