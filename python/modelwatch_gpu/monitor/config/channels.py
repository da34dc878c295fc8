"""Where alerts go; see docs/alerts.md."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from modelwatch_gpu.monitor.config.alerts import Name, SigningSecret, WebAddress
from modelwatch_gpu.monitor.config.values import Duration, Secret, Section


class _Channel(Section):
    name: Name
    resolved: bool = Field(default=True, description="Whether the end of an alert is told too.")
    timeout: Duration = Field(default=timedelta(seconds=10), description="How long an answer may take.")


class AppriseChannel(_Channel):
    """Anything that Apprise can reach: Slack, Teams, e-mail, PagerDuty and a hundred more."""

    kind: Literal["apprise"]
    urls: Annotated[tuple[Secret, ...], Field(min_length=1)] = Field(
        description="Apprise addresses, of environment variables, such as ${SLACK_URL}."
    )


class WebhookChannel(_Channel):
    """A POST of JSON, signed as Standard Webhooks says."""

    kind: Literal["webhook"]
    url: WebAddress = Field(description="An address of http or https.")
    secret: SigningSecret | None = Field(
        default=None, description="Signs messages; whsec_ and base64, 24 to 64 bytes of it."
    )
    headers: dict[str, Secret] = Field(default_factory=dict, description="Further headers, such as authorization.")


class AlertmanagerChannel(_Channel):
    """Prometheus Alertmanager, by version 2 of its interface."""

    kind: Literal["alertmanager"]
    url: WebAddress = Field(description="Of the Alertmanager, such as http://127.0.0.1:9093.")
    headers: dict[str, Secret] = Field(default_factory=dict, description="Further headers, such as authorization.")
    valid_for: Duration = Field(
        default=timedelta(days=1), description="An alert ends there by itself where it is not sent again for so long."
    )


Channel = Annotated[AppriseChannel | WebhookChannel | AlertmanagerChannel, Field(discriminator="kind")]
Channels = tuple[Channel, ...]
