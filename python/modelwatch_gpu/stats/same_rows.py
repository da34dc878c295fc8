"""How alike two models see the same rows: they compare models and say nothing of drift."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.device_arrays import resolve_for
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.embedding_rows import nearest
from modelwatch_gpu.stats.device_pairs import DevicePairs
from modelwatch_gpu.stats.device_vectors import products_beside, shape_of
from modelwatch_gpu.stats.result import StatResult
from modelwatch_gpu.stats.vectors import check_k, matrix_of, rows_of

Floats = npt.NDArray[np.float64]


def cka(reference: Any, current: Any, *, device: str = "auto", full: bool = False) -> Any:
    """Linear centred kernel alignment of two embeddings of the *same* rows, 0 to 1 (Kornblith et al. 2019): how alike
    two models see the same texts. It compares models and is no drift of data.

    Args:
        reference, current: (n, d) and (n, e): row i of both is the same text. d and e may differ.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        full: Return a StatResult instead of a float.

    Raises:
        InputError: A side is no matrix of finite numbers, the rows differ in number, or a side is constant.
    """
    a, b, n, chosen = _sides(reference, current, "cka", device)
    if n < 2:
        raise InputError("cka has no answer: it needs two rows.")
    cross, first, second = _alignment(a, b) if chosen == "cpu" else _alignment_there(a, b, chosen)
    if not first * second > 0:
        raise InputError("cka has no answer: all rows of a side are equal.")
    value = min(cross / (first * second), 1.0)
    return StatResult(value, value, value, n, n, 0, chosen) if full else value


def neighbour_overlap(reference: Any, current: Any, *, k: int = 10, device: str = "auto", full: bool = False) -> Any:
    """Mean share of a row's k nearest other rows that two embeddings of the same rows agree on, 0 to 1. It compares
    models and is no drift of data. Arguments and errors as for ``cka``, and k + 1 rows are needed."""
    a, b, n, chosen = _sides(reference, current, "neighbour_overlap", device)
    check_k(k, n, "reference")
    if chosen == "cpu":
        moved = [side - side.mean(axis=0, keepdims=True) for side in (a, b)]
        near = [nearest(side, side, k, same=True).index for side in moved]
    else:
        near = [DevicePairs(side, side, chosen).neighbours_of_reference(k) for side in (a, b)]
    shared = [len(np.intersect1d(x, y)) for x, y in zip(*near, strict=True)]
    value = float(np.mean(shared) / k)
    return StatResult(value, value, value, n, n, 0, chosen) if full else value


def _sides(reference: Any, current: Any, name: str, device: str) -> tuple[Any, Any, int, str]:
    """Both sides for the device that answers, their rows, and that device."""
    chosen = resolve_for(device, reference, current)
    read: Any = matrix_of if chosen == "cpu" else rows_of
    a, b = read(reference, "reference"), read(current, "current")
    (n, _), (m, _) = shape_of(a), shape_of(b)
    if n != m:
        raise InputError(f"reference has {n} rows and current has {m}; {name} compares the same rows.")
    return a, b, n, chosen


def _alignment(a: Any, b: Any) -> tuple[float, float, float]:
    """||A^T B||^2, ||A^T A|| and ||B^T B|| of rows less their means (Frobenius), by the smaller products."""
    a, b = (side.astype(np.float64) for side in (a, b))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    if len(a) < min(a.shape[1], b.shape[1]):
        grams = [a @ a.T, b @ b.T]
        return float((grams[0] * grams[1]).sum()), float(np.linalg.norm(grams[0])), float(np.linalg.norm(grams[1]))
    first, second = (float(np.linalg.norm(side.T @ side)) for side in (a, b))
    return float((np.asarray(a.T @ b) ** 2).sum()), first, second


def _alignment_there(a: Any, b: Any, device: str) -> tuple[float, float, float]:
    """The same of rows that a device reads."""
    within, across, other = products_beside(a, b, device)
    return float((across**2).sum()), float(np.linalg.norm(within)), float(np.linalg.norm(other))
