"""Labels that come after their rows: kept by id in a folder beside the store, put beside rows when files are counted.

The folder is an index, not the record: label files are taken again where it is missing or was cut short by a crash.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Labels
from modelwatch_gpu.log.labels import any_null, keys_of
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.discover import Found, discover, opened
from modelwatch_gpu.monitor.ledger import Known
from modelwatch_gpu.plain import plain_array
from modelwatch_gpu.profile import Baseline

#: Which label files the index has, by path.
_TAKEN: Final = "taken.json"

Keys = set[tuple[int, int]]


class LateLabels:
    """The label files of a monitor.

    Raises InputError where the baseline does not know by what labels find their rows.
    """

    def __init__(self, config: MonitorConfig, baseline: Baseline) -> None:
        assert config.labels is not None
        self._config, self._source, self._at = config, config.labels.path, config.labels.at
        self._ids = tuple(baseline.ids)
        if not self._ids or baseline.label is None:
            what = "label" if self._ids else "id"
            raise InputError(
                f"Labels find their rows by id, and the baseline has no column with the role {what}; fit it with one, "
                f"such as by --{what}."
            )
        self._label = baseline.label
        self._folder = Path(config.path_of(config.labels.folder))
        self._labels: Labels | None = None

    @property
    def labels(self) -> Labels:
        """All labels so far."""
        if self._labels is None:
            self._labels = self._opened()
        return self._labels

    def _opened(self) -> Labels:
        folder = self._folder / "index"
        if folder.exists() and not (folder / "labels.json").exists():
            shutil.rmtree(folder)  # cut short before it held anything
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Labels(folder)

    def _taken(self) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads((self._folder / _TAKEN).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found

    def changes(self, known: dict[str, Known]) -> tuple[list[Found], bool]:
        """Label files to take, and whether the index is made anew, so that all of the log is labelled again. A file
        that is gone stays known: what it said has been taken."""
        there = discover(self._source, self._config.folder, "labels")
        taken = self._taken()
        new = [found for found in there if found.path not in known or known[found.path].etag != found.etag]
        counted = {path for path, one in known.items() if one.state == "counted"}
        lost = any(found.path in counted and found.path not in taken for found in there)
        if lost or any(found.path in counted for found in new):
            # Nothing is taken out of an index: it is made anew from the files there are.
            shutil.rmtree(self._folder, ignore_errors=True)
            self._labels = None
            return there, True
        return new, False

    def take(self, found: Found) -> tuple[int, Keys]:
        """Takes one file: how many labels it has, and the keys of their ids. Taking it again changes nothing.

        Raises InputError where it cannot be read.
        """
        log = opened(found, "labels")
        self.labels.add(log, id=self._ids, label=self._label, at=self._at)
        keys: Keys = set()
        rows = 0
        for file in log.files:
            for batch in file.batches(list(self._ids)):
                rows += batch.num_rows
                keys |= _keys(batch, self._ids, file.name)
        beside = self._folder / f".{_TAKEN}"
        beside.write_text(json.dumps({**self._taken(), found.path: found.etag}, sort_keys=True), encoding="utf-8")
        beside.replace(self._folder / _TAKEN)
        return rows, keys

    def affected(self, keys: Keys, candidates: Iterable[Found]) -> Sequence[str]:
        """The files of the log that have rows with one of these ids; reads their id columns."""
        return [found.path for found in candidates if self._has_any(found, keys)]

    def _has_any(self, found: Found, keys: Keys) -> bool:
        try:
            for file in opened(found).files:
                if all(name in file.schema.names for name in self._ids):
                    for batch in file.batches(list(self._ids)):
                        if not keys.isdisjoint(_keys(batch, self._ids, file.name)):
                            return True
        except InputError:
            return False  # it is counted, or found to be unreadable, where files of the log are
        return False


def _keys(batch: object, ids: Sequence[str], name: str) -> Keys:
    columns = [plain_array(batch.column(one)) for one in ids]  # type: ignore[attr-defined]
    first, second = keys_of(columns, ids, name)
    named = np.flatnonzero(~any_null(columns))
    return set(zip(first[named].tolist(), second[named].tolist(), strict=True))
