"""What each column of a log is, said by the user or recognised by name."""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import json
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..errors import InputError
from ..plain import is_nested, is_vector, plain_type

ROLES = (
    "feature",
    "prediction",
    "score",
    "label",
    "timestamp",
    "id",
    "version",
    "latency",
    "error",
    "weight",
    "query",
    "embedding",
    "text",
    "image",
    "attribution",
    "ignore",
)

_SINGLE = ("label", "prediction", "timestamp", "version", "weight", "query")
_PLURAL = ("score", "id", "latency", "error", "embedding", "text", "image", "attribution", "ignore", "features")
_KINDS = ("categorical", "numeric")

# In the order they are tried; patterns match the lower-cased name.
_BY_NAME = (
    ("label", ("label", "target")),
    ("score", ("score", "y_pred_proba", "predicted_probability")),
    ("prediction", ("prediction", "y_pred")),
    ("timestamp", ("timestamp", "ts")),
    ("version", ("model_version",)),
    ("id", ("id", "*_id")),
    ("latency", ("latency*_ms",)),
)
_ONE_BY_NAME = (*_SINGLE, "score")


@dataclass(frozen=True)
class RoleAssignment:
    """The role of every column of a log, in schema order, and a sentence for every role nobody gave.

    ``asked``: columns that the user named for a role or a kind. ``skipped``: columns nobody named that are left out
    because of their type.
    """

    roles: dict[str, str]
    notes: tuple[str, ...] = ()
    asked: frozenset[str] = frozenset()
    skipped: tuple[str, ...] = ()

    @property
    def timestamp(self) -> str | None:
        """The column with the role timestamp, or None."""
        return next(iter(self.columns("timestamp")), None)

    def columns(self, role: str) -> list[str]:
        """The columns with this role, in schema order."""
        return [name for name, given in self.roles.items() if given == role]


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Which column of a log is what. A single name may stand for a sequence of one.

    label, prediction, timestamp, version, weight, query: one column each. score, id, latency, error, embedding, text,
    image, attribution, ignore: one or more. features: the features; every other column without a role is then ignored,
    otherwise it is a feature. categorical, numeric: columns whose kind is not to be guessed from their type.
    infer: whether columns with well-known names get their role without being named here.

    Raises InputError where a name is not a string, or is given twice.
    """

    label: str | None = None
    score: str | Sequence[str] | None = None
    prediction: str | None = None
    timestamp: str | None = None
    id: str | Sequence[str] | None = None
    version: str | None = None
    latency: str | Sequence[str] | None = None
    error: str | Sequence[str] | None = None
    weight: str | None = None
    query: str | None = None
    embedding: str | Sequence[str] | None = None
    text: str | Sequence[str] | None = None
    image: str | Sequence[str] | None = None
    attribution: str | Sequence[str] | None = None
    ignore: str | Sequence[str] | None = None
    features: str | Sequence[str] | None = None
    categorical: str | Sequence[str] = ()
    numeric: str | Sequence[str] = ()
    infer: bool = True

    def __post_init__(self) -> None:
        for field in _SINGLE:
            value = getattr(self, field)
            if value is not None and not isinstance(value, str):
                raise InputError(f"The role {field} takes one column name, not {value!r}.")
        for field in (*_PLURAL, *_KINDS):
            value = getattr(self, field)
            if value is None and field in _PLURAL:
                continue
            object.__setattr__(self, field, _names(field, value))
        if not isinstance(self.infer, bool):
            raise InputError(f"The option infer of roles is true or false, not {self.infer!r}.")
        self._explicit()
        for name in self.categorical:
            if name in self.numeric:
                raise InputError(f"Column {name!r} is given as categorical and as numeric; keep one of the two.")

    def assign(self, schema: pa.Schema) -> RoleAssignment:
        """Give every column of a schema its role.

        Raises InputError for a named column that the schema lacks (with the closest names), for a column name the
        schema has twice, and for a timestamp column whose type is neither a timestamp nor a date.
        """
        for name in schema.names:
            if schema.names.count(name) > 1:
                raise InputError(f"The log has two columns named {name!r}; rename one of them.")
        given = self._explicit()
        for name in (*given, *self.categorical, *self.numeric):
            if name not in schema.names:
                raise _unknown(name, schema.names, "Column", "is named in roles but is not in the log")
        for name, role in given.items():
            if role == "timestamp" and not _is_time(schema.field(name).type):
                raise not_a_time(name, schema.field(name).type)
        found, notes = self._by_name(schema, given) if self.infer else ({}, {})
        rest = "feature" if self.features is None else "ignore"
        roles: dict[str, str] = {}
        asked = frozenset((*given, *self.categorical, *self.numeric))
        skipped: list[str] = []
        for field in schema:
            roles[field.name] = given.get(field.name) or found.get(field.name) or rest
            if field.name in asked or field.name in found or not is_nested(field.type):
                continue
            roles[field.name] = "ignore"
            if self.features is not None:
                continue
            advice = "store its parts as columns of their own to compare them"
            if is_vector(field.type):
                roles[field.name], advice = "embedding", "pass roles to change that"
            else:
                skipped.append(field.name)
            notes[field.name] = (
                f"Column {field.name!r} is taken as {roles[field.name]} because its type is {field.type}; {advice}."
            )
        ordered = tuple(notes[name] for name in schema.names if name in notes)
        return RoleAssignment(roles, ordered, asked, tuple(skipped))

    @classmethod
    def of(cls, given: Roles | Mapping[str, Any] | None) -> Roles:
        """Roles as given, or from a mapping of their options; raises InputError for anything else."""
        if given is None or isinstance(given, Roles):
            return given or cls()
        if not isinstance(given, Mapping):
            raise InputError(f"roles= is mw.Roles(...) or a mapping of its options, not {type(given).__name__}.")
        return cls.from_dict(given)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Roles:
        """Roles from the option names of this class; raises InputError for a name or a value it does not know."""
        known = [field.name for field in dataclasses.fields(cls)]
        for key in values:
            if key not in known:
                raise _unknown(key, known, "Option", "is not one of roles")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The options that differ from their default, as JSON takes them: ``from_dict`` gives the same roles back."""
        result: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                result[field.name] = list(value) if isinstance(value, tuple) else value
        return result

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Roles:
        """Roles from a file with one JSON object, or from TOML; raises InputError that names the file."""
        suffix = Path(path).suffix.lower()
        if suffix not in (".json", ".toml"):
            raise InputError(f"The roles file {os.fspath(path)!r} is neither .json nor .toml; rename or rewrite it.")
        try:
            text = Path(path).read_text(encoding="utf-8")
            values = json.loads(text) if suffix == ".json" else tomllib.loads(text)
        except OSError as error:
            raise InputError(
                f"The roles file {os.fspath(path)!r} cannot be read: {error.strerror or error}; check the path."
            ) from None
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"The roles file {os.fspath(path)!r} is not valid {suffix[1:].upper()}: {_first_line(error)}."
            ) from None
        if not isinstance(values, dict):
            raise InputError(f"The roles file {os.fspath(path)!r} is not one object of roles and column names.")
        try:
            return cls.from_dict(values)
        except InputError as error:
            raise InputError(f"In the roles file {os.fspath(path)!r}: {error}") from None

    def _explicit(self) -> dict[str, str]:
        """Column -> role as given, refusing a column named twice."""
        roles: dict[str, str] = {}
        for field in (*_SINGLE, *_PLURAL):
            value = getattr(self, field)
            for name in (value,) if isinstance(value, str) else value or ():
                role = "feature" if field == "features" else field
                if name in roles:
                    raise InputError(f"Column {name!r} is given as {roles[name]} and as {role}; name it once.")
                roles[name] = role
        return roles

    def _by_name(self, schema: pa.Schema, given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Column -> role recognised by name, and column -> note, both for columns nobody gave a role."""
        taken = set(given.values())
        found: dict[str, str] = {}
        notes: dict[str, str] = {}
        for field in schema:
            role = _role_by_name(field.name)
            if role is None or role in taken or field.name in given or is_nested(field.type):
                continue
            if role == "timestamp" and not _is_time(field.type):
                kind, how = _kind_and_cast(field.type)
                notes[field.name] = (
                    f"Column {field.name!r} is not taken as timestamp because its type is {kind}; "
                    f"cast it to a timestamp, such as by {how}, to get windows."
                )
                continue
            first = next((name for name, earlier in found.items() if earlier == role), None)
            if role in _ONE_BY_NAME and first is not None:
                notes[field.name] = (
                    f"Column {field.name!r} is not taken as {role} because column {first!r} comes before it; "
                    "pass roles to change that."
                )
                continue
            found[field.name] = role
            notes[field.name] = (
                f"Column {field.name!r} is taken as {role} because of its name; pass roles to change that."
            )
        return found, notes


def _names(field: str, value: object) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else None
    if names is None or isinstance(value, bytes | Mapping) or not all(isinstance(name, str) for name in names):
        raise InputError(f"The option {field} of roles takes column names, not {value!r}.")
    for index, name in enumerate(names):
        if name in names[:index]:
            raise InputError(f"Column {name!r} is named twice in {field}; name it once.")
    return names


def _unknown(name: str, known: Sequence[str], what: str, why: str) -> InputError:
    lowered = {other.lower(): other for other in known}
    close = [lowered[other] for other in difflib.get_close_matches(str(name).lower(), lowered, n=3)]
    shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    ask = f"did you mean {' or '.join(map(repr, close))}?" if close else f"there are {shown or 'none'}."
    return InputError(f"{what} {name!r} {why}; {ask}")


def _role_by_name(name: str) -> str | None:
    lowered = name.lower()
    return next(
        (role for role, patterns in _BY_NAME if any(fnmatch.fnmatchcase(lowered, pattern) for pattern in patterns)),
        None,
    )


def not_a_time(name: str, kind: pa.DataType) -> InputError:
    """The error for a timestamp column of another type, to raise."""
    kind, how = _kind_and_cast(kind)
    return InputError(
        f"Column {name!r} has the role timestamp but its type is {kind}; cast it to a timestamp or a date, such as by "
        f"{how}, or give another column that role."
    )


def _kind_and_cast(kind: pa.DataType) -> tuple[pa.DataType, str]:
    """The type of a column's values, and a call that makes times of them."""
    kind = plain_type(kind)
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return kind, "pandas.to_datetime(..., unit='s')" if pa.types.is_integer(kind) else "pandas.to_datetime"


def _is_time(kind: pa.DataType) -> bool:
    kind = plain_type(kind)
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".")
