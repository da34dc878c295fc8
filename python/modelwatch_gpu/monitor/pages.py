"""The page of a window: written whole beside the store before the run is finished, so a link never leads nowhere."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from modelwatch_gpu.checks.finding import SEVERITIES
from modelwatch_gpu.errors import OutputError
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.report import Report

_FROM: Final = {"always": "ok", "warning": "warning", "alert": "alert"}


class Pages:
    """Where pages are, and which windows get one."""

    def __init__(self, config: MonitorConfig) -> None:
        self._folder = None if config.reports.folder is None else Path(config.path_of(config.reports.folder))
        self._home, self._title = config.folder, config.name
        worst = SEVERITIES.index(_FROM[config.reports.when])
        self._severities = set(SEVERITIES[: worst + 1]) | ({None} if config.reports.when == "always" else set())

    def write(self, report: Report, label: str, severity: str | None) -> str | None:
        """Writes the page of a window where it is due; returns its path, from the config's folder where it is there."""
        if self._folder is None:
            return None
        if severity not in self._severities:
            self.remove(label)
            return None
        path = self._path(label)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self._folder}: cannot be made ({error.strerror or error}).") from None
        report.to_html(path, title=f"{self._title}: {label}")
        path.chmod(0o600)  # it shows values of the log
        return os.path.relpath(path, self._home) if path.is_relative_to(self._home) else str(path)

    def remove(self, label: str) -> None:
        """Removes the page of a window, where there is one."""
        if self._folder is not None:
            self._path(label).unlink(missing_ok=True)

    def _path(self, label: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{re.sub(r'[^A-Za-z0-9+-]+', '-', label).strip('-')}.html"
