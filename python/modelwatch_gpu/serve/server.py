"""Serves a monitor until it is told to stop."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Sequence

import uvicorn
from pydantic import ValidationError

from modelwatch_gpu.errors import InputError, OutputError
from modelwatch_gpu.monitor.clock import Clock
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.config.serving import ServingConfig
from modelwatch_gpu.monitor.store.engine import open_store
from modelwatch_gpu.serve.app import make_app


def serve(
    configs: Sequence[MonitorConfig],
    *,
    host: str | None = None,
    port: int | None = None,
    clock: Clock | None = None,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serves one monitor or several until SIGINT or SIGTERM.

    Args:
        configs: Of monitors that are served alike: their sections ``serving`` say the same host, port and token.
        host, port: Instead of those of the config.
        ready: Is told the address once requests are taken.

    Raises:
        InputError: The sections differ, or the host can be reached from elsewhere and there is no token.
        OutputError: The address is taken or is not this machine's, or a store cannot be opened.
    """
    serving = _alike([config.serving for config in configs], host, port)
    with contextlib.ExitStack() as stack:
        monitors = []
        for config in configs:
            engine = open_store(config.store.url, schema=config.store.schema_name, folder=config.folder)
            stack.callback(engine.dispose)
            monitors.append((engine, config))
        monitors[0] = (monitors[0][0], configs[0].model_copy(update={"serving": serving}))
        listening = stack.enter_context(_listen(serving.host, serving.port))
        server = _Server(make_app(monitors, clock), lambda: ready(_address(listening)))
        server.run(sockets=[listening])


def _alike(sections: Sequence[ServingConfig], host: str | None, port: int | None) -> ServingConfig:
    first = sections[0]
    for other in sections[1:]:
        for name in ("host", "port", "token", "names"):
            if getattr(other, name) != getattr(first, name):
                raise InputError(f"The models differ in serving.{name}; write it once, above models:.")
    own = {"host": first.host if host is None else host, "port": first.port if port is None else port}
    try:
        return ServingConfig.model_validate({**dict(first), **own})
    except ValidationError as error:
        said = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise InputError(f"{own['host']}:{own['port']} cannot be served at: {said}.") from None


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
