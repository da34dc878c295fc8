"""Tables of what was deployed, and of the audit: records that are only ever added, each bound to the one before it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Index, Integer, String, Table, Text, event

from modelwatch_gpu.monitor.store.metadata import metadata

#: How a deployment takes part: it answers all requests, some of them, it answers beside without being heard, it is
#: gone, it was taken back; or only that the log names it.
STAGES = ("production", "canary", "shadow", "retired", "rolled_back", "seen")

#: ``id`` follows from everything but ``note``, ``dependencies`` and ``added_at``: the same event has one row.
#: ``at``: when it happened. ``dependencies``: canonical JSON, see ``versions.dependencies``.
deployments = Table(
    "deployments",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("at", String(32), nullable=False),
    Column("model", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("data_version", Text),
    Column("code_version", Text),
    Column("stage", String(16), nullable=False),
    Column("source", String(16), nullable=False),  # user, column, mlflow
    Column("who", Text),
    Column("note", Text),
    Column("dependencies", Text),
    Column("added_at", String(32), nullable=False),
)
Index("ix_deployments_at", deployments.c.at)

#: ``seq`` counts from 1 without a gap. ``body``: canonical JSON. ``prev_sha256``: the hash of the record before.
audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("prev_sha256", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
)
Index("ix_audit_kind_at", audit.c.kind, audit.c.at)

#: One row: the last record. Who appends changes it first, so two never append at once; what the tail of the audit lost
#: is missed here.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
)

_WHY = "records of the audit are only added"
# A slip of the hand is refused by the database itself; what gets past that is what the hashes are for.
_REFUSALS = [
    *(
        (
            "sqlite",
            f"CREATE TRIGGER IF NOT EXISTS audit_no_{what.lower()} BEFORE {what} ON audit "
            f"BEGIN SELECT RAISE(ABORT, '{_WHY}'); END",
        )
        for what in ("UPDATE", "DELETE")
    ),
    (
        "postgresql",
        "CREATE OR REPLACE FUNCTION audit_is_only_added() RETURNS trigger AS $$ "
        f"BEGIN RAISE EXCEPTION '{_WHY}'; END $$ LANGUAGE plpgsql",
    ),
    (
        "postgresql",
        "CREATE TRIGGER audit_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_only_added()",
    ),
]


@event.listens_for(audit, "after_create")
def _refuse_changes(target: Table, connection: Connection, **_: Any) -> None:
    for dialect, statement in _REFUSALS:
        if connection.dialect.name == dialect:
            connection.exec_driver_sql(statement)
