"""Many small checks in one test: all are made, and the test fails with the list of those that do not hold."""

from __future__ import annotations

_made = 0
_failures: list[str] = []


def check(name: str, condition: object, detail: str = "") -> None:
    """Note whether a condition holds; the test goes on either way."""
    global _made
    _made += 1
    if not condition:
        _failures.append(f"{name} {detail}".strip())


def start() -> None:
    """Forget the checks of the test before."""
    global _made
    _made = 0
    _failures.clear()


def finish() -> tuple[int, list[str]]:
    """How many checks were made, and those that failed."""
    return _made, list(_failures)
