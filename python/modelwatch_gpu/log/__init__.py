"""Logs: where rows come from, what their columns are, and which window they belong to."""

from __future__ import annotations

from .files import Log, LogFile
from .places import Files
from .query import Query
from .reading import read_ahead, spooled
from .roles import ROLES, RoleAssignment, Roles
from .sources import open_log
from .windows import Window, block_for, iso, zone_of

__all__ = [
    "ROLES",
    "Files",
    "Log",
    "LogFile",
    "Query",
    "RoleAssignment",
    "Roles",
    "Window",
    "block_for",
    "iso",
    "open_log",
    "read_ahead",
    "spooled",
    "zone_of",
]
