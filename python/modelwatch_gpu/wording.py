"""Numbers as sentences have them."""

from __future__ import annotations


def counted(count: int, one: str, several: str | None = None) -> str:
    """``1 file``, ``1,024 files``; ``several``: the plural where it is not made by an s."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"
