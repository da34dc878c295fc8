"""Windows of a counted log put together anew by adding integers: rolling windows, the same weekdays, all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from modelwatch_gpu.profile.merging import merge_parts
from modelwatch_gpu.profile.parts import UNTIMED, Part

#: From the start of a window to the start of the group that it becomes part of; None: it is left out.
Regroup = Callable[[int], int | None]

_SET = "window"


def regrouped_windows(part: Part, to: Regroup) -> Part:
    """The windows of a part added up into other groups; only the windows are kept, not segments and blocks.

    Windows that are left out, and rows without a time, are in the group of rows without a time, which is not judged.
    """
    starts = [int(key[0]) for key in part.groups[_SET]]
    wanted = [UNTIMED if start == UNTIMED or (new := to(start)) is None else new for start in starts]
    groups = sorted(set(wanted))
    at = {start: i for i, start in enumerate(groups)}
    number = np.array([at[start] for start in wanted], dtype=np.uint32)
    rows = np.zeros(len(groups), dtype=np.uint64)
    np.add.at(rows, number, part.group_rows[_SET])
    tables = {key: table for key, table in part.tables.items() if key[0] == _SET}
    weights = {name: sums.regrouped(number, len(groups)) for name, sums in part.weights.items() if name == _SET}
    return replace(
        part,
        groups={_SET: [(start,) for start in groups]},
        group_rows={_SET: rows},
        tables={key: table.regrouped(number, len(groups)) for key, table in tables.items()},
        weights=weights,
        sample=None,
        facts=None,
    )


def rolling_windows(part: Part, size: int) -> Part:
    """Every run of ``size`` windows that have rows, named by its last one: the sum of these windows. Windows before
    the first full run are not among them."""
    starts = sorted(int(key[0]) for key in part.groups[_SET] if int(key[0]) > UNTIMED)
    at = {start: i for i, start in enumerate(starts)}

    def tiling(offset: int) -> Regroup:
        def to(start: int) -> int | None:
            last = (at[start] - offset) // size * size + offset + size - 1
            return starts[last] if size - 1 <= last < len(starts) else None

        return to

    # Each tiling adds every window once; together they are all runs.
    return merge_parts([regrouped_windows(part, tiling(offset)) for offset in range(size)])
