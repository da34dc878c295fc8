"""Ways to tell somebody: each takes messages and says what became of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from modelwatch_gpu.errors import ModelwatchError
from modelwatch_gpu.monitor.alerts.channels.alertmanager import send_to_alertmanager
from modelwatch_gpu.monitor.alerts.channels.apprise import send_by_apprise
from modelwatch_gpu.monitor.alerts.channels.webhook import send_to_webhook
from modelwatch_gpu.monitor.config.channels import AlertmanagerChannel, AppriseChannel, Channel, WebhookChannel
from modelwatch_gpu.monitor.outgoing import Outcome

#: A message's JSON values.
Body = dict[str, Any]

#: How many messages a kind of channel takes at once.
AT_ONCE: Final = {"apprise": 20, "webhook": 1, "alertmanager": 100}
_SEND: Final[dict[type, Callable[[Any, Sequence[Body], datetime], Outcome]]] = {
    AppriseChannel: send_by_apprise,
    WebhookChannel: send_to_webhook,
    AlertmanagerChannel: send_to_alertmanager,
}


def send(channel: Channel, bodies: Sequence[Body], now: datetime) -> Outcome:
    """Sends at most ``AT_ONCE`` messages in one request; raises nothing: whatever goes wrong is the outcome."""
    try:
        return _SEND[type(channel)](channel, bodies, now)
    except ModelwatchError as error:
        return Outcome(error=str(error))
    except Exception as error:  # of a package that we do not know the inside of; its text may hold an address
        return Outcome(error=f"unexpected {type(error).__name__}")
