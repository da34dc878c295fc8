"""``skew``: is the model served the features that it was trained on? A preset of ``compare``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from modelwatch_gpu.checks import Check
from modelwatch_gpu.compare import compare
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Derived, Roles, open_log
from modelwatch_gpu.log.periods import common_span, span_of_log, within
from modelwatch_gpu.log.windows import iso, zone_of
from modelwatch_gpu.profile import Baseline
from modelwatch_gpu.profile.segmentation import Segments
from modelwatch_gpu.report.report import Report

_FEATURES: Final = ("feature",)

#: The same rows, or rows of the same time, went both ways: what is beyond chance is a fault, so thresholds are half of
#: those of drift, and a value that training never saw is worth a word from one row in a thousand on.
SKEW_CHECKS: Final = (
    Check("ks", warn=0.05, alert=0.1, roles=_FEATURES, kinds=("numeric",)),
    Check("js_distance", warn=0.05, alert=0.1, roles=_FEATURES, kinds=("categorical",)),
    Check("missing_change", warn=0.01, alert=0.05, roles=_FEATURES),
    Check("unseen", warn=0.001, alert=0.01, roles=_FEATURES),
)


def skew(
    training: Any,
    served: Any,
    *,
    roles: Roles | Mapping[str, Any] | None = None,
    timezone: str | None = None,
    segments: Segments = (),
    checks: Sequence[Check] | None = None,
    derived: Sequence[Derived] = (),
    units: str | None = "rows",
    memory: int | str | None = None,
    threads: int = 0,
    device: str = "auto",
) -> Report:
    """Compares a training set with what the model was served in the same period.

    Both are cut to the time that they have in common, so what changed in the world between training and serving has no
    say: a difference that is left comes from how features are made. Without a timestamp all rows are taken.

    Args:
        training: The training set, whatever a log can be; not a baseline, whose rows are gone.
        served: The production log.
        roles: What the columns are, of both.
        timezone: IANA name. Default: the timestamps' own zone, else UTC.
        segments: As for ``compare``.
        checks: Default: ``SKEW_CHECKS``, on features alone.
        units: What intervals draw again. The same days are on both sides, so what days have in common cancels out,
            and rows are taken as independent; "1d" draws days on each side.
        derived, memory, threads, device: As for ``compare``.

    Raises:
        InputError: The two have no time in common, or something cannot be read; the text says what to do.
    """
    if isinstance(training, Baseline) or str(training).endswith(".mwb"):
        raise InputError(
            "A baseline has no rows that could be cut to the time that was served; give the training set itself."
        )
    sides = [open_log(training, name="training"), open_log(served)]
    given = Roles.of(roles)
    timestamp = given.assign(sides[0].schema).timestamp
    notes: list[str] = []
    if timestamp is not None:
        spans = [span_of_log(side, timestamp) for side in sides]
        common = common_span(spans)
        zone = zone_of(timezone)
        if common is None:
            known = [
                "at no time that is known" if s is None else f"from {iso(s[0], zone)} to {iso(s[1], zone)}"
                for s in spans
            ]
            raise InputError(
                f"There is no time in common: the training set is {known[0]} and the served log {known[1]}; give logs "
                "of one period, or a training set without a timestamp."
            )
        sides = [within(side, timestamp, common) for side in sides]
        notes.append(
            f"Training and serving are compared from {iso(common[0], zone)} to {iso(common[1], zone)}, the time that "
            "both have."
        )
    report = compare(
        sides[0],
        sides[1],
        roles=given,
        timezone=timezone,
        segments=segments,
        checks=SKEW_CHECKS if checks is None else checks,
        derived=derived,
        units=units,
        memory=memory,
        threads=threads,
        device=device,
    )
    return replace(report, notes=(*notes, *report.notes))
