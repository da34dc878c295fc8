"""The web application: ``/metrics``, ``/healthz`` and findings as JSON. It reads and never writes."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from modelwatch_gpu.checks.finding import SEVERITIES
from modelwatch_gpu.monitor.audit.chain import head
from modelwatch_gpu.monitor.clock import Clock
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.store.engine import reading
from modelwatch_gpu.monitor.versions.deployments import list_deployments
from modelwatch_gpu.serve import current
from modelwatch_gpu.serve.metrics import MonitorCollector, MonitorsCollector

#: Nothing that is served is a page, and nothing of it is for other pages.
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
_NAMES: Final = ("127.0.0.1", "localhost", "::1", "[::1]")


def make_app(monitors: Sequence[tuple[Engine, MonitorConfig]], clock: Clock | None = None) -> Starlette:
    """The application of one monitor or several, each with its store; where to listen, the token and the names of the
    host are those of the first."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(MonitorsCollector([MonitorCollector(engine, config, clock) for engine, config in monitors]))
    engines = {config.name: engine for engine, config in monitors}
    serving = monitors[0][1].serving

    async def metrics(request: Request) -> Response:
        encoder, kind = choose_encoder(request.headers.get("accept", ""))
        content = await run_in_threadpool(encoder, registry)
        return Response(content, headers={"Content-Type": kind})

    async def health(request: Request) -> Response:
        for name, engine in engines.items():
            try:
                await run_in_threadpool(_ask, engine, lambda connection: connection.execute(text("SELECT 1")).scalar())
            except SQLAlchemyError:
                return JSONResponse({"status": f"the store of {name} cannot be read"}, status_code=503)
        return JSONResponse({"status": "ok", "monitors": list(engines)})

    async def index(request: Request) -> Response:
        asked = ["/metrics", "/healthz", *(f"/api/v1/{name}" for name in _ANSWERS)]
        return JSONResponse({"monitors": list(engines), "addresses": asked})

    def answer(rows: Callable[[Connection, Request], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            engine = _chosen(engines, request)
            try:
                return JSONResponse(await run_in_threadpool(_ask, engine, lambda c: rows(c, request)))
            except SQLAlchemyError:
                raise HTTPException(503, "the store cannot be read") from None

        return endpoint

    routes = [
        Route("/", index),
        Route("/metrics", metrics),
        Route("/healthz", health),
        *(Route(f"/api/v1/{name}", answer(rows)) for name, rows in _ANSWERS.items()),
    ]
    names = [*_NAMES, serving.host, *serving.names]
    middleware = [Middleware(_Headers), Middleware(TrustedHostMiddleware, allowed_hosts=names)]
    if serving.token is not None:
        middleware.append(Middleware(_Token, token=serving.token.get_secret_value()))
    return Starlette(routes=routes, middleware=middleware, exception_handlers={HTTPException: _said})


def _chosen(engines: Mapping[str, Engine], request: Request) -> Engine:
    """The store of the monitor that is asked about; of a single one it need not be named."""
    name = request.query_params.get("monitor", next(iter(engines)) if len(engines) == 1 else "")
    if name not in engines:
        raise HTTPException(400, f"monitor can be {', '.join(engines)}")
    return engines[name]


def _ask(engine: Engine, rows: Callable[[Connection], Any]) -> Any:
    with reading(engine) as connection:
        return rows(connection)


def _findings(connection: Connection, request: Request) -> Any:
    asked = request.query_params
    severities = asked.getlist("severity")
    for name in severities:
        if name not in SEVERITIES:
            raise HTTPException(400, f"severity can be {', '.join(SEVERITIES)}")
    rows = current.findings_of(
        connection,
        window=asked.get("window", "latest") or None,
        column=asked.get("column"),
        severities=severities,
        limit=_limit(request, 1_000),
    )
    return {"findings": rows}


def _alerts(connection: Connection, request: Request) -> Any:
    status = request.query_params.get("status")
    if status not in (None, "open", "resolved"):
        raise HTTPException(400, "status can be open or resolved")
    return {"alerts": current.alerts_of(connection, status=status, limit=_limit(request, 1_000))}


def _limit(request: Request, default: int) -> int:
    text = request.query_params.get("limit", str(default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= current.MOST_ROWS):
        raise HTTPException(400, f"limit is a number from 1 to {current.MOST_ROWS}")
    return int(text)


_ANSWERS: Final[dict[str, Callable[[Connection, Request], Any]]] = {
    "findings": _findings,
    "alerts": _alerts,
    "windows": lambda connection, request: {"windows": current.windows_of(connection, limit=_limit(request, 1_000))},
    "runs": lambda connection, request: {"runs": current.runs_of(connection, limit=_limit(request, 100))},
    "deployments": lambda connection, _: {"deployments": [d.to_dict() for d in list_deployments(connection)]},
    "audit/head": lambda connection, _: head(connection)._asdict(),
}


def _said(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)


class _Headers:
    """Adds headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *own]}
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


class _Token:
    """Lets those in who send the token; health is for all, so that a supervisor needs no secret."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != "/healthz":
            sent = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(sent, self._expected):
                refused = JSONResponse({"error": "a token is needed"}, 401, headers={"WWW-Authenticate": "Bearer"})
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)
