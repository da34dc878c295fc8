"""How a measure of answers varies when rows are independent: from counts, without drawing anything."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from modelwatch_gpu.measures.value import Floats

#: Numbers that are worked on at once.
_MOST_NUMBERS = 1 << 20


def auc_variances(counts: Floats, per_count: Floats) -> Floats:
    """(groups,) variances of areas under the ROC curve (DeLong, DeLong and Clarke-Pearson 1988).

    Args:
        counts: (groups, 2 C) rows, or weights, by cell of the score: of negatives, then of positives.
        per_count: (groups,) as how many independent rows one of them counts.

    With V(c) the share of negatives below a positive's cell c, ties counting half, and W(c) the share of positives
    above a negative's: var V / positives + var W / negatives, both of the sample. NaN where a class has no two rows.
    """
    cells = counts.shape[1] // 2
    negatives, positives = counts[:, :cells], counts[:, cells:]
    n, p = negatives.sum(axis=1), positives.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        below = (np.cumsum(negatives, axis=1) - negatives / 2) / n[:, None]
        above = 1 - (np.cumsum(positives, axis=1) - positives / 2) / p[:, None]
        area = (positives * below).sum(axis=1) / p
        total = np.zeros(len(counts))
        for side, rows, placed in ((positives, p, below), (negatives, n, above)):
            own = rows * per_count
            total += (side * (placed - area[:, None]) ** 2).sum(axis=1) / rows / np.where(own > 1, own - 1, np.nan)
    return total


def variances_by_deletion(measured: Callable[[Floats], Floats], counts: Floats, per_count: Floats) -> Floats:
    """(groups,) variances of any smooth measure of counts: the jackknife that leaves out one row (Tukey 1958), in which
    rows of one cell are alike.

    Args:
        measured: (replicates, cells) counts -> (replicates,) numbers.
        counts: (groups, cells) whole numbers: rows or stored weights.
        per_count: (groups,) as how many independent rows one of them counts.

    Of weights a millionth of all is left out, for one unit hardly moves anything. NaN where leaving some out leaves no
    number.
    """
    out = np.full(len(counts), np.nan)
    step = max(1, _MOST_NUMBERS // max(1, counts.shape[1]))
    for group, own in enumerate(counts):
        total = own.sum()
        cells = np.flatnonzero(own)
        if total * per_count[group] < 2:
            continue
        least = 1.0 if per_count[group] == 1 else max(1.0, np.floor(total * 1e-6))
        taken = np.minimum(own[cells], least)
        moved = np.empty(len(cells))
        for begin in range(0, len(cells), step):
            some = slice(begin, begin + step)
            without = np.repeat(own[None], len(cells[some]), axis=0)
            without[np.arange(len(without)), cells[some]] -= taken[some]
            moved[some] = measured(without)
        influence = (measured(own[None])[0] - moved) * (total - taken) / taken
        share = own[cells] / total
        mean = (share * influence).sum()
        out[group] = (share * (influence - mean) ** 2).sum() / (total * per_count[group])
    return out
