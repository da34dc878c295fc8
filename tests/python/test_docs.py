"""The pages under docs/ and the README say what the code does: lists are compared, examples are run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from patience import PATIENCE
from scored_makers import ROLES, scored_log

import modelwatch_gpu as mw
from modelwatch_gpu.checks import DEFAULT_CHECKS
from modelwatch_gpu.checks.default import PERFORMANCE_CHECKS
from modelwatch_gpu.checks.expected_texts import pattern_of
from modelwatch_gpu.measures.registry import DRIFT, MEASURES
from modelwatch_gpu.measures.value import REASONS
from modelwatch_gpu.profile.texts import matching

ROOT = Path(__file__).parents[2]
COMMANDS = ("fit", "expectations", "compare", "validate", "init", "run", "status", "demo", "doctor", "version")


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows, headings and rules left out."""
    tables = [line.strip().strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in cells] for cells in tables if not set("".join(cells)) <= set("-:| ")]


def names(cell: str) -> list[str]:
    return re.findall(r"`([\w.]+)`", cell)


def section(text: str, heading: str) -> str:
    found = re.search(rf"^{re.escape(heading)}$(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


@pytest.fixture(scope="module")
def report() -> mw.Report:
    day = pa.array(["2024-01-01", "2024-01-02"] * 40).cast(pa.timestamp("us"))
    log = pa.table({"ts": day, "x": [1.5, 2.5] * 40, "side": ["a", "b"] * 40})
    return mw.compare(log, log, window="1d", segments=["side"])


# ---- docs/measures.md ------------------------------------------------------------------------------------------------


def test_every_measure_has_its_row_and_every_row_its_measure() -> None:
    text = page("docs/measures.md").split("### What a check judges")
    defined = [row for part in (text[0], text[1].split("\n## ", 1)[1]) for row in rows(part) if names(row[0])]
    ids = [names(row[0])[0] for row in defined]
    assert sorted(ids) == sorted(name for name, info in MEASURES.items() if info.of is None)
    changes = {names(row[0])[0]: names(row[3]) for row in defined if MEASURES[names(row[0])[0]].change}
    assert changes == {name: [info.change] for name, info in MEASURES.items() if info.change}
    for row in defined:
        assert all(len(cell) > 2 for cell in row[1:3]), row


def test_the_page_of_measures_names_the_reasons_and_the_default_checks() -> None:
    text = page("docs/measures.md")
    for reason in REASONS:
        assert f"`{reason}`" in text
    table = rows(section(text, "### What a check judges"))
    stated = {row[0].strip("`"): row[2:] for row in table if row[0].startswith("`")}
    answers = {names(row[1])[0]: row[3:] for row in table if not row[0].startswith("`") and names(row[1])}
    for check in PERFORMANCE_CHECKS.values():
        limits = [
            float(re.findall(r"[\d.]+", cell)[0]) / (100 if "%" in cell else 1) for cell in answers[check.measure]
        ]
        assert limits == pytest.approx([check.warn, check.alert])
    assert stated.keys() == {c.measure for c in DEFAULT_CHECKS}
    for check in DEFAULT_CHECKS:
        numbers = [float(re.findall(r"[\d.]+", cell)[0]) for cell in stated[check.measure]]
        scale = 100 if check.measure in ("missing_change", "unseen", "malformed") else 1
        assert check.warn is not None
        assert check.alert is not None
        assert numbers == pytest.approx([scale * check.warn, scale * check.alert])


# ---- docs/report.md --------------------------------------------------------------------------------------------------


def fields(text: str, after: str) -> set[str]:
    """Names in the first column of the table that follows a line."""
    table = text.split(after, 1)[1].split("\n\n|", 1)[1].split("\n\n", 1)[0]
    return {name for row in rows("|" + table)[1:] for name in names(row[0])}


def test_the_page_of_the_report_has_the_keys_of_real_json(report: mw.Report) -> None:
    text, found = page("docs/report.md"), json.loads(report.to_json())
    log = scored_log(400, 1)
    labels = mw.Labels().add(log.select(["id", "label"]), id="id")
    scored = mw.compare(mw.Baseline.fit(log, roles=ROLES), log, segments=["side"], labels=labels).to_dict()
    assert fields(text, "## JSON") == set(found)
    assert fields(text, "\n`baseline`:") == set(found["baseline"])
    for name in ("calibration", "confusion", "classes", "fairness"):
        assert fields(text, f"\n`{name}[]`") == {key for row in scored[name] for key in row}, name
    for name in ("performance", "labels"):
        assert fields(text, f"\n`{name}`") == set(scored[name]), name
    for name in ("windows", "profile", "findings"):
        keys = {key for row in found[name] for key in row}
        assert fields(text, f"\n`{name}[]`") == keys, name
    assert fields(text, "\n`measures[]`") == {key for row in scored["measures"] for key in row} | {"reason"}


def test_the_page_of_the_report_has_the_columns_and_types_of_real_tables(report: mw.Report) -> None:
    stated = {names(row[0])[0]: row[1] for row in rows(section(page("docs/report.md"), "## Arrow"))[1:]}
    for name, table in report.to_arrow()._asdict().items():
        groups = re.findall(r"((?:`\w+`(?:, )?)+) \((\w+)", stated[name])
        said = {column: kind for group, kind in groups for column in names(group)}
        if name == "drift":
            for measure in DRIFT:
                if measure != "row_count":
                    said |= {f"{measure}{end}": "double" for end in ("", "_lower", "_upper")}
        if name == "profile":
            listed = re.findall(r"p\d+", stated[name])
            said |= {f"{quantile}{end}": "double" for quantile in listed for end in ("", "_lower", "_upper")}
        assert said == {field.name: str(field.type) for field in table.schema}, name


# ---- docs/cli.md -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    script = "import sys; from modelwatch_gpu.cli import main; sys.argv[0] = 'modelwatch'; main()"
    return {
        command: subprocess.run(
            [sys.executable, "-c", script, command, "--help"],
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        ).stdout
        for command in COMMANDS
    }


def test_the_page_of_the_command_has_the_options_of_its_help(helps: dict[str, str]) -> None:
    text = page("docs/cli.md")
    for command, shown in helps.items():
        heading = next(line for line in text.splitlines() if line.startswith(f"## `modelwatch {command}"))
        own = section(text, heading)
        stated = set(re.findall(r"--[a-z-]+", "".join(row[0] for row in rows(own))))
        offered = set(re.findall(r"^\s+(?:-\w, )?(--[a-z-]+)", shown, re.MULTILINE)) - {"--help"}
        assert stated == offered, command
    assert set(re.findall(r"`modelwatch (\w+)[` ]", "".join(re.findall(r"^## .*", text, re.MULTILINE)))) == set(
        COMMANDS
    )


def test_the_page_of_the_command_has_every_environment_variable_of_the_sources() -> None:
    sources = [*ROOT.glob("python/modelwatch_gpu/**/*.py"), *ROOT.glob("cpp/**/*.cpp")]
    reads = re.compile(r"(?:environ(?:\.get\(|\[)|getenv\()\"(MODELWATCH_[A-Z]+)\"")
    used = {name for path in sources for name in reads.findall(path.read_text(encoding="utf-8"))}
    assert used
    stated = {name for row in rows(section(page("docs/cli.md"), "## Environment variables")) for name in names(row[0])}
    assert stated == used


def test_the_page_of_data_quality_has_every_check_and_its_limits() -> None:
    from modelwatch_gpu.checks.expectations import RULES

    stated = {names(row[0])[0]: names(row[1]) for row in rows(page("docs/quality.md")) if names(row[0])}
    assert stated == {rule.id: list(rule.fields) for rule in RULES.values()}
    severities = {names(row[0])[0]: row[2] for row in rows(page("docs/quality.md")) if names(row[0])}
    assert severities == {rule.id: rule.severity for rule in RULES.values()}


def test_the_table_of_faults_names_checks_and_measures_that_there_are() -> None:
    from modelwatch_gpu.checks.expectations import RULES
    from modelwatch_gpu.measures.registry import MEASURES

    table = rows(section(page("docs/quality.md"), "## Which check finds what"))
    found = {name for row in table for name in re.findall(r"`([a-z_]+)`", row[1])}
    assert found <= {*RULES, *MEASURES}
    assert set(RULES) - found == set()


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        ("code", ["AB-1234"], ["AB-12345", "aB-1234"]),
        ("mail", ["a.b+c@example.co.uk"], ["a@b", "a b@c.de", "a@b@c.de"]),
        ("site", ["https://example.com/a?b=c", "http://a.de"], ["ftp://a.de", "https://localhost", "example.com"]),
        ("social_security", ["123-45-6789"], ["123456789", "1234-5-6789"]),
        (
            "card",
            ["4111 1111 1111 1111", "4111111111111111", "3714-496353-98431"],
            ["4111 1111 1111", "4111x11111111111"],
        ),
        ("day", ["2024-02-29"], ["2024-2-29", "29.02.2024"]),
    ],
)
def test_the_patterns_of_the_page_tell_what_they_are_named_after(column: str, good: list[str], bad: list[str]) -> None:
    block = re.findall(r"```yaml\n(.*?)```", section(page("docs/quality.md"), "### Patterns"), re.DOTALL)[0]
    (wanted,) = (e for e in mw.Expectations.from_dict(yaml.safe_load(block)).items if e.column == column)
    found = matching(pa.array(good + bad, pa.large_string()), pattern_of(wanted.limits))
    assert found.tolist() == [True] * len(good) + [False] * len(bad)


def test_exit_codes_are_those_of_the_code() -> None:
    from modelwatch_gpu import cli

    stated = [int(row[0]) for row in rows(section(page("docs/cli.md"), "## Exit codes"))[1:]]
    assert stated == [cli.DONE, cli.ALERTS, cli.BAD_INPUT, cli.BROKEN]


@pytest.mark.parametrize("option", ["checks", "roles"])
def test_the_files_that_the_page_shows_are_read(option: str, tmp_path: Path) -> None:
    from modelwatch_gpu.checks.files import checks_from_file

    blocks = re.findall(r"```toml\n(.*?)```", page("docs/cli.md"), re.DOTALL)
    path = tmp_path / "file.toml"
    path.write_text(next(b for b in blocks if ("[[checks]]" in b) == (option == "checks")))
    if option == "checks":
        assert [c.measure for c in checks_from_file(path)] == ["psi", "ks"]
    else:
        assert mw.Roles.from_file(path).timestamp == "ts"


# ---- README.md and examples ------------------------------------------------------------------------------------------


def run_script(path: Path, *args: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(path), *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_example_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", page("README.md"), re.DOTALL)
    assert len(code.splitlines()) <= 24
    (tmp_path / "example.py").write_text(code)
    said = run_script(tmp_path / "example.py", cwd=tmp_path).splitlines()
    assert said[0].startswith("Report(255,987 rows, 9 windows")
    assert said[1].startswith("temp alert The mean went from")
    assert said[-2].endswith("rows, alerts")
    assert said[-1] == "0.5"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["baseline.mwb", "example.py", "report.html", "report.json"]


def test_the_flights_example_runs(tmp_path: Path) -> None:
    said = run_script(ROOT / "examples" / "flights.py", str(tmp_path), cwd=ROOT)
    assert said.splitlines()[-1].startswith("Wrote flights.mwb, flights.json and flights.html")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["flights.html", "flights.json", "flights.mwb"]


def test_the_service_example_runs(tmp_path: Path) -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    said = run_script(ROOT / "examples" / "service.py", cwd=tmp_path).splitlines()
    assert said[0].startswith("2013-04: 28,330 predictions; alert: temp.")
    assert said[-1] == "April to December: 255,987 predictions; seats_per_1000_miles is ok."


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("derived", ["margin"]),
        ("service", ["country alert", "20000 rows"]),
        ("cluster", ["True\nReport(255,987 rows, 9 windows"]),
    ],
)
def test_the_examples_of_a_page_run_as_they_stand(name: str, says: list[str], tmp_path: Path) -> None:
    if name == "derived":
        pytest.importorskip("numba", reason="numba is not installed")
    (code,) = re.findall(r"```python\n(.*?)```", page(f"docs/{name}.md"), re.DOTALL)
    (tmp_path / "example.py").write_text(code)
    said = run_script(tmp_path / "example.py", cwd=tmp_path)
    assert all(text in said for text in says), said


PAGES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("**/*.md"))


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", *PAGES])
def test_every_link_to_a_file_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page(name)):
        assert (ROOT / name).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "coming-from").glob("*.md")), ids=lambda path: path.stem)
def test_the_pages_for_newcomers_name_what_there_is(path: Path) -> None:
    from modelwatch_gpu.checks.expectations import RULES
    from modelwatch_gpu.stats.peers import PEERS

    text = path.read_text(encoding="utf-8")
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        compile(code, str(path), "exec")
    for name in re.findall(r"\bmw\.([\w.]+)", text):
        found: Any = mw
        for part in name.rstrip(".").split("."):
            found = getattr(found, part, None) if part != "NAME" else mw
            assert found is not None, name
    peers = {peer for _, peer in PEERS}
    assert set(re.findall(r'compat="(\w+)"', text)) <= peers
    for measure, peer in re.findall(r'mw\.stats\.(\w+)\([^)`]*compat="(\w+)"', text):
        assert (measure, peer) in PEERS
    for check in re.findall(r'mw\.Check\("(\w+)"', text):
        assert check in MEASURES
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", text):
        assert path.parent.joinpath(target).exists(), target
    ours = [row[1] for row in rows(text) if len(row) == 2]
    several = {"missing_columns", "new_columns", "column_order"}
    for cell in ours:
        for name in names(cell):
            if "." not in name and name.islower() and "_" in name and name not in ("energy_distance", "js_distance"):
                assert name in RULES or name in MEASURES or name in several or hasattr(mw.stats, name), name


def test_the_picture_of_the_readme_is_small(tmp_path: Any) -> None:
    picture = (ROOT / "docs" / "images" / "report.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 300_000
    assert int.from_bytes(picture[16:20], "big") == 1280
