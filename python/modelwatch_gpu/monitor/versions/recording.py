"""Deployments noted by a program: a pipeline that has deployed a model, or the service that begins to answer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.monitor.clock import Clock
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.config.several import load_configs
from modelwatch_gpu.monitor.store.engine import open_store
from modelwatch_gpu.monitor.versions.dependencies import snapshot
from modelwatch_gpu.monitor.versions.deployments import Deployment, add_deployment
from modelwatch_gpu.monitor.versions.mlflow_link import look_up


def record_deployment(
    config: MonitorConfig | str | os.PathLike[str],
    version: str | None = None,
    *,
    model: str | None = None,
    stage: str = "production",
    data_version: str | None = None,
    code_version: str | None = None,
    at: datetime | None = None,
    who: str | None = None,
    note: str | None = None,
    dependencies: Mapping[str, Any] | bool = False,
    mlflow: str | None = None,
    alias: str | None = None,
    clock: Clock | None = None,
) -> Deployment:
    """Notes in a monitor's store, and its audit, that a version of the model was deployed.

    Args:
        config: The monitor's config, or the file.
        version: Of the model; with ``mlflow`` the registered one. Default there: that of ``alias``, or the latest.
        model: Of a file with several: which one.
        stage: "production", "canary", "shadow", "retired" or "rolled_back".
        data_version, code_version: Of what it was trained on, and with. Default with ``mlflow``: what its run says.
        at: When, with a time zone. Default: now.
        who: As the audit is to name them.
        dependencies: What it runs with: a ``snapshot()``, or True for this process's own.
        mlflow: A registered model to take the versions from; ``alias``: which version of it.

    Returns:
        The event; one that was noted before is not noted again.

    Raises:
        InputError: The config, a text, the stage or the time is not what it can be, or MLflow has no such version.
        OutputError: The store cannot be opened.
    """
    own = config if isinstance(config, MonitorConfig) else config_of(config, model)
    source = "user"
    if mlflow is not None:
        registered = look_up(mlflow, alias=alias, version=version, uri=own.versions.mlflow.address)
        version, source = registered.version, "mlflow"
        data_version, code_version = data_version or registered.data_version, code_version or registered.code_version
    elif alias is not None:
        raise InputError("An alias is of MLflow's registry; name the registered model too: mlflow= (--mlflow).")
    if version is None:
        raise InputError("There is no version to note; give one, or a registered model: mlflow= (--mlflow).")
    own_ones = snapshot() if dependencies is True else None
    engine = open_store(own.store.url, schema=own.store.schema_name, folder=own.folder)
    try:
        with engine.begin() as connection:
            return add_deployment(
                connection,
                model=own.versions.model or own.name,
                model_version=version,
                now=(clock if clock is not None else Clock()).now(),
                at=at,
                data_version=data_version,
                code_version=code_version,
                stage=stage,
                source=source,
                who=who,
                note=note,
                dependencies=own_ones if isinstance(dependencies, bool) else dependencies,
            )
    finally:
        engine.dispose()


def config_of(path: str | os.PathLike[str], model: str | None) -> MonitorConfig:
    """The config of one model; raises InputError where a file has several and none is named."""
    found = load_configs(path, model)
    if len(found) > 1:
        raise InputError(
            f"{path}: is of several models; choose one: model= (--model) {' or '.join(c.name for c in found)}."
        )
    return found[0]
