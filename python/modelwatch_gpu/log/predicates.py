"""Segments by a condition: an expression of Arrow's becomes a column of true and false where batches are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import InputError
from .derived import Definition
from .files import LayeredLogFile, Log, LogFile, first_line


@dataclass(frozen=True)
class Where:
    """A condition that rows are cut by: ``mw.Where("old planes", pc.field("plane_age") > 20)``.

    Its segments are "true", "false" and null, where the condition is neither. ``expression``: a boolean
    ``pyarrow.compute.Expression`` over columns of the log. ``name``: as segments are shown; default: the expression's
    text.
    """

    name: str
    expression: Any = field(compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or "," in self.name:
            raise InputError(f"A condition needs a name without commas, not {self.name!r}.")
        if not isinstance(self.expression, pc.Expression):
            raise InputError(
                f"The condition '{self.name}' is an expression such as pyarrow.compute.field('age') > 20, not "
                f"{self.expression!r}."
            )

    @property
    def definition(self) -> Definition:
        """What a profile remembers: profiles cut by different conditions do not add up."""
        return Definition(self.name, (), str(self.expression))


def with_predicates(log: Log, conditions: Sequence[Where]) -> Log:
    """The log with a column for each condition after its own.

    Raises InputError where a file has a column of that name, lacks a column that the condition reads, or the condition
    does not give true and false.
    """
    if not conditions:
        return log
    return Log.of([PredicateLogFile(file, conditions) for file in log.files])


class PredicateLogFile(LayeredLogFile):
    """A file with a column of true and false for each condition."""

    def __init__(self, file: LogFile, conditions: Sequence[Where]) -> None:
        self._conditions = {one.name: one for one in conditions}
        schema = file.schema
        for one in conditions:
            if one.name in file.schema.names:
                raise InputError(f"{file.name} has a column '{one.name}' already; give the condition another name.")
            kind = _evaluated(one, file.schema.empty_table().to_batches() or [_nothing(file.schema)], file.name).type
            if not pa.types.is_boolean(kind):
                raise InputError(
                    f"The condition '{one.name}' gives {kind}, not true and false; compare it with a value."
                )
            schema = schema.append(pa.field(one.name, pa.bool_()))
        super().__init__(file, schema)

    def time_range(self, column: str) -> tuple[int, int] | None:
        """As ``LogFile.time_range``; a condition has no time."""
        return None if column in self._conditions else self._file.time_range(column)

    def _of_file(self, columns: Sequence[str]) -> list[str]:
        own = [name for name in columns if name not in self._conditions]
        # Which columns an expression reads cannot be asked; those whose names are in its text are enough.
        texts = " ".join(str(self._conditions[name].expression) for name in columns if name in self._conditions)
        read = dict.fromkeys([*own, *(n for n in self._file.schema.names if n in texts)])
        return list(read) or self._file.schema.names[:1]  # its rows count

    def _made_of(self, batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
        def column(name: str) -> pa.Array:
            condition = self._conditions.get(name)
            return batch.column(name) if condition is None else _evaluated(condition, [batch], self.name)

        return pa.RecordBatch.from_arrays([column(name) for name in columns], names=list(columns))


def _evaluated(condition: Where, batches: list[pa.RecordBatch], where: str) -> pa.Array:
    """The condition of every row."""
    import pyarrow.acero as acero  # which imports pandas where there is one

    try:
        source = acero.Declaration("table_source", acero.TableSourceNodeOptions(pa.Table.from_batches(batches)))
        project = acero.Declaration(
            "project", acero.ProjectNodeOptions([condition.expression], ["condition"]), inputs=[source]
        )
        found = project.to_table(use_threads=False).column(0).combine_chunks()
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(f"{where}: the condition '{condition.name}' cannot be told ({first_line(error)}).") from None
    return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)


def _nothing(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in schema], schema=schema)
