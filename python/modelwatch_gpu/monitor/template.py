"""The config that ``modelwatch init`` writes: what the log is like, and every option in a comment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from modelwatch_gpu.profile import Baseline
from modelwatch_gpu.profile.columns import CategoricalColumn

#: A column with at most so many values is worth a suggestion to segment by it.
_FEW_VALUES: Final = 50
_SUGGESTED: Final = 3
_DAY: Final = 86_400
#: Windows to choose from, with their days. Shorter ones are for those who ask: rows of one day are too much alike.
_WINDOWS: Final = (("1d", 1), ("1w", 7), ("1mo", 30))
#: Rows that make most verdicts of a window sure. Of bundled flights (870 rows a day) 35% of the findings on days are
#: not sure, 18% on weeks, 11% on months; of a log with 11,000 rows a day in the same months 5% on days.
_ENOUGH_ROWS: Final = 10_000


def config_text(name: str, baseline: Baseline, baseline_path: str, log: str | Sequence[str]) -> str:
    """A config in YAML with comments. Texts from the log are quoted as JSON, which YAML reads as it is."""
    path = _text(log) if isinstance(log, str) else f"[{', '.join(map(_text, log))}]"
    segments = _suggestions(baseline)
    window, why = window_for(baseline)
    days = None if baseline.part.span is None else (baseline.part.span[1] - baseline.part.span[0]) / _DAY
    covers = f"{baseline.rows:,} rows" + ("" if days is None else f" of {days:,.0f} days")
    roles = "".join(f"#   {role}: {', '.join(map(_text, names))}\n" for role, names in _roles(baseline).items())
    return f"""\
# A monitor of modelwatch-gpu.  Run it by hand or by a scheduler:  modelwatch run monitor.yaml
# or let it follow the log by itself:                              modelwatch run monitor.yaml --watch
# `modelwatch config schema` prints a JSON Schema for editors; docs/monitor.md explains every key.
version: 1
name: {_text(name)}

# What normal looks like: {covers}. Its columns by role:
{roles}baseline: {_text(baseline_path)}

# Where new rows come: a folder, a pattern in quotes, an address such as s3://bucket/log, or a list of these.
log:
  path: {path}
  # settle: 10s          # leave files alone until they have not changed for so long
  # identity: stat       # or sha256: a file that was touched and not changed is not counted again
  # deleted: drop        # or keep: counts of files that are gone stay, as for logs that rotate

# Labels that come later, in files with the id and label columns of the log.
# labels:
#   path: labels/
#   at: labelled_at      # the column that says when; the latest one holds

# How the log is cut, and what is judged apart.
{why}window: {window}
{_zone(baseline)}segments: []{f"             # such as [{', '.join(map(_text, segments))}]" if segments else ""}
# by_version: false      # judge versions of the model apart
# promote: []            # segments to count on the fine grid
# max_groups: 10000      # segments of each kind that are kept apart
# derived: ["columns.py:age"]   # columns to compute, functions with @derived
# judge: always          # or complete: only windows that are over
# grace: 0s              # complete: wait for rows so long after a window's end

# How it is judged. Without checks: ks or js_distance by column, missing and unseen values.
# checks:
#   - {{measure: psi, columns: "*", warn: 0.1, alert: 0.25}}
# expectations: auto     # judge data quality too (a baseline that was fitted with --quality)
# units: 1d              # what intervals draw again: 1d, 1w, rows; null: no intervals
# correction: bh         # or e-bh, for the many tests of one window; null: none
# hierarchy: false       # true: segments are tested only where their column is off
# anytime: false         # true: verdicts hold however often somebody looks (with judge: complete)
# consecutive: false     # also compare every window with the one before it

# Where results are kept: a file beside this one, or PostgreSQL by an environment variable.
store:
  url: sqlite:///monitor.db
  # url: ${{STORE_URL}}    # postgresql+psycopg://user:password@host/name

# When --watch looks for new files.
schedule:
  every: 1min
  # cron: "*/15 * * * *"

# retention:
#   corrections_until: 90d   # then a window is closed, and changed files are not counted again
#   keep: 400d               # then it is forgotten
#   alerts: 400d             # alerts that were over so long ago are forgotten too

# Who is told of what; docs/alerts.md has grouping, hysteresis, silences and every channel.
# alerts:
#   rules:
#     - name: drift          # an alert for each column that has an alert
#       windows: 1           # that fired in so many windows
#       of: 1                # of the last so many
#       clear_after: 1       # and is over after so many calm ones in a row
#       runbook: https://wiki.example.org/drift
#   channels:
#     - {{name: people, kind: apprise, urls: ["${{SLACK_URL}}"]}}     # Slack, mail and a hundred more
#     - {{name: pager, kind: alertmanager, url: "http://127.0.0.1:9093"}}
#     - {{name: hook, kind: webhook, url: "https://example.org/hook", secret: "${{HOOK_SECRET}}"}}

# What is started when a model needs retraining: a command, a webhook, Airflow, GitHub or MLflow.
# actions:
#   triggers:
#     - name: retrain
#       at_least: 3          # alerts that are open at once
#       cooldown: 7d
#       budget: {{starts: 4, per: 30d}}
#       run: {{kind: command, argv: [python, train.py, "{{evidence}}"]}}

# Pages of windows; versions of the model, audit and MLflow (docs/governance.md); metrics (docs/serving.md).
# reports: {{folder: reports, when: warning}}
# versions:
#   anchor: audit.anchor     # the audit's last hash is added to this file after every run
#   mlflow: {{uri: "${{MLFLOW_URI}}", experiment: monitor}}
# serving: {{port: 9469}}

# What a run may take.
# files_per_run: 1000
# memory: 512MB
# threads: 0             # all
# device: auto
"""


def window_for(baseline: Baseline) -> tuple[str, str]:
    """The window that suits a log like the baseline's, and a comment that says why."""
    if baseline.timestamp is None or baseline.part.span is None:
        return "null", "# The log has no column that says when, so all of it is one window.\n"
    days = max(1.0, (baseline.part.span[1] - baseline.part.span[0]) / _DAY)
    a_day = baseline.rows / days
    name, length = next((one for one in _WINDOWS if a_day * one[1] >= _ENOUGH_ROWS), _WINDOWS[-1])
    rows = f"# With {a_day:,.0f} rows a day, as in that log, a window of {name} has some {a_day * length:,.0f}."
    if a_day * length < _ENOUGH_ROWS:
        return name, f"{rows}\n# That is few, since below {_ENOUGH_ROWS:,} much is left open.\n"
    if name == _WINDOWS[0][0]:
        return name, f"{rows}\n"
    return name, f"{rows}\n# A shorter one tells sooner, and below {_ENOUGH_ROWS:,} rows much is left open.\n"


def _text(value: str) -> str:
    return json.dumps(value)


def _zone(baseline: Baseline) -> str:
    return f"timezone: {_text(baseline.timezone)}\n" if baseline.timestamp is not None else ""


def _roles(baseline: Baseline) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, role in baseline.roles.items():
        if role != "residual":
            found.setdefault(role, []).append(name)
    return found


def _suggestions(baseline: Baseline) -> list[str]:
    """Feature columns with few values, those with the fewest first."""
    few = [
        (len(column.categories), column.name)
        for column in baseline.columns
        if isinstance(column, CategoricalColumn)
        and column.role == "feature"
        and 2 <= len(column.categories) <= _FEW_VALUES
    ]
    return [name for _, name in sorted(few)[:_SUGGESTED]]
