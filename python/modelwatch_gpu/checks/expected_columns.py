"""Rules of data quality about one column."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Final

from modelwatch_gpu.checks.expected import (
    LEAST_ROWS,
    NUMBER,
    Limits,
    Outcome,
    Question,
    Rule,
    between,
    counter_rule,
    expected_range,
    most_of,
    percent,
    rounded_up,
)
from modelwatch_gpu.checks.expected_texts import TEXT_RULES
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.quality import Seen
from modelwatch_gpu.profile.columns import CategoricalColumn, NumericColumn

#: Fewer rows of a category than this are expected where it says nothing that none is there.
_EXPECTED_ROWS: Final = 20
#: A value of this share of the rows makes a column almost constant (Evidently's threshold).
_ALMOST: Final = 0.95
#: A column that has the value of the label in this share of the rows gives it away.
_GIVEN_AWAY: Final = 0.95
#: Means and spreads of fewer rows scatter too much for fixed limits.
_ROWS_FOR_MEANS: Final = 100


def _type_infer(normal: Seen, column: str) -> Limits | None:
    for schema in normal.schemas:
        for name, kind in schema:
            if name == column:
                return {"is": kind}
    return None


def _type_judge(q: Question) -> Outcome | None:
    kinds = {kind: rows for schema, rows in q.seen.schemas.items() for name, kind in schema if name == q.column}
    wrong = {kind: rows for kind, rows in kinds.items() if kind != q.limits["is"]}
    if not kinds:
        return None
    if not wrong:
        return Outcome(True, 0.0, 0.0, "")
    share = sum(wrong.values()) / max(1, sum(kinds.values()))
    return Outcome(False, share, 0.0, f"The type is {' and '.join(sorted(wrong))}; {q.limits['is']} is expected.")


def _range_infer(normal: Seen, column: str) -> Limits | None:
    own = normal.summary(column)
    if own is None or own.minimum is None or own.maximum is None or own.minimum == own.maximum:
        return None
    return {"min": own.minimum, "max": own.maximum, "share": 0.001}


def _range_judge(q: Question) -> Outcome | None:
    found = q.seen.outside(q.column, q.limits.get("min"), q.limits.get("max"))
    own = q.seen.summary(q.column)
    ends = (own.minimum, own.maximum) if own is not None else (None, None)
    where = f", from {ends[0]:g} to {ends[1]:g}" if None not in ends else ""
    bounds = {name: v for name, v in q.limits.items() if name in ("min", "max")}
    what = f"lie outside the range ({expected_range(bounds)} is expected){where}"
    return most_of(found, float(q.limits.get("share", 0.0)), what, None)


def _number_rule(id: str, title: str, attribute: str, name: str, limits: Any) -> Rule:
    """A rule about the mean, the spread or the median."""

    def number(seen: Seen, column: str) -> tuple[float | None, int]:
        own = seen.summary(column)
        if own is None or own.count < _ROWS_FOR_MEANS:
            return None, 0
        if attribute == "p50":
            found = own.quantiles.get("p50")
            return (found.value if found is not None else None), own.count
        return getattr(own, attribute), own.count

    def infer(normal: Seen, column: str) -> Limits | None:
        own, found = normal.summary(column), number(normal, column)[0]
        if own is None or found is None or not own.sd:
            return None
        low, high = limits(found, own.sd)
        if own.minimum is not None and own.minimum >= 0:
            low = max(low, 0.0)  # below it no mean can be, and a limit there looks like a mistake
        return {"min": float(f"{low:.6g}"), "max": float(f"{high:.6g}")}

    def judge(q: Question) -> Outcome | None:
        found, n = number(q.seen, q.column)
        if found is None:
            return None
        held, limit = between(found, q.limits)
        before = number(q.normal, q.column)[0]
        was = f" ({before:.6g} in the baseline)" if before is not None else ""
        reason = f"The {name} is {found:.6g}; {expected_range(q.limits)} is expected{was}."
        return Outcome(held, found, limit, reason, n)

    return Rule(id, title, "column", "warning", {"min": NUMBER, "max": NUMBER}, infer, judge)


def _unseen_infer(normal: Seen, column: str) -> Limits | None:
    counts = normal.categories(column)
    if not counts:
        return None
    # The share of rows whose value was not seen before is about that of values seen once (Good 1953).
    limit = rounded_up(1.5 * sum(n == 1 for n in counts.values()) / sum(counts.values()) + 0.01)
    return {"max": limit} if limit < 0.9 else None


def _unseen_judge(q: Question) -> Outcome | None:
    found = q.seen.value(q.column, "unseen")
    if found is None or found.value is None:
        return None
    counts, known = q.seen.categories(q.column) or {}, q.normal.categories(q.column) or {}
    new = sorted((v for v in counts if v not in known), key=lambda v: (-counts[v], v))[:3]
    names = f", such as {', '.join(map(repr, new))}" if new else ""
    rows = (round(found.value * found.n), found.n)
    return most_of(rows, float(q.limits["max"]), f"have a value that the baseline does not know{names}", None)


def _vanished_infer(normal: Seen, column: str) -> Limits | None:
    counts = normal.categories(column)
    return {"share": 0.01} if counts is not None and len(counts) > 1 else None


def _vanished_judge(q: Question) -> Outcome | None:
    counts, known = q.seen.categories(q.column), q.normal.categories(q.column)
    if counts is None or not counts or not known:
        return None
    total, rows = sum(known.values()), sum(counts.values())
    least = float(q.limits["share"])
    gone = [value for value, n in known.items() if n / total >= least and value not in counts]
    gone.sort(key=lambda value: (-known[value], value))
    gone = [value for value in gone if known[value] / total * rows >= _EXPECTED_ROWS]
    if not gone:
        return Outcome(True, 0.0, 0.0, "")
    share = sum(known[value] for value in gone) / total
    names = ", ".join(map(repr, gone[:3]))
    reason = f"No row has {names}{' and others' if len(gone) > 3 else ''}, {percent(share)} of the baseline's rows."
    return Outcome(False, share, 0.0, reason, rows)


def _constant_infer(normal: Seen, column: str) -> Limits | None:
    found = normal.largest(column)
    return {"max": 1.0} if found is not None and found[0] < found[1] else None


def _constant_judge(q: Question) -> Outcome | None:
    found = q.seen.largest(q.column)
    if found is None or found[1] < LEAST_ROWS:
        return None
    held = found[0] < found[1] or float(q.limits["max"]) > 1
    return Outcome(held, found[0] / found[1], 1.0, f"All {found[1]:,} rows have the same value.", found[1])


def _almost_infer(normal: Seen, column: str) -> Limits | None:
    found = normal.largest(column)
    if found is None or not found[1] or found[0] / found[1] >= _ALMOST:
        return None
    return {"max": _ALMOST}


def _almost_judge(q: Question) -> Outcome | None:
    found = q.seen.largest(q.column)
    if found is None or found[1] < LEAST_ROWS or found[0] == found[1]:
        return None
    return most_of(found, float(q.limits["max"]), "have one and the same value", q.normal.largest(q.column))


def _distinct_infer(normal: Seen, column: str) -> Limits | None:
    found, own = normal.value(column, "distinct"), normal.baseline.by_name.get(column)
    if found is None or found.value is None or not isinstance(own, CategoricalColumn):
        return None
    if found.value > 0.1 * max(1, normal.rows):
        return None
    return {"max": int(2 * found.value + 10)}


def _distinct_judge(q: Question) -> Outcome | None:
    found = q.seen.value(q.column, "distinct")
    if found is None or found.value is None:
        return None
    limit = float(q.limits["max"])
    reason = f"There are {found.value:,.0f} different values; at most {limit:,.0f} are expected."
    return Outcome(found.value <= limit, found.value, limit, reason, found.n)


def _uniqueness(seen: Seen, column: str) -> tuple[float, int] | None:
    found = seen.value(column, "distinct")
    own = seen.summary(column)
    rows = own.count if own is not None else 0
    if found is None or found.value is None or rows < LEAST_ROWS:
        return None
    return min(1.0, found.value / rows), rows


def _uniqueness_infer(normal: Seen, column: str) -> Limits | None:
    found = _uniqueness(normal, column)
    return {"min": float(f"{0.8 * found[0]:.2g}")} if found is not None and found[0] > 0.5 else None


def _uniqueness_judge(q: Question) -> Outcome | None:
    found = _uniqueness(q.seen, q.column)
    if found is None:
        return None
    limit = float(q.limits["min"])
    reason = f"Some {percent(found[0])} of the values are different; at least {percent(limit)} are expected to be."
    return Outcome(found[0] >= limit, found[0], limit, reason, found[1])


def _balance_infer(normal: Seen, column: str) -> Limits | None:
    label = normal.baseline.roles.get(column) == "label"
    return {"max": 0.15} if label and normal.categories(column) is not None else None


def _balance_judge(q: Question) -> Outcome | None:
    counts, known = q.seen.categories(q.column), q.normal.categories(q.column)
    if not counts or not known or sum(counts.values()) < _ROWS_FOR_MEANS:
        return None
    rows, total = sum(counts.values()), sum(known.values())
    moved = {v: counts.get(v, 0) / rows - known.get(v, 0) / total for v in {*counts, *known}}
    most = max(sorted(moved), key=lambda v: abs(moved[v]))
    limit = float(q.limits["max"])
    before, after = known.get(most, 0) / total, counts.get(most, 0) / rows
    reason = (
        f"{most!r} went from {percent(before)} to {percent(after)} of rows; at most {100 * limit:g} points may move."
    )
    return Outcome(abs(moved[most]) <= limit, abs(moved[most]), limit, reason, rows)


def _values_infer(normal: Seen, column: str) -> Limits | None:
    return None  # what is allowed is for a person to say; unseen values are found without it


def _values_judge(q: Question) -> Outcome | None:
    allowed = list(q.limits.get("in", ()))
    if "list" in q.limits:
        allowed += _listed(str(q.limits["list"]))
    found = q.seen.not_among(q.column, allowed)
    if found is None:
        return None
    hits, rows, examples = found
    source = f"in {q.limits['list']}" if "list" in q.limits else "allowed"
    what = f"have a value that is not {source}{', such as ' + ', '.join(map(repr, examples)) if examples else ''}"
    return most_of((hits, rows), float(q.limits.get("max", 0.0)), what, None)


def _listed(path: str) -> list[Any]:
    """The first column of a CSV file without a header, or the lines of a text file."""
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            return [row[0].strip() for row in csv.reader(file) if row and row[0].strip()]
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(f"{path}: the list of allowed values cannot be read ({what}).") from error


def _leak_infer(normal: Seen, column: str) -> Limits | None:
    found = normal.share(column, "equals_label")
    if found is None or found[1] < LEAST_ROWS:
        return None
    share = found[0] / found[1]
    return {"max": round(max(_GIVEN_AWAY, 1 - (1 - share) / 10), 6)} if share < 0.99 else None


def _leak_judge(q: Question) -> Outcome | None:
    before = q.normal.share(q.column, "equals_label")
    return most_of(
        q.seen.share(q.column, "equals_label"), float(q.limits["max"]), "have the value of the label", before
    )


def _empty_infer(normal: Seen, column: str) -> Limits | None:
    found = normal.share(column, "null")
    return {"max": 1.0} if found is not None and found[0] < found[1] else None


def _empty_judge(q: Question) -> Outcome | None:
    found = q.seen.share(q.column, "null")
    if found is None or not found[1]:
        return None
    return Outcome(found[0] < found[1], found[0] / found[1], 1.0, f"All {found[1]:,} rows are null.", found[1])


_MAX: Final = {"max": NUMBER}

COLUMN_RULES: Final = (
    Rule("type", "Type of the column", "column", "warning", {"is": (str,)}, _type_infer, _type_judge, "log"),
    counter_rule("nulls", "Share of null", "null", "are null", severity="warning", slack=0.05, factor=1.0),
    Rule("empty_column", "Nothing but null", "column", "alert", _MAX, _empty_infer, _empty_judge),
    counter_rule("nan", "Share of NaN", "nan", "are NaN"),
    counter_rule("infinite", "Share of infinite values", "infinite", "are infinite"),
    counter_rule("fraction", "Share of fractions", "fraction", "are not whole numbers", severity="warning"),
    counter_rule("zero", "Share of zeros", "zero", "are 0", severity="warning", slack=0.05),
    counter_rule("negative", "Share of negative values", "negative", "are negative"),
    Rule("range", "Range of values", "column", "warning",
         {"min": NUMBER, "max": NUMBER, "share": NUMBER}, _range_infer, _range_judge),
    _number_rule("mean", "Mean", "mean", "mean", lambda x, sd: (x - 0.5 * sd, x + 0.5 * sd)),
    _number_rule("sd", "Standard deviation", "sd", "standard deviation", lambda x, sd: (x / 2, 2 * x)),
    _number_rule("median", "Median", "p50", "median", lambda x, sd: (x - 0.75 * sd, x + 0.75 * sd)),
    Rule("unseen_values", "Values that are new", "column", "warning", _MAX, _unseen_infer, _unseen_judge),
    Rule("vanished_values", "Values that are gone", "column", "warning",
         {"share": NUMBER}, _vanished_infer, _vanished_judge),
    Rule("allowed_values", "Values that are allowed", "column", "alert",
         {"in": (list,), "list": (str,), "max": NUMBER}, _values_infer, _values_judge),
    Rule("constant", "One value only", "column", "alert", _MAX, _constant_infer, _constant_judge),
    Rule("almost_constant", "One value in most rows", "column", "warning", _MAX, _almost_infer, _almost_judge),
    Rule("distinct_values", "Number of different values", "column", "warning", _MAX, _distinct_infer, _distinct_judge),
    Rule("uniqueness", "Share of different values", "column", "warning",
         {"min": NUMBER}, _uniqueness_infer, _uniqueness_judge),
    Rule("balance", "Balance of the label", "column", "warning", _MAX, _balance_infer, _balance_judge),
    counter_rule("empty_text", "Share of empty text", "empty", "are empty text"),
    counter_rule("padded_text", "Share of text with blanks around it", "padded", "begin or end with a blank"),
    counter_rule("null_as_text", "Share of text that says there is no value", "spelled_null",
                 "are text such as 'N/A'"),
    counter_rule("special_text", "Share of text without letters or digits", "special", "have no letter and no digit"),
    counter_rule("broken_text", "Share of text that was not decoded", "broken", "hold a character that was lost"),
    *TEXT_RULES,
    Rule("equals_label", "The label in disguise", "column", "alert", _MAX, _leak_infer, _leak_judge),
)  # fmt: skip


def is_numeric(seen: Seen, column: str) -> bool:
    """Whether the baseline compares the column as numbers."""
    return isinstance(seen.baseline.by_name.get(column), NumericColumn)
