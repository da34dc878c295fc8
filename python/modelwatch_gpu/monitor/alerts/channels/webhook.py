"""A POST of one message, signed as Standard Webhooks (standardwebhooks.com, version 1) says."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import SecretStr

from modelwatch_gpu.monitor.config.alerts import key_of
from modelwatch_gpu.monitor.config.channels import WebhookChannel
from modelwatch_gpu.monitor.judging import canonical
from modelwatch_gpu.monitor.outgoing import Outcome, request

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"


def send_to_webhook(channel: WebhookChannel, bodies: Sequence[dict[str, Any]], now: datetime) -> Outcome:
    """Sends one message. Its id is that of the message, in every attempt."""
    (body,) = bodies
    content = canonical(body).encode()
    own = {name: value.get_secret_value() for name, value in channel.headers.items()}
    return request(
        "POST",
        channel.url,
        content=content,
        headers={**own, **signed(channel.secret, body["id"], now, content)},
        secrets=channel.headers.values(),
        timeout=channel.timeout.total_seconds(),
    )


def signed(secret: SecretStr | None, name: str, now: datetime, content: bytes) -> dict[str, str]:
    """The headers that say which message this is, when it was sent, and that it is ours; without a secret the last is
    left out."""
    at = str(int(now.timestamp()))
    headers = {ID: name, TIMESTAMP: at}
    if secret is not None:
        digest = hmac.new(key_of(secret), b".".join((name.encode(), at.encode(), content)), hashlib.sha256).digest()
        headers[SIGNATURE] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def verify(
    secret: SecretStr, headers: Mapping[str, str], content: bytes, now: datetime, *, within: float = 300
) -> bool:
    """Whether a request that came is from whoever has the secret, and not older than ``within`` seconds.

    ``headers``: with names in lower case. For receivers; any library for Standard Webhooks does the same.
    """
    name, at, claimed = headers.get(ID), headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "")
    if name is None or not (at.isascii() and at.isdigit()) or abs(now.timestamp() - int(at)) > within:
        return False
    key = key_of(secret)
    expected = hmac.new(key, b".".join((name.encode(), at.encode(), content)), hashlib.sha256).digest()
    # All are compared, so that the time says nothing of which is near.
    return any([_same(one, expected) for one in claimed.split(" ")])


def _same(one: str, expected: bytes) -> bool:
    version, _, text = one.partition(",")
    try:
        digest = base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return version == "v1" and hmac.compare_digest(digest, expected)
