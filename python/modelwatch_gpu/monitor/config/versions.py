"""Which versions of the model, its data and its code are at work; see docs/governance.md."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, SecretStr, WithJsonSchema, field_validator

from modelwatch_gpu.monitor.config.values import FromEnvironment, Section


class MlflowConfig(Section):
    """What of MLflow is used; needs the extra mlflow."""

    uri: Annotated[SecretStr, WithJsonSchema({"type": "string"})] | None = Field(
        None, description="Of tracking and registry. Default: the environment variable MLFLOW_TRACKING_URI."
    )
    experiment: str | None = Field(
        None, min_length=1, max_length=200, description="Every run of the monitor is logged here; null: none is."
    )

    @field_validator("uri", mode="before")
    @classmethod
    def _no_password(cls, value: Any) -> Any:
        """A password in the file itself would be in its backups and in every store of configs. From the environment it
        may hold one, so it is shown nowhere."""
        if isinstance(value, str) and not isinstance(value, FromEnvironment) and "@" in value.partition("://")[2]:
            raise ValueError("may hold a password; put the whole address into an environment variable: ${MLFLOW_URI}")
        return SecretStr(str(value)) if isinstance(value, str) else value

    @property
    def address(self) -> str | None:
        """The address itself."""
        return None if self.uri is None else self.uri.get_secret_value()


class VersionsConfig(Section):
    """What deployments call the model, and the columns of the log that say which version answered."""

    model: str | None = Field(
        None, min_length=1, max_length=200, description="What deployments call the model. Default: the monitor's name."
    )
    model_column: str = Field(
        "model_version", description="The model's version, row by row. It is read where it is a segment (by_version)."
    )
    data_column: str | None = Field(
        None, description="The version of the data it was trained on; a segment crossed with model_column."
    )
    code_column: str | None = Field(None, description="The version of its code; a segment crossed with model_column.")
    anchor: str | None = Field(
        None, description="A file, from the config's folder, to which the audit's last hash is added after every run."
    )
    mlflow: MlflowConfig = Field(default_factory=MlflowConfig)
