"""Sums and projections of vectors that are computed on a device, where they may lie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu.device import engine
from modelwatch_gpu.device_arrays import DeviceColumn, DeviceMatrix
from modelwatch_gpu.measures.embedding_rows import Floats, Matrix

#: Directions whose projections lie on the device at a time.
_TOGETHER: Final = 16

Side = Matrix | DeviceMatrix


def shape_of(side: Side) -> tuple[int, int]:
    """Rows and elements."""
    return (side.rows, side.dimensions) if isinstance(side, DeviceMatrix) else (side.shape[0], side.shape[1])


def on_host(side: Side) -> Matrix:
    """A side in the host's memory, copied where it is not there."""
    return side.first() if isinstance(side, DeviceMatrix) else side


def mean_of(side: Side, device: str) -> Floats:
    """(d,) the mean vector."""
    found: Floats = _sums([side], np.zeros(shape_of(side)[1]), device)[1] / shape_of(side)[0]
    return found


def moments_of(sides: tuple[Side, Side], device: str) -> tuple[list[Floats], list[Floats]]:
    """Means and covariances (with n - 1) of two samples of vectors."""
    center = _first(sides[0])  # a vector among them: less is lost where the means' products are taken off
    means, covariances = [], []
    for side in sides:
        n = shape_of(side)[0]
        mean, products = _about_mean([side], center, device)
        means.append(center + mean)
        covariances.append(products / (n - 1))
    return means, covariances


def products_beside(a: Side, b: Side, device: str) -> tuple[Floats, Floats, Floats]:
    """A^T A, A^T B and B^T B of the same rows, less their means."""
    found = _about_mean([a, b], np.concatenate([_first(a), _first(b)]), device)[1]
    d = shape_of(a)[1]
    return found[:d, :d], found[:d, d:], found[d:, d:]


def sorted_projections(sides: tuple[Side, Side], directions: Floats, device: str) -> Iterator[tuple[Floats, Floats]]:
    """For each of the (d, directions) columns the products of both samples' rows with it, sorted on the device."""
    counting: Any = engine(device)
    for first in range(0, directions.shape[1], _TOGETHER):
        axes = np.ascontiguousarray(directions[:, first : first + _TOGETHER])
        columns = [counting.projected(side, axes) for side in sides]
        for both in zip(*columns, strict=True):
            a, b = (DeviceColumn(pa.float64(), device, memory).sorted_values() for memory in both)
            yield a, b


def _first(side: Side) -> Floats:
    found: Floats = (side.first(1) if isinstance(side, DeviceMatrix) else side[:1])[0].astype(np.float64)
    return found


def _about_mean(sides: list[Side], center: Floats, device: str) -> tuple[Floats, Floats]:
    """The mean less ``center`` of vectors that are rows of all sides, and SUM x x^T about the mean."""
    n = shape_of(sides[0])[0]
    products, total = _sums(sides, center, device)
    mean = total / n
    return mean, products - n * np.outer(mean, mean)


def _sums(sides: list[Side], center: Floats, device: str) -> tuple[Floats, Floats]:
    counting: Any = engine(device)
    upper, total = counting.centered_sums(sides, center)
    found: npt.NDArray[np.float64] = upper + np.triu(upper, 1).T
    return found, total
