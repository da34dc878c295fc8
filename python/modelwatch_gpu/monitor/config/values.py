"""Kinds of values that configs have in common: strict sections, durations, secrets."""

from __future__ import annotations

import difflib
import functools
import importlib
import re
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    SecretStr,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError, core_schema

_SECONDS: Final = {"ms": 0.001, "s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION: Final = r"([0-9]{1,9})\s*(ms|s|min|h|d|w)"


class Elsewhere:
    """Values whose models are imported when a config has some, or somebody asks for the schema: to make them takes
    longer than to read a config without.

    Args:
        module: Of this package.
        name: Of the type in it.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = f"{__package__}.{module}", name

    def _adapter(self) -> Any:
        return _adapter(self._module, self._name)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return core_schema.no_info_plain_validator_function(self._validated)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        return handler(self._adapter().core_schema)

    def _validated(self, value: Any) -> Any:
        return () if isinstance(value, list | tuple) and not value else self._adapter().validate_python(value)


@functools.cache
def _adapter(module: str, name: str) -> TypeAdapter[Any]:
    return TypeAdapter(getattr(importlib.import_module(module), name))


class FromEnvironment(str):
    """Text in which an environment variable was put in: it may be secret."""


def without_password(value: Any, variable: str) -> Any:
    """The address, or list of them; ValueError where it is written with a password: that would be in every backup of
    the file, and the audit keeps the file's text. ``variable``: what the environment variable could be called."""
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str) and not isinstance(text, FromEnvironment):
            authority = text.partition("://")[2].partition("/")[0]
            if ":" in authority.rpartition("@")[0]:
                raise ValueError(
                    f"holds a password; put the whole address into an environment variable: ${{{variable}}}"
                )
    return value


class Section(BaseModel):
    """A part of the config: frozen, with no key that it does not know."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, validate_default=True, hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        """Refuses unknown keys with the nearest right word, before anything else is said of the section."""
        if not isinstance(values, dict):
            return values
        known = {field.alias or name for name, field in cls.model_fields.items()}
        for key in values:
            if key not in known:
                raise PydanticCustomError("unknown_key", "{why}", {"key": str(key), "why": nearest(str(key), known)})
        return values


def nearest(word: str, known: Any) -> str:
    """What to say of a word that is not one of the known ones."""
    close = difflib.get_close_matches(word, sorted(map(str, known)), n=2, cutoff=0.6)
    hint = (
        f"did you mean {' or '.join(map(repr, close))}?"
        if close
        else f"it can be {', '.join(sorted(map(str, known)))}."
    )
    return f"{word!r} is not known here; {hint}"


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(_DURATION, value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            f"{value!r} is not a length of time; write a number and one of ms, s, min, h, d, w, such as 5min"
        )
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])


def duration_text(length: timedelta) -> str:
    """A length of time as a config writes it."""
    millis = round(length.total_seconds() * 1000)
    for unit, seconds in reversed(_SECONDS.items()):
        whole = round(seconds * 1000)
        if millis and millis % whole == 0:
            return f"{millis // whole}{unit}"
    return "0s"


#: A length of time, written as 500ms, 30s, 5min, 2h, 90d or 1w.
Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(duration_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION}$", "examples": ["30s", "5min", "90d"]}),
]


def _secret(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, FromEnvironment):
        raise ValueError("a secret is not written into the file; name an environment variable, such as ${TOKEN}")
    return SecretStr(str(value))


#: A secret. It comes from an environment variable and is never shown, logged, stored or reported.
Secret = Annotated[
    SecretStr,
    BeforeValidator(_secret),
    WithJsonSchema({"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}", "examples": ["${TOKEN}"]}),
]
