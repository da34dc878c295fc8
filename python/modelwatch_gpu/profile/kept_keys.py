"""What the keys of a file's groups come to in its part, kept for the next file, which mostly has the same ones."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from modelwatch_gpu.profile.parts import GroupKey, capped_keys
from modelwatch_gpu.profile.tables import UInt32

_JSON: Final = json.JSONEncoder().encode


@dataclass(frozen=True)
class PartKeys:
    """``groups``: sorted, those of a part. ``to``: (keys,) the place of each key's group among them. ``text``: the
    groups in JSON."""

    groups: list[GroupKey]
    to: UInt32
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


@dataclass
class KeptKeys:
    """Of every set, the keys of the files before: sorting thousands takes longer than looking them up, and so does
    writing them. Not for several threads at a time."""

    _known: dict[str, _Known] = field(default_factory=dict)

    def of(self, name: str, keys: list[GroupKey], segment_cap: int, whole: set[str]) -> PartKeys:
        """Of the different keys of a set, in order of arrival. ``whole``: sets without keys beyond a cap; this one is
        added where it is such; those crossed with the label come behind the others."""
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
        there = np.zeros(len(known.keys), dtype=np.int64)
        there[places] = 1
        if there.all():
            groups, texts, to = known.keys, known.texts, places
        else:
            used = np.flatnonzero(there).tolist()
            groups, texts = [known.keys[i] for i in used], [known.texts[i] for i in used]
            to = (np.cumsum(there) - 1)[places]
        return PartKeys(groups, to.astype(np.uint32), "[" + ", ".join(texts) + "]")
