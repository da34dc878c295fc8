"""A check: a measure, the columns it is for, and its thresholds."""

from __future__ import annotations

import fnmatch
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.registry import MEASURES
from modelwatch_gpu.profile.embeddings import AnyColumn

#: A verdict needs at least so many rows in the window and in the baseline.
MIN_ROWS: Final = 30

#: What a measure can be held against.
AGAINST: Final = ("baseline", "consecutive")


@dataclass(frozen=True)
class Check:
    """A threshold on a measure: above ``warn`` is a warning, above ``alert`` an alert.

    ``columns``: a name, a pattern with ``*``, or several. ``roles``: only columns with one of these roles (empty: all).
    ``kinds``: only columns of these kinds (empty: all that have the measure). Divergences are judged by their
    floor-corrected effect, intervals by their lower bound. ``against``: "baseline", or "consecutive" for windows
    against the window before them that has rows, which ``compare(..., consecutive=True)`` measures.
    """

    measure: str
    columns: str | Sequence[str] = "*"
    warn: float | None = None
    alert: float | None = None
    roles: Sequence[str] = field(default=(), kw_only=True)
    kinds: Sequence[str] = field(default=(), kw_only=True)
    min_rows: int = field(default=MIN_ROWS, kw_only=True)
    against: str = field(default="baseline", kw_only=True)

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
        if self.warn is None and self.alert is None:
            raise InputError(f"The check of {self.measure} has no threshold; give warn=, alert= or both.")
        if self.warn is not None and self.alert is not None and self.warn > self.alert:
            raise InputError(
                f"The check of {self.measure} warns at {self.warn} but alerts at {self.alert}; alert must not be lower."
            )

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


def checks_from_file(path: str | os.PathLike[str]) -> list[Check]:
    """Checks from a TOML file with ``[[checks]]`` tables, or a JSON file with a list or an object with ``checks``."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        content = tomllib.loads(text) if str(path).endswith(".toml") else json.loads(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise InputError(f"{path}: not a TOML or JSON file of checks ({str(error).splitlines()[0]}).") from error
    rows = content.get("checks") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: expected a list of checks, each with a measure and thresholds.")
    return [Check.from_dict(row) for row in rows]


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
