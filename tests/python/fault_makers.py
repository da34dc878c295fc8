"""A clean log of a small lender, and one way to spoil it for every entry of the taxonomy of data faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import modelwatch_gpu as mw

ROWS, DAYS = 8_000, 20
_FIRST = 1_704_067_200  # 2024-01-01T00:00:00Z
ROLES = mw.Roles(id="event_id", timestamp="ts", label="label", score="score", prediction="prediction", numeric=["age"])

Mutation = Callable[[pa.Table, np.random.Generator], pa.Table]


def clean(seed: int, period: int) -> pa.Table:
    """The rows of one period of 20 days, in the order of time."""
    rng = np.random.default_rng([seed, period])
    seconds = np.sort(rng.integers(0, DAYS * 86_400, ROWS)) + _FIRST + period * DAYS * 86_400
    amount = np.exp(rng.normal(4, 0.6, ROWS))
    score = rng.beta(2, 3, ROWS)
    label = (rng.random(ROWS) < score).astype("i1")
    country = np.array(["at", "de", "fr", "it", "pl", "se"])[rng.choice(6, ROWS, p=[0.3, 0.3, 0.2, 0.1, 0.06, 0.04])]
    letters = np.array(list("ABCDEFGH"))[rng.integers(0, 8, (2, ROWS))]
    codes = [f"{a}{b}-{n:04d}" for a, b, n in zip(*letters, rng.integers(0, 500, ROWS), strict=True)]
    return pa.table(
        {
            "event_id": pa.array(np.arange(ROWS) + 1_000_000 * (1 + period)),
            "ts": pa.array(seconds * 1_000_000).cast(pa.timestamp("us", "UTC")),
            "amount": pa.array(amount),
            "age": pa.array(rng.integers(18, 90, ROWS).astype("i4")),
            "items": pa.array(rng.poisson(9, ROWS).astype("f8"), mask=rng.random(ROWS) < 0.02),
            "change": pa.array(rng.normal(0, 1, ROWS)),
            "country": pa.array(country),
            "code": pa.array(codes),
            "zip": pa.array([f"{n:05d}" for n in rng.integers(10_000, 99_999, ROWS)]),
            "online": pa.array(rng.random(ROWS) < 0.6),
            "score": pa.array(score),
            "prediction": pa.array((score > 0.5).astype("i1")),
            "label": pa.array(label),
        }
    )


def put(log: pa.Table, name: str, values: Any) -> pa.Table:
    """The log with other values in one column."""
    return log.set_column(log.schema.get_field_index(name), name, values)


def some(log: pa.Table, name: str, share: float, value: Any, rng: np.random.Generator) -> pa.Table:
    """The log with one value in a share of the rows of a column."""
    column = log.column(name)
    chosen = pa.array(rng.random(log.num_rows) < share)
    return put(log, name, pc.if_else(chosen, pa.scalar(value, column.type), column))


def _some(name: str, share: float, value: Any) -> Mutation:
    return lambda log, rng: some(log, name, share, value, rng)


def _texts(name: str, change: Callable[[str], str], share: float = 0.1) -> Mutation:
    def spoil(log: pa.Table, rng: np.random.Generator) -> pa.Table:
        chosen = rng.random(log.num_rows) < share
        values = log.column(name).to_pylist()
        return put(log, name, pa.array([change(v) if c else v for v, c in zip(values, chosen, strict=True)]))

    return spoil


def _numbers(name: str, change: Callable[[Any], Any]) -> Mutation:
    return lambda log, rng: put(log, name, pa.array(change(log.column(name).to_numpy())))


def _repeated_ids(log: pa.Table, rng: np.random.Generator) -> pa.Table:
    ids = log.column("event_id").to_numpy().copy()
    again = rng.random(len(ids)) < 0.05
    ids[again] = ids[rng.integers(0, len(ids), int(again.sum()))]
    return put(log, "event_id", pa.array(ids))


def _repeated_rows(log: pa.Table, rng: np.random.Generator) -> pa.Table:
    return pa.concat_tables([log, log.take(pa.array(rng.integers(0, log.num_rows, 600)))])


def _of_baseline(log: pa.Table, rng: np.random.Generator) -> pa.Table:
    return pa.concat_tables([log, clean(7, 0).take(pa.array(rng.choice(ROWS, 800, replace=False)))])


def _conflicting(log: pa.Table, rng: np.random.Generator) -> pa.Table:
    again = log.take(pa.array(rng.choice(log.num_rows, 500, replace=False)))
    again = put(again, "label", pa.array(1 - again.column("label").to_numpy()))
    again = put(again, "event_id", pa.array(np.arange(500) + 90_000_000))
    return pa.concat_tables([log, again])


def _ids_tell(log: pa.Table, rng: np.random.Generator) -> pa.Table:
    label, ids = log.column("label").to_numpy(), log.column("event_id").to_numpy()
    return put(log, "event_id", pa.array(np.sort(ids)[np.argsort(np.argsort(label, kind="stable"))]))


def _days(*kept: tuple[int, int]) -> Mutation:
    def cut(log: pa.Table, rng: np.random.Generator) -> pa.Table:
        day = (log.column("ts").cast(pa.int64()).to_numpy() // 86_400_000_000) % DAYS
        first = day.min()
        return log.filter(pa.array(np.any([(day - first >= a) & (day - first < b) for a, b in kept], axis=0)))

    return cut


def _label(log: pa.Table, rng: np.random.Generator) -> pa.Array:
    return log.column("label").cast(pa.float64())


@dataclass(frozen=True)
class Fault:
    """``column``, ``check``: of the finding that names it. ``edit``: what a person expects too. ``as_of``: the time."""

    name: str
    column: str
    check: str
    spoil: Mutation
    edit: dict[str, Any] | None = None
    as_of: str | None = None


T = ":table"
FAULTS = (
    # Volume and shape
    Fault("too few rows", T, "row_count", lambda log, rng: log.filter(pa.array(rng.random(log.num_rows) < 0.4))),
    Fault("every row three times", T, "row_count", lambda log, rng: pa.concat_tables([log] * 3)),
    Fault("days without rows", T, "gaps", _days((0, 8), (11, 20))),
    Fault("stale", T, "freshness", lambda log, rng: log, as_of="2024-03-01T00:00:00+00:00"),
    Fault("rows of the future", T, "future", lambda log, rng: log, as_of="2024-02-01T00:00:00+00:00"),
    Fault("rows of the baseline's time", T, "period", lambda log, rng: put(
        log, "ts", pa.array(log.column("ts").cast(pa.int64()).to_numpy() - 5 * 86_400_000_000).cast(
            pa.timestamp("us", "UTC")))),
    Fault("a column is gone", T, "missing_columns", lambda log, rng: log.drop_columns(["age"])),
    Fault("a column is new", T, "new_columns", lambda log, rng: log.append_column("extra", log.column("age"))),
    Fault("columns in another order", T, "column_order", lambda log, rng: log.select(
        ["event_id", "ts", "age", "amount", *log.schema.names[4:]])),
    Fault("numbers as text", "age", "type", lambda log, rng: put(log, "age", log.column("age").cast(pa.string()))),
    Fault("whole numbers as floats", "age", "type", lambda log, rng: put(
        log, "age", log.column("age").cast(pa.float64()))),
    Fault("text as numbers", "zip", "type", lambda log, rng: put(log, "zip", log.column("zip").cast(pa.int64()))),
    # Missing
    Fault("an empty column", "amount", "empty_column", lambda log, rng: put(
        log, "amount", pa.nulls(log.num_rows, pa.float64()))),
    Fault("more null", "change", "nulls", _some("change", 0.12, None)),
    Fault("ids that are null", "event_id", "nulls", _some("event_id", 0.12, None)),
    Fault("rows without a time", "ts", "nulls", _some("ts", 0.12, None)),
    Fault("NaN", "change", "nan", _some("change", 0.02, float("nan"))),
    Fault("a spelling of null", "country", "null_as_text", _some("country", 0.02, "N/A")),
    Fault("empty text", "code", "empty_text", _some("code", 0.02, "")),
    Fault("rows of nothing", T, "empty_rows", lambda log, rng: pa.concat_tables(
        [log, pa.table({f.name: pa.nulls(300, f.type) for f in log.schema}, schema=log.schema)])),
    # Values
    Fault("infinite values", "amount", "infinite", _some("amount", 0.01, float("inf"))),
    Fault("a stand-in number", "age", "range", _some("age", 0.03, 999)),
    Fault("below zero", "amount", "negative", _some("amount", 0.02, -12.5)),
    Fault("zeros", "change", "zero", _some("change", 0.15, 0.0)),
    Fault("fractions", "items", "fraction", _some("items", 0.05, 7.5)),
    Fault("another unit", "amount", "mean", _numbers("amount", lambda x: x * 1.6)),
    Fault("another spread", "change", "sd", _numbers("change", lambda x: x * 2.5)),
    Fault("another middle", "change", "median", _numbers("change", lambda x: x + 1.0)),
    Fault("a score above one", "score", "range", _numbers("score", lambda x: x * 1.5)),
    Fault("a new category", "country", "unseen_values", _some("country", 0.04, "xx")),
    Fault("a category is gone", "country", "vanished_values", lambda log, rng: put(
        log, "country", pc.replace_substring(log.column("country"), "pl", "de"))),
    Fault("a value that is not allowed", "country", "allowed_values", _some("country", 0.004, "se"),
          edit={"columns": {"country": {"allowed_values": {"in": ["at", "de", "fr", "it", "pl"]}}}}),
    Fault("a number that is not allowed", "items", "allowed_values", _some("items", 0.05, 77.0),
          edit={"columns": {"items": {"allowed_values": {"in": list(range(40))}}}}),
    Fault("a value that no list has", "country", "allowed_values", _some("country", 0.05, "uk"),
          edit={"columns": {"country": {"allowed_values": {"list": "countries.csv"}}}}),
    # Text
    Fault("longer text", "code", "text_length", _texts("code", lambda v: v + "0000")),
    Fault("another shape", "code", "text_shape", _texts("code", lambda v: v.replace("-", "/"))),
    Fault("text that does not match", "code", "text_pattern", _texts("code", lambda v: v.replace("-", "/"), 0.01),
          edit={"columns": {"code": {"text_pattern": {"matches": "^[A-H]{2}-[0-9]{4}$"}}}}),
    Fault("a category that does not match", "country", "text_pattern", _some("country", 0.02, "D3"),
          edit={"columns": {"country": {"text_pattern": {"matches": ["^[a-z]{2}$", "^EU$"], "max": 0.001}}}}),
    Fault("blanks around", "country", "padded_text", _texts("country", lambda v: v + " ")),
    Fault("capitals", "country", "spelling", _texts("country", str.upper)),
    Fault("signs only", "code", "special_text", _texts("code", lambda v: "//??//!")),
    Fault("a lost encoding", "country", "broken_text", _texts("country", lambda v: v[0] + "\ufffd")),
    Fault("words among numbers", "zip", "mixed_types", _texts("zip", lambda v: "abcde")),
    Fault("numbers among words", "country", "mixed_types", _texts("country", lambda v: "12")),
    # Uniqueness
    Fault("one value only", "age", "constant", _numbers("age", lambda x: np.full(len(x), 42, "i4"))),
    Fault("one value nearly always", "country", "almost_constant", _some("country", 0.97, "de")),
    Fault("as many values as rows", "country", "distinct_values", lambda log, rng: put(
        log, "country", pa.array([f"c{i}" for i in range(log.num_rows)]))),
    Fault("few values where all were different", "change", "uniqueness", _numbers("change", lambda x: np.round(x, 1))),
    Fault("ids that repeat", T, "duplicate_ids", _repeated_ids),
    Fault("rows that repeat", T, "duplicate_rows", _repeated_rows),
    Fault("two columns are the same", T, "same_columns", lambda log, rng: put(log, "change", log.column("amount"))),
    # Labels and leakage
    Fault("labels that conflict", T, "conflicting_labels", _conflicting),
    Fault("the label out of balance", "label", "balance", lambda log, rng: log.filter(
        pc.or_(pc.equal(log.column("label"), 1), pa.array(rng.random(log.num_rows) < 0.35)))),
    Fault("the score is the label", "score", "equals_label", lambda log, rng: put(log, "score", _label(log, rng))),
    Fault("the prediction is the label", "prediction", "equals_label", lambda log, rng: put(
        log, "prediction", log.column("label"))),
    Fault("a feature is the label", "items", "equals_label", lambda log, rng: put(log, "items", _label(log, rng))),
    Fault("the ids tell the label", T, "id_predicts_label", _ids_tell),
    Fault("rows of the baseline", T, "rows_of_baseline", _of_baseline),
)  # fmt: skip
