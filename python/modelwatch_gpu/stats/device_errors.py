"""Errors of predicted numbers that are computed on a device (``measures.errors``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu import keys
from modelwatch_gpu.arrays import common_domain, in_domain
from modelwatch_gpu.device import engine
from modelwatch_gpu.device_arrays import DeviceColumn
from modelwatch_gpu.measures.errors import TERMS, Errors, mean_square_of
from modelwatch_gpu.measures.quantiles import ranks_of
from modelwatch_gpu.stats.labelled import Weights, errors_of, numbers_as, same_rows

Floats = npt.NDArray[np.float64]


class DeviceErrors:
    """``measures.errors.Errors`` of rows that lie on a device, without weights: terms are made and added up there, in
    the order of the host; errors are sorted there for the median and for quantiles."""

    total: float

    def __init__(self, labels: Any, predictions: Any, device: str) -> None:
        domain = common_domain(labels, predictions, ("labels", "predictions"))
        sides = in_domain(labels, domain, "labels"), in_domain(predictions, domain, "predictions")
        counting: Any = engine(device)
        self._engine, self._device = counting, device
        self._held = counting.errors_beside(*sides, keys.DOMAINS[domain])
        self._pivot = float(keys.values_of(np.array([self._held.pivot], dtype=np.uint64), domain)[0])
        self.rows: int = self._held.rows
        self.total = self.rows

    @cached_property
    def _errors(self) -> dict[str, Any]:
        return self._moments(self._held.errors)

    @cached_property
    def _labels(self) -> dict[str, Any]:
        return self._moments(self._held.labels)

    @property
    def finite(self) -> bool:
        """As ``Errors``."""
        return bool(self._errors["count"] == self.rows)

    @property
    def label_range(self) -> tuple[int, float, float]:
        """As ``Errors``."""
        return self.rows, *_range(self._labels)

    @property
    def least_label(self) -> float:
        """As ``Errors``."""
        return _range(self._labels)[0] + self._pivot if self.rows else math.nan

    @property
    def least_prediction(self) -> float:
        """As ``Errors``."""
        return _range(self._moments(self._held.predictions))[0] if self.rows else math.nan

    def mean(self, term: str, threads: int, q: float = 0.5) -> float:
        """As ``Errors``."""
        found = self._errors if term == "error" else self._moments(self._terms(term, q))
        return float(found["mean"])

    def mean_square(self, of: str, threads: int, *, centred: bool = False) -> float:
        """As ``Errors``."""
        return mean_square_of(self._errors if of == "errors" else self._labels, centred=centred)

    def largest(self) -> float:
        """As ``Errors``."""
        return max(abs(end) for end in _range(self._errors))

    def median_size(self) -> float:
        """As ``Errors``."""
        middle = np.array([(self.rows - 1) // 2, self.rows // 2])
        return float(np.mean(self._at(middle, absolute=True)))

    def quantiles(self, shares: Sequence[float], *, absolute: bool) -> Floats:
        """As ``Errors``."""
        return self._at(ranks_of(shares, np.array([self.rows]))[:, 0] - 1, absolute=absolute)

    def _at(self, places: npt.NDArray[Any], *, absolute: bool) -> Floats:
        """The errors at these places of their order, which is made on the device."""
        column = self._column(self._terms("absolute", 0.5) if absolute else self._held.errors)
        found = self._engine.distinct_keys(column, keys.DOMAINS["float64"])
        upto = np.cumsum(found["counts"])
        values: Floats = keys.values_of(found["keys"][np.searchsorted(upto, places, side="right")], "float64")
        return values

    def _terms(self, term: str, q: float) -> Any:
        return self._engine.error_terms(self._held, TERMS.index(term), self._pivot, q)

    def _moments(self, memory: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._engine.column_moments(self._column(memory))
        return found

    def _column(self, memory: Any) -> DeviceColumn:
        return DeviceColumn(pa.float64(), self._device, memory)


def _range(moments: dict[str, Any]) -> tuple[float, float]:
    """The smallest and the largest of finite values."""
    low, high = keys.values_of(np.array([moments["low"], moments["high"]], dtype=np.uint64), "float64").tolist()
    return low, high


def errors_beside(labels: Any, predictions: Any, weights: Weights, device: str) -> Errors:
    """Errors of a regression, on the device that answers; sums of weights are the CPU's."""
    if device == "cpu":
        return errors_of(labels, predictions, weights)
    same_rows(labels, predictions, "predictions")
    return DeviceErrors(numbers_as(labels), numbers_as(predictions), device)
