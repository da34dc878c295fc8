"""``worst_slices``: which slices of a log changed more than the rest of it, over all columns, from counts alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.results import OTHER_LABEL, segment_text
from modelwatch_gpu.measures.slices import SearchOptions, Slice, SliceTable
from modelwatch_gpu.measures.slices import worst_slices as search
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import CategoricalColumn, Column, NumericColumn
from modelwatch_gpu.profile.parts import Part
from modelwatch_gpu.profile.profile import Profile
from modelwatch_gpu.profile.segmentation import set_name
from modelwatch_gpu.profile.tables import NumericTable

#: A column of more values than this is not sliced by unless it is named.
_MOST_VALUES: Final = 60
#: Columns that are sliced by, where none are named: their pairs are counted too.
_MOST_COLUMNS: Final = 8
_OF: Final = ("drift", "missing", "share")

Names = tuple[str, ...]


def slice_columns(baseline: Baseline) -> list[str]:
    """What is sliced by where nobody says: categorical features and versions of few values, then numbers (quarters)."""
    few = [
        c.name
        for c in baseline.columns
        if isinstance(c, CategoricalColumn)
        and c.role in ("feature", "version")
        and 1 < len(c.categories) <= _MOST_VALUES
    ]
    numbers = [c.name for c in baseline.columns if isinstance(c, NumericColumn) and c.role == "feature"]
    return [*few, *numbers][:_MOST_COLUMNS]


def segmentations_for(by: Sequence[str], ways: int = 2) -> list[Names]:
    """Every column alone and, for two ways, every pair."""
    if ways not in (1, 2):
        raise InputError(f"ways is 1 or 2, not {ways!r}.")
    return [names for size in range(1, ways + 1) for names in combinations(by, size)]


def worst_slices(
    baseline: Baseline,
    log: Any,
    reference: Any = None,
    *,
    by: Sequence[str] | None = None,
    ways: int = 2,
    columns: str | Sequence[str] | None = None,
    of: str = "drift",
    bad: str | None = None,
    min_rows: int = 100,
    min_share: float = 0.005,
    min_effect: float = 0.02,
    alpha: float = 0.01,
    most: int = 20,
    memory: int | str | None = None,
    threads: int = 0,
    device: str = "auto",
) -> tuple[Slice, ...]:
    """The slices of one or two columns that changed most, by effect times share of the rows, on all rows.

    Every slice is held against all other rows: what the whole log does is no slice's. What one slice explains is taken
    out of the others before the next is looked for.

    Args:
        baseline: What columns are counted against.
        log: The log, or a Profile that was counted with these segments.
        reference: The log (or Profile) that the baseline was fitted on, or any other that is normal; None: the slices
            of ``log`` are held against its own rest.
        by: Columns to slice by; numbers are cut into quarters of the baseline. Default: at most 8 features, those of
            few values first.
        ways: 1, or 2 for pairs too.
        columns: What is judged; default: every counted feature, prediction, score, label and error.
        of: "drift": how values are distributed over the baseline's bins or values; "missing": how many are missing;
            "share": how many have the value ``bad``, of a column such as whether the model was wrong.
        bad: The value (of a categorical column) for "share".
        min_rows, min_share: Rows of a slice on each side, and its share of the log, at least.
        min_effect: Half the sum of the differences of differences of shares, at least.
        alpha: How likely it may be that anything is found where no slice differs (Bonferroni over slices and columns).
        most: So many slices of every column.
        memory, threads, device: As for ``Profile.count``.

    Raises:
        InputError: A column is not in the baseline, or a profile was counted with other segments.
    """
    if of not in _OF:
        raise InputError(f"of is {', '.join(_OF[:-1])} or {_OF[-1]}, not {of!r}.")
    if (of == "share") != (bad is not None):
        raise InputError("bad= names the value for of='share', and goes with nothing else.")
    by = list(by) if by is not None else slice_columns(baseline)
    if not by:
        raise InputError("The baseline has no column to slice by; name some by=[...].")
    names = segmentations_for(by, ways)
    options: dict[str, Any] = {"memory": memory, "threads": threads, "device": device}
    current = _counted(baseline, log, names, options)
    before = _counted(baseline, reference, names, options) if reference is not None else None
    judged = _judged(baseline, columns)
    if bad is not None:
        for column in judged:
            if not isinstance(column, CategoricalColumn) or bad.encode() not in column.categories:
                raise InputError(f"Column '{column.name}' has no value {bad!r} in the baseline; name columns that do.")
    tables: dict[str, list[SliceTable]] = {}
    for column in judged:
        made = [_table(column, n, current, before, of, bad) for n in names if column.name not in n]
        tables[column.name] = [t for t in made if t is not None]
    tests = sum(len(t.values) for own in tables.values() for t in own)
    found: list[Slice] = []
    search_options = SearchOptions(min_rows, min_share, min_effect, alpha, most, None if of == "drift" else 0)
    for name, own in tables.items():
        found += [replace(one, column=name) for one in search(own, search_options, tests=tests)]
    return tuple(sorted(found, key=lambda s: (-s.score, s.column, s.name)))


def _counted(baseline: Baseline, log: Any, names: Sequence[Names], options: dict[str, Any]) -> Part:
    if isinstance(log, Profile):
        profile = log
    else:
        profile = Profile.count(baseline, log, segments=[list(n) for n in names], keep_parts=False, **options)
    merged = profile.merged()
    if merged is None:
        raise InputError("There are no rows to slice.")
    lacking = [n for n in names if set_name(n) not in merged.groups and set_name(n[::-1]) not in merged.groups]
    if lacking:
        raise InputError(
            f"The profile was not cut by {' and '.join(lacking[0])}; count the log with segments= of every column and "
            "pair (segmentations_for)."
        )
    return merged


def _judged(baseline: Baseline, columns: str | Sequence[str] | None) -> list[Column]:
    if columns is None:
        roles = ("feature", "prediction", "score", "label", "error")
        return [c for c in baseline.columns if c.role in roles]
    wanted = [columns] if isinstance(columns, str) else list(columns)
    for name in wanted:
        if name not in baseline.by_name:
            raise InputError(f"Column '{name}' is not compared; there are {', '.join(baseline.by_name)}.")
    return [baseline.by_name[name] for name in wanted]


def _table(
    column: Column, names: Names, current: Part, before: Part | None, of: str, bad: str | None
) -> SliceTable | None:
    sides = [_binned(column, names, part, of, bad) for part in (current, before) if part is not None]
    if any(side is None for side in sides):
        return None
    keys = sorted({key for side in sides if side is not None for key in side}, key=lambda k: tuple(map(str, k)))
    keys = [key for key in keys if OTHER_LABEL not in key]
    if not keys:
        return None
    width = next(len(counts) for side in sides if side is not None for counts in side.values())
    nothing = np.zeros(width)
    arrays = [np.array([side.get(key, nothing) for key in keys]) for side in sides if side is not None]
    return SliceTable(names, keys, arrays[0], arrays[1] if before is not None else None)


def _binned(
    column: Column, names: Names, part: Part, of: str, bad: str | None
) -> dict[tuple[str | None, ...], npt.NDArray[np.float64]] | None:
    """Rows over bins of every segment, all windows together."""
    name = set_name(names) if set_name(names) in part.groups else set_name(names[::-1])
    table = part.tables.get((name, column.name))
    if table is None:
        return None
    groups = part.groups[name]
    slots = max(column.coarse_slots, column.slots, 1)
    # Which grid the set is on shows in no part; only a promoted one reaches beyond the coarse slots.
    fine = bool(len(table.cells)) and int(table.cells.index.max()) >= column.coarse_slots
    to = _bins_of(column, slots, fine, of, bad)
    width = int(to.max()) + 1
    counts = np.zeros((len(groups), width))
    bins = to[table.cells.index.astype(np.int64)]
    kept = bins >= 0
    np.add.at(counts, (table.cells.group[kept], bins[kept]), table.cells.value[kept].astype(np.float64))
    if not isinstance(table, NumericTable) and fine and of != "missing":
        unseen = table.unseen_rows
        np.add.at(counts, (unseen.group, np.full(len(unseen.group), width - 1)), unseen.value.astype(np.float64))
    backwards = name != set_name(names)
    found: dict[tuple[str | None, ...], npt.NDArray[np.float64]] = {}
    for key, row in zip(groups, counts, strict=True):
        texts = tuple(segment_text((int(k), str(t))) for k, t in zip(key[1::2], key[2::2], strict=True))
        texts = texts[::-1] if backwards else texts
        found[texts] = found[texts] + row if texts in found else row
    return found


def _bins_of(column: Column, slots: int, fine: bool, of: str, bad: str | None) -> npt.NDArray[np.int64]:
    """(slots,) the bin of every slot; -1: not counted."""
    if isinstance(column, NumericColumn):
        cells = (column.slots if fine else column.coarse_slots) - 2
        missing = np.arange(slots) >= cells
        if of == "missing":
            return np.where(missing, 0, 1)
        edges = (column.edges if fine else column.coarse_edges).astype(np.int64)
        bins = np.searchsorted(2 * edges + 1, np.arange(slots), side="left")
        return np.where(missing, -1, bins).astype(np.int64)
    at = np.arange(slots)
    if of == "missing":
        return np.where(at == 0, 0, 1)
    if of == "share":
        assert bad is not None
        category = column.categories.index(bad.encode())
        slot = 2 + category if fine else int(column.to_coarse[category])
        return np.where(at == 0, -1, np.where(at == slot, 0, 1))
    return at + 0
