"""The pages on governance and serving say what the code does: options, keys, metrics and rules are compared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from govern_makers import CONFIG, small_monitor
from sqlalchemy import insert
from typer.main import get_command

from modelwatch_gpu.cli import app
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.config.serving import ServingConfig
from modelwatch_gpu.monitor.config.versions import MlflowConfig, VersionsConfig
from modelwatch_gpu.monitor.store.governance_tables import STAGES
from modelwatch_gpu.monitor.store.tables import measures
from modelwatch_gpu.serve.metrics import MonitorCollector
from modelwatch_gpu.serve.rules import rules_of

DOCS = Path(__file__).parents[2] / "docs"
GOVERNANCE = (DOCS / "governance.md").read_text(encoding="utf-8")
SERVING = (DOCS / "serving.md").read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows."""
    return [
        [cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"
    ]


def options_of(*path: str) -> set[str]:
    command: Any = get_command(app)
    for name in path:
        command = command.commands[name]
    found = {option for one in command.params for option in one.opts if option.startswith("--")}
    return found - {"--help"}


@pytest.mark.parametrize(
    "path", ["deployments add", "deployments list", "audit verify", "audit anchor", "audit report"]
)
def test_every_option_is_on_the_page(path: str) -> None:
    stated = next(cells for cells in rows(GOVERNANCE) if cells[0].startswith(f"`{path} "))
    assert set(re.findall(r"--[\w-]+", stated[1])) == options_of(*path.split()) - {"--model", "--quiet"}


def test_the_options_of_a_comparison_are_on_the_page() -> None:
    table = GOVERNANCE.split("| option | what |")[1].split("\n\n")[0]
    assert set(re.findall(r"--[a-z][\w-]*", table)) == options_of("deployments", "compare")


@pytest.mark.parametrize("path", ["serve", "metrics rules", "metrics dashboard"])
def test_options_of_serving_are_on_the_page(path: str) -> None:
    own = options_of(*path.split()) - {"--model", "--quiet", "--output"}
    assert all(option in SERVING for option in own)


def yaml_of(page: str, key: str) -> dict[str, Any]:
    found = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    own: dict[str, Any] = next(block[key] for block in found if key in block)
    return own


def test_every_key_is_on_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SERVE_TOKEN", "a-token-of-some-length")
    monkeypatch.setenv("MLFLOW_URI", "http://127.0.0.1:5000")
    serving, versions = yaml_of(SERVING, "serving"), yaml_of(GOVERNANCE, "versions")
    assert set(serving) == set(ServingConfig.model_fields)
    assert set(versions) == set(VersionsConfig.model_fields)
    assert set(versions["mlflow"]) == set(MlflowConfig.model_fields)
    file = tmp_path / "monitor.yaml"
    file.write_text(CONFIG + yaml.safe_dump({"serving": serving, "versions": versions}))
    config = MonitorConfig.load(file)
    defaults = ServingConfig()
    for name in set(serving) - {"token"}:
        assert getattr(config.serving, name) == getattr(defaults, name), name


def test_every_metric_is_on_the_page_with_its_labels(tmp_path: Path) -> None:
    monitor = small_monitor(tmp_path)
    monitor.add(22, shift=3.0)
    monitor.run()
    with monitor.engine.begin() as connection:
        start = connection.execute(measures.select().order_by(measures.c.window_start.desc())).first()
        assert start is not None
        own = {**start._mapping, "id": "x", "column": "x", "measure": "ks", "lower": 0.1, "value": 0.2, "upper": 0.3}
        connection.execute(insert(measures).values(own))
    served: dict[str, set[str]] = {}
    for family in MonitorCollector(monitor.engine, monitor.config, monitor.clock).collect():
        name = f"{family.name}_info" if family.type == "info" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"monitor"}
        served[name] = labels
    stated: dict[str, set[str]] = {}
    for cells in rows(SERVING):
        for name in re.findall(r"`(modelwatch_\w+)`", cells[0]):
            stated[name] = set(re.findall(r"`(\w+)`", cells[1]))
    assert set(served) == set(stated)
    for name, labels in served.items():
        assert labels in (stated[name], set()), name  # what has no sample shows no labels


def test_every_rule_is_on_the_page_with_its_severity(tmp_path: Path) -> None:
    stated = {cells[0].strip("`"): cells[1] for cells in rows(SERVING) if cells[0].startswith("`Modelwatch")}
    file = tmp_path / "monitor.yaml"
    file.write_text(CONFIG)
    rules = [rule for group in rules_of(MonitorConfig.load(file))["groups"] for rule in group["rules"]]
    assert {rule["alert"]: rule["labels"]["severity"] for rule in rules} == stated


def test_every_stage_is_on_the_page() -> None:
    assert all(f"`{stage}`" in GOVERNANCE for stage in STAGES)


def test_the_pages_name_only_pages_that_are_there() -> None:
    for page in (GOVERNANCE, SERVING):
        for name in re.findall(r"\]\(([\w/.-]+\.md)", page):
            assert (DOCS / name).is_file() or name == "monitor.md", name
