"""What every rule of data quality is: how its limits are inferred from a baseline, and how a window is held to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelwatch_gpu.measures.proportions import clopper_pearson
from modelwatch_gpu.measures.quality import Seen

Limits = dict[str, Any]

#: The column of findings that are about the table as a whole.
TABLE: Final = ":table"
#: A share is beyond its limit where the lower end of the exact interval (Clopper and Pearson) at this confidence is.
CONFIDENCE: Final = 0.999
#: Below so many rows nothing is said of shares, means and spreads.
LEAST_ROWS: Final = 30


@dataclass(frozen=True)
class Outcome:
    """What a rule says of a window. ``check``: where one rule has several checks."""

    held: bool
    value: float | None
    threshold: float | None
    reason: str
    n: int = 0
    check: str | None = None


@dataclass(frozen=True)
class Question:
    """A window under one expectation. ``as_of``: epoch seconds of "now", None where nobody said."""

    seen: Seen
    normal: Seen
    column: str
    limits: Mapping[str, Any]
    as_of: int | None = None


Infer = Callable[[Seen, str], Limits | None]
Judge = Callable[[Question], Outcome | Sequence[Outcome] | None]


@dataclass(frozen=True)
class Rule:
    """``fields``: what its limits may say -> the types of it. ``scope``: "window", or "log" for what is said once of
    all windows. ``about``: "table" or "column". ``severity``: of what breaks it, unless the expectation says
    otherwise. ``needs``: fields that must be there. ``fault``: what is wrong with limits of the right types, None
    where nothing is."""

    id: str
    title: str
    about: str
    severity: str
    fields: Mapping[str, tuple[type, ...]]
    infer: Infer
    judge: Judge
    scope: str = "window"
    needs: tuple[str, ...] = ()
    fault: Callable[[Mapping[str, Any]], str | None] | None = None


NUMBER: Final = (int, float)


def rounded_up(share: float) -> float:
    """A limit a person can read: two significant digits, not below the share."""
    if share <= 0:
        return 0.0
    share = max(share, 1e-9)  # fewer than any log has rows for
    unit = 10.0 ** (math.floor(math.log10(share)) - 1)
    return min(1.0, round(math.ceil(share / unit - 1e-9) * unit, 12))


def percent(share: float) -> str:
    """A share in percent with the digits it takes."""
    return f"{100 * share:.3g}%"


def most_of(rows: tuple[int, int] | None, limit: float, what: str, before: tuple[int, int] | None) -> Outcome | None:
    """Holds a share of rows against the most there may be. ``what``: completes "3% of rows ..."."""
    if rows is None or not rows[1]:
        return None
    hits, n = rows
    share = hits / n
    held = share <= limit or float(clopper_pearson(hits, n, CONFIDENCE)[0]) <= limit
    return Outcome(
        held, share, limit, f"{percent(share)} of rows {what}; at most {percent(limit)} may.{_was(before)}", n
    )


def _was(before: tuple[int, int] | None) -> str:
    if before is None or not before[1]:
        return ""
    return f" In the baseline {percent(before[0] / before[1])} did."


def counter_rule(
    id: str, title: str, counter: str, what: str, *, severity: str = "alert", slack: float = 0.001, factor: float = 1.5
) -> Rule:
    """A rule that at most so many rows of a column are of a kind, by default little more than in the baseline."""

    def infer(normal: Seen, column: str) -> Limits | None:
        found = normal.share(column, counter)
        if found is None or not found[1]:
            return None
        limit = rounded_up(factor * found[0] / found[1] + slack)
        return {"max": limit} if limit < 1 else None

    def judge(q: Question) -> Outcome | None:
        before = q.normal.share(q.column, counter)
        return most_of(q.seen.share(q.column, counter), float(q.limits["max"]), what, before)

    return Rule(id, title, "column", severity, {"max": NUMBER}, infer, judge)


def between(value: float, limits: Mapping[str, Any]) -> tuple[bool, float | None]:
    """Whether a number keeps to ``min`` and ``max``, and the limit it is held to."""
    low, high = limits.get("min"), limits.get("max")
    if high is not None and value > high:
        return False, float(high)
    if low is not None and value < low:
        return False, float(low)
    limit = high if high is not None else low
    return True, None if limit is None else float(limit)


def expected_range(limits: Mapping[str, Any]) -> str:
    """The limits in a sentence."""
    low, high = limits.get("min"), limits.get("max")
    if low is not None and high is not None:
        return f"between {low:g} and {high:g}"
    return f"at most {high:g}" if high is not None else f"at least {low:g}"
