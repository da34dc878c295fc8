"""A YAML file as plain values, with the line of each, and environment variables put in.

Hostile files are refused: aliases that unfold to more than ``MOST_NODES`` values, keys that are there twice, tags that
make objects, files of megabytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.monitor.config.values import FromEnvironment
from modelwatch_gpu.monitor.extras import module_of

#: Values of a file at most, those that aliases repeat counted each time; depth; bytes.
MOST_NODES: Final = 20_000
MOST_DEPTH: Final = 32
MOST_BYTES: Final = 1 << 20

#: Kinds of values that a config has.
_TAGS: Final = ("str", "int", "float", "bool", "null", "timestamp", "seq", "map")
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

#: Keys and numbers of list items on the way to a value.
Where = tuple[str | int, ...]


@dataclass
class Document:
    """``values``: with environment variables put in. ``lines``: way -> line, counted from 1. ``text``: the file as it
    is, in which secrets are names of variables."""

    path: str
    text: str
    values: Any = None
    lines: dict[Where, int] = field(default_factory=dict)

    def line_of(self, where: Where) -> int | None:
        """The line of a value, or of the nearest one around it."""
        for size in range(len(where), -1, -1):
            if where[:size] in self.lines:
                return self.lines[where[:size]]
        return None

    def error(self, where: Where, said: str) -> InputError:
        """An error with the place it is about."""
        line = self.line_of(where)
        place = f"{self.path}, line {line}" if line is not None else self.path
        key = ".".join(map(str, where))
        return InputError(f"{place}, {key}: {said}" if key else f"{place}: {said}")


def read_yaml(path: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> Document:
    """Reads a config; raises InputError with the line where it is not what a config can be."""
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from None
    if len(raw) > MOST_BYTES:
        raise InputError(f"{path}: has {len(raw):,} bytes, and a config has at most {MOST_BYTES:,}.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text; save it as such.") from None
    return parse_yaml(text, str(path), environ)


def parse_yaml(text: str, path: str, environ: Mapping[str, str] | None = None) -> Document:
    """As ``read_yaml``, of a text; ``path`` is what messages call it."""
    yaml = module_of("yaml", "monitor", "A monitor's config")
    document = Document(path, text)
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        reader = _Reader(document, yaml, loader, os.environ if environ is None else environ)
        document.values = {} if node is None else reader.value(node, (), 0)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f", line {mark.line + 1}" if mark is not None else ""
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{path}{at}: is not valid YAML ({said}).") from None
    except RecursionError:
        raise InputError(f"{path}: is nested too deeply; a config is not.") from None
    finally:
        loader.dispose()
    return document


class _Reader:
    """Walks the nodes of a file, which aliases may share, and counts them as often as they are met."""

    def __init__(self, document: Document, yaml: Any, loader: Any, environ: Mapping[str, str]) -> None:
        self._document, self._yaml, self._loader, self._environ = document, yaml, loader, environ
        self._nodes = 0

    def value(self, node: Any, where: Where, depth: int) -> Any:
        document, yaml = self._document, self._yaml
        self._nodes += 1
        document.lines.setdefault(where, node.start_mark.line + 1)
        if self._nodes > MOST_NODES:
            raise InputError(
                f"{document.path}: unfolds to more than {MOST_NODES:,} values; a config has a few hundred."
            )
        if depth > MOST_DEPTH:
            raise document.error(where, f"is nested deeper than {MOST_DEPTH} levels.")
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _TAGS:
            raise document.error(where, f"has the tag {node.tag!r}, which a config has no use for; take it out.")
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*where, at), depth + 1) for at, child in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where, depth)
        value = self._loader.construct_object(node)
        return self._with_variables(value, where) if isinstance(value, str) else value

    def _mapping(self, node: Any, where: Where, depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, child in node.value:
            key = key_node.value if isinstance(key_node, self._yaml.ScalarNode) else None
            if key is None or key == "<<":
                raise self._document.error(where, "has a key that is not a word; write plain keys.")
            below = (*where, key)
            self._document.lines[below] = key_node.start_mark.line + 1
            if key in out:
                raise self._document.error(below, "is there twice; keep one of them.")
            out[key] = self.value(child, below, depth + 1)
        return out

    def _with_variables(self, text: str, where: Where) -> str:
        written = False

        def put(match: re.Match[str]) -> str:
            nonlocal written
            value = self._environ.get(match[1], match[2])
            written = written or match[1] not in self._environ
            if value is None:
                raise self._document.error(
                    where,
                    f"names the environment variable {match[1]}, which is not set; set it, or write "
                    f"${{{match[1]}:-something}} for a default.",
                )
            return value

        if not _VARIABLE.search(text):
            return text
        full = _VARIABLE.sub(put, text)
        return full if written else FromEnvironment(full)  # a default stands in the file, so it is no secret
