"""Performance of rankings: rows of a query, sorted by score, beside their relevance.

Every function takes rows of (query, relevance, score) in any order. Relevance is a number from 0, and a row is relevant
where it is above 0. Rows of one query with equal scores are in random order: the answer is its mean over all of their
orders, so the order of the rows decides nothing. Rows have no weights: a place in a ranking cannot be a part of one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu.arrays import as_columns, common_domain, in_domain
from modelwatch_gpu.device import engine
from modelwatch_gpu.device_arrays import DeviceColumn, location
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures import ranking as formulas
from modelwatch_gpu.measures.performance import REASONS
from modelwatch_gpu.measures.ranking import Ranking
from modelwatch_gpu.stats.categories import checked_type
from modelwatch_gpu.stats.grouped import resolve_beside
from modelwatch_gpu.stats.labelled import numbers_of, same_rows
from modelwatch_gpu.stats.result import checked, over_pairs

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RankingResult:
    """A mean over queries. ``queries``: how many took part; ``without_relevant``: how many queries have no relevant
    row; ``n`` rows took part, ``missing`` did not; ``device``: what answered."""

    value: float
    queries: int
    without_relevant: int
    n: int
    missing: int
    device: str


def ndcg(
    labels: Any,
    scores: Any,
    *,
    queries: Any,
    k: int | None = 10,
    gains: str = "linear",
    without_relevant: str = "zero",
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Normalised discounted cumulative gain of the first ``k`` rows, 0 to 1: SUM of gain / log2(place + 1) over that of
    the best order; the mean over queries.

    Args:
        labels: (n,) relevance, numbers from 0.
        scores: (n,) or (n, columns): the highest comes first.
        queries: (n,) which query a row belongs to: text, whole numbers or any other values; floats are refused.
        k: How many rows of a query count, from 1; None: all.
        gains: "linear": the relevance; "exponential": 2^relevance - 1.
        without_relevant: What becomes of queries without a relevant row: "zero", they count as 0; "skip", they are left
            out.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N": rows are sorted there, and added up on the
            host. Of queries on a device whole numbers, dates or times are told apart.
        threads: Of no effect: rows are sorted.
        full: Return a RankingResult (or a tuple of them) instead of a float (or a (columns,) float64 array).

    Raises:
        InputError: No query is left, a relevance is negative or infinite, or rows do not match.
    """
    if gains not in formulas.GAINS:
        raise InputError(f"gains='{gains}' is unknown; use 'linear' or 'exponential'.")
    limit = _checked(k, without_relevant)
    return _ranked(
        "ndcg", lambda r: formulas.ndcg(r, limit, gains), labels, scores, queries, without_relevant, device, full
    )


def mean_average_precision(
    labels: Any,
    scores: Any,
    *,
    queries: Any,
    k: int | None = 10,
    without_relevant: str = "zero",
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """MAP@k, 0 to 1: of a query the precision at the place of each relevant row among the first ``k``, added up, over
    the relevant rows that ``k`` places can hold; the mean over queries. Arguments as for ``ndcg``."""
    limit = _checked(k, without_relevant)
    return _ranked(
        "mean_average_precision",
        lambda r: formulas.average_precision(r, limit),
        labels,
        scores,
        queries,
        without_relevant,
        device,
        full,
    )


def mrr(
    labels: Any,
    scores: Any,
    *,
    queries: Any,
    k: int | None = 10,
    without_relevant: str = "zero",
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Mean reciprocal rank, 0 to 1: 1 over the place of the first relevant row, 0 where none is among the first ``k``.
    Arguments as for ``ndcg``."""
    limit = _checked(k, without_relevant)
    return _ranked(
        "mrr", lambda r: formulas.reciprocal_rank(r, limit), labels, scores, queries, without_relevant, device, full
    )


def hit_rate(
    labels: Any,
    scores: Any,
    *,
    queries: Any,
    k: int | None = 10,
    without_relevant: str = "zero",
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Share of queries with a relevant row among the first ``k``, 0 to 1. Arguments as for ``ndcg``."""
    limit = _checked(k, without_relevant)
    return _ranked(
        "hit_rate", lambda r: formulas.hit_rate(r, limit), labels, scores, queries, without_relevant, device, full
    )


def precision_at_k(
    labels: Any,
    scores: Any,
    *,
    queries: Any,
    k: int | None = 10,
    without_relevant: str = "zero",
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Relevant rows among the first ``k``, over ``k``, 0 to 1; the mean over queries. A query of fewer rows is divided
    by ``k`` too. Arguments as for ``ndcg``."""
    limit = _checked(k, without_relevant)
    return _ranked(
        "precision_at_k",
        lambda r: formulas.precision(r, limit),
        labels,
        scores,
        queries,
        without_relevant,
        device,
        full,
    )


def recall_at_k(
    labels: Any,
    scores: Any,
    *,
    queries: Any,
    k: int | None = 10,
    without_relevant: str = "zero",
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Relevant rows among the first ``k``, over all relevant rows of the query, 0 to 1; the mean over queries.
    Arguments as for ``ndcg``."""
    limit = _checked(k, without_relevant)
    return _ranked(
        "recall_at_k", lambda r: formulas.recall(r, limit), labels, scores, queries, without_relevant, device, full
    )


def _checked(k: Any, without_relevant: str) -> int | None:
    if k is not None and (isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1):
        raise InputError(f"k={k!r} must be a whole number from 1, or None for all rows.")
    if without_relevant not in formulas.WITHOUT_RELEVANT:
        raise InputError(f"without_relevant='{without_relevant}' is unknown; use 'zero' or 'skip'.")
    return None if k is None else int(k)


def codes_of(values: Any, name: str, rows: int) -> tuple[Ints, npt.NDArray[np.bool_], list[Any]]:
    """(rows,) numbers of the values of a column in the order of their first row, where there is one, and the values."""
    (column, *more), batched = as_columns(values, name)
    if batched or more:
        raise InputError(f"{name} must be one column.")
    if len(column) != rows:
        raise InputError(f"{name} has {len(column)} rows and labels has {rows}; give both the same rows.")
    if pa.types.is_floating(column.type):
        raise InputError(f"{name} has type {column.type}; text or whole numbers are needed.")
    found = checked_type(column, name).dictionary_encode()
    there = pc.is_valid(found.indices).to_numpy(zero_copy_only=False)
    filled = found.indices.fill_null(0) if found.indices.null_count else found.indices
    codes: Ints = filled.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, there, found.dictionary.to_pylist()


def _ranked(
    name: str,
    formula: Callable[[Ranking], npt.NDArray[np.float64]],
    labels: Any,
    scores: Any,
    queries: Any,
    without_relevant: str,
    device: str,
    full: bool,
) -> Any:
    # Queries of the host are told apart there, whatever they are.
    chosen = resolve_beside(device, [labels, scores, *([queries] if location(queries) else [])], None)

    def one(a: pa.Array, b: pa.Array) -> RankingResult:
        ranking = _ranking_there(a, b, queries, chosen) if chosen != "cpu" else _ranking_here(a, b, queries)
        n = len(ranking.relevance)
        if not n:
            raise InputError(f"{name} has no answer: {REASONS['no_rows']}")
        with np.errstate(over="ignore", invalid="ignore"):
            value = formulas.mean_over_queries(formula(ranking), ranking, without_relevant)
        without = int(np.count_nonzero(ranking.relevant == 0))
        return RankingResult(checked(value, name, REASONS)[0], value.n, without, n, len(a) - n, chosen)

    return over_pairs(labels, scores, one, full=full, names=("labels", "scores"), shared=True)


def _ranking_there(labels: Any, scores: Any, queries: Any, device: str) -> Ranking:
    """``_ranking_here``, sorted on a device."""
    same_rows(labels, scores, "scores")
    sides = []
    for column, name in ((labels, "labels"), (scores, "scores")):
        sides.append(in_domain(column, common_domain(column, column, (name, name)), name))
    counting: Any = engine(device)
    relevance, heads = counting.ranked_rows(*sides, _numbered_queries(queries, len(labels)))
    if len(relevance) and not (relevance.min() >= 0 and np.isfinite(relevance.max())):
        raise InputError("labels must be relevances: finite numbers from 0.")
    return Ranking(relevance, np.flatnonzero(heads == 2), np.flatnonzero(heads))


def _numbered_queries(queries: Any, rows: int) -> Any:
    """A column of whole numbers that tells queries apart: on a device their own, else numbers of the host's values."""
    if location(queries) is None:
        codes, there, _ = codes_of(queries, "queries", rows)
        return pa.array(codes, mask=~there)
    (column, *more), batched = as_columns(queries, "queries")
    if batched or more:
        raise InputError("queries must be one column.")
    if len(column) != rows:
        raise InputError(f"queries has {len(column)} rows and labels has {rows}; give both the same rows.")
    if not isinstance(column, DeviceColumn) or pa.types.is_floating(column.type):
        raise InputError(
            f"queries has type {column.type} on a device; whole numbers, dates or times are told apart there. Pass "
            "numbers, or text of the host."
        )
    return column


def _ranking_here(labels: pa.Array, scores: pa.Array, queries: Any) -> Ranking:
    """Rows sorted by query and score, once."""
    codes, there, _ = codes_of(queries, "queries", len(labels))
    same_rows(labels, scores, "scores")
    sides = []
    for column, name in ((labels, "labels"), (scores, "scores")):
        values, some = numbers_of(column, common_domain(column, column, (name, name)), name)
        there = there & some
        sides.append(values)
    relevance, score, code = sides[0][there].astype(np.float64), sides[1][there], codes[there]
    if len(relevance) and not (relevance.min() >= 0 and np.isfinite(relevance.max())):
        raise InputError("labels must be relevances: finite numbers from 0.")
    order = np.argsort(score, kind="stable")[::-1]
    small = code.astype(np.min_scalar_type(int(code.max(initial=0))))
    order = order[np.argsort(small[order], kind="stable")]
    relevance, score, code = relevance[order], score[order], code[order]
    queries = np.flatnonzero(np.concatenate([[True], code[1:] != code[:-1]])) if len(code) else np.empty(0, np.int64)
    starts = score[1:] != score[:-1]
    starts[queries[1:] - 1] = True
    ties = np.flatnonzero(np.concatenate([[True], starts])) if len(code) else np.empty(0, np.int64)
    return Ranking(relevance, queries, ties)
