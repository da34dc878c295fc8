"""Performance of a ranking by query: of rows sorted by score within each query.

Rows of one query that have equal scores are in random order: every number is its mean over all orders of them, in
closed form (McSherry and Najork 2008), so that no order of the rows decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.performance import Floats
from modelwatch_gpu.measures.value import Value

Ints = npt.NDArray[np.int64]

#: What a relevance is worth.
GAINS: Final = ("linear", "exponential")
#: What becomes of queries without a relevant row.
WITHOUT_RELEVANT: Final = ("zero", "skip")


@dataclass(frozen=True, eq=False)
class Ranking:
    """``relevance``: (n,) float64 from 0, of rows by query, and within each from the highest score down. ``queries``:
    (Q,) first rows of queries. ``ties``: (T,) first rows of stretches of one query and one score."""

    relevance: Floats
    queries: Ints
    ties: Ints

    @cached_property
    def sizes(self) -> Ints:
        """(Q,) rows of queries."""
        return np.diff(self.queries, append=len(self.relevance))

    @cached_property
    def place(self) -> Ints:
        """(n,) rows of the query before this one."""
        return np.arange(len(self.relevance)) - np.repeat(self.queries, self.sizes)

    @cached_property
    def hits(self) -> Ints:
        """(n,) 1 where the row is relevant, else 0."""
        return (self.relevance > 0).astype(np.int64)

    @cached_property
    def tie_sizes(self) -> Ints:
        """(T,) rows of stretches."""
        return np.diff(self.ties, append=len(self.relevance))

    @cached_property
    def tie_hits(self) -> Ints:
        """(T,) relevant rows of stretches."""
        out: Ints = np.add.reduceat(self.hits, self.ties)
        return out

    @cached_property
    def relevant(self) -> Ints:
        """(Q,) relevant rows of queries."""
        out: Ints = np.add.reduceat(self.hits, self.queries)
        return out

    def by_query(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(Q,) sums of (n,) values."""
        out: npt.NDArray[Any] = np.add.reduceat(values, self.queries)
        return out

    def along(self, of_ties: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(n,) of each row its stretch's value."""
        return np.repeat(of_ties, self.tie_sizes)

    @cached_property
    def offset(self) -> Ints:
        """(n,) rows of the stretch before this one."""
        out: Ints = np.arange(len(self.relevance)) - self.along(self.ties)
        return out


def _reach(ranking: Ranking, k: int | None) -> npt.NDArray[np.bool_]:
    """(n,) which places are among the first k."""
    return np.ones(len(ranking.place), dtype=bool) if k is None else ranking.place < k


def ndcg(ranking: Ranking, k: int | None, gains: str) -> Floats:
    """(Q,) SUM over the first k places i of gain / log2(i + 1), over that of the best order (Jarvelin and Kekalainen
    2002). The gain is the relevance, or "exponential" 2^relevance - 1 (Burges and others 2005)."""
    gain = ranking.relevance if gains == "linear" else np.exp2(ranking.relevance) - 1
    discount = np.where(_reach(ranking, k), 1 / np.log2(ranking.place + 2.0), 0.0)
    # In random order each row of a stretch has the stretch's mean gain.
    mean = np.add.reduceat(gain, ranking.ties) / ranking.tie_sizes
    found = ranking.by_query(ranking.along(mean) * discount)
    query = np.repeat(np.arange(len(ranking.queries)), ranking.sizes)
    best = ranking.by_query(gain[np.lexsort((-gain, query))] * discount)
    return np.minimum(1.0, found / np.where(best > 0, best, 1.0))


def precision(ranking: Ranking, k: int | None) -> Floats:
    """(Q,) share of relevant rows among the first k; of a query with fewer rows too it is over k."""
    return _found(ranking, k) / (ranking.sizes if k is None else k)


def recall(ranking: Ranking, k: int | None) -> Floats:
    """(Q,) share of the relevant rows that are among the first k; 0 where there is none."""
    return np.minimum(1.0, _found(ranking, k) / np.maximum(ranking.relevant, 1))


def _found(ranking: Ranking, k: int | None) -> Floats:
    """(Q,) expected relevant rows among the first k."""
    share = ranking.along(ranking.tie_hits / ranking.tie_sizes)
    return ranking.by_query(np.where(_reach(ranking, k), share, 0.0))


def hit_rate(ranking: Ranking, k: int | None) -> Floats:
    """(Q,) probability that a relevant row is among the first k."""
    left = ranking.along(ranking.tie_sizes) - ranking.offset
    others = np.maximum(left - ranking.along(ranking.tie_hits), 0)
    # Of the rows of a stretch that are left, this place takes an irrelevant one, given that all places before did.
    missed = np.where(_reach(ranking, k), others / left, 1.0)
    out: Floats = 1 - np.multiply.reduceat(missed, ranking.queries)
    return out


def reciprocal_rank(ranking: Ranking, k: int | None) -> Floats:
    """(Q,) 1 over the place of the first relevant row, 0 where there is none among the first k."""
    sizes, hits = ranking.tie_sizes, ranking.tie_hits
    before = np.cumsum(hits) - hits
    # Where a stretch begins, how many relevant rows its query has before it.
    query_of_tie = np.searchsorted(ranking.queries, ranking.ties, side="right") - 1
    first_tie = np.searchsorted(ranking.ties, ranking.queries)
    first = ranking.along((hits > 0) & (before == before[first_tie][query_of_tie]))
    g, r, j = (v[first] for v in (ranking.along(sizes), ranking.along(hits), ranking.offset))
    # The first of r relevant rows in random order of g is at offset j with probability C(g - j - 1, r - 1) / C(g, r).
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, int(sizes.max(initial=0)) + 1)))])
    possible = j <= g - r
    free = np.where(possible, g - j - r, 0)
    chance = np.exp(logs[np.maximum(g - j - 1, 0)] - logs[free] - logs[g] + logs[g - r]) * r
    share = np.zeros(len(ranking.relevance))
    share[first] = np.where(possible, chance, 0.0)
    return ranking.by_query(np.where(_reach(ranking, k), share / (ranking.place + 1.0), 0.0))


def average_precision(ranking: Ranking, k: int | None) -> Floats:
    """(Q,) SUM over the relevant rows among the first k of the precision at their place, over the relevant rows there
    can be among k; 0 where there is none."""
    hits, sizes = ranking.along(ranking.tie_hits), ranking.along(ranking.tie_sizes)
    upto = np.cumsum(ranking.hits) - ranking.hits
    before = upto[ranking.ties]  # relevant rows before each stretch, of all queries
    earlier = ranking.along(before) - np.repeat(upto[ranking.queries], ranking.sizes)
    # A place of a stretch is relevant with probability r / g, and then each place before it in the stretch with
    # (r - 1) / (g - 1).
    within = ranking.offset * (hits - 1) / np.maximum(sizes - 1, 1)
    precise = hits / sizes * (earlier + 1 + within) / (ranking.place + 1.0)
    total = ranking.by_query(np.where(_reach(ranking, k), precise, 0.0))
    most = ranking.relevant if k is None else np.minimum(ranking.relevant, k)
    return np.minimum(1.0, total / np.maximum(most, 1))


def mean_over_queries(of_queries: Floats, ranking: Ranking, without_relevant: str) -> Value:
    """Their mean; queries without a relevant row count 0, or do not count ("skip")."""
    used = np.ones(len(of_queries), dtype=bool) if without_relevant == "zero" else ranking.relevant > 0
    n = int(np.count_nonzero(used))
    if n == 0:
        return Value.absent("no_queries")
    return Value.exact(float(np.mean(of_queries[used])), n)
