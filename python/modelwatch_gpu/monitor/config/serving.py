"""How a monitor's numbers are served; see docs/serving.md."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Self

from pydantic import Field, field_validator, model_validator

from modelwatch_gpu.measures.registry import MEASURES
from modelwatch_gpu.monitor.config.values import Duration, Secret, Section, nearest


class ServingConfig(Section):
    """``modelwatch serve``: metrics for Prometheus, findings as JSON."""

    host: str = Field("127.0.0.1", description="The address to listen at. Any but this machine's own needs a token.")
    port: int = Field(9469, ge=0, le=65535, description="0: any free one.")
    token: Secret | None = Field(
        None, description="Who asks must send it: Authorization: Bearer .... From an environment variable."
    )
    names: list[str] = Field([], description="Further names under which requests may ask for this host.")
    measures: list[str] | None = Field(
        None, description="Measures that are served. Default: those that checks judge, and row_count."
    )
    series: int = Field(2_000, ge=10, le=100_000, description="Time series per kind of metric at most.")
    late_after: Duration = Field(timedelta(hours=26), description="Alert rules: no run for so long is an alert.")
    stale_after: Duration = Field(timedelta(days=2), description="Alert rules: no new rows for so long is an alert.")

    @field_validator("measures")
    @classmethod
    def _known(cls, names: list[str] | None) -> list[str] | None:
        for name in names or ():
            if name not in MEASURES:
                raise ValueError(nearest(name, MEASURES))
        return names

    @property
    def is_local(self) -> bool:
        """Whether only this machine can ask."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if not self.is_local and self.token is None:
            raise ValueError(f"host {self.host} can be reached from other machines; set token: ${{TOKEN}} too")
        if self.token is not None and len(self.token.get_secret_value()) < 16:
            raise ValueError("token is shorter than 16 letters, which can be guessed; make a longer one")
        return self
