"""Distances of two samples of vectors that are computed on a device, where the samples may lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.device import engine
from modelwatch_gpu.device_arrays import DeviceMatrix
from modelwatch_gpu.measures.embedding_rows import Floats, Ints, Matrix, Neighbours, PairSums, Prdc

Labels = npt.NDArray[np.float32]

#: Stands for the distance itself among the scales of kernels.
_DISTANCE: Final = -1.0


class DevicePairs:
    """``measures.embedding_ensemble.Pairs`` on a device. ``rows``: of the reference and of the current sample.
    Distances are of differences, in float64 for neighbours and in the rows' type for sums over all pairs."""

    def __init__(self, reference: Matrix | DeviceMatrix, current: Matrix | DeviceMatrix, device: str) -> None:
        counting: Any = engine(device)
        self._engine = counting
        self._sides = [reference, current]
        n, m = (side.rows if isinstance(side, DeviceMatrix) else len(side) for side in self._sides)
        self.rows = n, m

    def reference_rows(self, rows: int) -> Matrix:
        """The first reference rows on the host."""
        side = self._sides[0]
        return side.first(rows) if isinstance(side, DeviceMatrix) else side[:rows]

    def copied(self) -> tuple[Matrix, Matrix]:
        """Both samples on the host."""
        reference, current = (side.first() if isinstance(side, DeviceMatrix) else side for side in self._sides)
        return reference, current

    def nearest(self, k: int) -> Neighbours:
        """Of every row of both the ``k`` nearest others."""
        squared, index = self._engine.nearest(self._sides, None, k)
        return Neighbours(index, np.sqrt(squared))

    def within_reference(self, k: int) -> Floats:
        """(n,) distance of reference rows to the ``k``-th nearest other one."""
        found: Floats = np.sqrt(self._engine.nearest(self._sides[:1], None, k)[0][:, -1])
        return found

    def to_reference(self, k: int) -> Floats:
        """(m,) distance of current rows to the ``k``-th nearest reference row."""
        found: Floats = np.sqrt(self._engine.nearest(self._sides[1:], self._sides[:1], k)[0][:, -1])
        return found

    def neighbours_of_reference(self, k: int) -> Ints:
        """(n, k) the numbers of the nearest other reference rows, nearest first."""
        found: Ints = self._engine.nearest(self._sides[:1], None, k)[1]
        return found

    def prdc(self, k: int) -> Prdc:
        """``embedding_rows.prdc_of``."""
        reference, current = self._sides
        radii, own = (self._engine.nearest([side], None, k)[0][:, -1] for side in self._sides)
        inside, _ = self._engine.balls(current, reference, radii)
        recalled, closest = self._engine.balls(reference, current, own)
        return Prdc(
            float((inside > 0).mean()),
            float((recalled > 0).mean()),
            float(inside.astype(np.int64).mean() / k),
            float((closest < radii).mean()),
        )

    def kernel_sums(self, bandwidths: Sequence[float], closest: float, labels: Labels) -> list[PairSums]:
        """Sums of ``embedding_rows.gaussian`` of each bandwidth."""
        return self._sums([0.5 / width**2 for width in bandwidths], closest, labels)

    def distance_sums(self, labels: Labels) -> list[PairSums]:
        """Sums of distances."""
        return self._sums([_DISTANCE], 0.0, labels)

    def _sums(self, scales: list[float], closest: float, labels: Labels) -> list[PairSums]:
        found = self._engine.pair_sums(self._sides, labels.astype(np.uint8), np.array(scales), closest)
        return [
            PairSums(within, touching - within, total - 2 * touching + within)
            for total, within, touching in zip(found["total"], found["within"], found["touching"], strict=True)
        ]
