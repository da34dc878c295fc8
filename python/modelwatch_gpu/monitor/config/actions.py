"""What is started when a model needs retraining; see docs/alerts.md."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

from pydantic import Field, model_validator

from modelwatch_gpu.monitor.config.alerts import names_once
from modelwatch_gpu.monitor.config.values import Elsewhere, Section, nearest

#: What is started.
Triggers = Annotated[tuple[Any, ...], Elsewhere("triggers", "Triggers")]


class ActionsConfig(Section):
    """What is started when a model needs retraining; see docs/alerts.md."""

    evidence: str = Field(default="evidence", description="The folder of evidence, from the config's folder.")
    triggers: Triggers = ()

    @model_validator(mode="after")
    def _names_differ(self) -> ActionsConfig:
        names_once(self.triggers, "triggers")
        return self


def check_rules(actions: ActionsConfig, rules: Collection[str]) -> None:
    """Raises ValueError where a trigger waits for alerts that there cannot be."""
    for trigger in actions.triggers:
        for name in trigger.rules or ():
            if name not in rules:
                raise ValueError(f"actions: trigger {trigger.name}: rule {nearest(name, rules)}")
        if not rules:
            raise ValueError(f"actions: trigger {trigger.name} waits for alerts, and alerts has no rules; add one")
