"""Serves a monitor until it is told to stop."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from modelwatch_gpu.errors import OutputError
from modelwatch_gpu.monitor.clock import Clock
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.store.engine import open_store
from modelwatch_gpu.serve.app import make_app


def serve(
    config: MonitorConfig, *, clock: Clock | None = None, ready: Callable[[str], None] = lambda address: None
) -> None:
    """Serves until SIGINT or SIGTERM. ``ready``: is told the address once requests are taken.

    Raises OutputError where the address is taken or is not this machine's, and where the store cannot be opened.
    """
    engine = open_store(config.store.url, schema=config.store.schema_name, folder=config.folder)
    try:
        listening = _listen(config.serving.host, config.serving.port)
        with listening:
            server = _Server(make_app(engine, config, clock), lambda: ready(_address(listening)))
            server.run(sockets=[listening])
    finally:
        engine.dispose()


class _Server(uvicorn.Server):
    def __init__(self, app: object, ready: Callable[[], None]) -> None:
        # Requests are not logged: their addresses may be long, hostile, and of no interest.
        options = uvicorn.Config(
            app,  # type: ignore[arg-type]
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            limit_concurrency=64,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=16_384,
        )
        super().__init__(options)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise OutputError(f"{host}:{port} cannot be listened at ({error.strerror or error}).") from None


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
