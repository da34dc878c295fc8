"""Rules of data quality about the texts of a column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelwatch_gpu.checks.expected import (
    CONFIDENCE,
    NUMBER,
    Limits,
    Outcome,
    Question,
    Rule,
    between,
    expected_range,
    most_of,
    percent,
    rounded_up,
)
from modelwatch_gpu.measures.proportions import clopper_pearson
from modelwatch_gpu.measures.quality import Seen
from modelwatch_gpu.profile.texts import any_pattern, pattern_fault

#: Shapes of text that are more frequent than this in the baseline are expected.
_COMMON_SHAPE: Final = 0.001
_MOST_SHAPES: Final = 20
#: Text is a pattern where so few shapes tell nearly all of it.
_TOLD: Final = 0.99


def _length_infer(normal: Seen, column: str) -> Limits | None:
    found = normal.facts.lengths.get(column) if normal.facts is not None else None
    if found is None:
        return None
    room = max(1, (found[1] - found[0]) // 2) if found[0] != found[1] else 0
    return {"min": max(0, found[0] - room), "max": found[1] + room}


def _length_judge(q: Question) -> Outcome | None:
    found = q.seen.facts.lengths.get(q.column) if q.seen.facts is not None else None
    if found is None:
        return None
    (short_ok, short_limit), (long_ok, long_limit) = between(found[0], q.limits), between(found[1], q.limits)
    value, limit = (found[1], long_limit) if not long_ok else (found[0], short_limit)
    reason = f"Texts have {found[0]} to {found[1]} characters; {expected_range(q.limits)} are expected."
    return Outcome(short_ok and long_ok, float(value), limit, reason)


def _shapes(seen: Seen, column: str) -> dict[str, int] | None:
    return (seen.facts.shapes.get(column) or None) if seen.facts is not None else None


def _shape_infer(normal: Seen, column: str) -> Limits | None:
    own = _shapes(normal, column)
    if own is None or normal.facts is None:
        return None
    total = sum(own.values()) + normal.facts.shapeless.get(column, 0)
    common = sorted((s for s, n in own.items() if n > _COMMON_SHAPE * total), key=lambda s: (-own[s], s))
    told = sum(own[s] for s in common) / total
    if not common or len(common) > _MOST_SHAPES or told < _TOLD:
        return None
    return {"shapes": common, "max": rounded_up(1.5 * (1 - told) + 0.005)}


def _shape_judge(q: Question) -> Outcome | None:
    own = _shapes(q.seen, q.column)
    if own is None or q.seen.facts is None:
        return None
    beyond = q.seen.facts.shapeless.get(q.column, 0)
    wrong = {s: n for s, n in own.items() if s not in q.limits["shapes"]}
    names = sorted(wrong, key=lambda s: (-wrong[s], s))[:3]
    expected = ", ".join(map(repr, q.limits["shapes"][:3]))
    what = f"are text of another shape{', such as ' + ', '.join(map(repr, names)) if names else ''} (not {expected})"
    rows = (sum(wrong.values()) + beyond, sum(own.values()) + beyond)
    return most_of(rows, float(q.limits["max"]), what, None)


def pattern_of(limits: Mapping[str, Any]) -> str:
    """The regular expression that a text has to match: one, or any of several."""
    given = limits["matches"]
    return any_pattern([given] if isinstance(given, str) else given)


def _matches_fault(limits: Mapping[str, Any]) -> str | None:
    """What is wrong with the patterns of an expectation."""
    given = limits["matches"]
    patterns = [given] if isinstance(given, str) else given
    if not patterns or not all(isinstance(one, str) for one in patterns):
        return "is no regular expression and no list of some"
    return next((f"has {one!r}, {fault}" for one in patterns if (fault := pattern_fault(one)) is not None), None)


def _matches_infer(normal: Seen, column: str) -> Limits | None:
    return None  # what a text has to look like is for a person to say; shapes are found without it


def _matches_judge(q: Question) -> Outcome | None:
    found = q.seen.not_matching(q.column, pattern_of(q.limits))
    if found is None:
        return None
    wrong, rows, examples = found
    names = f", such as {', '.join(map(repr, examples))}" if examples else ""
    given = q.limits["matches"]
    which = repr(given) if isinstance(given, str) else f"any of {', '.join(map(repr, given[:3]))}"
    return most_of((wrong, rows), float(q.limits.get("max", 0.0)), f"do not match {which}{names}", None)


def _mixed_infer(normal: Seen, column: str) -> Limits | None:
    found = normal.share(column, "number")
    if found is None or not found[1]:
        return None
    share = found[0] / found[1]
    if 0.1 < share < 0.9:
        return None
    return {"min": 0.95 * share, "max": 1.0} if share >= 0.9 else {"min": 0.0, "max": rounded_up(1.5 * share + 0.005)}


def _mixed_judge(q: Question) -> Outcome | None:
    found = q.seen.share(q.column, "number")
    if found is None or not found[1]:
        return None
    share = found[0] / found[1]
    low, high = (float(edge) for edge in clopper_pearson(found[0], found[1], CONFIDENCE))
    least, most = float(q.limits.get("min", 0.0)), float(q.limits.get("max", 1.0))
    held = (share <= most or low <= most) and (share >= least or high >= least)
    limit = least if share < least else most
    reason = (
        f"{percent(share)} of the texts are numbers; between {percent(least)} and {percent(most)} are expected to be."
    )
    return Outcome(held, share, limit, reason, found[1])


def _variants_infer(normal: Seen, column: str) -> Limits | None:
    counts = normal.categories(column)
    return {"max": len(_variants(counts))} if counts is not None and _is_text(normal, column) else None


def _is_text(seen: Seen, column: str) -> bool:
    own = seen.baseline.by_name.get(column)
    return own is not None and any(word in own.type for word in ("string", "utf8"))


def _variants(counts: dict[str, int]) -> list[list[str]]:
    """Values that differ only in case, blanks or signs."""
    by: dict[str, list[str]] = {}
    for value in sorted(counts):
        key = "".join(c for c in value.casefold() if c.isalnum())
        if key:
            by.setdefault(key, []).append(value)
    return [values for values in by.values() if len(values) > 1]


def _variants_judge(q: Question) -> Outcome | None:
    counts = q.seen.categories(q.column)
    if counts is None:
        return None
    found = _variants(counts)
    limit = float(q.limits["max"])
    names = "; ".join(" and ".join(map(repr, values[:3])) for values in found[:2])
    reason = f"{len(found)} values are spelled in several ways ({names}); at most {limit:g} are expected to be."
    return Outcome(len(found) <= limit, float(len(found)), limit, reason, sum(counts.values()))


TEXT_RULES: Final = (
    Rule("text_length", "Length of text", "column", "warning",
         {"min": NUMBER, "max": NUMBER}, _length_infer, _length_judge),
    Rule("text_shape", "Shape of text", "column", "warning",
         {"shapes": (list,), "max": NUMBER}, _shape_infer, _shape_judge),
    Rule("text_pattern", "Pattern of text", "column", "alert", {"matches": (str, list), "max": NUMBER},
         _matches_infer, _matches_judge, needs=("matches",), fault=_matches_fault),
    Rule("mixed_types", "Numbers among text", "column", "warning",
         {"min": NUMBER, "max": NUMBER}, _mixed_infer, _mixed_judge),
    Rule("spelling", "Values spelled in several ways", "column", "warning",
         {"max": NUMBER}, _variants_infer, _variants_judge),
)  # fmt: skip
