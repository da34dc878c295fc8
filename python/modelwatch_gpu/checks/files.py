"""Checks from a file: TOML, JSON or YAML."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

from modelwatch_gpu.checks.check import Check
from modelwatch_gpu.errors import InputError


def checks_from_file(path: str | os.PathLike[str]) -> list[Check]:
    """Checks from a file with a list of them, or an object or table with the list ``checks``.

    ``.toml``: ``[[checks]]`` tables; ``.yaml``, ``.yml`` (needs PyYAML, the extra ``yaml``); anything else is JSON.
    Raises InputError for a file that cannot be read, and with the number of the check for what it says wrong.
    """
    try:
        content = _parsed(Path(path).read_text(encoding="utf-8"), Path(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise InputError(f"{path}: not a TOML, JSON or YAML file of checks ({str(error).splitlines()[0]}).") from error
    rows = content.get("checks") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: expected a list of checks, each with a measure and thresholds.")
    return [_check(path, at, row) for at, row in enumerate(rows, start=1)]


def _check(path: str | os.PathLike[str], at: int, row: dict[str, Any]) -> Check:
    """One check; its errors say where it stands."""
    try:
        return Check.from_dict(row)
    except InputError as error:
        raise InputError(f"{path}, check {at}: {error}") from None
    except TypeError:
        raise InputError(
            f"{path}, check {at}: a field has a value of the wrong type; thresholds are numbers."
        ) from None


def _parsed(text: str, path: Path) -> Any:
    """The content of a file; raises ValueError where it is not what its name says."""
    if path.suffix == ".toml":
        return tomllib.loads(text)
    if path.suffix not in (".yaml", ".yml"):
        return json.loads(text)
    try:
        import yaml
    except ImportError:
        raise InputError(
            f"{path}: YAML needs PyYAML; install modelwatch-gpu[yaml], or write the checks as TOML or JSON."
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
