"""What the keys of a file's groups come to in its part, kept for the next file, which mostly has the same ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import compress
from typing import Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.profile.grouping import Int64, Numbering, Seed, SegmentGroups
from modelwatch_gpu.profile.labelled import LabelledCounter
from modelwatch_gpu.profile.parts import LABELLED_PREFIX, GroupKey, capped_keys, labels_of
from modelwatch_gpu.profile.tables import UInt32

#: Of fewer keys the next file's are numbered as they come: rows of few groups that lie near each other are counted
#: together, where numbers are near each other too.
_MANY: Final = 1_000
_JSON: Final = json.JSONEncoder().encode


@dataclass(frozen=True)
class PartKeys:
    """``groups``: sorted, those of a part. ``to``: (keys,) the place of each key's group among them. ``order``:
    (groups,) the number of each group's key, None where one has several. ``text``: the groups in JSON."""

    groups: list[GroupKey]
    to: UInt32
    order: UInt32 | None
    text: str


@dataclass
class _Known:
    """Keys of the files before, sorted, and of each its place and its JSON."""

    keys: list[GroupKey]
    places: dict[GroupKey, int]
    texts: list[str]

    @classmethod
    def of(cls, keys: list[GroupKey], before: _Known | None = None) -> _Known:
        """Of sorted keys; ``before``: what is known of some of them."""
        texts = dict(zip(before.keys, before.texts, strict=True)) if before is not None else {}
        return cls(
            keys,
            {key: i for i, key in enumerate(keys)},
            [texts[key] if key in texts else _JSON(key) for key in keys],
        )

    @cached_property
    def text(self) -> str:
        """All of them in JSON."""
        return _joined(self.texts)

    def only(self, places: Int64) -> tuple[list[GroupKey], str, Int64]:
        """Those with these places, in any order: the keys, sorted, their JSON, and where each is among them."""
        there = np.zeros(len(self.keys), dtype=np.bool_)
        there[places] = True
        if there.all():
            return self.keys, self.text, places
        used = there.tolist()
        return (
            list(compress(self.keys, used)),
            _joined(list(compress(self.texts, used))),
            (np.cumsum(there) - 1)[places],
        )


def _joined(texts: list[str]) -> str:
    return "[" + ", ".join(texts) + "]"


def _order(to: UInt32, there: npt.NDArray[np.bool_], groups: int) -> UInt32 | None:
    """The inverse of ``to`` for the keys that are there; None where it has none."""
    used = np.flatnonzero(there)
    if len(used) != groups:
        return None
    order = np.empty(groups, dtype=np.uint32)
    order[to[used]] = used
    return order


@dataclass
class KeptKeys:
    """Of every set, the keys of the files before: sorting thousands takes longer than looking them up, and so does
    writing them. Not for several threads at a time."""

    _known: dict[str, _Known] = field(default_factory=dict)
    _seeds: dict[str, Seed] = field(default_factory=dict)
    _segments: dict[str, SegmentGroups] = field(default_factory=dict)
    _labels: dict[str, set[GroupKey]] = field(default_factory=dict)
    #: Of the last file that was read.
    answers: LabelledCounter | None = None

    def leave(self, segments: Mapping[str, SegmentGroups], answers: LabelledCounter | None) -> None:
        """A file was read whose groups were made by these; the next one's go on from there."""
        self._segments = dict(segments)
        self.answers = answers.without_counter() if answers is not None else None

    def segments(self, name: str) -> tuple[SegmentGroups, Seed] | None:
        """What made the groups of a set in the last file, and what they are numbered by in the next."""
        before, seed = self._segments.get(name), self._seeds.get(name)
        return (before, seed) if before is not None and seed is not None else None

    def seed(self, name: str) -> Seed | None:
        """What the next file's groups of a set can be numbered by, None where nothing is known that is of use to it."""
        return self._seeds.get(name)

    def of_numbering(self, name: str, numbering: Numbering, segment_cap: int, whole: set[str]) -> PartKeys:
        """As ``of``, of keys that have rows or were not given. What others become says nothing."""
        keys, given = numbering.keys, numbering.given
        there = numbering.rows > 0
        there[given:] = True
        own = keys if there.all() else list(compress(keys, there.tolist()))
        labels = None
        if name.startswith(LABELLED_PREFIX) and given:
            # Those that were given have labels that are known.
            labels = self._labels[name] = self._labels.get(name) or labels_of(keys)
            labels |= labels_of(keys[given:])
        if not given or capped_keys(name, own, segment_cap, whole=whole, labels=labels) is not own:
            found = self.of(name, own, segment_cap, whole)
            to = np.zeros(len(keys), dtype=np.uint32)
            to[there] = found.to
            if given:
                self._seeds.pop(name, None)
            return replace(found, to=to, order=_order(to, there, len(found.groups)))
        whole.add(name)
        # Those that were given are all that is known, in its order, and the others are new.
        known, places = self._known[name], np.arange(given)
        if len(keys) > given:
            known = self._known[name] = _Known.of(sorted([*known.keys, *sorted(keys[given:])]), known)
            places = np.fromiter(map(known.places.__getitem__, keys), np.int64, len(keys))
        groups, text, at = known.only(places[there])
        self._leave_seed(name, known, places, len(groups))
        to = np.zeros(len(keys), dtype=np.uint32)
        to[there] = at
        return PartKeys(groups, to, _order(to, there, len(groups)), text)

    def of(self, name: str, keys: list[GroupKey], segment_cap: int, whole: set[str]) -> PartKeys:
        """Of the different keys of a set, in order of arrival. ``whole``: sets without keys beyond a cap; this one is
        added where it is such; those crossed with the label come behind the others."""
        self._labels.pop(name, None)  # there may be others now
        own = capped_keys(name, keys, segment_cap, whole=whole)
        if own is keys:
            whole.add(name)
        known = self._known.get(name)
        new = set(own) if known is None else set(own) - known.places.keys()
        if known is None or len(new) > len(known.keys):  # other windows, as of one more day
            known = self._known[name] = _Known.of(sorted(set(own)))
        elif new:
            known = self._known[name] = _Known.of(sorted([*known.keys, *sorted(new)]), known)
        places = np.fromiter(map(known.places.__getitem__, own), np.int64, len(own))
        groups, text, to = known.only(places)
        # Of a key beyond a cap this file cannot say what it is in the next.
        self._leave_seed(name, known, places, len(groups) if own is keys else 0)
        places_of = to.astype(np.uint32)
        return PartKeys(groups, places_of, _order(places_of, np.ones(len(own), dtype=np.bool_), len(groups)), text)

    def _leave_seed(self, name: str, known: _Known, to: Int64, groups: int) -> None:
        """Tells the next file what this one's keys, which make up so many groups, are called in it."""
        if max(_MANY, len(known.keys) / 2) <= groups:  # of many that are not here, no one will ask
            self._seeds[name] = Seed(known.keys, known.places, to)
        else:
            self._seeds.pop(name, None)
