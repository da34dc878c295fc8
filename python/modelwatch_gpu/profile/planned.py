"""How a log will be counted: the sets, windows, segments and grids, decided before its first row is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelwatch_gpu.device import resolve
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import (
    Definition,
    Derived,
    Log,
    RowWindow,
    Window,
    block_for,
    open_log,
    parse_window,
    with_derived,
    zone_of,
)
from modelwatch_gpu.log.derived import checked
from modelwatch_gpu.log.predicates import Where, with_predicates
from modelwatch_gpu.profile import planner
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.counting import CountSpec
from modelwatch_gpu.profile.facts import FactsSpec, Patterns
from modelwatch_gpu.profile.labelled import labelled_sets
from modelwatch_gpu.profile.parts import SetSpec
from modelwatch_gpu.profile.placing import device_for
from modelwatch_gpu.profile.scoring import with_made_columns
from modelwatch_gpu.profile.segmentation import Names, Segments, conditions_of, segmentation, segmentations_of, set_name


@dataclass(frozen=True)
class Planned:
    """How a log is counted. ``source``: the log, None where its rows come later, batch by batch. ``window``, ``block``,
    ``timezone``, ``segments``, ``notes``: as a profile states them. ``bytes``: what the counters take at most.
    ``derived``: the columns that are computed while the log is read; ``conditions``: those of true and false."""

    spec: CountSpec
    source: Log | None
    window: str | None
    block: str | None
    timezone: str
    segments: tuple[Names, ...]
    bytes: int
    notes: tuple[str, ...]
    derived: tuple[Derived, ...]
    conditions: tuple[Where, ...] = ()

    def also_derived(self, baseline: Baseline) -> tuple[Definition, ...]:
        """The derived columns that the baseline does not know, which segments can be cut by."""
        computed = {one.definition for one in self.derived} | {one.definition for one in self.conditions}
        return tuple(sorted(computed - {*baseline.derived}, key=lambda one: one.name))

    def reading(self, baseline: Baseline, log: Log) -> Log:
        """A log whose rows came later, with the columns that are computed while it is read."""
        return _with_computed(log, baseline, self.derived, self.conditions, self.spec.device)


def planned(
    baseline: Baseline,
    log: Any,
    *,
    window: str | None,
    timezone: str | None,
    segments: Segments,
    versions: bool,
    promote: Segments,
    max_groups: int | None,
    memory: int | str | None,
    threads: int,
    sample: int,
    derived: Sequence[Derived],
    device: str,
    quality: bool = False,
    patterns: Patterns | None = None,
    ahead: planner.Ahead | None = None,
) -> Planned:
    """Decides how ``log`` is counted against a baseline; the options are those of ``Profile.count``.

    ``log``: None where its rows come later; ``ahead``: what to assume of those. Raises InputError as
    ``Profile.count`` does, for all that can be known before the first row is read.
    """
    computed = _derived(baseline, derived)
    by, fine = _segmentations(baseline, segments, versions, promote)
    if max_groups is not None and (not isinstance(max_groups, int) or max_groups < 1):
        raise InputError(f"max_groups must be a whole number above zero, not {max_groups!r}.")
    if type(sample) is not int or sample < 0:
        raise InputError(f"sample must be a number of rows, 0 or more, not {sample!r}.")
    parsed = parse_window(window) if window is not None else None
    zone = timezone if timezone is not None else baseline.timezone
    zone_info = zone_of(zone)
    stored = open_log(log) if log is not None else None
    # By the columns that are stored: what is derived is computed where it is counted.
    counted_by = resolve(device) if stored is None else device_for(device, stored, baseline.by_name, threads=threads)
    conditions = conditions_of(segments)
    source = _with_computed(stored, baseline, computed, conditions, counted_by) if stored is not None else None
    timestamp = _timestamp(baseline, source, parsed)
    block = block_for(parsed) if isinstance(parsed, Window) else Window.parse("1d")
    blocks = timestamp is not None and not isinstance(parsed, RowWindow)
    known = [segmentation(names, baseline.by_name, baseline.part) for names in by]
    windows, days, assumed = _interval_counts(source, parsed, block if blocks else None, timestamp, zone_info)
    if source is None and ahead is not None and blocks:
        windows, days, assumed = (ahead.windows if parsed is not None else 1), ahead.blocks, False
    allowed = planner.memory_of(memory)
    chosen = planner.plan(
        baseline.columns,
        planner.GroupCounts(
            windows=windows,
            blocks=days,
            segments=tuple(
                planner.SegmentCounts(" and ".join(s.columns), s.likely, s.most, s.columns in fine) for s in known
            ),
            files=len(source.files) if source is not None else 1,
            assumed=assumed,
        ),
        rows=source.rows if source is not None else ahead.rows if ahead is not None else None,
        memory=allowed,
        max_groups=max_groups,
        weighted=baseline.weighting is not None,
        scoring=baseline.scoring,
        embeddings=baseline.embeddings,
    )
    sets = [SetSpec("window", chosen.window_grid, True)]
    if blocks:
        sets.append(SetSpec("block", "coarse", False))
    for names in by:
        grid = chosen.promoted_grid if names in fine else "coarse"
        sets.append(SetSpec(set_name(names), grid, True, names))
    spec = CountSpec(
        sets=labelled_sets(sets, baseline.scoring, weighted=baseline.weighting is not None),
        window=parsed,
        block=block,
        zone=zone_info,
        timestamp=timestamp,
        segmentations=tuple(known),
        segment_cap=chosen.segment_cap,
        threads=threads,
        sample=sample,
        ids=tuple(name for name, role in baseline.roles.items() if role == "id"),
        ignored=frozenset([*baseline.roles, *(one.name for one in conditions)]),
        weighting=baseline.weighting,
        device=counted_by,
        scoring=baseline.scoring,
        facts=FactsSpec.of(baseline.roles, patterns) if quality or patterns else None,
        made=FactsSpec.made(baseline.roles) | {one.name for one in conditions},
        embeddings=baseline.embeddings,
        roles=baseline.roles,
        spare=allowed - chosen.bytes,
    )
    return Planned(
        spec=spec,
        source=source,
        window=str(parsed) if isinstance(parsed, RowWindow) else window,
        block=str(block) if blocks else None,
        timezone=zone,
        segments=by,
        bytes=chosen.bytes,
        notes=tuple(sorted(chosen.notes)),
        derived=computed,
        conditions=conditions,
    )


def _with_computed(
    log: Log, baseline: Baseline, derived: Sequence[Derived], conditions: Sequence[Where], device: str
) -> Log:
    """The log with derived columns, those that answers are held against labels by, and conditions of segments."""
    known = [one.name for one in baseline.derived]
    made = with_made_columns(with_derived(log, derived, known=known, device=device), baseline.scoring)
    return with_predicates(made, conditions)


def _derived(baseline: Baseline, derived: Sequence[Derived]) -> tuple[Derived, ...]:
    """The derived columns to compute; raises InputError where they are not those of the baseline."""
    given = {one.name: one for one in checked(derived)}
    for own in baseline.derived:
        inputs = ", ".join(own.inputs)
        if own.name not in given:
            raise InputError(
                f"Column '{own.name}' of the baseline is derived from {inputs}; pass its function too, "
                f"derived=[{own.name}] (--derived FILE:{own.name})."
            )
        if given[own.name].definition != own:
            raise InputError(
                f"The function of the derived column '{own.name}' (from {inputs}) is not the one that the baseline was "
                "fitted with; pass that one, or fit the baseline again."
            )
    return tuple(given.values())


def _segmentations(
    baseline: Baseline, segments: Segments, versions: bool, promote: Segments
) -> tuple[tuple[Names, ...], frozenset[Names]]:
    """The segmentations that are asked for, and those that go on the fine grid."""
    by = segmentations_of(segments)
    fine = segmentations_of(promote)
    for names in fine:
        if names not in by:
            raise InputError(f"Cannot promote {', '.join(names)}: it is not one of the segmentations; add it to them.")
    if versions:
        version = next((name for name, role in baseline.roles.items() if role == "version"), None)
        if version is None:
            raise InputError(
                "Versions are asked for, but the baseline has no column with that role; give one when you fit it, such "
                "as by Roles(version='model_version')."
            )
        own: Names = (version,)
        by = by if own in by else (*by, own)
        fine = (*fine, own)
    return by, frozenset(fine)


def _timestamp(baseline: Baseline, log: Log | None, window: Window | RowWindow | None) -> str | None:
    """The column that says when, None where there is none; raises InputError where the windows need one."""
    timestamp = baseline.timestamp
    calendar = isinstance(window, Window)
    if timestamp is None and calendar:
        raise InputError(
            "Windows need a timestamp, and the baseline has no column with that role; give one when you fit it, "
            "or count windows in rows, such as window='50000rows'."
        )
    if log is not None and timestamp is not None and timestamp not in log.schema.names:
        if calendar:
            raise InputError(
                f"The log has no column '{timestamp}', which is the timestamp, so it cannot be cut into windows."
            )
        return None
    return timestamp


def _interval_counts(
    log: Log | None, window: Window | RowWindow | None, block: Window | None, timestamp: str | None, zone: Any
) -> tuple[int, int, bool]:
    """How many windows and blocks there will be, at most, from what the log tells without being read, and whether the
    number of windows is only assumed."""
    if isinstance(window, RowWindow):
        if log is None or log.rows is None:
            return planner.ASSUMED_WINDOWS, 0, True
        return max(1, -(-log.rows // window.rows)), 0, False
    if timestamp is None or block is None:
        return 1, 0, False
    files = log.files if log is not None else ()
    spans = [file.time_range(timestamp) if timestamp in file.schema.names else None for file in files]
    known = [s for s in spans if s is not None]
    if not known or len(known) < len(spans):
        assumed = window is not None
        return (planner.ASSUMED_WINDOWS if assumed else 1), planner.ASSUMED_BLOCKS, assumed
    low, high = min(s[0] for s in known), max(s[1] for s in known)
    windows = len(window.boundaries(low, high, zone)) - 1 if window is not None else 1
    return windows, len(block.boundaries(low, high, zone)) - 1, False
