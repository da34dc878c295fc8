"""Who is told of what: rules over findings, and channels; see docs/alerts.md."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    field_validator,
    model_validator,
)

from modelwatch_gpu.monitor.config.values import Duration, Elsewhere, Secret, Section, nearest

if TYPE_CHECKING:
    from modelwatch_gpu.monitor.config.channels import Channel

#: Fields of findings that alerts can be grouped by.
KEYS: Final = ("column", "check", "segment")

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


def key_of(secret: SecretStr) -> bytes:
    """The signing key in ``whsec_<base64>``; ValueError, which does not show it, where it is none."""
    text = secret.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not whsec_ and base64") from None
    if not text.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise ValueError("is not whsec_ and base64 of 24 to 64 bytes; openssl rand -base64 32 makes one")
    return key


def _long_enough(secret: SecretStr) -> SecretStr:
    key_of(secret)
    return secret


#: What requests are signed with.
SigningSecret = Annotated[Secret, AfterValidator(_long_enough)]
#: Names of columns and checks, in which * stands for any text and ? for one letter.
Patterns = Annotated[tuple[str, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v), Field(min_length=1)]
Labels = dict[Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,63}$")], str]


def web_address(text: str) -> str:
    """The text, where it is an address of http or https with a host and no user name; else ValueError."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"is not an address ({error})") from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("is not an address of http or https, such as https://example.org/hook")
    if parts.username is not None or parts.password is not None:
        raise ValueError("has a user name or password in it, which ends up in logs; use the key for it instead")
    if re.search(r"[\x00-\x20\x7f]", text):
        raise ValueError("has spaces or control characters in it")
    return text


def _secret_address(secret: SecretStr) -> SecretStr:
    web_address(secret.get_secret_value())
    return secret


def _maybe_secret(value: Any) -> Any:
    """An address may hold a token or not, so it may be written into the file; it is shown nowhere either way."""
    return SecretStr(value) if isinstance(value, str) else value


#: Where something is sent to. It often holds a token, so it is treated as one.
WebAddress = Annotated[SecretStr, BeforeValidator(_maybe_secret), AfterValidator(_secret_address)]
#: A page that people are pointed to.
Page = Annotated[str, AfterValidator(web_address)]


class Rule(Section):
    """Which findings make an alert, and when."""

    name: Name
    severity: Literal["warning", "alert"] = Field(
        default="alert", description="Findings of this severity or worse fire."
    )
    columns: Patterns = Field(default=("*",), description="Names of columns; * stands for any text.")
    checks: Patterns = Field(default=("*",), description="Names of checks; * stands for any text.")
    segments: Literal["whole", "each", "any"] = Field(
        default="whole", description="whole: findings about all rows; each: about segments; any: both."
    )
    group_by: tuple[Literal["column", "check", "segment"], ...] = Field(
        default=("column",),
        description="Findings that agree in these are one alert; none of them: one alert for the rule.",
    )
    at_least: int = Field(default=1, ge=1, description="So many findings must fire in a window.")
    windows: int = Field(default=1, ge=1, le=1000, description="So many windows must fire for an alert to open,")
    of: int | None = Field(default=None, ge=1, le=1000, description="of the last so many windows with a verdict.")
    clear_after: int = Field(default=1, ge=1, le=1000, description="So many windows in a row without firing close it.")
    cooldown: Duration | int | None = Field(
        default=None,
        description="An alert that returns within so many windows, or so long, is the same one and not told.",
    )
    repeat_every: Duration | int | None = Field(
        default=None, description="An open alert is told again after so many windows, or so long in the log's own time."
    )
    channels: tuple[str, ...] | None = Field(default=None, description="Names of channels; default: all.")
    runbook: Page | None = Field(default=None, description="The page that says what to do.")
    labels: Labels = Field(default_factory=dict, description="Labels that Alertmanager and webhooks get.")

    @field_validator("cooldown", "repeat_every")
    @classmethod
    def _positive(cls, value: timedelta | int | None) -> timedelta | int | None:
        if value is not None and (value.total_seconds() < 1 if isinstance(value, timedelta) else value < 1):
            raise ValueError("must be at least one window or one second")
        return value

    @field_validator("labels")
    @classmethod
    def _own_labels(cls, labels: dict[str, str]) -> dict[str, str]:
        taken = {"alertname", "severity", "monitor", *KEYS} & set(labels)
        if taken:
            raise ValueError(f"{', '.join(sorted(taken))} are set by the alert itself; choose other names")
        return labels

    @model_validator(mode="after")
    def _enough_windows(self) -> Rule:
        if self.of is not None and self.of < self.windows:
            raise ValueError(f"windows: {self.windows} cannot fire of: {self.of}; make of at least {self.windows}")
        if self.segments == "whole" and "segment" in self.group_by:
            raise ValueError("group_by: segment needs segments: each or any")
        return self


#: Where alerts go.
Channels = Annotated[tuple[Any, ...], Elsewhere("channels", "Channels")]


class AlertsConfig(Section):
    """Who is told of what; see docs/alerts.md."""

    rules: tuple[Rule, ...] = ()
    channels: Channels = ()
    reports: Page | None = Field(
        default=None, description="Where people find reports: the address that paths of reports are put behind."
    )

    @model_validator(mode="after")
    def _names_are_known(self) -> AlertsConfig:
        known = names_once(self.channels, "channels")
        names_once(self.rules, "rules")
        if self.channels and not self.rules:
            raise ValueError("has channels and no rules, so nobody would be told of anything; add a rule")
        for rule in self.rules:
            for name in rule.channels or ():
                if name not in known:
                    raise ValueError(f"rule {rule.name}: channel {nearest(name, known)}")
        return self

    def channels_of(self, rule: Rule) -> tuple[Channel, ...]:
        """The channels that a rule's alerts go to."""
        return tuple(c for c in self.channels if rule.channels is None or c.name in rule.channels)


def names_once(sections: Sequence[Any], what: str) -> set[str]:
    """The names of sections; ValueError where two are the same."""
    names = [section.name for section in sections]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{what}: the name {name!r} is there twice")
    return set(names)
