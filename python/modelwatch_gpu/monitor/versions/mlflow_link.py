"""MLflow beside a monitor: what it found is logged as a run, and the registry says which version is in use.

Needs the extra ``mlflow`` (mlflow-skinny is enough). Nothing of MLflow is imported before it is asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from modelwatch_gpu.errors import InputError, ModelwatchError, OutputError
from modelwatch_gpu.monitor.extras import module_of

_WHAT: Final = "MLflow"
#: MLflow takes names of metrics of these letters, up to 250.
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_\-. :/]")
_MOST_LETTERS: Final = 240
#: Metrics that one call takes.
_AT_ONCE: Final = 900
_COMMIT: Final = "mlflow.source.git.commit"
_NAME: Final = "modelwatch.run"


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model. ``code_version``: the commit that its run names. ``data_version``: digests of
    the run's datasets, joined by commas. None where the run says nothing, or there is none."""

    name: str
    version: str
    aliases: tuple[str, ...]
    run_id: str | None
    code_version: str | None
    data_version: str | None


def look_up(
    name: str, *, alias: str | None = None, version: str | None = None, uri: str | None = None
) -> RegisteredVersion:
    """A version of a registered model, by alias ("champion") or number; by default the latest one.

    ``uri``: of the registry and its runs. Default: MLFLOW_TRACKING_URI, or what ``mlflow.set_tracking_uri`` was told.
    Raises InputError where it is not there, the registry cannot be asked, or nobody says where it is.
    """
    if alias is not None and version is not None:
        raise InputError("A registered version is looked up by alias or by version, not by both.")
    with _asked(f"MLflow names no such version of '{name}'", InputError):
        client = _client(uri)
        if alias is not None:
            found = client.get_model_version_by_alias(name, alias)
        elif version is not None:
            found = client.get_model_version(name, version)
        else:
            own = list(client.search_model_versions(f"name = '{_quoted(name)}'"))
            if not own:
                raise InputError(f"MLflow has no version of '{name}'.")
            found = max(own, key=lambda one: int(one.version))
        run = client.get_run(found.run_id) if found.run_id else None
    inputs = getattr(run, "inputs", None)
    digests = [one.dataset.digest for one in getattr(inputs, "dataset_inputs", None) or ()]
    return RegisteredVersion(
        name=name,
        version=str(found.version),
        aliases=tuple(sorted(found.aliases or ())),
        run_id=found.run_id or None,
        code_version=None if run is None else run.data.tags.get(_COMMIT),
        data_version=",".join(sorted(digests)) or None,
    )


def log_run(
    measures: Sequence[Mapping[str, Any]],
    findings: Sequence[Mapping[str, Any]],
    *,
    experiment: str,
    run_name: str,
    uri: str | None = None,
    tags: Mapping[str, str] | None = None,
    pages: Sequence[Path] = (),
) -> str:
    """Logs what a run found as a run of MLflow and returns its id.

    Args:
        measures: Rows as in a report's JSON. Those of whole windows become metrics named ``column/measure``, one step a
            window in the order of windows, at the window's start; numbers that are missing are left out.
        findings: Rows as in a report's JSON: how many of each severity, and all of them as ``findings.json``.
        experiment: Its name; made where it is not there.
        pages: Files to attach.

    Raises:
        OutputError: MLflow cannot be written to; a run that was begun is marked as failed.
        InputError: There is no ``uri``, and MLflow was not told of one either.
    """
    entities: Any = module_of("mlflow.entities", "mlflow", _WHAT)
    failed = "MLflow cannot be written to"
    with _asked(failed, OutputError):
        client = _client(uri)
        found = client.get_experiment_by_name(experiment)
        own = client.create_experiment(experiment) if found is None else found.experiment_id
        run = str(client.create_run(own, run_name=run_name, tags={**(tags or {}), _NAME: run_name}).info.run_id)
    rows = [entities.Metric(name, value, when * 1000, step) for name, value, when, step in metrics_of(measures)]
    counts = Counter(str(finding["severity"]) for finding in findings)
    rows += [entities.Metric(f"findings/{name}", count, 0, 0) for name, count in sorted(counts.items())]
    try:
        with _asked(failed, OutputError), tempfile.TemporaryDirectory(prefix="modelwatch-") as folder:
            for begin in range(0, len(rows), _AT_ONCE):
                client.log_batch(run, metrics=rows[begin : begin + _AT_ONCE])
            file = Path(folder) / "findings.json"
            file.write_text(json.dumps([dict(f) for f in findings], allow_nan=False, indent=1))
            for path in (file, *pages):
                client.log_artifact(run, str(path))
            client.set_terminated(run)
    except OutputError:
        with contextlib.suppress(Exception):  # it may be away altogether
            client.set_terminated(run, status="FAILED")
        raise
    return run


def metrics_of(measures: Sequence[Mapping[str, Any]]) -> list[tuple[str, float, int, int]]:
    """(name, value, epoch seconds, step) of measures of whole windows that have a number, windows in order."""
    whole = [row for row in measures if row.get("segment") is None and row.get("value") is not None]
    starts = sorted({str(row["window"]) for row in whole if row.get("window") is not None})
    step = {start: at for at, start in enumerate(starts)}
    out = []
    for row in whole:
        window = row.get("window")
        when = 0 if window is None else int(datetime.fromisoformat(str(window)).timestamp())
        name = metric_name(f"{row['column']}/{row['measure']}")
        out.append((name, float(row["value"]), when, step.get(str(window), 0)))
    return out


def metric_name(text: str) -> str:
    """A name that MLflow takes: other letters become ``_``, and then its hash keeps it apart from others."""
    name = _UNSAFE.sub("_", text)[:_MOST_LETTERS]
    # MLflow takes names for paths and refuses those that a path would shorten.
    unclean = any(piece in ("", ".", "..") for piece in name.split("/"))
    if name == text and not unclean:
        return name
    name = "/".join(piece if piece not in ("", ".", "..") else "_" for piece in name.split("/"))
    return f"{name}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _client(uri: str | None) -> Any:
    mlflow = module_of("mlflow", "mlflow", _WHAT)
    if uri is None and not mlflow.is_tracking_uri_set():
        raise InputError(
            "MLflow has no address: set versions.mlflow.uri, or the environment variable MLFLOW_TRACKING_URI. Its own "
            "default is a database in whichever folder the command is started from."
        )
    return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextlib.contextmanager
def _asked(failed: str, kind: type[InputError] | type[OutputError]) -> Iterator[None]:
    """Whatever MLflow raises becomes one sentence. Its stores let through what lies below them: of files, of databases,
    of HTTP."""
    try:
        yield
    except ModelwatchError:
        raise
    except Exception as error:
        raise kind(f"{failed} ({_said(error)}).") from None


def _said(error: Exception) -> str:
    """What went wrong, without the addresses that such errors repeat: they may hold a password."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines()
    if not lines or type(error).__module__.split(".")[0] != "mlflow":
        return type(error).__name__
    return re.sub(r"\S*://\S+", "its address", lines[0])[:200].rstrip(".")


def _quoted(name: str) -> str:
    if "'" in name or "\\" in name:
        raise InputError(f"'{name}' is no name of a registered model.")
    return name
