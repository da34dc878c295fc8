"""Servers on this machine for tests of a monitor: one that takes what is sent to it, Alertmanager, Prometheus.

``receiver`` and ``alertmanager`` are context managers. A receiver can be stopped, so that connections are refused, and
started again on the same port.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE


@dataclass(frozen=True)
class Taken:
    """A request that came; names of headers in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Takes requests at a port that is kept for it and answers ``status``, or what ``answer`` says."""

    port: int
    taken: list[Taken] = field(default_factory=list)
    status: int = 200
    answer: Callable[[Taken], tuple[int, dict[str, str], bytes]] | None = None
    _server: ThreadingHTTPServer | None = None
    _thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def _take(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                taken = Taken(self.command, self.path, headers, self.rfile.read(size))
                receiver.taken.append(taken)
                status, more, body = receiver.answer(taken) if receiver.answer else (receiver.status, {}, b"{}")
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **more}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = _take

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """From now on, connections are refused."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None


@contextlib.contextmanager
def receiver(*, started: bool = True) -> Iterator[Receiver]:
    """A receiver on a port of its own."""
    with kept_port() as port:
        one = Receiver(port)
        if started:
            one.start()
        try:
            yield one
        finally:
            one.stop()


@contextlib.contextmanager
def kept_port() -> Iterator[int]:
    """A port of loopback that the system gives to nobody else meanwhile.

    It is bound and nobody listens: connections are refused. A server that sets SO_REUSEADDR may listen at it, as those
    of Python and Go do.
    """
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        yield s.getsockname()[1]


def program(*names: str) -> str:
    """The path of a program; skips the test where it is not installed. The names are those in Debian and upstream."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"needs {names[0]} (apt-get install {names[0]})")
    return found


def get_json(url: str) -> Any:
    """What an address answers."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return json.loads(answer.read())


def wait_until(holds: Callable[[], Any], seconds: float = PATIENCE, every: float = 0.05) -> Any:
    """Waits for something to be true, and returns it; fails where it does not become so."""
    until = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(every)
    return found


@contextlib.contextmanager
def started(command: list[str], ready: str, log: Path) -> Iterator[None]:
    """A program that runs while this is entered, from when the address ``ready`` answers."""
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as process:

        def answers() -> bool:
            assert process.poll() is None, f"{command[0]} ended: {log.read_text(errors='replace')[-2000:]}"
            try:
                with urllib.request.urlopen(ready, timeout=1) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        try:
            wait_until(answers)
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def alertmanager(folder: Path, webhook: str) -> Iterator[str]:
    """A real Alertmanager that tells a webhook of every alert at once; yields its address."""
    binary = program("prometheus-alertmanager", "alertmanager")
    config = folder / "alertmanager.yml"
    route = {
        "receiver": "hook",
        "group_by": ["..."],
        "group_wait": "0s",
        "group_interval": "1s",
        "repeat_interval": "1h",
    }
    hook = {"name": "hook", "webhook_configs": [{"url": webhook, "send_resolved": True}]}
    config.write_text(json.dumps({"route": route, "receivers": [hook]}))  # JSON is YAML
    with kept_port() as port:
        address = f"http://127.0.0.1:{port}"
        command = [
            binary,
            f"--config.file={config}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
        with started(command, f"{address}/-/ready", folder / "alertmanager.log"):
            yield address
