"""The findings of a run as a sequence: those of many segments are made when somebody looks at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.checks.finding import SEVERITIES, Finding


class Findings(Sequence[Finding]):
    """Findings in the order of their severities, which are known before any of them is made; equal to a tuple of the
    same findings. Each is made once."""

    __slots__ = ("_made", "_make", "_severity", "_whole")

    def __init__(
        self,
        severity: npt.NDArray[np.uint8],
        whole: npt.NDArray[np.bool_],
        make: Callable[[int], Finding],
    ) -> None:
        """``severity``: of each, an index of ``SEVERITIES``; ``whole``: whether it is of no segment; ``make``: the
        finding of a number."""
        self._severity, self._whole, self._make = severity, whole, make
        self._made: dict[int, Finding] = {}

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> Findings:
        """Of findings that are there already."""
        if isinstance(findings, Findings):
            return findings
        severity = np.array([SEVERITIES.index(f.severity) for f in findings], dtype=np.uint8)
        return cls(severity, np.array([f.segment is None for f in findings], dtype=bool), findings.__getitem__)

    def and_more(self, more: Sequence[Finding]) -> Findings:
        """With others: by severity, each of both in the order it had."""
        if not len(more):
            return self
        first, then = self, Findings.of(more)
        severity = np.concatenate([first._severity, then._severity])
        order, many = np.argsort(severity, kind="stable"), len(first)
        whole = np.concatenate([first._whole, then._whole])[order]
        return Findings(severity[order], whole, lambda at: first[i] if (i := int(order[at])) < many else then[i - many])

    def counts(self) -> dict[str, int]:
        """How many there are of each severity, worst first."""
        return dict(zip(SEVERITIES, np.bincount(self._severity, minlength=len(SEVERITIES)).tolist(), strict=True))

    def of_windows(self) -> Iterator[Finding]:
        """Those that are of no segment."""
        return (self[at] for at in np.flatnonzero(self._whole).tolist())

    def __len__(self) -> int:
        return len(self._severity)

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Finding, ...]: ...
    def __getitem__(self, index: int | slice) -> Finding | tuple[Finding, ...]:
        if isinstance(index, slice):
            return tuple(self[at] for at in range(*index.indices(len(self))))
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(index)
        found = self._made.get(at)
        if found is None:
            found = self._made[at] = self._make(at)
        return found

    def __iter__(self) -> Iterator[Finding]:
        return (self[at] for at in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (tuple, Findings)) and len(self) == len(other) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __add__(self, other: Iterable[Finding]) -> tuple[Finding, ...]:
        return (*self, *other)

    def __radd__(self, other: Iterable[Finding]) -> tuple[Finding, ...]:
        return (*other, *self)

    def __reduce__(self) -> tuple[Any, ...]:
        return Findings.of, (tuple(self),)

    def __repr__(self) -> str:
        return f"Findings({len(self):,}: {', '.join(f'{n:,} {s}' for s, n in self.counts().items())})"
