"""How predictions treat groups of rows: rates by group, and how far the groups are apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu.arrays import as_columns, common_domain
from modelwatch_gpu.device_arrays import location
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures import fairness as formulas
from modelwatch_gpu.measures.fairness import Disparity, GroupCalibration, Rate
from modelwatch_gpu.measures.performance import REASONS
from modelwatch_gpu.stats.grouped import distinct_weights, resolve_beside, tables_by_group, weights_there
from modelwatch_gpu.stats.labelled import classes_of, number_of, numbers_of, same_rows, weights_of
from modelwatch_gpu.stats.performance import checked_confidence, per_weight
from modelwatch_gpu.stats.ranking import codes_of
from modelwatch_gpu.stats.result import ColumnResult, checked, over_pairs

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fairness:
    """Rates of groups. ``groups``: (G,) their values, sorted; ``rows``: (G,) counts, or sums of weights. ``rates``: by
    name (``selection_rate``, ``true_positive_rate``, ``false_positive_rate``, ``precision``), (G,) each with Wilson's
    intervals. ``disparities``: by the same names, of the groups with the lowest and the highest rate, which are numbers
    into ``groups``; None where fewer than two groups have the rate. ``calibration``: mean score beside the share of
    positives, None without scores. ``n`` rows took part, ``missing`` did not; ``device``: what answered."""

    groups: tuple[Any, ...]
    rows: npt.NDArray[Any]
    rates: dict[str, Rate]
    disparities: dict[str, Disparity | None]
    calibration: GroupCalibration | None
    n: int
    missing: int
    device: str


@dataclass(frozen=True, eq=False)
class _Counted:
    """(4, G) TP, FP, FN, TN of groups, which are sorted; ``score_sums``: (G,) of scores, None without; ``weights``: of
    the rows that took part, or ``weight_counts`` of them each."""

    groups: list[Any]
    counts: npt.NDArray[Any]
    score_sums: Floats | None
    rows: int
    weights: npt.NDArray[np.float64] | None
    weight_counts: npt.NDArray[np.int64] | None = None


def _counted(
    labels: pa.Array, predictions: pa.Array, groups: Any, scores: Any, positive: Any, weights: Any, device: str
) -> _Counted:
    if device != "cpu":
        return _counted_there(labels, predictions, groups, scores, positive, weights, device)
    score, more = (None, None) if scores is None else _probabilities(labels, scores)
    classes = classes_of(labels, predictions)
    number = _positive(classes.values, positive)
    codes, there, names = codes_of(groups, "groups", len(labels))
    kept = classes.kept & there if more is None else classes.kept & there & more
    used = kept[classes.kept]
    y, z, at = (classes.labels == number)[used], (classes.predictions == number)[used], codes[kept]
    order = sorted(range(len(names)), key=names.__getitem__)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    at = place[at] if len(order) else at
    own = weights_of(weights, len(labels))
    own = None if own is None else own[kept]
    kind = np.where(z, np.where(y, 0, 1), np.where(y, 2, 3))
    counts = np.bincount(kind * len(order) + at, own, minlength=4 * len(order)).reshape(4, len(order))
    sums = None
    if score is not None:
        held = score[kept]
        sums = np.bincount(at, held if own is None else held * own, minlength=len(order)).astype(np.float64)
    return _checked(_Counted([names[i] for i in order], counts, sums, int(np.count_nonzero(kept)), own))


def _counted_there(
    labels: Any, predictions: Any, groups: Any, scores: Any, positive: Any, weights: Any, device: str
) -> _Counted:
    """``_counted`` on a device."""
    beside = None if weights is None else weights_there(weights, len(labels), device)
    found = tables_by_group(labels, predictions, groups, scores, device, beside)
    number = _positive(found.classes, positive)
    if beside is not None:
        cells, there = found.outcomes(number, beside, device)
        sums = np.stack([cells[:, 1, 1], cells[:, 0, 1], cells[:, 1, 0], cells[:, 0, 0]])
        own = distinct_weights(weights, len(labels), device, there)
        return _checked(_Counted(found.groups, sums, found.score_sums, int(found.tables.sum()), *own))
    chosen = np.arange(len(found.classes)) == number
    y, z = chosen[:, None], chosen[None]
    sides = (y & z, ~y & z, y & ~z, ~y & ~z)
    counts = np.stack([found.tables[:, side].sum(axis=1) for side in sides]).astype(np.int64)
    return _checked(_Counted(found.groups, counts, found.score_sums, int(counts.sum()), None))


def _positive(classes: list[Any], positive: Any) -> int:
    """The number of the class that is selected, -1 where no row has it."""
    if len(classes) > 2 and positive is None:
        raise InputError(f"there are {len(classes)} classes; name one as positive=.")
    number = number_of(classes, positive)
    return -1 if number is None else number


def _checked(found: _Counted) -> _Counted:
    if not found.counts.sum():
        raise InputError(f"fairness has no answer: {REASONS['no_rows']}")
    return found


def fairness(
    labels: Any,
    predictions: Any,
    *,
    groups: Any,
    scores: Any = None,
    confidence: float = 0.95,
    positive: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
) -> Any:
    """Selection rate, true and false positive rate and precision of each group, and how far groups are apart.

    Args:
        labels, predictions: (n,), predictions also (n, columns): text, booleans or whole numbers.
        groups: (n,) which group a row belongs to: text, booleans or whole numbers.
        scores: (n,) probabilities, for calibration by group.
        confidence: Of the intervals, which take rows as independent; rows with weights count as Kish's effective rows.
        positive: The class that is selected, default 1 or True.
        weights: (n,) weights of rows, finite and not negative.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        threads: Of no effect.

    Returns:
        A Fairness; of several columns of predictions a tuple of them.

    Raises:
        InputError: No row has a label, a prediction, a group (and a score), or rows do not match.
    """
    chosen = _resolve(device, [labels, predictions, *([] if scores is None else [scores])], groups, weights)
    checked_confidence(confidence)

    def one(a: pa.Array, b: pa.Array) -> Fairness:
        found = _counted(a, b, groups, scores, positive, weights, chosen)
        worth = per_weight(found.weights, found.weight_counts)
        rates = {name: formulas.rate(name, found.counts, confidence, worth) for name in formulas.RATES}
        rows = found.counts.sum(axis=0)
        calibration = None
        if found.score_sums is not None:
            hits = found.counts[0] + found.counts[2]
            calibration = formulas.calibration(rows, found.score_sums, hits, confidence, worth)
        n = found.rows
        return Fairness(
            tuple(found.groups),
            rows,
            rates,
            {name: formulas.disparity(rate, confidence, worth) for name, rate in rates.items()},
            calibration,
            n,
            len(a) - n,
            chosen,
        )

    return over_pairs(labels, predictions, one, full=True, names=("labels", "predictions"), shared=True)


def _resolve(device: str, sides: list[Any], groups: Any, weights: Any) -> str:
    """The device that counts; groups of the host are told apart there, whatever they are."""
    return resolve_beside(device, [*sides, *([groups] if location(groups) else [])], weights, weighs=True)


def _probabilities(labels: pa.Array, scores: Any) -> tuple[Floats, npt.NDArray[np.bool_]]:
    (column, *more), batched = as_columns(scores, "scores")
    if batched or more:
        raise InputError("scores must be one column.")
    same_rows(labels, column, "scores")
    values, there = numbers_of(column, common_domain(column, column, ("scores", "scores")), "scores")
    held = values[there]
    if len(held) and not (held.min() >= 0 and held.max() <= 1):
        raise InputError("scores must be probabilities, from 0 to 1.")
    return values.astype(np.float64), there


def _criterion(
    name: str,
    how: str,
    labels: Any,
    predictions: Any,
    groups: Any,
    positive: Any,
    weights: Any,
    device: str,
    full: bool,
) -> Any:
    chosen = _resolve(device, [labels, predictions], groups, weights)

    def one(a: pa.Array, b: pa.Array) -> ColumnResult:
        found = _counted(a, b, groups, None, positive, weights, chosen)
        rates = {rate: formulas.rate(rate, found.counts, 0.95) for rate in formulas.CRITERIA[name]}
        n = found.rows
        value = checked(formulas.criterion(name, how, rates, n), f"{name}_{how}", REASONS)[0]
        return ColumnResult(value, n, len(a) - n, chosen)

    return over_pairs(labels, predictions, one, full=full, names=("labels", "predictions"), shared=True)


def demographic_parity_difference(
    labels: Any,
    predictions: Any,
    *,
    groups: Any,
    positive: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Largest less smallest selection rate of the groups, 0 to 1; 0 is parity.

    Args:
        labels, predictions, groups, positive, weights: As for ``fairness``; labels take part only in which rows count.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        threads: Of no effect.
        full: Return a ColumnResult (or a tuple of them) instead of a float (or a (columns,) float64 array).

    Raises:
        InputError: Fewer than two groups have the rate, or as for ``fairness``.
    """
    return _criterion("demographic_parity", "difference", labels, predictions, groups, positive, weights, device, full)


def demographic_parity_ratio(
    labels: Any,
    predictions: Any,
    *,
    groups: Any,
    positive: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Smallest over largest selection rate of the groups, 0 to 1; 1 is parity, and below 0.8 fails the four-fifths
    rule. Arguments as for ``demographic_parity_difference``; no number where the largest is 0."""
    return _criterion("demographic_parity", "ratio", labels, predictions, groups, positive, weights, device, full)


def equalized_odds_difference(
    labels: Any,
    predictions: Any,
    *,
    groups: Any,
    positive: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """The larger of two differences between groups, 0 to 1: of their true positive and of their false positive rates. A
    group without positive (or negative) labels has no such rate. Arguments as for ``demographic_parity_difference``."""
    return _criterion("equalized_odds", "difference", labels, predictions, groups, positive, weights, device, full)


def equalized_odds_ratio(
    labels: Any,
    predictions: Any,
    *,
    groups: Any,
    positive: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """The smaller of two ratios of the smallest to the largest rate of groups, 0 to 1: of true positive and of false
    positive rates. Arguments as for ``demographic_parity_difference``; no number where a largest rate is 0."""
    return _criterion("equalized_odds", "ratio", labels, predictions, groups, positive, weights, device, full)


def equal_opportunity_difference(
    labels: Any,
    predictions: Any,
    *,
    groups: Any,
    positive: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Largest less smallest true positive rate of the groups, 0 to 1. Arguments as for
    ``demographic_parity_difference``."""
    return _criterion("equal_opportunity", "difference", labels, predictions, groups, positive, weights, device, full)


def equal_opportunity_ratio(
    labels: Any,
    predictions: Any,
    *,
    groups: Any,
    positive: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Smallest over largest true positive rate of the groups, 0 to 1. Arguments as for
    ``demographic_parity_difference``; no number where the largest is 0."""
    return _criterion("equal_opportunity", "ratio", labels, predictions, groups, positive, weights, device, full)
