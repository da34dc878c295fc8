"""What is started when a model needs retraining, and when; see docs/alerts.md."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import Field, SecretStr, StringConstraints, field_validator

from modelwatch_gpu.monitor.config.alerts import Name, Patterns, SigningSecret, WebAddress
from modelwatch_gpu.monitor.config.values import Duration, Secret, Section

#: A part of an address that somebody names: no slash, no question mark.
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$")]


class CommandRun(Section):
    """A program of this machine, without a shell."""

    kind: Literal["command"]
    argv: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="The program and its arguments; {id}, {alert} and {evidence} stand for those of the action."
    )
    timeout: Duration = Field(default=timedelta(hours=6), description="When it is ended, with all that it started.")
    env: tuple[str, ...] = Field(
        default=(), description="Environment variables that it gets, beside PATH, HOME, LANG, TZ and MODELWATCH_*."
    )

    @field_validator("argv")
    @classmethod
    def _no_nul(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        if not argv[0] or any("\0" in one for one in argv):
            raise ValueError("is not a list of a program and its arguments")
        return argv


class _HttpRun(Section):
    headers: dict[str, Secret] = Field(default_factory=dict, description="Further headers, such as authorization.")
    timeout: Duration = Field(default=timedelta(seconds=30), description="How long an answer may take.")


class WebhookRun(_HttpRun):
    """A POST of JSON, signed as Standard Webhooks says."""

    kind: Literal["webhook"]
    url: WebAddress = Field(description="An address of http or https.")
    secret: SigningSecret | None = Field(default=None, description="Signs requests; whsec_ and base64.")


class AirflowRun(_HttpRun):
    """A run of a DAG of Apache Airflow, by its REST interface."""

    kind: Literal["airflow"]
    url: WebAddress = Field(description="Of the web server, such as https://airflow.example.org.")
    dag: Word = Field(description="The DAG's id.")
    api: Literal["v1", "v2"] = Field(default="v2", description="v1 for Airflow 2, v2 for Airflow 3.")


class GitHubRun(_HttpRun):
    """A workflow of GitHub Actions."""

    kind: Literal["github"]
    repository: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}$")]
    workflow: Word = Field(description="The workflow's file name, with workflow_dispatch and the input modelwatch.")
    ref: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_./-]{1,200}$")] = Field(
        default="main", description="The branch or tag."
    )
    token: Secret = Field(description="With the right to write Actions of the repository.")
    url: WebAddress = Field(default=SecretStr("https://api.github.com"), description="Of GitHub Enterprise: its own.")


class MlflowRun(_HttpRun):
    """A run in an MLflow experiment, tagged as asked for, for whatever trains to find."""

    kind: Literal["mlflow"]
    url: WebAddress = Field(description="Of the tracking server.")
    experiment: str = Field(min_length=1, max_length=250, description="The experiment's name.")


Run = Annotated[CommandRun | WebhookRun | AirflowRun | GitHubRun | MlflowRun, Field(discriminator="kind")]


class Budget(Section):
    """So many ``starts`` in any stretch of time this long."""

    starts: int = Field(ge=1)
    per: Duration


class Trigger(Section):
    """What is started, when, and how often at most."""

    name: Name
    rules: tuple[str, ...] | None = Field(default=None, description="Alerts of these rules count. Default: of all.")
    columns: Patterns = Field(default=("*",), description="And that are about these columns; * stands for any text.")
    severity: Literal["warning", "alert"] = Field(default="alert", description="And that are this severe or worse.")
    windows: int = Field(default=1, ge=1, description="And in which so many windows have fired.")
    at_least: int = Field(default=1, ge=1, description="So many of them must be open at once.")
    cooldown: Duration = Field(default=timedelta(days=1), description="Not again so soon after the last start.")
    budget: Budget | None = Field(default=None, description="And not more often than this.")
    feedback: int = Field(default=0, ge=0, le=1_000_000, description="Rows of the feedback set in the evidence.")
    run: Run


Triggers = tuple[Trigger, ...]


def below(address: SecretStr, *parts: str) -> SecretStr:
    """An address below another one, its parts quoted."""
    path = "/".join(quote(part, safe="") for part in parts)
    return SecretStr(f"{address.get_secret_value().rstrip('/')}/{path}")
