"""How long a test waits for what has to happen, before it says that it does not."""

from __future__ import annotations

#: Seconds. Only a failure takes them: on a machine that is busy, or stands still for a minute, nothing fails by itself.
PATIENCE = 300
