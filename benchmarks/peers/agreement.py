"""Where two tools compute the same thing their answers must agree; these say whether they do."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

#: Same formula over the same counts, added in another order.
CLOSE = 1e-9
#: Chi-square of a thousand categories, and 10,000 cumulated bins: sums of more terms.
LONG_SUM = 1e-7
#: whylogs' mean is a running one over all rows.
RUNNING_MEAN = 1e-9


class Disagreement(AssertionError):
    """Two tools that should give one answer give two."""


def _same(ours: float, theirs: float, what: str, *, rel: float = CLOSE, near: float = 1e-12) -> None:
    # NaN is close to nothing.
    if not math.isclose(ours, theirs, rel_tol=rel, abs_tol=near):
        raise Disagreement(f"{what}: {ours!r} of ours, {theirs!r} of theirs")


def evidently(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """The timed report of ours holds Evidently's numbers, and so do our functions with its rules."""
    for column, found in theirs["numbers"].items():
        own, score = ours["numbers"][column], float(found["score"])
        if found["method"] == "Wasserstein distance (normed)":
            lower, _, upper = own["wasserstein_sd"]
            if not lower * (1 - CLOSE) <= score <= upper * (1 + CLOSE):
                raise Disagreement(f"wasserstein_sd of {column}: {score!r} is not from {lower!r} to {upper!r}")
            _same(ours["compat"][column]["wasserstein"], score, f"wasserstein of {column}")
        elif found["method"] == "Jensen-Shannon distance":
            _same(own["js_distance"][1] * math.sqrt(math.log(2)), score, f"js_distance of {column}")
            _same(ours["compat"][column]["js"], score, f"js of {column}")
        else:
            raise Disagreement(f"{column}: Evidently chose {found['method']}")
    if set(theirs["numbers"]) != set(ours["numbers"]):
        raise Disagreement(f"columns of theirs: {sorted(theirs['numbers'])}")


def compat(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Our functions with NannyML's rules give NannyML's numbers, chunk by chunk."""
    for column, methods in ours["compat"].items():
        for method, values in methods.items():
            got = theirs["numbers"][column][method]
            own = values if isinstance(values, list) else [values]
            if len(own) != len(got):
                raise Disagreement(f"{method} of {column}: {len(own)} chunks of ours, {len(got)} of theirs")
            for chunk, (a, b) in enumerate(zip(own, got, strict=True)):
                _same(float(a), float(b), f"{method} of {column}, chunk {chunk}", rel=LONG_SUM, near=1e-9)


def whylogs(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Counts, missing rows and extremes are equal, means close, medians near in rank."""
    for column, got in theirs["numbers"].items():
        own = ours["numbers"][column]
        for exact in ("missing", "min", "max"):
            if own[exact] != got[exact]:
                raise Disagreement(f"{exact} of {column}: {own[exact]!r} of ours, {got[exact]!r} of theirs")
        _same(own["mean"], got["mean"], f"mean of {column}", rel=RUNNING_MEAN, near=RUNNING_MEAN)
        low, high = own["around the median"]
        if not low <= got["median"] <= high:
            raise Disagreement(f"median of {column}: {got['median']!r} is not from {low!r} to {high!r}")


def equal(tolerance: float) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """Lists of numbers, of any depth, agree to ``tolerance``, absolute below one and relative above."""

    def check(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
        _lists(ours["numbers"], theirs["numbers"], tolerance, "numbers")

    return check


def _lists(ours: Any, theirs: Any, tolerance: float, what: str) -> None:
    if isinstance(ours, list) or isinstance(theirs, list):
        if len(ours) != len(theirs):
            raise Disagreement(f"{what}: {len(ours)} of ours, {len(theirs)} of theirs")
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            _lists(a, b, tolerance, f"{what}[{i}]")
    elif not abs(ours - theirs) <= tolerance * max(1.0, abs(ours)):
        raise Disagreement(f"{what}: {ours!r} of ours, {theirs!r} of theirs")


def within(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Each approximate number lies between two exact ones."""
    for i, (got, (low, high)) in enumerate(zip(theirs["numbers"], ours["within"], strict=True)):
        for a, x, b in zip(low, got, high, strict=True):
            if not a <= x <= b:
                raise Disagreement(f"column {i}: {x!r} is not from {a!r} to {b!r}")
