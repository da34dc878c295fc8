"""The baseline: what normal looks like, fitted once and saved in one file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np

from modelwatch_gpu import keys
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import (
    Definition,
    Derived,
    RoleAssignment,
    Roles,
    Window,
    open_log,
    spooled,
    with_derived,
    zone_of,
)
from modelwatch_gpu.log.derived import checked
from modelwatch_gpu.profile import fileio
from modelwatch_gpu.profile.by_file import count_log
from modelwatch_gpu.profile.columns import CategoricalColumn, Column, NumericColumn
from modelwatch_gpu.profile.counting import CountSpec, Progress
from modelwatch_gpu.profile.embeddings import AnyColumn, EmbeddingColumn, fit_embeddings, with_projections
from modelwatch_gpu.profile.facts import FactsSpec
from modelwatch_gpu.profile.fit import fit_columns, named, with_errors
from modelwatch_gpu.profile.labelled import labelled_sets
from modelwatch_gpu.profile.merging import merge_parts
from modelwatch_gpu.profile.parts import Part, SetSpec, check_part
from modelwatch_gpu.profile.placing import device_for
from modelwatch_gpu.profile.scoring import THRESHOLD, Scoring, checked_costs, checked_threshold, scoring_of
from modelwatch_gpu.profile.sound import UNSOUND, by_prefix, check_baseline
from modelwatch_gpu.profile.tables import Arrays, NumericTable, split_bytes
from modelwatch_gpu.profile.weights import Weighting, weight_header, weighting_from
from modelwatch_gpu.units import MOST_DIGITS

T = TypeVar("T")

#: Up to so many distinct values every one of them is a knot, and KS is exact (DESIGN 3.1).
EXACT_UP_TO = 131_072

_OWN_SETS = (SetSpec("window", "fine", True), SetSpec("block", "coarse", False))


def _own_sets(timed: bool, scoring: Scoring | None, *, weighted: bool) -> tuple[SetSpec, ...]:
    """What the reference is counted in."""
    return labelled_sets(_OWN_SETS if timed else _OWN_SETS[:1], scoring, weighted=weighted)


@dataclass(frozen=True, eq=False)
class Baseline:
    """Columns with their grids, and the reference's own counts on them.

    Make one with ``Baseline.fit`` or ``Baseline.load``. ``columns``: what is compared, in schema order. ``roles``:
    column -> role of every column of the reference. ``part``: the reference counted on its own grids. ``notes``:
    sentences about what was decided without being told. ``skipped``: column -> type of the columns that are not
    compared because of their type, though nobody said so. ``weighting``: how weights of rows are stored, here and in
    every profile counted against this baseline; None where every row counts once. ``derived``: the columns that are
    computed from others, which a log is compared with only where the same functions are given. ``scoring``: how scores
    and predictions are held against labels; None where there is nothing to hold. ``embeddings``: columns of vectors;
    their projections are among ``columns``, with the role embedding.
    """

    columns: tuple[Column, ...]
    roles: dict[str, str]
    part: Part
    timezone: str
    exact_up_to: int
    notes: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    weighting: Weighting | None = None
    derived: tuple[Definition, ...] = ()
    scoring: Scoring | None = None
    embeddings: tuple[EmbeddingColumn, ...] = ()

    @classmethod
    def fit(
        cls,
        log: Any,
        *,
        roles: Roles | Mapping[str, Any] | None = None,
        timezone: str | None = None,
        edges: Mapping[str, Sequence[Any]] | None = None,
        derived: Sequence[Derived] = (),
        threshold: float = THRESHOLD,
        positive: Any = None,
        costs: Any = None,
        normalize: Sequence[str] = (),
        exact_up_to: int = EXACT_UP_TO,
        threads: int = 0,
        device: str = "auto",
        quality: bool = False,
        progress: Progress | None = None,
    ) -> Self:
        """Fits a baseline on a reference log.

        Args:
            log: A path, glob, address, list of these, Query, table, batch, reader, dataset or DataFrame.
            roles: What the columns are, ``Roles`` or a mapping of its options; columns without one are recognised by
                name, and the notes say so. With a column of the role weight, a row of weight w counts as w rows do, in
                the bins and in everything counted.
            timezone: IANA name; days (blocks) begin at its midnight. Default: the timestamps' own zone, else UTC.
            edges: Column -> increasing edges, at most 60, at which its bins (a, b] are cut instead of the deciles, in
                the column's units (of a date or time: such a value, or ISO 8601 text). The outer bins are open. A
                column named here is numeric.
            derived: Columns to compute, functions decorated with ``@derived``, in the order in which they may read one
                another. They have roles like stored ones.
            threshold: A row with a score from it on is a predicted positive, where there is a label. A knot of the
                score, so what is counted at it is exact.
            positive: The positive class of a label with two values. Default: 1 of 0 and 1 (or -1 and 1), or true.
            costs: What a decision costs, [[true negative, false positive], [false negative, true positive]], rows by
                label; for the measures expected_cost, lowest_cost and cheapest_threshold.
            normalize: Embedding columns whose vectors are scaled to length 1, here and in every log compared.
            exact_up_to: A numeric column with at most so many distinct values gets an exact grid.
            threads: 0 means MODELWATCH_THREADS or all CPUs of the process.
            device: What counts the rows: "auto", "cpu", "cuda", "cuda:N", several such as "cuda:0,1", or "cuda:all";
                the same bytes come of it. One that is not there raises DeviceUnavailable.
            quality: Note what checks of data quality need of all columns (``docs/quality.md``): reads all of them.
            progress: Called with the number of rows of every batch read.

        Raises:
            InputError: The log cannot be read, has no rows, a role or edges name a column it lacks, a column asked
                for has a type or values that cannot be counted, a weight is null, NaN, negative or infinite, a
                derived column cannot be computed, or the label does not have the positive class.
        """
        from modelwatch_gpu.device import resolve

        resolve(device)  # a device that is not there is refused before anything is read
        if exact_up_to < 2:
            raise InputError("exact_up_to must be at least 2.")
        roles = Roles.of(roles)
        threshold, priced = checked_threshold(threshold), checked_costs(costs)
        computed = checked(derived)
        definitions = tuple(one.definition for one in computed)
        with spooled(open_log(log, name="reference")) as stored:
            # One pass to fit and one to count, at least.
            chosen = device_for(device, stored, stored.schema.names, threads=threads, passes=2)
            source = with_derived(stored, computed, device=chosen)
            assignment = roles.assign(source.schema)
            zone = timezone_of(timezone, source.schema, assignment)
            source, assignment = with_errors(source, assignment, roles)
            weighted = next(iter(assignment.columns("weight")), None)
            weighting = Weighting.of(source, weighted) if weighted is not None else None
            own_notes: list[str] = []
            vectors: list[EmbeddingColumn] = []
            if weighting is None:
                vectors = fit_embeddings(source, assignment, named(normalize), own_notes)
            else:
                own_notes += [
                    f"Column '{name}' is not compared: rows have weights (column '{weighted}'), and sums and samples "
                    "of vectors count every row once; leave out the role weight to compare it."
                    for name in assignment.columns("embedding")
                ]
            fitted = fit_columns(
                with_projections(source, vectors),
                with_roles(assignment, vectors),
                roles,
                edges=edges,
                exact_up_to=exact_up_to,
                threads=threads,
                device=chosen,
                threshold=threshold,
                weighting=weighting,
                progress=progress,
            )
            scoring = scoring_of(fitted.columns, fitted.distinct, threshold, positive, fitted.notes, priced)
            spec = CountSpec(
                sets=_own_sets(assignment.timestamp is not None, scoring, weighted=weighting is not None),
                window=None,
                block=Window.parse("1d"),
                zone=zone_of(zone),
                timestamp=assignment.timestamp,
                threads=threads,
                ignored=frozenset(assignment.roles),
                weighting=weighting,
                scoring=scoring,
                device=chosen,
                facts=FactsSpec.of(assignment.roles) if quality else None,
                made=FactsSpec.made(assignment.roles),
                embeddings=tuple(vectors),
                roles=assignment.roles,
            )
            part = merge_parts(count_log(fitted.columns, source, spec, progress))
        return cls(
            columns=tuple(fitted.columns),
            roles=dict(assignment.roles),
            part=part,
            timezone=zone,
            exact_up_to=exact_up_to,
            notes=(*assignment.notes, *own_notes, *fitted.notes),
            skipped=fitted.skipped,
            weighting=weighting,
            derived=definitions,
            scoring=scoring,
            embeddings=tuple(vectors),
        )

    @property
    def rows(self) -> int:
        """Rows of the reference."""
        return self.part.rows

    @property
    def timestamp(self) -> str | None:
        """The column that says when, or None."""
        return next((name for name, role in self.roles.items() if role == "timestamp"), None)

    @property
    def ids(self) -> tuple[str, ...]:
        """The columns that name a row."""
        return tuple(name for name, role in self.roles.items() if role == "id")

    @property
    def label(self) -> str | None:
        """The column with the truth, or None."""
        return next((name for name, role in self.roles.items() if role == "label"), None)

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Columns by name."""
        return {c.name: c for c in self.columns}

    @cached_property
    def reported(self) -> tuple[AnyColumn, ...]:
        """The columns that reports name: an embedding stands for its projections."""
        return (*(c for c in self.columns if c.role != "embedding"), *self.embeddings)

    def kept(self, name: str, make: Callable[[], T]) -> T:
        """What was made of this baseline under a name, or is now: what every comparison with it asks for."""
        if name not in self._made:
            self._made[name] = make()
        found: T = self._made[name]
        return found

    @cached_property
    def _made(self) -> dict[str, Any]:
        return {}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what the baseline says: profiles name the baseline they were counted against by it."""
        return fileio.content_hash("baseline", *self._content())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the baseline; raises OutputError and leaves an old file as it was where that fails."""
        fileio.write_file(path, fileio.content_of("baseline", *self._content()))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a baseline; raises InputError where the file is missing, damaged, newer or something else."""
        return cls._of_content(*fileio.read_file(path, "baseline"), str(path))

    @classmethod
    def from_bytes(cls, content: bytes, name: str = "<baseline>") -> Self:
        """The inverse of ``to_bytes``; raises InputError as ``load`` does. ``name`` is what messages call it."""
        return cls._of_content(*fileio.from_bytes(content, "baseline", name), name)

    @classmethod
    def _of_content(cls, header: dict[str, Any], arrays: Arrays, path: str) -> Self:
        try:
            return cls._from_file(header, arrays)
        except UNSOUND as error:
            raise InputError(f"{path}: the baseline does not fit together ({error}); fit it again.") from error

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and other processes get it by the bytes of its file, which are checked."""
        return type(self).from_bytes, (self.to_bytes(),)

    def to_bytes(self) -> bytes:
        """The file's content: equal baselines have equal bytes."""
        return fileio.to_bytes("baseline", *self._content())

    def _content(self) -> tuple[dict[str, Any], Arrays]:
        """Header and arrays of the file."""
        header: dict[str, Any] = {
            "timezone": self.timezone,
            "exact_up_to": self.exact_up_to,
            "roles": self.roles,
            "notes": list(self.notes),
            "columns": [_column_header(c) for c in self.columns],
            "part": self.part.header(),
            # Left out where there is nothing to say, so that files of before have the fingerprint they had.
            **({"skipped": self.skipped} if self.skipped else {}),
            **weight_header(self.weighting),
            **derived_header(self.derived),
            **({"scoring": self.scoring.header()} if self.scoring is not None else {}),
            **({"embeddings": [c.header() for c in self.embeddings]} if self.embeddings else {}),
        }
        arrays: Arrays = {f"part/{name}": a for name, a in self.part.arrays().items()}
        for i, column in enumerate(self.columns):
            arrays.update({f"column/{i}/{name}": a for name, a in _column_arrays(column).items()})
        for i, vectors in enumerate(self.embeddings):
            arrays.update({f"embedding/{i}/{name}": a for name, a in vectors.arrays().items()})
        return header, arrays

    @classmethod
    def _from_file(cls, header: dict[str, Any], arrays: Arrays) -> Self:
        check_baseline(header, arrays)
        own_arrays = by_prefix(arrays)
        by_column = by_prefix(own_arrays.get("column", {}))
        columns = [_column_from(own, by_column.get(str(i), {})) for i, own in enumerate(header["columns"])]
        part = Part.from_file(header["part"], own_arrays.get("part", {}))
        scoring = Scoring.from_header(header["scoring"], columns) if "scoring" in header else None
        by_embedding = by_prefix(own_arrays.get("embedding", {}))
        embeddings = tuple(
            EmbeddingColumn.from_file(own, by_embedding.get(str(i), {}))
            for i, own in enumerate(header.get("embeddings", []))
        )
        sets = _own_sets(True, scoring, weighted=weighting_from(header) is not None)
        check_part(part, columns, sets, embeddings)
        own_sums = {key for key in part.embeddings if key[0] != "block"}  # which files of before do not have
        if own_sums != {("window", c.name) for c in embeddings}:
            raise ValueError("an embedding has no sums, or sums have no embedding")
        if not {name for c in embeddings for name in c.projections} <= {c.name for c in columns}:
            raise ValueError("a projection of an embedding is not counted")
        for column in columns:
            own_counts = part.tables[("window", column.name)]
            ranked = not isinstance(own_counts, NumericTable) or own_counts.range_of(0) is not None
            if not ranked and own_counts.of_group(0, column.slots)[:-2].any():
                raise ValueError(f"column {column.name} has values but no range")
        return cls(
            columns=tuple(columns),
            roles=dict(header["roles"]),
            part=part,
            timezone=str(header["timezone"]),
            exact_up_to=int(header["exact_up_to"]),
            notes=tuple(header["notes"]),
            skipped={str(name): str(kind) for name, kind in header.get("skipped", {}).items()},
            weighting=weighting_from(header),
            derived=derived_from(header),
            scoring=scoring,
            embeddings=embeddings,
        )

    def __repr__(self) -> str:
        return f"Baseline({self.rows:,} rows, {len(self.columns)} columns, {self.fingerprint[:12]})"


def with_roles(assignment: RoleAssignment, embeddings: Sequence[EmbeddingColumn]) -> RoleAssignment:
    """The roles with those of projections, which fits count as numbers."""
    own = {name: "embedding" for c in embeddings for name in c.projections}
    return replace(assignment, roles={**assignment.roles, **own})


def derived_header(derived: Sequence[Definition]) -> dict[str, Any]:
    """What the header of a file says of derived columns: nothing where there are none."""
    if not derived:
        return {}
    return {"derived": [{"name": one.name, "inputs": list(one.inputs), "source": one.source} for one in derived]}


def derived_from(header: Mapping[str, Any]) -> tuple[Definition, ...]:
    """The inverse of ``derived_header``."""
    own = header.get("derived", [])
    return tuple(Definition(str(one["name"]), tuple(one["inputs"]), str(one["source"])) for one in own)


def timezone_of(name: str | None, schema: Any, assignment: RoleAssignment) -> str:
    """The log's time zone: as asked for, else the timestamp column's own, else UTC."""
    if name is not None:
        zone_of(name)
        return name
    if assignment.timestamp is not None:
        own = getattr(schema.field(assignment.timestamp).type, "tz", None)
        if own and not own.startswith(("+", "-")):
            zone_of(own)
            return str(own)
    return "UTC"


def _column_header(column: Column) -> dict[str, Any]:
    common = {"name": column.name, "role": column.role, "type": column.type, "kind": column.kind}
    if isinstance(column, NumericColumn):
        numbers = {"domain": column.domain, "exact": column.exact, "pivot": column.pivot}
        return {**common, **numbers, **({"scale": column.scale} if column.scale else {})}
    cap = [column.cap[0], column.cap[1].hex()] if column.cap else None
    return {**common, "cap": cap}


def _column_arrays(column: Column) -> Arrays:
    if isinstance(column, NumericColumn):
        deciles = np.array(column.deciles, dtype=np.float64)
        return {"knots": column.knots, "coarse": column.coarse, "edges": column.edges, "deciles": deciles}
    return {
        "sizes": np.array([len(v) for v in column.categories], dtype=np.uint32),
        "bytes": np.frombuffer(b"".join(column.categories), dtype=np.uint8),
        "kept": column.kept,
    }


def _column_from(header: dict[str, Any], a: Arrays) -> Column:
    name, role, kind = str(header["name"]), str(header["role"]), str(header["type"])
    if header["kind"] == "categorical":
        cap = (int(header["cap"][0]), bytes.fromhex(header["cap"][1])) if header["cap"] else None
        categories = split_bytes(a["bytes"].tobytes(), a["sizes"])
        column = CategoricalColumn(name, role, kind, categories, cap, a["kept"].astype(np.uint32))
        if len(column.kept) and int(column.kept.max()) >= len(categories):
            raise ValueError(f"column {name} keeps a category it does not have")
        return column
    numeric = NumericColumn(
        name=name,
        role=role,
        type=kind,
        domain=str(header["domain"]),
        knots=a["knots"].astype(np.uint64),
        coarse=a["coarse"].astype(np.uint32),
        edges=a["edges"].astype(np.uint32),
        deciles=tuple(a["deciles"].tolist()),
        exact=bool(header["exact"]),
        pivot=int(header["pivot"]),
        scale=int(header.get("scale", 0)),
    )
    if not -MOST_DIGITS <= numeric.scale <= MOST_DIGITS or (numeric.scale and keys.is_float(numeric.domain)):
        raise ValueError(f"column {name} has no such scale as {numeric.scale}")
    for index in (numeric.coarse, numeric.edges):
        if len(index) and int(index.max()) >= len(numeric.knots):
            raise ValueError(f"column {name} names a knot it does not have")
    if not set(numeric.edges.tolist()) <= set(numeric.coarse.tolist()):
        raise ValueError(f"column {name} has an edge that its coarse grid lacks")
    _ = numeric.grid  # the engine checks that the knots are sorted
    return numeric
