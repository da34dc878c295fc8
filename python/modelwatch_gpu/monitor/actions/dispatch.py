"""Actions by HTTP: a signed webhook, Airflow, GitHub Actions, MLflow.

Each carries the action's id, so that a repeat can be told from a new one; where the service can, it takes it once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from pydantic import SecretStr

from modelwatch_gpu.monitor.alerts.channels.webhook import signed
from modelwatch_gpu.monitor.config.triggers import AirflowRun, GitHubRun, MlflowRun, WebhookRun, below
from modelwatch_gpu.monitor.judging import canonical
from modelwatch_gpu.monitor.outgoing import Outcome, request

#: GitHub takes inputs of at most 65,535 letters, MLflow tags of 5,000.
_MOST_LETTERS: Final = 4_500


def dispatch(run: Any, asked: dict[str, Any], now: datetime) -> Outcome:
    """Asks the service to start; ``asked``: the action as JSON values, with its ``id``."""
    return _DISPATCH[type(run)](run, asked, now)


def _post(
    run: Any, url: SecretStr, body: Any, headers: Mapping[str, str] | None = None, *, accept: tuple[int, ...] = ()
) -> Outcome:
    own = {name: value.get_secret_value() for name, value in run.headers.items()}
    token = getattr(run, "token", None)
    return request(
        "POST",
        url,
        content=canonical(body).encode(),
        headers={**own, **(headers or {})},
        secrets=[run.url, *run.headers.values(), *([token] if token is not None else [])],
        timeout=run.timeout.total_seconds(),
        accept=accept,
    )


def _webhook(run: WebhookRun, asked: dict[str, Any], now: datetime) -> Outcome:
    body = {"type": "modelwatch.action", **asked}
    return _post(run, run.url, body, signed(run.secret, asked["id"], now, canonical(body).encode()))


def _airflow(run: AirflowRun, asked: dict[str, Any], now: datetime) -> Outcome:
    """POST dagRuns; a run of this id that is there already (409) is the one that was asked for."""
    body: dict[str, Any] = {"dag_run_id": f"modelwatch__{asked['id']}", "conf": {"modelwatch": asked}}
    if run.api == "v2":
        body["logical_date"] = None
    return _post(run, below(run.url, "api", run.api, "dags", run.dag, "dagRuns"), body, accept=(409,))


def _github(run: GitHubRun, asked: dict[str, Any], now: datetime) -> Outcome:
    """Dispatches a workflow with the one input ``modelwatch``: JSON. GitHub does not know repeats by themselves: the
    workflow's ``concurrency`` can go by the id in it."""
    owner, name = run.repository.split("/")
    url = below(run.url, "repos", owner, name, "actions", "workflows", run.workflow, "dispatches")
    body = {"ref": run.ref, "inputs": {"modelwatch": _short(asked)}}
    headers = {
        "accept": "application/vnd.github+json",
        "authorization": f"Bearer {run.token.get_secret_value()}",
        "x-github-api-version": "2022-11-28",
    }
    return _post(run, url, body, headers)


def _mlflow(run: MlflowRun, asked: dict[str, Any], now: datetime) -> Outcome:
    """Makes a run with tags, unless one of this id is there."""
    api = ("api", "2.0", "mlflow")
    own = {name: value.get_secret_value() for name, value in run.headers.items()}
    experiment = request(
        "GET",
        SecretStr(f"{below(run.url, *api, 'experiments', 'get-by-name').get_secret_value()}?{_query(run.experiment)}"),
        content=None,
        headers=own,
        secrets=[run.url, *run.headers.values()],
        timeout=run.timeout.total_seconds(),
    )
    if not experiment.ok:
        return experiment
    name = json.loads(experiment.answer)["experiment"]["experiment_id"]
    same = f"tags.\"modelwatch.action_id\" = '{asked['id']}'"
    found = _post(run, below(run.url, *api, "runs", "search"), {"experiment_ids": [name], "filter": same})
    if not found.ok or json.loads(found.answer).get("runs"):
        return found
    tags = {
        "modelwatch.action_id": asked["id"],
        "modelwatch.action": asked["action"],
        "modelwatch.request": _short(asked),
    }
    body = {
        "experiment_id": name,
        "run_name": f"{asked['action']}-{asked['id'][:8]}",
        "start_time": int(now.timestamp() * 1000),
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }
    return _post(run, below(run.url, *api, "runs", "create"), body)


def _query(experiment: str) -> str:
    return urlencode({"experiment_name": experiment})


def _short(asked: dict[str, Any]) -> str:
    """The action as JSON text of a length that services take: without its list of alerts where that is long."""
    text = canonical(asked)
    return text if len(text) <= _MOST_LETTERS else canonical({**asked, "alerts": asked["alerts"][:1], "windows": []})


_DISPATCH: Final[dict[type, Callable[[Any, dict[str, Any], datetime], Outcome]]] = {
    WebhookRun: _webhook,
    AirflowRun: _airflow,
    GitHubRun: _github,
    MlflowRun: _mlflow,
}
