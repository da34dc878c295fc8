"""What ``monitor.yaml`` says: which log, against which baseline, how it is judged, where the results are kept."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator

from modelwatch_gpu.checks import DEFAULT_CHECKS, Check
from modelwatch_gpu.checks.files import checks_from_file
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log.windows import RowWindow, parse_window, zone_of
from modelwatch_gpu.monitor.config.actions import ActionsConfig, check_rules
from modelwatch_gpu.monitor.config.alerts import AlertsConfig
from modelwatch_gpu.monitor.config.reading import Document, Where, read_yaml
from modelwatch_gpu.monitor.config.serving import ServingConfig
from modelwatch_gpu.monitor.config.values import (
    Duration,
    FromEnvironment,
    Section,
    duration_text,
    nearest,
    without_password,
)
from modelwatch_gpu.monitor.config.versions import VersionsConfig

_KEEP = timedelta(days=90)


class LogConfig(Section):
    """Where the log grows, and what is made of files that change, go or come twice."""

    path: str | list[str] = Field(
        description="A folder, file, pattern or address (s3://bucket/log), or a list of these."
    )
    settle: Duration = Field(
        timedelta(0),
        description="A file is left alone until it has not been changed for so long: for writers in place.",
    )
    identity: Literal["stat", "sha256"] = Field(
        "stat",
        description="How a changed file is known: by size and time of change, or by its content, which is read for it.",
    )
    deleted: Literal["drop", "keep"] = Field(
        "drop",
        description="What becomes of the counts of a file that is gone: dropped, or kept, as for logs that rotate.",
    )

    @field_validator("path", mode="before")
    @classmethod
    def _no_password(cls, value: Any) -> Any:
        return without_password(value, "LOG_URL")

    @field_validator("path")
    @classmethod
    def _some_path(cls, value: str | list[str]) -> str | list[str]:
        if not value or any(not one or "\0" in one for one in ([value] if isinstance(value, str) else value)):
            raise ValueError("is empty; name a folder, a pattern or an address")
        return value


class LabelsConfig(Section):
    """Label files that come late; they find their rows by the baseline's id columns."""

    path: str | list[str] = Field(description="A folder, file, pattern or address, or a list of these.")
    at: str | None = Field(None, description="The column that says when a label was given; the latest one holds.")
    folder: str = Field("labels.mwl", description="Where labels are kept by id, from the config's folder.")

    @field_validator("path", mode="before")
    @classmethod
    def _no_password(cls, value: Any) -> Any:
        return without_password(value, "LABELS_URL")


class StoreConfig(Section):
    """Where everything is kept."""

    url: str = Field(
        "sqlite:///monitor.db",
        description="SQLAlchemy's address: sqlite:///file (from the config's folder), or postgresql+psycopg://... "
        "whose password comes from an environment variable.",
    )
    schema_name: str | None = Field(
        None,
        alias="schema",
        pattern="^[a-z_][a-z0-9_]{0,62}$",
        description="PostgreSQL: the schema of this monitor's tables.",
    )

    @field_validator("url", mode="before")
    @classmethod
    def _no_password(cls, value: Any) -> Any:
        return without_password(value, "STORE_URL")


class ScheduleConfig(Section):
    """When ``--watch`` looks for new files."""

    every: Duration | None = Field(
        None, description="The time between two looks. Default: 1min, where there is no cron."
    )
    cron: str | None = Field(None, description="Five fields: minute, hour, day, month, day of week.")
    timezone: str | None = Field(None, description="Of cron. Default: the monitor's.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.every is not None and self.cron is not None:
            raise ValueError("has both every and cron; keep one of them")
        if self.cron is not None:
            from croniter import croniter

            if len(self.cron.split()) != 5 or not croniter.is_valid(self.cron):
                raise ValueError(f"cron is {self.cron!r}; write five fields, such as '*/15 * * * *'")
        if self.timezone is not None:
            zone_of(self.timezone)
        if self.every is not None and self.every < timedelta(milliseconds=10):
            raise ValueError("every is too short; 10ms is the least")
        return self


class RetentionConfig(Section):
    """How long corrections are taken, and how long results stay."""

    corrections_until: Duration = Field(
        _KEEP,
        description="A window that ended so long before the newest row is closed: its files' counts are added up, "
        "and a file that changes later is not counted again.",
    )
    keep: Duration | None = Field(
        None, description="Windows that ended so long before the newest row are forgotten. Default: kept for ever."
    )
    alerts: Duration | None = Field(
        None,
        description="Alerts that were over so long before the newest row are forgotten, with their messages, actions "
        "and evidence; the audit keeps its records. Default: kept for ever.",
    )
    runs: int = Field(10_000, ge=1, description="Runs whose record is kept.")


class ReportsConfig(Section):
    """The page of each window."""

    folder: str | None = Field(
        "reports", description="Where pages are written, from the config's folder; null: nowhere."
    )
    when: Literal["alert", "warning", "always"] = Field(
        "warning", description="From which finding on a window gets one."
    )


class MonitorConfig(Section):
    """One model that is monitored."""

    version: Literal[1] = Field(1, description="Of this form of config.")
    name: str = Field("monitor", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$", description="What messages call it.")
    baseline: str = Field(description="The baseline file (.mwb), from the config's folder.")
    log: LogConfig
    labels: LabelsConfig | None = None
    store: StoreConfig = Field(default_factory=StoreConfig)

    window: str | None = Field("1d", description="15min, 1h, 1d, 1w, 1mo, 1q, 1y; null: the whole log is one window.")
    timezone: str | None = Field(
        None, description="Whose calendar it is, such as Europe/Rome. Default: the baseline's."
    )
    segments: list[str | list[str]] = Field(
        [], description="Columns whose values are judged apart; a list crosses some."
    )
    derived: list[str] = Field([], description="Columns to compute: FILE.py:FUNCTION or MODULE:FUNCTION.")
    by_version: bool = Field(False, description="Whether versions of the model are judged apart.")
    promote: list[str | list[str]] = Field([], description="Segments to count on the fine grid.")
    max_groups: int | None = Field(None, ge=1, description="Segments of each kind that are kept apart.")

    checks: str | list[dict[str, Any]] | None = Field(
        None, description="A file of checks, or a list. Default: DEFAULT_CHECKS."
    )
    expectations: str | None = Field(None, description="A file of expectations, or auto for those of the baseline.")
    units: str | None = Field("1d", description="What intervals draw again: 1d, 1w, rows; null: no intervals.")
    correction: Literal["bh", "e-bh"] | None = Field("bh", description="For many tests of one window.")
    hierarchy: bool = Field(False, description="Segments are tested only where their column is off.")
    anytime: bool = Field(
        False,
        description="Verdicts hold however often somebody looks: evidence is collected from window to window. Needs "
        "judge: complete.",
    )
    consecutive: bool = Field(False, description="Also compare every window with the one before it.")
    judge: Literal["always", "complete"] = Field(
        "always", description="When a window is judged: whenever its rows change, or once it is over."
    )
    grace: Duration = Field(
        timedelta(0), description="complete: a window is over when a row so long after its end has come."
    )

    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    retention: RetentionConfig = Field(default_factory=RetentionConfig)
    reports: ReportsConfig = Field(default_factory=ReportsConfig)
    files_per_run: int = Field(1_000, ge=1, description="Files that are counted before windows are judged.")
    memory: int | str | None = Field(None, description="What counters may take, such as 512MB.")
    threads: int = Field(0, ge=0, description="0: MODELWATCH_THREADS or all CPUs.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N, cuda:all.")

    alerts: AlertsConfig = Field(default_factory=AlertsConfig)
    actions: ActionsConfig = Field(default_factory=ActionsConfig)
    versions: VersionsConfig = Field(default_factory=VersionsConfig)
    serving: ServingConfig = Field(default_factory=ServingConfig)

    _document: Document = PrivateAttr(default_factory=lambda: Document("<config>", ""))

    @model_validator(mode="after")
    def _alerts_outlast_corrections(self) -> Self:
        kept = self.retention
        if kept.alerts is not None and kept.alerts < kept.corrections_until:
            raise ValueError(
                f"retention: alerts ({duration_text(kept.alerts)}) is shorter than corrections_until "
                f"({duration_text(kept.corrections_until)}); a correction would tell them anew"
            )
        return self

    @field_validator("window")
    @classmethod
    def _calendar(cls, value: str | None) -> str | None:
        if value is not None and isinstance(parse_window(value), RowWindow):
            raise ValueError("windows of a monitor are of time, such as 1d: rows of a growing log have no fixed number")
        return value

    @model_validator(mode="after")
    def _windows_in_a_row(self) -> Self:
        if self.consecutive and self.window is None:
            raise ValueError("consecutive compares windows, and window is null; choose one, such as 1d")
        return self

    @model_validator(mode="after")
    def _evidence_of_whole_windows(self) -> Self:
        if self.anytime:
            if self.window is None or self.judge != "complete":
                raise ValueError(
                    "anytime collects evidence from windows that are over; set window, such as 1h, and judge: complete"
                )
            if self.units is None:
                raise ValueError("anytime needs intervals, and units is null; set units, such as 1d")
            if self.consecutive:
                raise ValueError("anytime and consecutive are not offered together; leave one of them out")
        return self

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None:
            zone_of(value)
        return value

    @field_validator("checks")
    @classmethod
    def _sound_checks(cls, value: Any) -> Any:
        for row in value if isinstance(value, list) else ():
            Check.from_dict(row)
        return value

    @model_validator(mode="after")
    def _triggers_have_rules(self) -> Self:
        check_rules(self.actions, [rule.name for rule in self.alerts.rules])
        return self

    @property
    def folder(self) -> Path:
        """Where the config lies; its relative paths begin here."""
        return Path(self._document.path).resolve().parent

    @property
    def text(self) -> str:
        """The file as it is written; secrets are names of environment variables in it."""
        return self._document.text

    @property
    def sha256(self) -> str:
        """Of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def path_of(self, text: str) -> str:
        """A path of the config, from the folder it lies in; an address stays as it is."""
        return text if "://" in text or os.path.isabs(text) else str(self.folder / text)

    def derived_from(self) -> list[str]:
        """What ``derived`` names, files from the config's folder."""
        return [self.path_of(one) if ".py" in one else one for one in self.derived]

    def rules(self) -> tuple[Check, ...]:
        """The checks."""
        if self.checks is None:
            return tuple(DEFAULT_CHECKS)
        if isinstance(self.checks, str):
            return tuple(checks_from_file(self.path_of(self.checks)))
        return tuple(Check.from_dict(row) for row in self.checks)

    @classmethod
    def load(cls, path: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> Self:
        """Reads a config of one model; raises InputError with the line, the key and what to write instead."""
        return cls.of(read_yaml(path, environ))

    @classmethod
    def of(cls, document: Document) -> Self:
        """From a file that was read."""
        if not isinstance(document.values, dict):
            raise document.error((), "is not a config; it begins with keys such as baseline: and log:.")
        try:
            config = cls.model_validate(document.values)
        except ValidationError as error:
            raise _in_words(error, document) from None
        config._document = document
        return config


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the config, for editors."""
    schema = MonitorConfig.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _in_words(error: ValidationError, document: Document) -> InputError:
    """The first thing that is wrong, with its line; values of the file are not repeated where they may be secret."""
    first = error.errors(include_url=False)[0]
    where: Where = tuple(first["loc"])
    context = first.get("ctx", {})
    if first["type"] == "unknown_key":
        return document.error((*where, context["key"]), context["why"])
    if first["type"] == "missing":
        return document.error(where, "is missing; write it, see `modelwatch init`.")
    if first["type"] == "literal_error" and not isinstance(first["input"], FromEnvironment):
        words = [word.strip(" '") for word in str(context["expected"]).replace(" or ", ", ").split(",")]
        return document.error(_of_file(where, document), nearest(str(first["input"]), words))
    said = str(context.get("error") or first["msg"])
    return document.error(_of_file(where, document), said if said.endswith((".", "?")) else f"{said}.")


def _of_file(where: Where, document: Document) -> Where:
    """The way as far as the file has it: pydantic adds the kinds that it tried."""
    size = len(where)
    while size and where[:size] not in document.lines:
        size -= 1
    return where[:size]
