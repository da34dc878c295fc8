"""Prometheus as it comes from Debian, on a free port of loopback, ended with the test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers import kept_port, program, started


@contextmanager
def prometheus(folder: Path, target: str, rules: Path, alerts_to: str, *, token: Path | None = None) -> Iterator[str]:
    """A Prometheus that scrapes one target every half second and tells one Alertmanager; its address."""
    job: dict[str, Any] = {"job_name": "modelwatch", "static_configs": [{"targets": [target.removeprefix("http://")]}]}
    if token is not None:
        job["authorization"] = {"credentials_file": str(token)}
    managers = [{"static_configs": [{"targets": [alerts_to.removeprefix("http://")]}]}]
    content = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
        "rule_files": [str(rules)],
        "alerting": {"alertmanagers": managers},
        "scrape_configs": [job],
    }
    config = folder / "prometheus.yml"
    config.write_text(json.dumps(content))  # JSON is YAML
    with kept_port() as port:
        address = f"http://127.0.0.1:{port}"
        command = [
            program("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--rules.alert.resend-delay=1s",
        ]
        with started(command, f"{address}/-/ready", folder / "prometheus.log"):
            yield address
