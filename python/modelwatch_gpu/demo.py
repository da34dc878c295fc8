"""The main job on the bundled logs: a year of New York departures, scored by a model fitted on its first quarter; and
four weeks of sentence embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import as_file, files
from pathlib import Path

from modelwatch_gpu.compare import compare
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Log, Roles, open_log
from modelwatch_gpu.profile import Baseline
from modelwatch_gpu.profile.counting import Progress
from modelwatch_gpu.report import Report

ROLES = Roles(
    id="prediction_id",
    timestamp="timestamp",
    version="model_version",
    label="label",
    score="score",
    prediction="prediction",
    ignore=["arr_delay_min"],  # the label in minutes
)
TIMEZONE = "America/New_York"

#: What the rows of the log of embeddings are. The section is what a person reads of a row; it is not compared.
EMBEDDING_ROLES = Roles(
    id="prediction_id", timestamp="synthetic_timestamp", text="section", embedding="embedding", infer=False
)

#: Logs, and how often each is read, mostly.
Reads = Sequence[tuple[Log, int]]
#: Called when a stage begins, with what it does and what it reads; returns what is called with the rows of every batch.
Stage = Callable[[str, Reads], Progress | None]


def no_stage(what: str, reads: Reads) -> Progress | None:
    """For those who do not want to know."""
    return None


def run(*, threads: int = 0, device: str = "auto", memory: str | None = None, stage: Stage = no_stage) -> Report:
    """Fits on January to March 2013 and compares April to December, month by month."""
    with as_file(files("modelwatch_gpu") / "data" / "flights") as folder:
        reference = sorted(Path(folder).glob("reference_*.parquet"))
        production = sorted(Path(folder).glob("production_*.parquet"))
        if not reference or not production:
            raise InputError("The demo's data is not installed; install modelwatch-gpu again.")
        before, after = open_log(reference), open_log(production)
        baseline = Baseline.fit(
            before,
            roles=ROLES,
            timezone=TIMEZONE,
            threads=threads,
            device=device,
            progress=stage("fitting a baseline on January to March 2013", [(before, 2)]),
        )
        return compare(
            baseline,
            after,
            window="1mo",
            threads=threads,
            device=device,
            memory=memory,
            progress=stage("comparing April to December, month by month", [(after, 1)]),
        )


def run_embeddings(
    *, threads: int = 0, device: str = "auto", memory: str | None = None, stage: Stage = no_stage
) -> Report:
    """Fits on a week of embeddings of library packages and compares three weeks: none, 30% and all from elsewhere."""
    with as_file(files("modelwatch_gpu") / "data" / "embeddings") as folder:
        production = sorted(Path(folder).glob("production_*.parquet"))
        if not production or not (Path(folder) / "reference.parquet").exists():
            raise InputError("The demo's data is not installed; install modelwatch-gpu again.")
        before, after = open_log(Path(folder) / "reference.parquet"), open_log(production)
        baseline = Baseline.fit(
            before,
            roles=EMBEDDING_ROLES,
            threads=threads,
            device=device,
            progress=stage("fitting a baseline on the first week", [(before, 2)]),
        )
        return compare(
            baseline,
            after,
            window="1w",
            threads=threads,
            device=device,
            memory=memory,
            progress=stage("comparing three weeks", [(after, 1)]),
        )


#: The bundled logs, each with the name of what runs it.
LOGS = {"flights": "run", "embeddings": "run_embeddings"}


def run_of(log: str) -> Callable[..., Report]:
    """What runs the job on a bundled log."""
    found: Callable[..., Report] = globals()[LOGS[log]]
    return found
