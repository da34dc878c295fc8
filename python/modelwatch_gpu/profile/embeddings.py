"""What a baseline knows of an embedding column: where its vectors lie, the frozen directions they are projected on,
and the frozen frequencies of its random Fourier features (DESIGN 3.8)."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu import _core
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Log, LogFile, RoleAssignment
from modelwatch_gpu.plain import plain_type
from modelwatch_gpu.profile.columns import Column
from modelwatch_gpu.profile.sample import row_hashes
from modelwatch_gpu.profile.tables import Arrays
from modelwatch_gpu.profile.vectors import (
    NOT_FINITE,
    TAKEN,
    TOO_FAR,
    Matrix,
    UInt64,
    Vectors,
    dimension_of,
    finite,
    is_list_of_floats,
    mixed,
    model_of,
    rows_of,
    unit_length,
    vector_hashes,
    vectors_of,
)

#: Principal and random directions, at most; with the length of a vector they become numeric columns.
PRINCIPAL: Final = 32
RANDOM: Final = 16
#: Frequencies of random Fourier features, and the bandwidths they are taken at, as multiples of the median heuristic's.
FREQUENCIES: Final = 256
BANDWIDTHS: Final = (4.0, 2.0, 1.0, 0.5, 0.25)
#: Rows that directions and bandwidths are fitted on: those with the smallest hashes.
FIT_ROWS: Final = 4_096
#: Rows whose products are added up in their own type: fewer take longer. And rows that stay in a near cache.
TILE: Final = 2_048
_STRIP: Final = 512
#: Pairs of rows that the median distance is of: so many rows against so many others.
_MEDIAN_ROWS: Final = 1_000
#: A vector farther from the baseline's centre than so many times the baseline's own spread takes no part in sums.
FARTHEST: Final = 64.0
#: Random numbers are Philox's (Salmon et al. 2011), by these keys.
_DIRECTION_KEY, _FREQUENCY_KEY = 11, 12

#: Columns whose values a sampled row keeps.
_MOST_SHOWN: Final = 4

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReadVectors(Vectors):
    """Vectors that a column takes. ``squares``: (taken,) their squared distances from its centre; ``lengths``: theirs;
    ``along``: (k, taken) coordinates about the centre along the column's directions."""

    squares: Floats
    lengths: Floats
    along: Matrix


@dataclass(frozen=True, eq=False)
class Room:
    """Memory that every tile is worked on in: fresh memory costs more than what is done with it."""

    tile: Matrix
    square: Matrix
    ones: Matrix
    angles: Matrix

    @classmethod
    def of(cls, kind: np.dtype[Any], dimension: int) -> Room:
        """This thread's, for vectors of so many elements."""
        rooms = _ROOMS.__dict__
        name = f"{kind} {dimension}"
        found: Room | None = rooms.get(name)
        if found is None:
            shapes = (TILE, dimension), (dimension, dimension), (TILE,), (TILE, FREQUENCIES)
            tile, square, ones, angles = (np.ones(shape, dtype=kind) for shape in shapes)
            found = cls(tile, square, ones, angles)
            rooms.clear()  # columns of several lengths take turns
            rooms[name] = found
        return found

    def centered(self, values: Matrix, rows: slice | npt.NDArray[np.int64], center: Matrix) -> Matrix:
        """At most ``TILE`` rows of a matrix less a centre, until the next call."""
        if isinstance(rows, slice):
            some = values[rows]
            centered: Matrix = np.subtract(some, center, out=self.tile[: len(some)])
            return centered
        tile: Matrix = np.take(values, rows, axis=0, out=self.tile[: len(rows)], mode="clip")
        tile -= center
        return tile


_ROOMS: Final = threading.local()


@dataclass(frozen=True, eq=False)
class EmbeddingColumn:
    """An embedding column of a baseline.

    ``dimension``: d, elements of a vector. ``normalize``: vectors are scaled to length 1 before all else. ``model``:
    name of the embedding model where the log says it. ``center``: (d,) float64, about the baseline's mean; ``spread``:
    root mean squared distance from it. ``directions``: (d, k) float32 of unit length, the first ``principal`` along the
    baseline's principal axes; ``sds``: (k,) the baseline's standard deviation along each. ``frequencies``: (d,
    FREQUENCIES) float32, standard normal / ``bandwidth``, the kernel's sigma.
    """

    name: str
    role: str
    type: str
    dimension: int
    normalize: bool
    model: str | None
    center: Floats
    spread: float
    directions: Matrix
    principal: int
    sds: Floats
    frequencies: Matrix
    bandwidth: float

    kind = "embedding"

    @cached_property
    def projections(self) -> tuple[str, ...]:
        """Names of the numeric columns that vectors become: one for each direction, then the length."""
        axes = [f"{self.name}[pc{i + 1}]" for i in range(self.principal)]
        other = [f"{self.name}[random{i + 1}]" for i in range(self.directions.shape[1] - self.principal)]
        return (*axes, *other, f"{self.name}[norm]")

    @cached_property
    def _wide(self) -> dict[np.dtype[Any], tuple[Matrix, Matrix, Matrix]]:
        """Centre, directions and the widest bandwidth's frequencies in the types that vectors come in."""
        slowest = self.frequencies / np.float32(BANDWIDTHS[0])
        return {
            np.dtype(t): tuple(np.ascontiguousarray(a, dtype=t) for a in (self.center, self.directions, slowest))  # type: ignore[misc]
            for t in (np.float32, np.float64)
        }

    def in_type(self, kind: np.dtype[Any]) -> tuple[Matrix, Matrix, Matrix]:
        """(centre, directions, frequencies of the widest bandwidth) as float32 or float64."""
        return self._wide[kind]

    def reads(self, field: pa.Field) -> bool:
        """Whether a file's column has vectors of this length, and of this model where both sides name one."""
        if not is_list_of_floats(field.type, field.metadata):
            return False
        size = getattr(field.type, "list_size", self.dimension)
        model = model_of(field.metadata)
        return size == self.dimension and (self.model is None or model is None or model == self.model)

    def read(self, array: pa.Array) -> ReadVectors:
        """The vectors of an array, normalised where asked for; those too far to be added up have a code."""
        found = rows_of(array, self.dimension)
        if self.normalize:
            found = Vectors(unit_length(found.values), found.code)
        values, code = np.ascontiguousarray(found.values), found.code
        squares, lengths, along = self._measured(values)
        near = squares <= (FARTHEST * self.spread) ** 2  # False where an element is not finite
        if not near.all():
            code = code.copy()
            why = np.where(finite(values, near)[~near], TOO_FAR, NOT_FINITE)
            code[np.flatnonzero(code == TAKEN)[~near]] = why
            values, squares, lengths, along = values[near], squares[near], lengths[near], along[:, near]
        return ReadVectors(values, code, squares, np.sqrt(lengths), along)

    def _measured(self, values: Matrix) -> tuple[Floats, Floats, Matrix]:
        """Squared distances from the centre, squared lengths, and coordinates along the directions."""
        center, directions, _ = self.in_type(values.dtype)
        room = Room.of(values.dtype, self.dimension)
        squares, lengths = np.empty(len(values)), np.empty(len(values))
        along = np.empty((directions.shape[1], len(values)), dtype=values.dtype)
        with np.errstate(over="ignore", invalid="ignore"):  # rows that are not finite are left out later
            for begin in range(0, len(values), _STRIP):
                own = slice(begin, min(begin + _STRIP, len(values)))
                tile = room.tile[: own.stop - begin]
                _core.center_rows(values[own], center, tile, squares[own], lengths[own])
                np.matmul(directions.T, tile.T, out=along[:, own])
        return squares, lengths, along

    def project(self, found: ReadVectors) -> list[pa.Array]:
        """Float32 columns in the order of ``projections``; null where a row has no vector."""
        columns = [*found.along.astype(np.float32, copy=False), found.lengths.astype(np.float32)]
        if not found.code.any():
            return [pa.array(column) for column in columns]
        whole = np.zeros(len(found.code), dtype=np.float32)
        gone = found.code != TAKEN
        out = []
        for column in columns:
            whole[~gone] = column
            out.append(pa.array(whole, mask=gone))
        return out

    def header(self) -> dict[str, Any]:
        """All but the arrays, as JSON values."""
        return {
            "name": self.name,
            "role": self.role,
            "type": self.type,
            "normalize": self.normalize,
            "model": self.model,
            "principal": self.principal,
        }

    def arrays(self) -> Arrays:
        """Named arrays for a file: float32 as their bits."""
        return {
            "center": self.center,
            "scales": np.array([self.spread, self.bandwidth]),
            "sds": self.sds,
            "directions": self.directions.reshape(-1).view(np.uint32),
            "frequencies": self.frequencies.reshape(-1).view(np.uint32),
        }

    @classmethod
    def from_file(cls, header: Mapping[str, Any], arrays: Arrays) -> EmbeddingColumn:
        """The inverse of ``header`` and ``arrays``; raises KeyError, TypeError or ValueError where they do not fit."""
        texts = [header["name"], header["role"], header["type"]]
        center, scales, sds = (arrays[n].astype(np.float64) for n in ("center", "scales", "sds"))
        dimension = len(center)
        directions = arrays["directions"].astype(np.uint32).view(np.float32).reshape(dimension, len(sds))
        frequencies = arrays["frequencies"].astype(np.uint32).view(np.float32).reshape(dimension, FREQUENCIES)
        finite = all(np.isfinite(a).all() for a in (center, scales, sds, directions, frequencies))
        if not dimension or not all(isinstance(t, str) for t in texts) or not finite:
            raise ValueError("an embedding column has no name, no dimension or no finite numbers")
        principal = header["principal"]
        if type(principal) is not int or not 0 <= principal <= len(sds) or not (len(scales) == 2 and scales.min() > 0):
            raise ValueError(f"the embedding column {texts[0]} has another number of directions or scales")
        if type(header["normalize"]) is not bool or not isinstance(header["model"], str | None):
            raise ValueError(f"the embedding column {texts[0]} does not say how it is read")
        return cls(
            name=texts[0],
            role=texts[1],
            type=texts[2],
            dimension=dimension,
            normalize=header["normalize"],
            model=header["model"],
            center=center,
            spread=float(scales[0]),
            directions=directions,
            principal=principal,
            sds=sds,
            frequencies=frequencies,
            bandwidth=float(scales[1]),
        )


AnyColumn = Column | EmbeddingColumn


def row_keys(values: Matrix, batch: pa.RecordBatch, names: Sequence[str], taken: npt.NDArray[np.bool_]) -> UInt64:
    """(taken,) keys that decide samples and permutation blocks: of the vector and of the row's ``names`` columns, so
    that equal vectors of different rows are drawn apart."""
    own = vector_hashes(values)
    if not names:
        return own
    rows = row_hashes(batch, names)
    return mixed(own ^ mixed(rows if taken.all() else rows[taken]))


def hashed_columns(roles: Mapping[str, str], schema: pa.Schema) -> list[str]:
    """The columns that tell rows apart: ids, else the timestamp; none where a log has neither."""
    ids = [name for name, role in roles.items() if role == "id" and name in schema.names]
    times = [name for name, role in roles.items() if role == "timestamp" and name in schema.names]
    return ids or times


def shown_columns(roles: Mapping[str, str], schema: pa.Schema) -> list[str]:
    """The columns whose values tell a person what a sampled row is: ids, texts, and features that are text."""
    shown = []
    for field in schema:
        role, kind = roles.get(field.name), plain_type(field.type)
        values = kind.value_type if pa.types.is_dictionary(kind) else kind
        words = pa.types.is_string(values) or pa.types.is_large_string(values)
        plain = words or pa.types.is_integer(values)
        if (role in ("id", "text") and plain) or (role == "feature" and words):
            shown.append(field.name)
    return shown[:_MOST_SHOWN]


def fit_embeddings(
    log: Log, assignment: RoleAssignment, normalize: Sequence[str], notes: list[str]
) -> list[EmbeddingColumn]:
    """One column for every embedding of a reference that has vectors; reads them once.

    Raises InputError for a column with this role that holds no lists of floats, and for a name in ``normalize`` that is
    not one.
    """
    names = assignment.columns("embedding")
    for name in normalize:
        if name not in names:
            raise InputError(f"Column '{name}' is to be normalised, but it is no embedding; drop it from normalize=.")
    fitted = []
    for name in names:
        field = log.schema.field(name)
        if not is_list_of_floats(field.type, field.metadata):
            raise InputError(
                f"Column '{name}' has the role embedding but its type is {field.type}; store vectors as lists of "
                "float16, float32 or float64 (fixed_size_list is the fastest)."
            )
        rows = _smallest_rows(log, name, hashed_columns(assignment.roles, log.schema), name in normalize)
        if rows is None:
            notes.append(f"Column '{name}' has no vectors in the reference, so it is not compared.")
            continue
        column = _fitted(name, field, rows, normalize=name in normalize)
        for own in column.projections:
            if own in log.schema.names:
                raise InputError(f"The log has a column '{own}', the name of a projection of '{name}'; rename it.")
        fitted.append(column)
    return fitted


def _smallest_rows(log: Log, name: str, keys: Sequence[str], normalize: bool) -> Matrix | None:
    """At most FIT_ROWS vectors of a log, those with the smallest keys, in their order."""
    dimension: int | None = None
    held: list[tuple[UInt64, Matrix]] = []
    for file in log.files:
        if name not in file.schema.names:
            raise InputError(f"{file.name}: column '{name}' is missing, but other files of the reference have it.")
        there = [k for k in keys if k in file.schema.names]
        for batch in file.batches([name, *there]):
            if not is_list_of_floats(batch.schema.field(name).type, file.schema.field(name).metadata):
                raise InputError(f"{file.name}: column '{name}' changes its type between the reference's files.")
            dimension = dimension if dimension is not None else dimension_of(batch.column(name))
            if dimension is None:
                continue
            if dimension < 1:
                raise InputError(f"{file.name}: column '{name}' holds vectors without elements.")
            found = vectors_of(batch.column(name), dimension)
            values = unit_length(found.values) if normalize else found.values
            key = row_keys(values, batch, there, found.code == TAKEN)
            held.append(_smallest([(key, values), *held], FIT_ROWS))
            del held[:-1]
    if not held or not len(held[0][0]):
        return None
    return held[0][1].astype(np.float64)


def _smallest(parts: Sequence[tuple[UInt64, Matrix]], cap: int) -> tuple[UInt64, Matrix]:
    key = np.concatenate([k for k, _ in parts])
    order = np.argsort(key, kind="stable")[:cap]
    values = np.concatenate([np.asarray(v, dtype=np.result_type(*(v.dtype for _, v in parts))) for _, v in parts])
    return key[order], values[order]


def _fitted(name: str, field: pa.Field, rows: Matrix, *, normalize: bool) -> EmbeddingColumn:
    count, dimension = rows.shape
    center = rows.mean(axis=0)
    centered = rows - center
    spread = float(np.sqrt((centered**2).sum(axis=1).mean()))
    if not np.isfinite(spread):
        raise InputError(
            f"Column '{name}' holds vectors too long to be squared; scale them, or pass normalize=['{name}']."
        )
    spread = spread if spread > 0 else 1.0  # a constant vector: distances are in its own units
    # The axes of the smaller of the two products: rows or elements.
    values, axes = np.linalg.eigh(centered.T @ centered / count)
    kept = int(min(PRINCIPAL, (values > 1e-12 * max(float(values[-1]), 1e-300)).sum()))
    principal = axes[:, ::-1][:, :kept]
    # The sign of an axis is free: its largest element is positive.
    largest = np.abs(principal).argmax(axis=0)
    principal = principal * np.where(principal[largest, np.arange(kept)] < 0, -1.0, 1.0)
    random = _normal(_DIRECTION_KEY, (dimension, RANDOM if dimension > 1 else 0))
    directions = np.concatenate([principal, random / np.sqrt((random**2).sum(axis=0))], axis=1)
    sds = np.sqrt(((centered @ directions) ** 2).mean(axis=0))
    bandwidth = median_bandwidth(rows) or spread
    return EmbeddingColumn(
        name=name,
        role="embedding",
        type=str(field.type),
        dimension=dimension,
        normalize=normalize,
        model=model_of(field.metadata),
        center=center,
        spread=spread,
        directions=directions.astype(np.float32),
        principal=kept,
        sds=sds,
        frequencies=(_normal(_FREQUENCY_KEY, (dimension, FREQUENCIES)) / bandwidth).astype(np.float32),
        bandwidth=bandwidth,
    )


def _normal(key: int, shape: tuple[int, int]) -> Floats:
    return np.random.Generator(np.random.Philox(key=key)).standard_normal(shape)


def median_bandwidth(rows: Matrix) -> float:
    """sigma with sigma^2 = median ||x - y||^2 / 2 over at most 1,000 x 1,000 different rows (PRACTICE 2.4); 0 where
    most rows are equal."""
    half = min(_MEDIAN_ROWS, max(1, len(rows) // 2))
    a, b = rows[:half], rows[half : 2 * half] if len(rows) > 1 else rows[:half]
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * (a @ b.T)
    return float(np.sqrt(max(float(np.median(squared)), 0.0) / 2))


class ProjectedLogFile(LogFile):
    """A file with the projections of its embeddings after the columns that it has: what grids are fitted on."""

    def __init__(self, file: LogFile, columns: Sequence[EmbeddingColumn]) -> None:
        self._file = file
        self._columns = [c for c in columns if c.name in file.schema.names and c.reads(file.schema.field(c.name))]
        self._source = {name: c for c in self._columns for name in c.projections}
        schema = file.schema
        for name in self._source:
            schema = schema.append(pa.field(name, pa.float32()))
        super().__init__(file.name, schema, file.rows, reusable=file.reusable)

    def time_range(self, column: str) -> tuple[int, int] | None:
        """As ``LogFile.time_range``; a projection has no time."""
        return None if column in self._source else self._file.time_range(column)

    def _batches(self, columns: list[str]) -> Any:
        stored = dict.fromkeys(self._source[n].name if n in self._source else n for n in columns)
        for batch in self._file.batches(list(stored)):
            made: dict[str, pa.Array] = {}
            for c in self._columns:
                if c.name in stored:
                    made.update(zip(c.projections, c.project(c.read(batch.column(c.name))), strict=True))
            arrays = [made[n] if n in made else batch.column(n) for n in columns]
            yield pa.RecordBatch.from_arrays(arrays, names=columns)


def with_projections(log: Log, columns: Sequence[EmbeddingColumn]) -> Log:
    """The log whose files also have the projections of these embeddings."""
    return Log.of([ProjectedLogFile(file, columns) for file in log.files]) if columns else log
