"""How far long work is, on a terminal only: a bar, rows and bytes a second, and the time that is left."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from modelwatch_gpu.demo import Reads, Stage, no_stage
from modelwatch_gpu.profile.counting import Progress as OnRows

#: Seconds between two looks of the bar at the work, and drawings of it a second.
_LEAST_SECONDS: Final = 0.1
_DRAWINGS: Final = 5


class RateColumn(ProgressColumn):
    """Rows a second, and bytes of the log's files where they are known."""

    def render(self, task: Task) -> Text:
        """Nothing before the first rows have been read."""
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        rows = f"{in_thousands(speed)} rows/s"
        a_row = task.fields.get("bytes_a_row")
        return Text(f"{rows}, {in_thousands(speed * a_row)}B/s" if a_row else rows, style="progress.data.speed")


def in_thousands(number: float) -> str:
    """A number as people read it: 950, 12.3 k, 4.5 M, 6.7 G."""
    for unit in ("", "k", "M", "G"):
        if number < 1000 or unit == "G":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if number >= 100 or not unit else f"{number:.1f} {unit}"


def work_of(reads: Reads) -> tuple[int | None, float | None]:
    """The rows that will be read, and the bytes of a row in the logs' files; None where nobody knows."""
    rows, size = 0, 0
    for log, passes in reads:
        if log.rows is None:
            return None, None
        rows += log.rows * passes
        try:
            size += passes * sum(os.stat(file.name).st_size for file in log.files)
        except OSError:
            return rows, None  # in memory, or elsewhere
    return rows, size / rows if rows else None


@contextmanager
def stages(quiet: bool, console: Console | None = None) -> Iterator[Stage]:
    """A bar for every stage of the work, on standard error. Where that is no terminal, or with ``quiet``, nothing."""
    console = console if console is not None else Console(stderr=True)
    if quiet or not console.is_terminal:
        yield no_stage
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console, transient=True, refresh_per_second=_DRAWINGS) as progress:

        def stage(what: str, reads: Reads) -> OnRows:
            for done in progress.task_ids:
                progress.remove_task(done)
            total, a_row = work_of(reads)
            again = reads[0][0].rows
            task = progress.add_task(what, total=total or None, bytes_a_row=a_row, left="left" if total else "")
            waiting, seen = 0, 0.0

            def on_rows(read: int) -> None:
                nonlocal waiting, seen
                waiting += read
                now = time.monotonic()
                if now - seen < _LEAST_SECONDS:
                    return  # batches may be small, and the bar has a lock
                progress.advance(task, waiting)
                waiting, seen = 0, now
                known = progress.tasks[0]
                if known.total is not None and again and known.completed > known.total:
                    progress.update(task, total=known.total + again)  # one more pass than most logs need

            return on_rows

        yield stage
