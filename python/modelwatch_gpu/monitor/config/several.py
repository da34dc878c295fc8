"""Several models in one config: what stands at the top holds for all of them, ``models:`` says what is different.

    log: {path: "logs/{name}"}
    models:
      fraud: {baseline: fraud.mwb}
      churn: {baseline: churn.mwb, window: 1mo}

``{name}`` in a text is the model's name. Each model has a store of its own, by default ``{name}.db``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.config.reading import Document, Where, read_yaml
from modelwatch_gpu.monitor.config.values import FromEnvironment, nearest

_PER_MODEL: dict[str, Any] = {
    "store": {"url": "sqlite:///{name}.db"},
    "reports": {"folder": "reports/{name}"},
}


def load_configs(
    path: str | os.PathLike[str], model: str | None = None, environ: Mapping[str, str] | None = None
) -> list[MonitorConfig]:
    """The configs of all models of a file, or of one; raises InputError with the line of what is wrong."""
    document = read_yaml(path, environ)
    values = document.values
    if not isinstance(values, dict) or "models" not in values:
        config = MonitorConfig.of(document)
        if model is not None and model != config.name:
            raise document.error(("name",), f"is {config.name!r}, and there is no other model in this file.")
        return [config]
    models = values["models"]
    if not isinstance(models, dict) or not models:
        raise document.error(("models",), "names no model; write one key for each.")
    if model is not None and model not in models:
        raise document.error(("models",), nearest(model, models))
    common = {key: value for key, value in values.items() if key != "models"}
    configs = [_one(document, common, name, own) for name, own in models.items()]
    stores: dict[tuple[str, str | None], str] = {}
    for config in configs:
        store = (config.store.url, config.store.schema_name)
        if store in stores:
            raise document.error(
                ("models", config.name),
                f"has the same store as {stores[store]}; write {{name}} into store.url or store.schema.",
            )
        stores[store] = config.name
    return [config for config in configs if model in (None, config.name)]


def _one(document: Document, common: dict[str, Any], name: str, own: Any) -> MonitorConfig:
    """The config of one model, whose errors name the line that says it."""
    if not isinstance(own, dict):
        raise document.error(("models", name), "is not a section; write keys such as baseline: below it.")
    if "name" in own or "name" in common:
        raise document.error(("models", name), "has its name already: it is the key.")
    lines: dict[Where, int] = {where: line for where, line in document.lines.items() if where[:1] != ("models",)}
    for where, line in document.lines.items():
        if where[:2] == ("models", name):
            lines[where[2:]] = line
    values = _named(_over(_over(_PER_MODEL, common), own), name)
    return MonitorConfig.of(replace(document, values={**values, "name": name}, lines=lines))


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """``above`` where both say something; sections are put together key by key."""
    out = dict(below)
    for key, value in above.items():
        old = out.get(key)
        out[key] = _over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return out


def _named(value: Any, name: str) -> Any:
    """With the model's name in its texts."""
    if isinstance(value, dict):
        return {key: _named(one, name) for key, one in value.items()}
    if isinstance(value, list):
        return [_named(one, name) for one in value]
    if isinstance(value, str) and "{name}" in value:
        named = value.replace("{name}", name)
        return FromEnvironment(named) if isinstance(value, FromEnvironment) else named
    return value
