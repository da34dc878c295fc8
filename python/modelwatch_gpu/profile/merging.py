"""Adds parts: their groups are brought together, and each table is added up over the parts that have it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

import numpy as np

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.profile.embedding_sums import EmbeddingTable, merge_embeddings
from modelwatch_gpu.profile.open_tables import KeysOfSum, OpenTables
from modelwatch_gpu.profile.parts import LABELLED_PREFIX, UNSEEN_CAP, GroupKey, Part, capped_keys
from modelwatch_gpu.profile.side_by_side import side_by_side
from modelwatch_gpu.profile.tables import (
    CategoryTable,
    NumericTable,
    Table,
    UInt32,
    UInt64,
    merge_categories,
    merge_numeric,
)
from modelwatch_gpu.profile.weights import WeightSums, merge_weights

#: Sets of parts with so many entries are added up column by column, side by side.
_LARGE: Final = 1_000_000


def by_dependence(names: Iterable[str]) -> list[str]:
    """Names of sets, sorted; those crossed with the label behind those that are not."""
    return sorted(names, key=lambda name: (name.startswith(LABELLED_PREFIX), name))


def _merged_keys(
    parts: Sequence[Part], name: str, segment_cap: int, whole: set[str], before: KeysOfSum | None
) -> tuple[KeysOfSum, list[UInt32]]:
    """The union of the parts' groups, sorted, and each part's numbers in it. Adds the set to ``whole`` where none of
    its segments is beyond the cap; ``whole`` has all that are not crossed with the label, where they are, before.
    ``before``: of a sum that may be among the parts, and had none beyond the cap."""
    lists = [part.groups.get(name, []) for part in parts]
    longest = max(lists, key=len)
    known = before is not None and before.keys is longest
    union = before if before is not None and known else KeysOfSum.of(longest)

    def numbers(keys: list[GroupKey], of: KeysOfSum) -> UInt32:
        if keys is of.keys or keys == of.keys:
            return np.arange(len(keys), dtype=np.uint32)
        return np.fromiter(map(of.places.__getitem__, keys), np.uint32, len(keys))

    try:
        maps = [numbers(keys, union) for keys in lists]  # mostly the longest list has them all
    except KeyError:
        more = set[GroupKey]().union(*lists).difference(longest)
        known, union = False, KeysOfSum.of(sorted([*longest, *sorted(more)]))
        maps = [numbers(keys, union) for keys in lists]
    # A value that one part kept may lie beyond the cap of all: then some other part has counted it as `other`.
    if not (known and (not name.startswith(LABELLED_PREFIX) or name.removeprefix(LABELLED_PREFIX) in whole)):
        kept = capped_keys(name, union.keys, segment_cap, whole=whole)
        if kept is not union.keys:
            merged = KeysOfSum.of(sorted(set(kept)))
            return merged, [numbers([kept[i] for i in own.tolist()], merged) for own in maps]
    whole.add(name)
    return union, maps


def merge_parts(
    parts: Iterable[Part], segment_cap: int = 0, *, consume: bool = False, into: OpenTables | None = None
) -> Part:
    """Adds parts: the same result for any order and any grouping of the additions.

    Of more than ``segment_cap`` segments those with the smallest (hash, bytes) stay apart (DESIGN 3.3). ``consume``:
    the parts are given up, and each of their tables is let go as soon as it is added. ``into``: keeps what the tables
    of the first part, the sum so far, do without until it is closed.
    """
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]
    if not parts:
        raise ValueError("nothing to merge")
    bits = parts[0].weight_bits
    if any(part.weight_bits != bits for part in parts):
        raise InputError(
            "Counts whose rows are weighted differently cannot be added; count both logs against the same baseline."
        )
    # One entry for every file, also where a file was counted twice: the fingerprint must tell that apart.
    origins = tuple(sorted(o for part in parts for o in part.origins))
    origin_at = {o: i for i, o in enumerate(origins)}
    origin_maps = [np.array([origin_at[o] for o in part.origins], dtype=np.uint32) for part in parts]
    groups: dict[str, list[GroupKey]] = {}
    group_rows: dict[str, UInt64] = {}
    weights: dict[str, WeightSums] = {}
    tables: dict[tuple[str, str], Table] = {}
    embeddings: dict[tuple[str, str], EmbeddingTable] = {}
    columns = sorted({key for part in parts for key in part.tables})
    whole: set[str] = set()
    for name in by_dependence({n for part in parts for n in part.groups}):
        own, maps = _merged_keys(parts, name, segment_cap, whole, into.keys.get(name) if into is not None else None)
        groups[name] = own.keys
        if into is not None and name in whole:
            into.keys[name] = own
        rows = np.zeros(len(groups[name]), dtype=np.uint64)
        for part, to in zip(parts, maps, strict=True):
            if name in part.group_rows:
                np.add.at(rows, to, part.group_rows[name])
        group_rows[name] = rows
        if bits is not None:
            weighed = [(p.weights[name], to) for p, to in zip(parts, maps, strict=True) if name in p.weights]
            weights[name] = merge_weights([sums for sums, _ in weighed], [to for _, to in weighed], len(groups[name]))
        own_keys = [key for key in columns if key[0] == name]
        merge = partial(_merged_table, parts, maps, origin_maps, len(groups[name]), consume=consume, into=into)
        large = sum(part.entries_of(name) for part in parts) >= _LARGE
        tables |= zip(own_keys, side_by_side(merge, own_keys, 0 if large else 1), strict=True)
        for key in sorted({k for part in parts for k in part.embeddings if k[0] == name}):
            sums = [(p.embeddings[key], to) for p, to in zip(parts, maps, strict=True) if key in p.embeddings]
            embeddings[key] = merge_embeddings([s for s, _ in sums], [to for _, to in sums], len(groups[name]))
    spans = [part.span for part in parts if part.span]
    samples = [part.sample for part in parts if part.sample is not None]
    facts = [part.facts for part in parts if part.facts is not None]
    return Part(
        rows=sum(part.rows for part in parts),
        span=(min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None,
        groups=groups,
        group_rows=group_rows,
        tables=tables,
        gone=tuple(sorted({c for part in parts for c in part.gone})),
        new=tuple(sorted({c for part in parts for c in part.new})),
        incomparable=dict(sorted({item for part in parts for item in part.incomparable.items()}, reverse=True)),
        origins=origins,
        sample=samples[0].merged(samples[1:]) if samples else None,
        # Facts of some of the rows would be taken for facts of all.
        facts=facts[0].merged(facts[1:]) if facts and len(facts) == len(parts) else None,
        weight_bits=bits,
        weights=weights,
        embeddings=embeddings,
    )


def _merged_table(
    parts: Sequence[Part],
    maps: Sequence[UInt32],
    origins: Sequence[UInt32],
    groups: int,
    key: tuple[str, str],
    *,
    consume: bool,
    into: OpenTables | None,
) -> Table:
    """One column of one set, added up over the parts that have it."""
    own = [i for i, part in enumerate(parts) if key in part.tables]
    tables, maps, origins = [parts[i].tables[key] for i in own], [maps[i] for i in own], [origins[i] for i in own]
    if consume:
        for part in parts:
            part.tables.pop(key, None)
    if into is not None:
        tables = into.take(key, tables, maps, origins, groups)
    numeric = [t for t in tables if isinstance(t, NumericTable)]
    if numeric:
        return merge_numeric(numeric, maps, origins, groups)
    category = [t for t in tables if isinstance(t, CategoryTable)]
    return merge_categories(category, maps, groups, cap=UNSEEN_CAP, sketched=key[0] == "window")
