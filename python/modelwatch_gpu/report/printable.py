"""Text from data, made safe to show in a terminal. In a file of its own: monitors show text and need no tables."""

from __future__ import annotations

import re


def printable(text: str) -> str:
    """Text from data without characters that would command a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def type_text(kind: str) -> str:
    """An Arrow type as a person reads it: a dictionary by its values."""
    found = re.fullmatch(r"dictionary<values=(.+), indices=\w+, ordered=[01]>", kind)
    return f"{found[1]} (dictionary)" if found else kind
