"""The state of one embedding column in one counter set: sums of vectors as whole numbers, and a sample of rows.

Within a file sums are floating point (DESIGN 3.5: matrix products carry a tolerance). A file's sums are then rounded to
whole multiples of a unit that belongs to the baseline, 2^-30 of its spread, so adding files is exact: the same bytes in
any order of merging (decision 0024).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.profile.embeddings import BANDWIDTHS, FREQUENCIES, EmbeddingColumn
from modelwatch_gpu.profile.sparse import UInt32, UInt64
from modelwatch_gpu.profile.tables import Arrays, split_bytes
from modelwatch_gpu.profile.vectors import NULL, TOO_FAR

#: A file's sums are rounded to multiples of 2^-30 of the baseline's spread (of its square, of 1).
UNIT_BITS: Final = 30
#: Groups of rows, drawn by hash, that a permutation test deals out anew.
DEALT: Final = 32
#: Rows a window keeps as they are: those with the smallest keys.
SAMPLE_ROWS: Final = 1_024
#: Random features: cosine and sine of every frequency at every bandwidth.
FEATURES: Final = 2 * FREQUENCIES * len(BANDWIDTHS)
#: No sum may come near 2^63.
MOST: Final = 2.0**62
TOO_LARGE: Final = (
    "The vectors of an embedding lie too far from the baseline's to be added up; fit the baseline on vectors of this "
    "size."
)
#: Characters of a text that a sampled row keeps of each of its columns.
TEXT: Final = 160

Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
#: Codes of rows that take no part, in the order of ``EmbeddingTable.left_out``.
LEFT_OUT: Final = (NULL, 2, 3, TOO_FAR)


@dataclass
class EmbeddingTable:
    """``taken``: (groups,) rows whose vectors were added; ``left_out``: (groups, 4) rows without a vector, of another
    length, not finite, too far. In units of 2^-30 spread (squared where they are products): ``total``: (groups, d) sums
    of x - centre; ``squares``: (groups,) of ||x - centre||^2; ``products``: (groups, k (k + 1) / 2) of the products of
    two coordinates, upper triangle by rows: of all d elements in windows, of the principal directions elsewhere.

    In windows also: ``dealt``: (groups, DEALT) rows of each hashed group; ``features``: (groups, DEALT, FEATURES) sums
    of random features in units of 2^-30. In blocks the same of one group, all rows. ``sample_group``, ``sample_key``,
    ``sample``, ``labels``: the sampled rows by group and key, their vectors float32, and what their texts say as JSON.
    """

    taken: UInt64
    left_out: UInt64
    total: Int64
    squares: Int64
    products: Int64
    dealt: UInt64
    features: Int64
    sample_group: UInt32
    sample_key: UInt64
    sample: npt.NDArray[np.float32]
    labels: list[bytes]

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len(self.taken)

    @property
    def entries(self) -> int:
        """Numbers it holds: what merging and keeping it costs."""
        return self.total.size + self.products.size + self.features.size + self.sample.size

    def sampled(self, group: int) -> slice:
        """Where the sampled rows of a group lie."""
        ends = np.searchsorted(self.sample_group, [group, group + 1])
        return slice(int(ends[0]), int(ends[1]))

    def regrouped(self, to: npt.NDArray[Any], groups: int) -> EmbeddingTable:
        """The same with group g renumbered to ``to[g]``, of ``groups``; groups that meet are added."""
        return merge_embeddings([self], [to], groups)

    def arrays(self) -> Arrays:
        """Named arrays for a file."""
        sizes = np.array([len(label) for label in self.labels], dtype=np.uint32)
        return {
            "taken": self.taken,
            "left_out": self.left_out.reshape(-1),
            "total": self.total.reshape(-1),
            "squares": self.squares,
            "products": self.products.reshape(-1),
            "dealt": self.dealt.reshape(-1),
            "features": self.features.reshape(-1),
            "sample_group": self.sample_group,
            "sample_key": self.sample_key,
            "sample": self.sample.reshape(-1).view(np.uint32),
            "label_size": sizes,
            "label_bytes": np.frombuffer(b"".join(self.labels), dtype=np.uint8),
        }

    @classmethod
    def from_arrays(cls, a: Mapping[str, npt.NDArray[Any]], groups: int, dimension: int) -> EmbeddingTable:
        """The inverse of ``arrays``; raises KeyError or ValueError where they do not fit."""
        shaped: dict[str, npt.NDArray[Any]] = {}
        for name in ("taken", "left_out", "dealt", "sample_group", "sample_key", "sample", "label_size", "label_bytes"):
            if a[name].dtype.kind != "u":
                raise ValueError(f"{name} of an embedding has another type")
        for name in ("total", "squares", "products", "features"):
            if a[name].dtype != np.int64:
                raise ValueError(f"{name} of an embedding has another type")
            shaped[name] = a[name].reshape(groups, -1) if groups else a[name].reshape(0, 0)
        rows = len(a["sample_key"])
        labels = split_bytes(a["label_bytes"].tobytes(), a["label_size"])
        group = a["sample_group"].astype(np.uint32)
        sample = a["sample"].astype(np.uint32).view(np.float32).reshape(rows, -1 if rows else dimension)
        order = np.lexsort([a["sample_key"], group])
        if (
            len(a["taken"]) != groups
            or shaped["squares"].shape[1:] != ((1,) if groups else (0,))
            or len(labels) != rows
            or len(group) != rows
            or (rows and (int(group.max()) >= groups or sample.shape[1] != dimension))
            or not np.isfinite(sample).all()
            or (order != np.arange(rows)).any()
        ):
            raise ValueError("the sums of an embedding do not fit its groups")
        return cls(
            taken=a["taken"].astype(np.uint64),
            left_out=a["left_out"].astype(np.uint64).reshape(groups, len(LEFT_OUT)),
            total=shaped["total"].reshape(groups, dimension),
            squares=shaped["squares"].reshape(-1),
            products=shaped["products"],
            dealt=a["dealt"].astype(np.uint64).reshape(groups, -1 if groups else 0),
            features=shaped["features"].reshape(groups, a["dealt"].size // groups if groups else 0, -1)
            if a["dealt"].size
            else np.zeros((groups, 0, FEATURES), dtype=np.int64),
            sample_group=group,
            sample_key=a["sample_key"].astype(np.uint64),
            sample=sample,
            labels=[bytes(label) for label in labels],
        )

    def check(self, column: EmbeddingColumn, name: str) -> None:
        """Raises ValueError where a table of a set that was read from a file does not fit its column."""
        k = elements_of(column, name)
        fits = self.products.shape[1] == k * (k + 1) // 2 if self.groups else True
        dealt = hands_of(name) if self.groups else 0
        if not fits or self.dealt.shape[1] != dealt or self.features.shape != (self.groups, dealt, FEATURES):
            raise ValueError(f"the sums of the embedding {column.name} have another size")
        if (self.taken > 1 << 53).any() or (dealt and (self.dealt.sum(axis=1, dtype=np.uint64) != self.taken).any()):
            raise ValueError(f"the rows of the embedding {column.name} do not add up")


def merge_embeddings(tables: Sequence[EmbeddingTable], to: Sequence[npt.NDArray[Any]], groups: int) -> EmbeddingTable:
    """Adds tables: group g of the i-th is group ``to[i][g]`` of ``groups``. Exact: any order gives the same bytes.

    Raises InputError where sums grow beyond 64 bits.
    """
    first = tables[0]
    summed: dict[str, npt.NDArray[Any]] = {}
    for name in ("taken", "left_out", "total", "squares", "products", "dealt", "features"):
        shape = getattr(first, name).shape[1:]
        summed[name] = np.zeros((groups, *shape), dtype=getattr(first, name).dtype)
    rough = np.zeros(groups)
    for table, at in zip(tables, to, strict=True):
        np.add.at(rough, at, table.squares.astype(np.float64))
        for name, out in summed.items():
            own = getattr(table, name)
            if len(set(at.tolist())) == len(at):
                out[at] += own
            else:
                np.add.at(out, at, own)
    if (rough > MOST).any():
        raise InputError(TOO_LARGE)
    group = np.concatenate([at[t.sample_group].astype(np.uint32) for t, at in zip(tables, to, strict=True)])
    key = np.concatenate([t.sample_key for t in tables])
    sample = np.concatenate([t.sample for t in tables])
    labels = [label for t in tables for label in t.labels]
    # Rows with one key have equal vectors; their labels decide, so that no order of merging shows.
    order = np.lexsort([np.array(labels, dtype=object), key, group]) if len(key) else np.empty(0, dtype=np.int64)
    begins = np.searchsorted(group[order], np.arange(groups))
    order = order[np.arange(len(order)) - begins[group[order]] < SAMPLE_ROWS]
    return EmbeddingTable(
        **summed,
        sample_group=group[order],
        sample_key=key[order],
        sample=sample[order],
        labels=[labels[i] for i in order.tolist()],
    )


def hands_of(name: str) -> int:
    """How many hashed groups a set keeps the random features of."""
    return {"window": DEALT, "block": 1}.get(name, 0)


def elements_of(column: EmbeddingColumn, name: str) -> int:
    """How many elements a set keeps the products of."""
    return column.dimension if name == "window" else column.principal


def sums_size(column: EmbeddingColumn, name: str) -> int:
    """Bytes that the sums of one group of a set take while they are floating point and as whole numbers, sampled rows
    apart."""
    k = elements_of(column, name)
    features = hands_of(name) * (FEATURES + 1)
    return 8 * (k * k + k * (k + 1) // 2 + 2 * (column.dimension + 1 + features))


def sampled_size(column: EmbeddingColumn) -> int:
    """Bytes of a sampled row: its key, its group, its vector, and its texts as they mostly are."""
    return 4 * column.dimension + TEXT + 16
