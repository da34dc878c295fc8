"""Rules of data quality about the table as a whole."""

from __future__ import annotations

import itertools
from datetime import datetime
from statistics import median
from typing import Any, Final

from modelwatch_gpu.checks.expected import (
    LEAST_ROWS,
    NUMBER,
    Limits,
    Outcome,
    Question,
    Rule,
    most_of,
    percent,
    rounded_up,
)
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log.windows import iso, zone_of
from modelwatch_gpu.measures.quality import Seen

_DAY: Final = 86_400
#: How far the rows of a usual day may leave those of the baseline's days.
_FEWER, _MORE = 0.75, 1.5


def _rows_infer(normal: Seen, column: str) -> Limits | None:
    full = sorted(normal.days.values())
    if len(full) >= 7:
        usual = [n for n in full if n >= median(full) / 4] or full  # first and last days may be cut
        return {"min_per_day": int(_FEWER * min(usual)), "max_per_day": int(_MORE * max(usual)) + 1}
    return {"min": max(1, normal.rows // 100)}


def _rows_judge(q: Question) -> Outcome | None:
    limits, rows = q.limits, q.seen.rows
    if "min" in limits or "max" in limits:
        low, high = limits.get("min", 0), limits.get("max", float("inf"))
        held = low <= rows <= high
        what = f"at least {low:,}" if rows < low else f"at most {high:,}"
        return Outcome(held, float(rows), float(low if rows < low else high if rows > high else low),
                       f"There are {rows:,} rows; {what} are expected.", rows)  # fmt: skip
    if not q.seen.days:
        return None
    usual = float(median(q.seen.days.values()))
    low, high = limits.get("min_per_day", 0), limits.get("max_per_day", float("inf"))
    limit = low if usual < low else high
    reason = f"A usual day has {usual:,.0f} rows; {low:,} to {high:,} are expected."
    return Outcome(low <= usual <= high, usual, float(limit) if limit != float("inf") else None, reason, rows)


def _columns_infer(normal: Seen, column: str) -> Limits | None:
    for schema in normal.schemas:
        return {"names": [name for name, _ in schema], "ordered": True, "extra": False}
    return None


def _columns_judge(q: Question) -> list[Outcome] | None:
    schemas = q.seen.schemas
    if not schemas:
        return None
    names = list(q.limits["names"])
    found = []
    some = "in some files " if len(schemas) > 1 else ""
    lacking = sorted({name for schema in schemas for name in names if name not in {n for n, _ in schema}})
    if lacking:
        reason = f"The log lacks {some}{', '.join(map(repr, lacking))}."
        found.append(Outcome(False, float(len(lacking)), 0.0, reason, check="missing_columns"))
    new = sorted({name for schema in schemas for name, _ in schema if name not in names})
    if new and not q.limits.get("extra", True):
        reason = f"The log has {some}{', '.join(map(repr, new))}, which the baseline does not know."
        found.append(Outcome(False, float(len(new)), 0.0, reason, check="new_columns"))
    if q.limits.get("ordered"):
        for schema in schemas:
            own = [n for n, _ in schema if n in names]
            expected = [n for n in names if n in own]
            if own != expected:
                at = next(i for i, (a, b) in enumerate(zip(own, expected, strict=True)) if a != b)
                reason = (
                    f"The columns are {some}in another order: {own[at]!r} stands where {expected[at]!r} is expected."
                )
                found.append(Outcome(False, 1.0, 0.0, reason, check="column_order"))
                break
    return found or [Outcome(True, 0.0, 0.0, "")]


def _longest_gap(days: dict[int, int]) -> int:
    """Most days in a row without rows, between the first and the last."""
    starts = sorted(days)
    return max((round((b - a) / _DAY) - 1 for a, b in itertools.pairwise(starts)), default=0)


def _fresh_infer(normal: Seen, column: str) -> Limits | None:
    if normal.part.span is None or not normal.days:
        return None
    return {"max_days": _longest_gap(normal.days) + 2}


def _fresh_judge(q: Question) -> Outcome | None:
    if q.as_of is None or q.seen.part.span is None:
        return None
    newest = q.seen.part.span[1]
    age, limit = (q.as_of - newest) / _DAY, float(q.limits["max_days"])
    zone = zone_of(q.seen.timezone)
    reason = f"The newest row is of {iso(newest, zone)}, {age:.1f} days old; at most {limit:g} are expected."
    return Outcome(age <= limit, age, limit, reason, q.seen.part.rows)


def _future_infer(normal: Seen, column: str) -> Limits | None:
    return {"max_days": 0} if normal.part.span is not None else None


def _future_judge(q: Question) -> Outcome | None:
    if q.as_of is None or q.seen.part.span is None:
        return None
    newest = q.seen.part.span[1]
    ahead, limit = (newest - q.as_of) / _DAY, float(q.limits["max_days"])
    reason = f"The newest row is of {iso(newest, zone_of(q.seen.timezone))}, {ahead:.1f} days in the future."
    return Outcome(ahead <= limit, max(0.0, ahead), limit, reason, q.seen.part.rows)


def _gaps_infer(normal: Seen, column: str) -> Limits | None:
    return {"max_days": _longest_gap(normal.days)} if len(normal.days) > 2 else None


def _gaps_judge(q: Question) -> Outcome | None:
    if len(q.seen.days) < 2:
        return None
    found, limit = _longest_gap(q.seen.days), float(q.limits["max_days"])
    starts = sorted(q.seen.days)
    where = next((a for a, b in itertools.pairwise(starts) if round((b - a) / _DAY) - 1 == found), starts[0])
    day = iso(where + _DAY, zone_of(q.seen.timezone))[:10]
    many = "1 day" if found == 1 else f"{found} days in a row"
    reason = f"There are no rows on {many} from {day} on; at most {limit:g} are expected."
    return Outcome(found <= limit, float(found), limit, reason, q.seen.rows)


def _after_infer(normal: Seen, column: str) -> Limits | None:
    span = normal.part.span
    return {"after": iso(span[1], zone_of(normal.timezone))} if span is not None else None


def _after_judge(q: Question) -> Outcome | None:
    times = q.seen.facts.times if q.seen.facts is not None else None
    if times is None:
        return None
    try:
        after = datetime.fromisoformat(str(q.limits["after"]))
    except ValueError:
        raise InputError(
            f"The expectation period of the table has after: {q.limits['after']!r}; give a time in ISO 8601."
        ) from None
    zone = zone_of(q.seen.timezone)
    edge = (after if after.tzinfo is not None else after.replace(tzinfo=zone)).timestamp()
    reason = f"The first row is of {iso(times[0], zone)}, before {q.limits['after']}, when the baseline ends."
    return Outcome(times[0] > edge, float(times[0]), float(edge), reason, q.seen.rows)


def _repeats_rule(id: str, title: str, name: str, what: str) -> Rule:
    """A rule about rows that repeat an id, or all of a row."""

    def pair(seen: Seen) -> tuple[int, int] | None:
        own = seen.repeats(name)
        return (own.rows - len(own.key), own.rows) if own is not None and own.rows else None

    def infer(normal: Seen, column: str) -> Limits | None:
        found = pair(normal)
        return {"max": rounded_up(1.5 * found[0] / found[1] + 0.001)} if found is not None else None

    def judge(q: Question) -> Outcome | None:
        return most_of(pair(q.seen), float(q.limits["max"]), what, pair(q.normal))

    return Rule(id, title, "table", "alert", {"max": NUMBER}, infer, judge)


def _conflict_infer(normal: Seen, column: str) -> Limits | None:
    found = normal.conflicts
    return {"max": rounded_up(1.5 * found[0] / found[1] + 0.01)} if found is not None else None


def _conflict_judge(q: Question) -> Outcome | None:
    what = "have features that come with different labels"
    return most_of(q.seen.conflicts, float(q.limits["max"]), what, q.normal.conflicts)


def _known_infer(normal: Seen, column: str) -> Limits | None:
    return {"max": 0.01} if normal.repeats("rows") is not None else None


def _known_judge(q: Question) -> Outcome | None:
    own, before = q.seen.repeats("rows"), q.normal.repeats("rows")
    if own is None or before is None:
        return None
    return most_of(own.shared_with(before), float(q.limits["max"]), "are in the baseline too", None)


def _empty_pair(seen: Seen) -> tuple[int, int] | None:
    empty = seen.facts.empty_rows if seen.facts is not None else None
    return None if empty is None else (empty, seen.rows)


def _empty_infer(normal: Seen, column: str) -> Limits | None:
    found = _empty_pair(normal)
    return {"max": rounded_up(1.5 * found[0] / max(1, found[1]) + 0.001)} if found is not None else None


def _empty_judge(q: Question) -> Outcome | None:
    return most_of(_empty_pair(q.seen), float(q.limits["max"]), "have no value in any column", _empty_pair(q.normal))


def _alike_infer(normal: Seen, column: str) -> Limits | None:
    if normal.repeats("columns") is None:
        return None
    known: list[Any] = [list(pair) for pair, share in sorted(normal.alike.items()) if share >= 0.9]
    return {"max": 0.95, "except": known}


def _alike_judge(q: Question) -> Outcome | None:
    own = q.seen.repeats("columns")
    if own is None or len(own.key) < LEAST_ROWS:
        return None
    limit = float(q.limits["max"])
    excepted = {tuple(sorted(pair)) for pair in q.limits.get("except", [])}
    found = {pair: share for pair, share in q.seen.alike.items() if share >= limit and pair not in excepted}
    if not found:
        return Outcome(True, None, limit, "")
    (one, other), share = max(found.items(), key=lambda item: item[1])
    reason = f"Columns '{one}' and '{other}' have the same value in {percent(share)} of {len(own.key):,} sampled rows."
    return Outcome(False, share, limit, reason, len(own.key))


def _id_infer(normal: Seen, column: str) -> Limits | None:
    found = normal.id_and_label
    return {"max": round(max(0.3, found + 0.2), 3)} if found is not None and found < 0.8 else None


def _id_judge(q: Question) -> Outcome | None:
    found = q.seen.id_and_label
    if found is None:
        return None
    limit = float(q.limits["max"])
    was = q.normal.id_and_label
    before = f" ({was:.2f} in the baseline)" if was is not None else ""
    reason = f"The order of the ids tells the label: Cramer's V {found:.2f}; at most {limit:g} is expected{before}."
    return Outcome(found <= limit, found, limit, reason, q.seen.rows)


_MAX: Final = {"max": NUMBER}
_DAYS: Final = {"max_days": NUMBER}

TABLE_RULES: Final = (
    Rule("row_count", "Rows", "table", "alert",
         {"min": NUMBER, "max": NUMBER, "min_per_day": NUMBER, "max_per_day": NUMBER}, _rows_infer, _rows_judge),
    Rule("columns", "Columns and their order", "table", "alert",
         {"names": (list,), "ordered": (bool,), "extra": (bool,)}, _columns_infer, _columns_judge, "log"),
    Rule("freshness", "Age of the newest row", "table", "alert", _DAYS, _fresh_infer, _fresh_judge, "log"),
    Rule("future", "Rows of the future", "table", "alert", _DAYS, _future_infer, _future_judge, "log"),
    Rule("gaps", "Days without rows", "table", "alert", _DAYS, _gaps_infer, _gaps_judge, "log"),
    Rule("period", "Rows of the baseline's time", "table", "warning", {"after": (str,)}, _after_infer, _after_judge),
    _repeats_rule("duplicate_ids", "Ids that repeat", "ids", "repeat an id"),
    _repeats_rule("duplicate_rows", "Rows that repeat", "rows", "repeat another row in every column"),
    Rule("empty_rows", "Rows without any value", "table", "alert", _MAX, _empty_infer, _empty_judge),
    Rule("rows_of_baseline", "Rows of the baseline", "table", "warning", _MAX, _known_infer, _known_judge),
    Rule("conflicting_labels", "Labels that conflict", "table", "warning", _MAX, _conflict_infer, _conflict_judge),
    Rule("same_columns", "Columns that are the same", "table", "warning",
         {"max": NUMBER, "except": (list,)}, _alike_infer, _alike_judge),
    Rule("id_predicts_label", "Ids that tell the label", "table", "alert", _MAX, _id_infer, _id_judge),
)  # fmt: skip
