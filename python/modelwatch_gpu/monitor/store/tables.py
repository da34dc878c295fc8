"""Tables of what was counted, measured and found.

``window_start`` is the key of a window: epoch seconds, ``parts.WHOLE`` where the log is one window, ``parts.UNTIMED``
for rows without a time, ``OF_FILES`` for findings about files, which belong to no window. ``window`` is the same as
people read it: ISO 8601 in the log's time zone, null for the whole log. ``segment`` is canonical JSON, null for all
rows of a window.

``measures`` and ``findings`` hold the latest verdict on each window: when a window is judged again, its rows are
replaced in the transaction that marks the run as finished. So the findings of a window are the rows of it, and those
that a run judged are the rows of ``windows`` with its ``run_id``.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, String, Table, Text

from modelwatch_gpu.monitor.store.metadata import metadata
from modelwatch_gpu.profile.parts import UNTIMED

#: The key of findings about files of the log, such as one that cannot be read. Real windows begin after it.
OF_FILES: Final = UNTIMED + 1

#: Of a run: at work, done, ended by an error, ended by somebody else (killed).
RUN_STATES = ("running", "finished", "failed", "interrupted")

runs = Table(
    "runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("started_at", String(32), nullable=False),
    Column("ended_at", String(32)),
    Column("state", String(16), nullable=False),
    Column("config_sha256", String(64), nullable=False),
    Column("code_version", String(64), nullable=False),
    Column("baseline_sha256", String(64), nullable=False),
    Column("device", String(64)),
    Column("files", Integer, nullable=False, default=0),
    Column("windows", Integer, nullable=False, default=0),
    Column("rows", BigInteger, nullable=False, default=0),
    Column("error", Text),
)

files = Table(
    "files",
    metadata,
    Column("path", Text, primary_key=True),
    Column("kind", String(8), nullable=False),  # log or labels
    Column("size", BigInteger, nullable=False),
    Column("etag", Text, nullable=False),
    Column("sha256", String(64)),
    Column("rows", BigInteger, nullable=False),
    # counted; duplicate: another file has the same content; unreadable; late: it came or changed after its window was
    # closed; kept: it is gone, its counts stay.
    Column("state", String(16), nullable=False),
    Column("part_sha256", String(64)),
    Column("same_as", Text),
    Column("error", Text),
    Column("run_id", String(32), nullable=False),
)
Index("ix_files_part_sha256", files.c.part_sha256)

#: What one file counted in one window, as a profile of one part. ``merged``: whether the window's state contains it.
parts = Table(
    "parts",
    metadata,
    Column("path", Text, primary_key=True),
    Column("window_start", BigInteger, primary_key=True, autoincrement=False),
    Column("part_sha256", String(64), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("merged", Boolean, nullable=False),
    Column("bytes", LargeBinary, nullable=False),
)
Index("ix_parts_window_start_merged", parts.c.window_start, parts.c.merged)

#: ``state``: open, or closed once its files' counts were added up for good. ``dirty``: it changed since it was judged.
#: ``rebuild``: something was taken from it, so its state is merged anew.
windows = Table(
    "windows",
    metadata,
    Column("window_start", BigInteger, primary_key=True, autoincrement=False),
    Column("window", String(64)),
    Column("window_end", String(64)),
    Column("label", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("dirty", Boolean, nullable=False),
    Column("rebuild", Boolean, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("files", Integer, nullable=False),
    Column("run_id", String(32)),
    Column("severity", String(16)),
    Column("report", Text),
)

#: The merge of all parts of a window, as a profile of one part, and the SHA-256 of these bytes.
states = Table(
    "states",
    metadata,
    Column("window_start", BigInteger, primary_key=True, autoincrement=False),
    Column("sha256", String(64), nullable=False),
    Column("bytes", LargeBinary, nullable=False),
)

#: With ``anytime``: what all windows so far have shown, this one included; JSON in a Zstandard frame (``counts.pack``).
#: The last one of those that were forgotten stays: the next one goes on from it.
evidence = Table(
    "evidence",
    metadata,
    Column("window_start", BigInteger, primary_key=True, autoincrement=False),
    Column("bytes", LargeBinary, nullable=False),
)

measures = Table(
    "measures",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("run_id", String(32), nullable=False),
    Column("window_start", BigInteger, nullable=False),
    Column("window", String(64)),
    Column("segment", Text),
    Column("column", Text, nullable=False),
    Column("measure", String(64), nullable=False),
    Column("compared_with", String(16), nullable=False),
    Column("value", Float(53)),
    Column("lower", Float(53)),
    Column("upper", Float(53)),
    Column("n", BigInteger, nullable=False),
)
Index("ix_measures_window_start", measures.c.window_start)

#: ``id`` follows from window, segment, column, check and what it is compared with: the same finding of a later run has
#: the same id. ``report``: the window's page, from the config's folder.
findings = Table(
    "findings",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("run_id", String(32), nullable=False),
    Column("window_start", BigInteger, nullable=False),
    Column("window", String(64)),
    Column("segment", Text),
    Column("column", Text, nullable=False),
    Column("check", String(64), nullable=False),
    Column("compared_with", String(16), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("value", Float(53)),
    Column("lower", Float(53)),
    Column("upper", Float(53)),
    Column("threshold", Float(53)),
    Column("p_value", Float(53)),
    Column("e_value", Float(53)),
    Column("n", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("report", Text),
)
Index("ix_findings_window_start", findings.c.window_start)
Index("ix_findings_run_id", findings.c.run_id)

#: Who may write. ``beat`` grows while the owner lives; ``fence`` grows with every owner, and a commit of an owner whose
#: fence is no longer the current one is refused.
leases = Table(
    "leases",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("owner", Text, nullable=False),
    Column("until", String(32), nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("beat", BigInteger, nullable=False),
)

#: Single facts: ``settings`` (what parts were counted with), ``newest`` (the latest second of any row), ``looked_at``.
facts = Table(
    "facts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
