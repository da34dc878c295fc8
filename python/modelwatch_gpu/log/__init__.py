"""Logs: where rows come from, what their columns are, and which window they belong to."""

from __future__ import annotations

from .derived import Definition, Derived
from .files import ComputedLogFile, Log, LogFile
from .formulas import with_derived
from .joining import JoinCounts, join_labels, joined
from .labels import LabelCounts, Labels
from .places import Files
from .query import Query
from .reading import read_ahead, spooled
from .residuals import with_residuals
from .roles import ROLES, RoleAssignment, Roles
from .sources import open_log
from .windows import RowWindow, Window, block_for, iso, parse_window, zone_of

__all__ = [
    "ROLES",
    "ComputedLogFile",
    "Definition",
    "Derived",
    "Files",
    "JoinCounts",
    "LabelCounts",
    "Labels",
    "Log",
    "LogFile",
    "Query",
    "RoleAssignment",
    "Roles",
    "RowWindow",
    "Window",
    "block_for",
    "iso",
    "join_labels",
    "joined",
    "open_log",
    "parse_window",
    "read_ahead",
    "spooled",
    "with_derived",
    "with_residuals",
    "zone_of",
]
