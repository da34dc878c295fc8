"""Versions that the log itself names: the first window in which each was seen is an event of its own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from modelwatch_gpu.monitor.config.versions import VersionsConfig
from modelwatch_gpu.monitor.store.governance_tables import deployments
from modelwatch_gpu.monitor.store.tables import findings
from modelwatch_gpu.monitor.versions.deployments import MOST_LETTERS, Deployment, add_deployment
from modelwatch_gpu.profile.parts import UNTIMED

#: Versions of one model that become events: a column with more values than this is no column of versions.
MOST_VERSIONS: Final = 1_000


class Triple(NamedTuple):
    """Versions of the model, its data and its code, as far as a row says."""

    model: str
    data: str | None = None
    code: str | None = None


def versions_of_run(connection: Connection, config: VersionsConfig, run_id: str) -> dict[Triple, int]:
    """Versions among the segments that a run judged -> start of the first window with rows of them, epoch seconds.

    Windows without a time are left out, and segments of rows without a version.
    """
    asked = select(findings.c.segment, findings.c.window_start).where(
        findings.c.run_id == run_id, findings.c.segment.is_not(None), findings.c.window_start > UNTIMED
    )
    found: dict[Triple, int] = {}
    for text, start in connection.execute(asked.distinct()):
        segment = json.loads(text)
        names = (config.model_column, config.data_column, config.code_column)
        model, data, code = (None if name is None else segment.get(name) for name in names)
        if model is not None:
            own = Triple(str(model), None if data is None else str(data), None if code is None else str(code))
            found[own] = min(int(start), found.get(own, int(start)))
    return found


def add_seen(connection: Connection, model: str, seen: Mapping[Triple, int], now: datetime) -> list[Deployment]:
    """Writes an event of the stage "seen" for all versions that no event names yet; returns the new ones.

    Versions are values of a log and may be anything: an empty or overlong one is left out, and beyond
    ``MOST_VERSIONS`` no more are taken.
    """
    columns = (deployments.c.model_version, deployments.c.data_version, deployments.c.code_version)
    known = [Triple(*row) for row in connection.execute(select(*columns).where(deployments.c.model == model))]
    # Who says less than an event that is there says nothing new; so does one segment beside a crossing of it.
    events, beside = _by_model(known), _by_model(seen)
    new = [
        (second, own)
        for own, second in seen.items()
        if all(text is None or _fits(text) for text in own)
        and not any(_says(other, own) for other in events.get(own.model, ()))
        and not any(other != own and _says(other, own) for other in beside[own.model])
    ]
    new.sort(key=lambda item: (item[0], [text or "" for text in item[1]]))
    return [
        add_deployment(
            connection,
            model=model,
            model_version=own.model,
            data_version=own.data,
            code_version=own.code,
            at=datetime.fromtimestamp(second, UTC),
            now=now,
            stage="seen",
            source="column",
            note="The log names it, first in the window that begins then.",
        )
        for second, own in new[: max(0, MOST_VERSIONS - len(known))]
    ]


def _by_model(triples: Iterable[Triple]) -> dict[str, list[Triple]]:
    found: dict[str, list[Triple]] = {}
    for own in triples:
        found.setdefault(own.model, []).append(own)
    return found


def _says(other: Triple, own: Triple) -> bool:
    """Whether one names all that another one does."""
    return all(mine is None or mine == theirs for mine, theirs in zip(own, other, strict=True))


def _fits(text: str) -> bool:
    return 0 < len(text) <= MOST_LETTERS and "\0" not in text
