"""Text from data, made safe to show in a terminal. In a file of its own: monitors show text and need no tables."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text from data without characters that would command a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
