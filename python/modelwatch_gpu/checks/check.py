"""A check: a measure, the columns it is for, and its thresholds."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.registry import MEASURES
from modelwatch_gpu.profile.embeddings import AnyColumn

#: A verdict needs at least so many rows in the window and in the baseline.
MIN_ROWS: Final = 30

#: What a measure can be held against.
AGAINST: Final = ("baseline", "consecutive")
#: How thresholds can be learned, and which of the learned windows count.
LEARN: Final = ("conformal", "sd")
SEASONS: Final = ("weekday", "month")


@dataclass(frozen=True)
class Check:
    """A threshold on a measure: above ``warn`` is a warning, above ``alert`` an alert.

    ``columns``: a name, a pattern with ``*``, or several. ``roles``: only columns with one of these roles (empty: all).
    ``kinds``: only columns of these kinds (empty: all that have the measure). Divergences are judged by their
    floor-corrected effect, intervals by their lower bound. ``against``: "baseline", or "consecutive" for windows
    against the window before them that has rows, which ``compare(..., consecutive=True)`` measures.

    ``relative``: thresholds are of how much the measure grew over what it is in the baseline, as a share: 0.5 is half
    as much again. ``learn``: thresholds are learned from the baseline, cut into windows as the log is, each held
    against the others. "conformal": ``warn`` and ``alert`` are the shares of such windows that may lie beyond (0.05 is
    one in twenty); "sd": they are standard deviations above the mean. ``season``: only windows that begin on the same
    day of the week ("weekday") or in the same month ("month") are learned from.
    """

    measure: str
    columns: str | Sequence[str] = "*"
    warn: float | None = None
    alert: float | None = None
    roles: Sequence[str] = field(default=(), kw_only=True)
    kinds: Sequence[str] = field(default=(), kw_only=True)
    min_rows: int = field(default=MIN_ROWS, kw_only=True)
    against: str = field(default="baseline", kw_only=True)
    relative: bool = field(default=False, kw_only=True)
    learn: str | None = field(default=None, kw_only=True)
    season: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            import difflib

            near = difflib.get_close_matches(self.measure, MEASURES, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; there are {', '.join(MEASURES)}."
            raise InputError(f"There is no measure '{self.measure}'{hint}")
        if self.against not in AGAINST:
            raise InputError(
                f"The check of {self.measure} is against '{self.against}'; it can be against {' or '.join(AGAINST)}."
            )
        for name, limit in (("warn", self.warn), ("alert", self.alert)):
            if limit is not None and not (isinstance(limit, (int, float)) and math.isfinite(limit)):
                raise InputError(f"The check of {self.measure} has {name}={limit!r}, which is not a number.")
        if self.warn is None and self.alert is None:
            raise InputError(f"The check of {self.measure} has no threshold; give warn=, alert= or both.")
        self._check_learning()
        if self.warn is not None and self.alert is not None:
            shares = self.learn == "conformal"
            if (self.warn < self.alert) if shares else (self.warn > self.alert):
                raise InputError(
                    f"The check of {self.measure} warns at {self.warn} but alerts at {self.alert}; alert must not be "
                    f"{'higher' if shares else 'lower'}."
                )

    def _check_learning(self) -> None:
        """Raises InputError where relative, learned and seasonal thresholds do not fit together."""
        what = f"The check of {self.measure}"
        if self.learn is not None and self.learn not in LEARN:
            raise InputError(f"{what} learns by '{self.learn}'; it can learn by {' or '.join(LEARN)}.")
        if self.season is not None and self.season not in SEASONS:
            raise InputError(f"{what} has the season '{self.season}'; it can be {' or '.join(SEASONS)}.")
        if self.season is not None and self.learn is None:
            raise InputError(f"{what} has a season, which is for learned thresholds; give learn='conformal' or 'sd'.")
        if self.learn is not None and (self.relative or self.against != "baseline"):
            raise InputError(
                f"{what} learns its thresholds from the baseline; they are neither relative nor consecutive."
            )
        if self.relative and self.against != "baseline":
            raise InputError(f"{what} is relative to the baseline, so it cannot be against the window before.")
        if self.learn == "conformal":
            for share in (self.warn, self.alert):
                if share is not None and not 0 < share < 1:
                    raise InputError(f"{what} learns a share of windows, which lies between 0 and 1, not {share}.")

    @property
    def first_threshold(self) -> float:
        """The lowest threshold there is."""
        first = self.warn if self.warn is not None else self.alert
        assert first is not None
        return first

    def applies_to(self, column: AnyColumn) -> bool:
        """Whether this check judges the column."""
        patterns = (self.columns,) if isinstance(self.columns, str) else tuple(self.columns)
        kinds = tuple(self.kinds) or MEASURES[self.measure].kinds
        return (
            column.kind in kinds
            and column.kind in MEASURES[self.measure].kinds
            and column.role in (MEASURES[self.measure].roles or (column.role,))
            and (not self.roles or column.role in self.roles)
            and any(fnmatch.fnmatchcase(column.name, p) for p in patterns)
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Check:
        """From a mapping with the fields' names; raises InputError for an unknown one."""
        known = tuple(f.name for f in fields(cls))
        unknown = set(values) - set(known)
        if unknown or "measure" not in values:
            what = f"has the unknown field '{sorted(unknown)[0]}'" if unknown else "has no 'measure'"
            raise InputError(f"A check {what}; it takes {', '.join(known)}.")
        return cls(**dict(values))


_JUDGED: Final = ("feature", "prediction", "score", "label", "latency", "error")
_COMPLETE: Final = ("feature", "prediction", "score", "latency", "error", "embedding")  # a label may come late or never

#: One verdict a column, and what is missing or new (DESIGN 7).
DEFAULT_CHECKS: Final = (
    Check("ks", warn=0.1, alert=0.2, roles=_JUDGED, kinds=("numeric",)),
    Check("js_distance", warn=0.1, alert=0.2, roles=_JUDGED, kinds=("categorical",)),
    Check("missing_change", warn=0.05, alert=0.10, roles=_COMPLETE),
    Check("unseen", warn=0.01, alert=0.05, roles=_JUDGED),
    Check("embedding_drift", warn=0.95, alert=0.99),
    Check("malformed", warn=0.01, alert=0.05),
)

#: Shown beside a numeric column's verdict, not judged by default.
SHOWN_BESIDE: Final = {"psi": (0.1, 0.25), "wasserstein_sd": (0.1, 0.25)}
