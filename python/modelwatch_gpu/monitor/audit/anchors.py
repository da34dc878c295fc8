"""Heads of an audit kept in a file of their own: who changes the store and its hashes cannot change that file too.

One JSON object a line: ``seq``, ``sha256`` and ``at``. Keep it where the store's owner cannot write, or in version
control.
"""

from __future__ import annotations

import json
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from modelwatch_gpu.errors import InputError, OutputError
from modelwatch_gpu.monitor.audit.chain import Head
from modelwatch_gpu.monitor.clock import utc_text

_MODE: Final = 0o600
_MOST_BYTES: Final = 1 << 28
#: Longer than any line.
_LAST_BYTES: Final = 1_000


class Anchor(NamedTuple):
    """``head`` was the last record at ``at``; ``line``: of the file."""

    head: Head
    at: str
    line: int


def write_anchor(path: str | os.PathLike[str], head: Head, now: datetime) -> None:
    """Adds a head to the file, made with mode 0600 where it is not there; raises OutputError where that fails."""
    text = json.dumps({"seq": head.seq, "sha256": head.sha256, "at": utc_text(now)}) + "\n"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, _MODE)
        try:
            size = os.fstat(descriptor).st_size
            # A line that was cut off must not spoil the next one.
            whole = not size or os.pread(descriptor, 1, size - 1) == b"\n"
            os.write(descriptor, (text if whole else f"\n{text}").encode())  # at once, so two that append do not mix
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OutputError(f"{path}: the audit's head cannot be written ({error.strerror or error}).") from None


def read_anchors(path: str | os.PathLike[str]) -> list[Anchor]:
    """The heads of a file, in its order; raises InputError where it is none."""
    file = Path(path)
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path}: is larger than heads of an audit can be.")
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from None
    return [_anchor(str(path), number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def last_anchor(path: str | os.PathLike[str]) -> Head | None:
    """The head of the last line; None where there is no file, or no whole line at its end."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
        return _anchor(str(path), 0, lines[-1]).head if lines else None
    except (OSError, InputError):
        return None


def _anchor(path: str, number: int, line: str) -> Anchor:
    try:
        found = json.loads(line)
        seq, sha256, at = found["seq"], found["sha256"], found["at"]
        if type(seq) is not int or seq < 0 or not re.fullmatch("[0-9a-f]{64}", sha256) or not isinstance(at, str):
            raise ValueError
    except (ValueError, TypeError, KeyError):
        raise InputError(
            f"{path}, line {number}: is not the head of an audit; each line has seq, sha256 and at."
        ) from None
    return Anchor(Head(seq, sha256), at, number)
