"""Fits the columns of a baseline: kinds, knots and categories. Reads the log once, and again only for columns with
more distinct values than an exact grid may have, and to weigh numbers where rows have weights."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu import _core, keys
from modelwatch_gpu.device import Engine, engine
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.keys import domain_of
from modelwatch_gpu.log import Log, RoleAssignment, Roles, read_ahead, with_residuals
from modelwatch_gpu.log.ranks import distinct_labels, rank_column, with_label_ranks
from modelwatch_gpu.log.residuals import error_columns, is_number
from modelwatch_gpu.plain import plain_type
from modelwatch_gpu.profile.adapt import category_array, exact_numbers, is_supported
from modelwatch_gpu.profile.columns import COARSE_FIRST, COARSE_KNOTS, CategoricalColumn, Column
from modelwatch_gpu.profile.edges import Edge, checked_edges
from modelwatch_gpu.profile.knots import Keep, Ranked, Refiner, Split, exact_ranked, numeric_column, with_keys
from modelwatch_gpu.profile.scoring import MOST_CLASSES, THRESHOLD, score_knots, scores_of
from modelwatch_gpu.profile.weights import UInt32, Weighting
from modelwatch_gpu.units import scale_of

#: Roles whose columns are counted. The others are read for what they say about rows (timestamp) or not at all yet.
COUNTED_ROLES = ("feature", "prediction", "score", "label", "version", "latency", "error", "residual")
#: Categories a baseline keeps: those with the smallest (hash, bytes) where a column has more (DESIGN 3.3).
CATEGORY_CAP = 131_072
#: An integer column with at most this many distinct values is categorical unless the user says otherwise.
CATEGORICAL_INTEGERS = 10
#: Short text that is a number as it is not read as one, and what to do; so many values, of this share, make a hint.
_AS_TEXT = (
    (
        "with a comma",
        "write them with a point for decimals and nothing for thousands",
        re.compile(rb"[+-]?[\d.]*\d,\d+"),
    ),
    ("with a point", "cast it to a number", re.compile(rb"[+-]?\d+\.\d+([eE][+-]?\d+)?")),
    ("of percent", "leave the sign out", re.compile(rb"[+-]?\d+([.,]\d+)? ?%")),
)
_HINT_LENGTH, _HINT_VALUES, _HINT_SHARE = 32, 10, 0.9

Progress = Callable[[int], None]


def named(names: str | Sequence[str]) -> tuple[str, ...]:
    """One name or several, as several."""
    return (names,) if isinstance(names, str) else tuple(names)


@dataclass
class Fitted:
    """Columns in schema order, sentences about what was decided without being told, and column -> type of those that
    are left out because of their type. ``distinct``: column -> its values, of numbers that have one or two."""

    columns: list[Column]
    notes: list[str]
    skipped: dict[str, str]
    distinct: dict[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass
class _Candidate:
    name: str
    role: str
    type: pa.DataType  # of a numeric column: of its numbers, also where they come in a dictionary
    domain: str | None  # None: categorical
    edges: list[Edge] | None = None


def _candidates(
    log: Log,
    assignment: RoleAssignment,
    roles: Roles,
    edges: Mapping[str, Sequence[Any]],
    notes: list[str],
    skipped: dict[str, str],
) -> list[_Candidate]:
    out = []
    for name, role in assignment.roles.items():
        kind = log.schema.field(name).type
        if name in assignment.skipped:
            skipped[name] = str(kind)
        if role not in COUNTED_ROLES and not (role == "embedding" and pa.types.is_floating(kind)):
            continue
        asked = name in assignment.asked or name in edges
        plain = plain_type(kind)
        if pa.types.is_null(plain) or (pa.types.is_dictionary(plain) and pa.types.is_null(plain.value_type)):
            notes.append(f"Column '{name}' has no values in the reference, so it is not compared.")
            continue
        if not is_supported(plain):
            advice = "store its parts as columns of plain types, or ignore it"
            if asked:
                raise InputError(f"Column '{name}' has type {kind}, which cannot be counted; {advice}.")
            skipped[name] = str(kind)
            notes.append(f"Column '{name}' has type {kind}, which cannot be counted, so it is not compared; {advice}.")
            continue
        categorical = name in named(roles.categorical)
        wanted = name in named(roles.numeric) or name in edges
        if wanted and pa.types.is_dictionary(plain):
            plain = plain.value_type
        domain = None if categorical else domain_of(plain)
        if name in named(roles.numeric) and domain is None:
            raise InputError(f"Column '{name}' is asked to be numeric, but its type is {kind}.")
        cuts = None
        if name in edges:
            if domain is None:
                what = "is asked to be categorical" if categorical else f"has type {kind}"
                raise InputError(f"Column '{name}' has edges but {what}; edges cut numbers, dates and times only.")
            cuts = checked_edges(name, edges[name], plain)
        out.append(_Candidate(name, role, plain if domain is not None else kind, domain, cuts))
    return out


def _check_edges(log: Log, assignment: RoleAssignment, edges: Mapping[str, Sequence[Any]]) -> None:
    """Raises InputError for edges of a column that is not there or not compared."""
    for name in edges:
        if name not in assignment.roles:
            close = " or ".join(map(repr, difflib.get_close_matches(str(name), log.schema.names, n=3)))
            ask = f"did you mean {close}?" if close else f"there are {', '.join(log.schema.names[:20])}."
            raise InputError(f"Column {name!r} has edges but is not in the log; {ask}")
        if assignment.roles[name] not in COUNTED_ROLES:
            role = assignment.roles[name]
            raise InputError(f"Column '{name}' has edges but the role {role}, which is not compared; drop one of them.")


def _passes(
    log: Log,
    names: Sequence[str],
    convert: Callable[[pa.RecordBatch], Any],
    progress: Progress | None,
    weighting: Weighting | None,
) -> Any:
    """Every batch of the log with these columns, converted, and the weights of its rows; rows of weight 0 are left
    out, for they count nowhere."""
    names = [*names, *([weighting.column] if weighting is not None and weighting.column not in names else [])]
    for file in log.files:
        missing = [n for n in names if n not in file.schema.names]
        if missing:
            raise InputError(
                f"{file.name}: column '{missing[0]}' is missing, but other files of the reference have it."
            )
        batches = read_ahead(file.batches(list(names)))
        try:
            for batch in batches:
                try:
                    kept, weights = _weighed_rows(batch, weighting)
                    yield convert(kept), weights
                except InputError as error:
                    raise InputError(f"{file.name}: {error}") from None
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
                    first = str(error).splitlines()[0]
                    raise InputError(
                        f"{file.name}: a column changes its type between the reference's files ({first})."
                    ) from error
                if progress is not None:
                    progress(len(batch))
        finally:
            batches.close()


def _weighed_rows(batch: pa.RecordBatch, weighting: Weighting | None) -> tuple[pa.RecordBatch, UInt32 | None]:
    """The rows that count, and how often each does; None: once."""
    if weighting is None:
        return batch, None
    weights = weighting.stored(batch, "reference")  # whose weights have all been looked at before
    if weights.all():
        return batch, weights
    return batch.filter(pa.array(weights > 0)), weights[weights > 0]


def with_errors(log: Log, assignment: RoleAssignment, roles: Roles) -> tuple[Log, RoleAssignment]:
    """The log and its roles, with the errors of the prediction where it and the label are numbers and no classes, or
    with the ranks of labels where there is a score for each of several classes."""
    names = assignment.columns("score")
    of_classes = next(iter(assignment.columns("label")), None)
    if len(names) > 2 and of_classes is not None:
        classes = distinct_labels(log, of_classes, MOST_CLASSES)
        scores = scores_of(names, classes) if classes is not None and len(classes) > 2 else ()
        if scores and classes is not None and of_classes not in named(roles.numeric):
            ranked = with_label_ranks(log, of_classes, scores, classes)
            return ranked, replace(assignment, roles={**assignment.roles, rank_column(of_classes): "residual"})
    label, prediction = (next(iter(assignment.columns(role)), None) for role in ("label", "prediction"))
    if label is None or prediction is None or {label, prediction} & {*named(roles.categorical)}:
        return log, assignment
    if not all(is_number(log.schema.field(name).type) for name in (label, prediction)):
        return log, assignment
    if not _is_measured(log, label, asked=label in named(roles.numeric)):
        return log, assignment
    made = dict.fromkeys(error_columns(prediction, label), "residual")
    return with_residuals(log, prediction, label), replace(assignment, roles={**assignment.roles, **made})


def _is_measured(log: Log, label: str, *, asked: bool) -> bool:
    """Whether a label of numbers is a quantity: it has more values than classes have (``scoring.classes_of``). Reads
    this one column, and no more of it than it takes."""
    whole = pa.types.is_integer(plain_type(log.schema.field(label).type)) and not asked
    most = CATEGORICAL_INTEGERS if whole else 2
    found: set[Any] = set()
    for file in log.files:
        if label not in file.schema.names:
            continue
        for batch in file.batches([label]):
            column = batch.column(0)
            distinct = pc.unique(column.dictionary_decode() if pa.types.is_dictionary(column.type) else column)
            found.update(v for v in distinct.to_pylist() if v is not None and v == v)
            if len(found) > most or any(not float(v).is_integer() for v in found if abs(v) != float("inf")):
                return True
    return False


def _numeric_batch(columns: Sequence[_Candidate]) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    def convert(batch: pa.RecordBatch) -> pa.RecordBatch:
        arrays = [_numbers(batch.column(c.name), c) for c in columns]
        return pa.RecordBatch.from_arrays(arrays, names=[c.name for c in columns])

    return convert


def _numbers(array: pa.Array, c: _Candidate) -> pa.Array:
    try:
        return exact_numbers(array, c.type)
    except pa.ArrowInvalid as error:
        if pa.types.is_decimal(c.type) and array.type == c.type:
            raise InputError(
                f"column '{c.name}' holds decimals ({array.type}) of more digits than 64 bits hold, which cannot be "
                "compared exactly; cast it to float64, or to fewer digits after the point, or ignore it."
            ) from None
        raise pa.ArrowInvalid(f"column '{c.name}', {str(error).splitlines()[0]}") from error


def fit_columns(
    log: Log,
    assignment: RoleAssignment,
    roles: Roles,
    *,
    edges: Mapping[str, Sequence[Any]] | None = None,
    exact_up_to: int,
    threads: int,
    device: str = "cpu",
    threshold: float = THRESHOLD,
    weighting: Weighting | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Fits every column that has a counted role. Raises InputError for a log that cannot be a reference.

    With weights the knots beyond an exact grid stay those of the rows; deciles, coarse grids and the categories that
    these keep apart go by weight. ``threshold``: a knot of every score, where there is a label.
    """
    notes: list[str] = []
    skipped: dict[str, str] = {}
    edges = edges or {}
    _check_edges(log, assignment, edges)
    candidates = _candidates(log, assignment, roles, edges, notes, skipped)
    if not candidates:
        raise InputError(
            "The reference has no rows; fit the baseline on a log that has some."
            if log.rows == 0
            else "The reference has no column to compare; give at least one column a role such as feature or score."
        )
    numbers = [c for c in candidates if c.domain is not None]
    texts = [c for c in candidates if c.domain is None]
    counting = engine(device)
    distinct = counting.DistinctPass([keys.DOMAINS[str(c.domain)] for c in numbers], exact_up_to)
    plans = [
        _core.CategoryPlan(
            known=[],
            to_coarse=np.empty(0, dtype=np.uint32),
            coarse_slots=COARSE_FIRST,
            unseen_cap=CATEGORY_CAP,
            known_cap=None,
        )
        for _ in texts
    ]
    categories = counting.Counter(plans, [_core.SetPlan(coarse=False, moments=False)])
    as_numbers = _numeric_batch(numbers)

    def both(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        coded = [category_array(batch.column(c.name)) for c in texts]
        return as_numbers(batch), pa.RecordBatch.from_arrays(coded, names=[c.name for c in texts])

    rows = 0
    for (number_batch, text_batch), weights in _passes(log, [c.name for c in candidates], both, progress, weighting):
        if numbers:
            distinct.add(number_batch, threads)
            rows += len(number_batch)
        if texts:
            categories.add(text_batch, [None], threads, weights)
            rows += 0 if numbers else len(text_batch)
    if rows == 0:
        raise InputError("The reference has no rows; fit the baseline on a log that has some.")

    found = {c.name: distinct.column(i) for i, c in enumerate(numbers)}
    ranked = _ranked_columns(counting, log, numbers, found, threads, progress, weighting)
    if weighting is not None:
        _weigh(counting, log, numbers, ranked, threads, progress, weighting)
    columns: list[Column] = []
    for c in candidates:
        if c.domain is None:
            text = _from_engine(c, categories.category(texts.index(c), 0))
            columns.append(text)
            notes += _numbers_as_text(text)
            continue
        exact = not found[c.name]["overflowed"]
        integers = pa.types.is_integer(c.type) and exact and c.name not in named(roles.numeric) and c.edges is None
        if integers and 0 < len(found[c.name]["keys"]) <= CATEGORICAL_INTEGERS:
            columns.append(_from_integers(c, ranked[c.name]))
            notes.append(
                f"Column '{c.name}' has {len(found[c.name]['keys'])} distinct whole numbers "
                "and is taken as categorical."
            )
        else:
            also: Sequence[int] = ()
            if c.role == "score" and assignment.columns("label"):
                also = score_knots(str(c.domain), threshold, scale_of(c.type))
            columns.append(
                numeric_column(c.name, c.role, c.type, ranked[c.name], exact=exact, edges=c.edges, also=also)
            )
    few = {
        c.name: tuple(keys.values_of(ranked[c.name].lows, str(c.domain)).tolist())
        for c in numbers
        if not found[c.name]["overflowed"] and len(ranked[c.name].lows) <= 2 and not scale_of(c.type)
    }
    return Fitted(columns, notes, skipped, few)


def _ranked_columns(
    counting: Engine,
    log: Log,
    numbers: list[_Candidate],
    found: dict[str, Any],
    threads: int,
    progress: Progress | None,
    weighting: Weighting | None,
) -> dict[str, Ranked]:
    """Order statistics of every numeric column; reads the log again while a column needs finer cuts."""
    out = {c.name: exact_ranked(str(c.domain), found[c.name]) for c in numbers}
    refiners = {c.name: Refiner(str(c.domain), found[c.name]["top"]) for c in numbers if found[c.name]["overflowed"]}
    while True:
        steps = {name: step for name, r in refiners.items() if (step := r.next_pass()) is not None}
        if not steps:
            break
        columns = [c for c in numbers if c.name in steps]
        splits = [(c.name, step) for c in columns if isinstance(step := steps[c.name], Split)]
        kept = [(c.name, step) for c in columns if isinstance(step := steps[c.name], Keep)]
        split = counting.SplitPass([(s.domain, s.lows, s.width, s.split) for _, s in splits])
        keep = counting.KeepPass([(k.domain, k.lows, k.widths) for _, k in kept])
        for batch, _ in _passes(log, [c.name for c in columns], _numeric_batch(columns), progress, weighting):
            if splits:
                split.add(batch.select([name for name, _ in splits]), threads)
            if kept:
                keep.add(batch.select([name for name, _ in kept]), threads)
        for i, (name, _) in enumerate(splits):
            refiners[name].take(split.column(i))
        for i, (name, _) in enumerate(kept):
            refiners[name].take_kept(keep.column(i))
    out.update({name: r.ranked for name, r in refiners.items()})
    return out


def _weigh(
    counting: Engine,
    log: Log,
    numbers: list[_Candidate],
    ranked: dict[str, Ranked],
    threads: int,
    progress: Progress | None,
    weighting: Weighting,
) -> None:
    """Replaces the rows of every value or interval by their weight: one more pass, as rows are counted."""
    columns = [c for c in numbers if len(ranked[c.name].lows)]
    if not columns:
        return
    grids = []
    for c in columns:
        outer, lows = keys.infinities(str(c.domain)), ranked[c.name].lows
        grids.append(_core.Grid(keys.DOMAINS[str(c.domain)], with_keys(lows, outer)))
    counter = counting.Counter([_ranking_plan(grid) for grid in grids], [_core.SetPlan(coarse=False, moments=False)])
    for batch, weights in _passes(log, [c.name for c in columns], _numeric_batch(columns), progress, weighting):
        counter.add(batch, [None], threads, weights)
    for i, (c, grid) in enumerate(zip(columns, grids, strict=True)):
        own, result = ranked[c.name], counter.numeric(i, 0)
        cells = np.zeros(grid.slots, dtype=np.uint64)
        cells[result["cell"]] = result["count"]
        # An interval begins at its knot's own cell, and no value lies between two intervals.
        begins = 2 * np.searchsorted(grid.knots, own.lows) + 1
        ranked[c.name] = Ranked(own.domain, own.lows, own.widths, np.add.reduceat(cells[:-2], begins))


def _ranking_plan(grid: _core.Grid) -> _core.NumericPlan:
    nothing = np.empty(0, dtype=np.uint32)
    slots = grid.slots
    return _core.NumericPlan(
        grid=grid, to_fine=nothing, fine_slots=slots, to_coarse=nothing, coarse_slots=0, gap_shift=0, pivot=0
    )


def _categorical(c: _Candidate, counts: dict[bytes, int], cap: tuple[int, bytes] | None) -> CategoricalColumn:
    names = tuple(sorted(counts))
    common = sorted(range(len(names)), key=lambda i: (-counts[names[i]], names[i]))[: COARSE_KNOTS - COARSE_FIRST]
    return CategoricalColumn(c.name, c.role, str(c.type), names, cap, np.array(sorted(common), dtype=np.uint32))


def _from_engine(c: _Candidate, result: dict[str, Any]) -> CategoricalColumn:
    values: list[bytes] = result["unseen"]
    counts = {values[int(i)]: int(n) for i, n in zip(result["unseen_index"], result["unseen_count"], strict=True)}
    cap = max((_core.hash_bytes(v), v) for v in values) if result["capped"] else None
    return _categorical(c, counts, cap)


def _numbers_as_text(column: CategoricalColumn) -> Iterator[str]:
    """A hint where nearly all values of a text column are numbers; whole ones aside, which may be names."""
    values = column.categories
    if len(values) < _HINT_VALUES:
        return
    for what, how, number in _AS_TEXT:
        if sum(len(v) <= _HINT_LENGTH and bool(number.fullmatch(v)) for v in values) >= _HINT_SHARE * len(values):
            yield (
                f"Column '{column.name}' is text and is taken as categorical, though nearly all of it reads as numbers "
                f"{what}; {how} to compare numbers."
            )


def _from_integers(c: _Candidate, found: Ranked) -> CategoricalColumn:
    numbers = keys.values_of(found.lows, found.domain).tolist()
    return _categorical(c, {str(v).encode(): int(n) for v, n in zip(numbers, found.counts, strict=True)}, None)
