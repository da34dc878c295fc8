"""Prometheus and Alertmanager as they come from Debian, each on a free port of loopback, ended with the test."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


def binary(*names: str) -> str:
    """The program by one of its names; the test is skipped where it is not installed."""
    for name in names:
        if found := shutil.which(name):
            return found
    pytest.skip(f"{names[0]} is not installed (Debian: apt-get install {names[-1]})")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def until(what: str, condition: Callable[[], Any], *, seconds: float = 60.0) -> Any:
    """Waits until something is so; fails with its name where it never is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := condition():
                return found
        except OSError:
            pass
        time.sleep(0.1)
    pytest.fail(f"{what}: not within {seconds:.0f} seconds")


def get_json(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return json.loads(answer.read())


@contextmanager
def process(command: list[str], folder: Path, ready: str) -> Iterator[None]:
    """Runs a server until the end of the block; ``ready``: an address that answers once it is up."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, cwd=folder) as running:
        try:

            def up() -> bool:
                assert running.poll() is None, log.read_text()
                with urllib.request.urlopen(ready, timeout=5) as answer:
                    return bool(answer.status == 200)

            until(command[0], up)
            yield
        finally:
            running.terminate()
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                running.kill()


@contextmanager
def alertmanager(folder: Path, webhook: str) -> Iterator[str]:
    """An Alertmanager that sends every alert to a webhook at once; its address."""
    port = free_port()
    config = folder / "alertmanager.yml"
    receiver = {"name": "hook", "webhook_configs": [{"url": webhook, "send_resolved": True}]}
    route = {"receiver": "hook", "group_by": ["..."], "group_wait": "100ms", "group_interval": "1s"}
    config.write_text(json.dumps({"route": {**route, "repeat_interval": "1h"}, "receivers": [receiver]}))
    address = f"http://127.0.0.1:{port}"
    command = [
        binary("alertmanager", "prometheus-alertmanager"),
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with process(command, folder, f"{address}/-/ready"):
        yield address


@contextmanager
def prometheus(folder: Path, target: str, rules: Path, alerts_to: str, *, token: Path | None = None) -> Iterator[str]:
    """A Prometheus that scrapes one target every half second and tells one Alertmanager; its address."""
    port = free_port()
    config = folder / "prometheus.yml"
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
    config.write_text(json.dumps(content))  # JSON is YAML
    address = f"http://127.0.0.1:{port}"
    command = [
        binary("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--rules.alert.resend-delay=1s",
    ]
    with process(command, folder, f"{address}/-/ready"):
        yield address


class Webhook:
    """Takes what is posted to it; ``bodies``: everything so far."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                hook.bodies.append(json.loads(content))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Webhook:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """Every alert of every message, in the order they came."""
        return [alert for body in list(self.bodies) for alert in body["alerts"]]
