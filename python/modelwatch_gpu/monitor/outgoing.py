"""Requests to other services: http and https only, no redirects, no address in a log or an error."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr

from modelwatch_gpu import _core
from modelwatch_gpu.monitor.config.alerts import web_address
from modelwatch_gpu.monitor.extras import module_of

#: Loggers of packages that write addresses, and with them tokens, into their messages.
_TALKATIVE: Final = ("httpx", "apprise", "urllib3.connectionpool", "requests", "httpcore.http11", "httpcore.connection")
#: Letters of an error that are kept.
_MOST_LETTERS: Final = 300
#: Bytes of an answer that are read.
_MOST_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt. ``error``: None where it came. ``retry_after``: seconds that the receiver asks for.
    ``answer``: its body, where it was asked for."""

    error: str | None = None
    retry_after: float | None = None
    status: int | None = None
    answer: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether it came."""
        return self.error is None


class _Silence(logging.Filter):
    """Drops the messages of a logger while something is being sent."""

    def __init__(self) -> None:
        super().__init__()
        self._lock, self._sending = threading.Lock(), 0

    def filter(self, record: logging.LogRecord) -> bool:
        return not self._sending

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        with self._lock:
            self._sending += 1
            for name in _TALKATIVE:
                logging.getLogger(name).addFilter(self)
        try:
            yield
        finally:
            with self._lock:
                self._sending -= 1


_silence = _Silence()


def unlogged() -> contextlib.AbstractContextManager[None]:
    """While this is entered, packages that write addresses into logs do not."""
    return _silence.on()


def request(
    method: str,
    url: SecretStr,
    *,
    content: bytes | None,
    headers: Mapping[str, str],
    secrets: Iterable[SecretStr] = (),
    timeout: float,
    accept: Iterable[int] = (),
) -> Outcome:
    """One request; anything but an answer of 2xx (or one that is in ``accept``) is an error, which names no secret."""
    httpx = module_of("httpx", "monitor", "Sending")
    hidden = [url, *secrets]
    try:
        web_address(url.get_secret_value())  # once more, where it is used: an address may have been put together
        with unlogged(), httpx.Client(follow_redirects=False, timeout=timeout) as client:
            sent = {
                "user-agent": f"modelwatch-gpu/{_core.build_info()['version']}",
                "content-type": "application/json",
                **headers,
            }
            with client.stream(method, url.get_secret_value(), content=content, headers=sent) as answer:
                body, until = b"", time.monotonic() + timeout
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > _MOST_BYTES or time.monotonic() > until:
                        break  # the answer's status says enough
                return _outcome(answer, body, set(accept))
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError, OSError) as error:
        return Outcome(error=redacted(f"{type(error).__name__}: {error}", hidden))


def _outcome(answer: Any, body: bytes, accept: set[int]) -> Outcome:
    status = int(answer.status_code)
    if 200 <= status < 300 or status in accept:
        return Outcome(status=status, answer=body)
    wait = answer.headers.get("retry-after", "")
    seconds = float(wait) if wait.isdigit() and len(wait) < 7 else None
    moved = ", which would lead elsewhere and is not followed" if 300 <= status < 400 else ""
    return Outcome(error=f"answered {status}{moved}", retry_after=seconds, status=status, answer=body)


def redacted(text: str, secrets: Iterable[SecretStr]) -> str:
    """A text without these secrets, in one line."""
    for secret in sorted((s.get_secret_value() for s in secrets), key=len, reverse=True):
        if secret:
            text = text.replace(secret, "***")
    text = " ".join(text.split())
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 1]}…"
