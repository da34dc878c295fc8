"""The governance report: what the audit says of a period, as JSON and as a page in which nothing can run."""

from __future__ import annotations

import html.parser
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from govern_makers import CONFIG, Monitor, small_monitor
from sqlalchemy import text
from typer.testing import CliRunner

from modelwatch_gpu.cli import app
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.monitor.audit import append, read_anchors
from modelwatch_gpu.monitor.audit.page import render_page
from modelwatch_gpu.monitor.audit.report import governance_report
from modelwatch_gpu.monitor.clock import FixedClock
from modelwatch_gpu.monitor.versions.deployments import add_deployment

MONTH = datetime(2025, 2, 1, tzinfo=UTC)


@pytest.fixture
def monitor(template: Monitor, tmp_path: Path) -> Monitor:
    """Runs on three days of February, the second of which found drift."""
    shutil.copytree(template.folder, tmp_path / "monitor")
    return Monitor(tmp_path / "monitor", template.text, template.clock)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Monitor:
    own = small_monitor(tmp_path_factory.mktemp("monitor"), CONFIG + "versions: {anchor: heads.jsonl}\n")
    for day, shift in ((1, 0.0), (5, 3.0), (20, 0.0)):
        own.clock = FixedClock(MONTH + timedelta(days=day))
        own.add(21 + day, shift=shift)
        own.run()
    return own


def report(monitor: Monitor, **options: Any) -> dict[str, Any]:
    found = governance_report(monitor.engine, name="flights", now=MONTH + timedelta(days=30), **options)
    return json.loads(json.dumps(found, allow_nan=False))  # type: ignore[no-any-return]


def test_the_whole_audit_is_told(monitor: Monitor) -> None:
    found = report(monitor)
    assert found["audit"]["ok"]
    assert found["runs"]["count"] == 3
    assert (found["runs"]["files"], found["runs"]["windows"], found["runs"]["rows"]) == (5, 5, 2_000)
    assert found["records"] == {"config": 1, "deployment": 1, "run": 3}
    assert [row["value"] for row in found["used"]["config_sha256"]] == [monitor.config.sha256]
    assert found["used"]["config_sha256"][0]["runs"] == 3
    alerts = [row for row in found["findings"] if row["severity"] == "alert"]
    assert {row["column"] for row in alerts} == {"temp"}
    assert found["events"]["deployment"][0]["model_version"] == "v1"
    assert "text" not in found["events"]["config"][0]


def test_a_period_has_its_own_records_and_the_end_is_not_one(monitor: Monitor) -> None:
    found = report(monitor, since=MONTH + timedelta(days=5), until=MONTH + timedelta(days=20))
    assert (found["runs"]["count"], found["runs"]["files"]) == (1, 1)
    assert found["audit"]["records"] == 5
    assert report(monitor, since=MONTH + timedelta(days=21))["runs"]["count"] == 0
    assert report(monitor, until=MONTH + timedelta(days=20, microseconds=1))["runs"]["count"] == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"since": datetime(2025, 1, 1)}, "no time zone"),
        ({"since": MONTH, "until": MONTH}, "ends before it begins"),
    ],
)
def test_periods_that_make_no_sense_are_refused(monitor: Monitor, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        report(monitor, **options)


def test_the_anchors_are_held_against_the_audit(monitor: Monitor) -> None:
    anchors = read_anchors(monitor.folder / "heads.jsonl")
    assert report(monitor, anchors=anchors)["audit"]["anchors"] == 3


class Page(html.parser.HTMLParser):
    """Every tag and attribute of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


PLAIN = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td"}
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u202e</td>\0"


def test_a_page_shows_hostile_text_and_runs_none(monitor: Monitor) -> None:
    with monitor.engine.begin() as connection:
        for kind in ("silence", "alert", "action", "something_new"):
            append(connection, kind, {"who": HOSTILE, HOSTILE: [HOSTILE], "seq": 9, "at": HOSTILE}, MONTH)
        add_deployment(connection, model=HOSTILE.strip("\0"), model_version="<b>", note="</style><script>", now=MONTH)
    found = report(monitor)
    found["monitor"] = HOSTILE
    page = Page(render_page(found))
    assert set(page.tags) <= PLAIN | {"code", "ul", "li", "div"}
    assert {name for name, _ in page.attributes} <= {"lang", "charset", "http-equiv", "content", "name", "class"}
    assert "<script>alert(1)</script>" in page.text
    assert "\u202e" not in page.text
    assert "\0" not in page.text
    policy = next(value for name, value in page.attributes if name == "content")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_a_page_says_what_was_found(monitor: Monitor) -> None:
    found = report(monitor)
    page = Page(render_page(found))
    assert "All 5 records of the audit verify" in page.text
    assert found["audit"]["head"]["sha256"] in page.text
    for row in found["findings"]:
        assert row["reason"] in page.text
    assert render_page(found) == render_page(found)


def test_a_page_of_an_audit_that_was_changed_says_so(monitor: Monitor) -> None:
    with monitor.engine.begin() as connection:
        connection.execute(text("DROP TRIGGER audit_no_update"))
        connection.execute(text("UPDATE audit SET body = '{\"a\": 1}' WHERE seq = 2"))
        connection.execute(text("UPDATE audit SET body = 'not json' WHERE seq = 3"))
    found = report(monitor)
    assert not found["audit"]["ok"]
    page = Page(render_page(found))
    assert "The audit is not what was written" in page.text
    assert "Record 2 was changed" in page.text


def test_an_empty_audit_has_a_report(tmp_path: Path) -> None:
    found = report(small_monitor(tmp_path))
    assert (found["runs"]["count"], found["events"], found["findings"]) == (0, {}, [])
    assert "All 0 records of the audit verify" in Page(render_page(found)).text


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_the_command_verifies_and_its_exit_code_says_so(monitor: Monitor) -> None:
    config, anchor = str(monitor.path), str(monitor.folder / "heads.jsonl")
    done = run("audit", "verify", config, "--anchor", anchor)
    assert done.exit_code == 0
    assert done.output.startswith("The audit is what was written: 5 records, 3 anchors among them; the last is 5, ")
    with monitor.engine.begin() as connection:
        connection.execute(text("DROP TRIGGER audit_no_delete"))
        connection.execute(text("DELETE FROM audit WHERE seq = 3"))
    done = run("audit", "verify", config, "--json", "-")
    assert done.exit_code == 1
    assert json.loads(done.output)["faults"] == [{"seq": 3, "what": "Record 3 is gone."}]
    done = run("audit", "verify", config)
    assert done.exit_code == 1
    assert "Record 3 is gone.\nThe audit is NOT what was written" in done.output


def test_the_command_anchors_where_it_is_told(monitor: Monitor) -> None:
    file = monitor.folder / "mine.jsonl"
    assert run("audit", "anchor", str(monitor.path), "-o", str(file)).exit_code == 0
    assert run("audit", "verify", str(monitor.path), "--anchor", str(file), "-q").exit_code == 0
    assert read_anchors(file)[0].head.seq == 5


def test_the_command_writes_the_report(monitor: Monitor) -> None:
    page, data = monitor.folder / "q1.html", monitor.folder / "q1.json"
    options = ["--since", "2025-02-01", "--until", "2025-02-10T00:00:00+01:00"]
    done = run("audit", "report", str(monitor.path), *options, "--html", str(page), "--json", str(data))
    assert (done.exit_code, done.output) == (0, f"Wrote {page}.\nWrote {data}.\n")
    assert json.loads(data.read_text())["runs"]["count"] == 2
    assert page.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "yesterday", "--json", "-"), "--since is 'yesterday'"),
        ((), "There is nothing to write"),
        (("--json", "/nowhere/x.json"), "there is no folder /nowhere"),
        (("--json", "-", "--anchor", "/nowhere/x"), "cannot be read"),
    ],
)
def test_what_the_command_cannot_do_is_said(monitor: Monitor, arguments: tuple[str, ...], said: str) -> None:
    done = run("audit", "report", str(monitor.path), *arguments)
    assert done.exit_code == 2
    assert said in done.output


def test_deployments_are_added_and_listed(monitor: Monitor) -> None:
    config = str(monitor.path)
    options = ["--stage", "canary", "--code-version", "1f3c", "--who", "ada", "--note", "first", "--dependencies"]
    done = run("deployments", "add", config, "2025-02", *options, "--at", "2025-02-03T04:05:06Z")
    assert done.exit_code == 0
    assert done.output.startswith("flights 2025-02: canary since 2025-02-03T04:05:06.000000Z")
    again = run("deployments", "add", config, "2025-02", *options, "--at", "2025-02-03T04:05:06Z")
    assert again.output == done.output
    listed = json.loads(run("deployments", "list", config, "--json", "-").output)
    assert [row["model_version"] for row in listed] == ["v1", "2025-02"]
    assert listed[1]["dependencies"]["packages"]["sqlalchemy"]
    table = run("deployments", "list", config).output
    assert "2025-02-03T04:05:06.000000Z  flights" in table
    assert "ada" in table
    assert report(monitor)["events"]["deployment"][-1]["who"] == "ada"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "There is no version to note"),
        (("1", "--alias", "x"), "An alias is of MLflow's registry"),
        (("",), "is a text of 1"),
    ],
)
def test_deployments_that_make_no_sense_are_refused(monitor: Monitor, arguments: tuple[str, ...], said: str) -> None:
    done = run("deployments", "add", str(monitor.path), *arguments)
    assert done.exit_code == 2
    assert said in done.output
