"""A config says where it is wrong and what to write instead; hostile ones do no harm."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
import yaml

from modelwatch_gpu.checks import DEFAULT_CHECKS
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.monitor.config.model import MonitorConfig, json_schema
from modelwatch_gpu.monitor.config.reading import parse_yaml
from modelwatch_gpu.monitor.config.several import load_configs
from modelwatch_gpu.monitor.config.values import Secret, Section, duration_text

LEAST = "baseline: b.mwb\nlog: {path: log}\n"


def of(text: str, environ: dict[str, str] | None = None) -> MonitorConfig:
    return MonitorConfig.of(parse_yaml(text, "monitor.yaml", environ or {}))


def refused(text: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(InputError) as error:
        of(text, environ)
    said = str(error.value)
    assert "\n" not in said
    return said


def test_two_keys_are_enough() -> None:
    config = of(LEAST)
    assert (config.window, config.judge, config.log.deleted) == ("1d", "always", "drop")
    assert config.rules() == tuple(DEFAULT_CHECKS)
    assert config.retention.corrections_until == timedelta(days=90)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("windw: 1d", "monitor.yaml, line 3, windw: 'windw' is not known here; did you mean 'window'?"),
        ("schedule:\n  evry: 5min", "line 4, schedule.evry: 'evry' is not known here; did you mean 'every'?"),
        ("judge: complet", "monitor.yaml, line 3, judge: 'complet' is not known here; did you mean 'complete'?"),
        ("window: 1m", "monitor.yaml, line 3, window: The window '1m' is not known; write a positive whole number"),
        ("window: 500rows", "monitor.yaml, line 3, window: windows of a monitor are of time"),
        ("schedule: {every: 5}", "line 3, schedule.every: 5 is not a length of time; write a number and one of ms, s"),
        ("schedule: {cron: '* *'}", "line 3, schedule: cron is '* *'; write five fields"),
        ("schedule: {cron: '61 * * * *'}", "write five fields"),
        ("schedule: {cron: '* * * * *', every: 1s}", "has both every and cron"),
        ("timezone: Europe/Roma", "did you mean Europe/Rome or"),
        ("max_groups: 0", "line 3, max_groups: "),
        ("files_per_run: many", "line 3, files_per_run: "),
        ("checks: [{measure: kss, warn: 1}]", "There is no measure 'kss'; did you mean 'ks'?"),
        ("checks: [{mesure: ks}]", "A check has the unknown field 'mesure'"),
        ("name: 'a b'", "line 3, name: "),
        ("consecutive: true\nwindow: null", "consecutive compares windows, and window is null"),
        ("version: 2", "line 3, version: "),
        ("log: {}", "is there twice"),
        ("models: 5\nwindow: 1d", "'models' is not known here"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(lines: str, said: str) -> None:
    assert said in refused(LEAST + lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "monitor.yaml, baseline: is missing; write it"),
        ("log: {path: x}", "baseline: is missing"),
        ("baseline: x\nlog: {}", "line 2, log.path: is missing"),
        ("baseline: x\nlog: {path: ''}", "log.path: is empty"),
        ("baseline: x\nlog: {path: []}", "is empty"),
        ("[1, 2]", "is not a config; it begins with keys"),
        ("baseline: [", "monitor.yaml, line 1: is not valid YAML"),
        ("baseline: !!python/object/apply:os.system [ls]", "has the tag"),
        ("a: 1\n? [x]\n: 2", "has a key that is not a word"),
        ("a: &x {b: 1}\nc: {<<: *x}", "has a key that is not a word"),
    ],
)
def test_what_is_no_config_is_refused(text: str, said: str) -> None:
    assert said in refused(text)


def test_bombs_are_refused_before_they_unfold() -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
    )
    assert "unfolds to more than 20,000 values" in refused(laughs)
    assert "is nested" in refused("a: " + "[" * 100 + "]" * 100)
    assert "nested too deeply" in refused("a: " + "[" * 20_000 + "]" * 20_000)
    assert "is nested deeper" in refused("a: &a [*a]")


def test_files_that_are_too_large_or_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "big.yaml").write_text("# " + "x" * (1 << 20))
    with pytest.raises(InputError, match="a config has at most"):
        MonitorConfig.load(tmp_path / "big.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"a: \xff")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        MonitorConfig.load(tmp_path / "bytes.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        MonitorConfig.load(tmp_path / "none.yaml")


def test_environment_variables_are_put_in() -> None:
    config = of(LEAST + "name: ${WHO}\nwindow: ${LENGTH:-1w}", {"WHO": "fraud"})
    assert (config.name, config.window) == ("fraud", "1w")
    assert "WHO, which is not set" in refused(LEAST + "name: ${WHO}")
    assert "line 3" in refused(LEAST + "name: ${WHO}")


def test_a_password_comes_from_the_environment_and_is_never_shown() -> None:
    url = "postgresql+psycopg://me:hunter2@db/x"
    assert of(LEAST + "store: {url: '${STORE}'}", {"STORE": url}).store.url == url
    said = refused(LEAST + f"store: {{url: '{url}'}}")
    assert "holds a password" in said
    assert "hunter2" not in said
    assert "holds a password" in refused(LEAST + f"store: {{url: '${{STORE:-{url}}}'}}")
    config = of(LEAST + "store: {url: '${STORE}'}", {"STORE": url})
    assert "hunter2" not in config.text
    bucket = "s3://me:hunter2@bucket/log"
    assert of("baseline: x\nlog: {path: ['${LOG}', b]}", {"LOG": bucket}).log.path == [bucket, "b"]
    for wrong in (f"log: {{path: '{bucket}'}}", f"log: {{path: [a, '{bucket}']}}"):
        said = refused(f"baseline: x\n{wrong}")
        assert "log.path: holds a password; put the whole address into an environment variable: ${LOG_URL}" in said
        assert "hunter2" not in said
    assert "labels.path: holds a password" in refused(LEAST + f"labels: {{path: '{bucket}'}}")
    assert of("baseline: x\nlog: {path: 's3://me@bucket/a:b'}").log.path == "s3://me@bucket/a:b"
    wrong = refused(LEAST + "judge: ${JUDGE}", {"JUDGE": "hunter2"})
    assert "hunter2" not in wrong


class Own(Section):
    token: Secret


def test_secrets_are_only_names_of_variables_in_a_file() -> None:
    document = parse_yaml("token: ${TOKEN}", "x.yaml", {"TOKEN": "hunter2"})
    own = Own.model_validate(document.values)
    assert own.token.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(own)
    assert "hunter2" not in own.model_dump_json()
    with pytest.raises(ValueError, match="not written into the file"):
        Own.model_validate({"token": "hunter2"})


def test_the_schema_is_one_and_takes_what_the_config_takes() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    good = yaml.safe_load(LEAST + "schedule: {every: 5min}\nstore: {url: 'sqlite:///x.db'}\nsegments: [a, [b, c]]")
    assert not list(validator.iter_errors(good))
    for bad in ({"windw": 1}, {"schedule": {"every": "soon"}}, {"judge": "never"}):
        assert list(validator.iter_errors({**good, **bad}))


def test_models_share_what_stands_at_the_top(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(
        "window: 1w\nlog: {path: 'logs/{name}', settle: 5s}\nmodels:\n"
        "  fraud: {baseline: fraud.mwb}\n  churn:\n    baseline: churn.mwb\n    window: 1mo\n    log: {settle: 1s}\n"
    )
    fraud, churn = load_configs(path)
    assert (fraud.name, fraud.window, fraud.log.path, fraud.store.url) == (
        "fraud", "1w", "logs/fraud", "sqlite:///fraud.db",
    )  # fmt: skip
    assert (churn.window, churn.log.path, churn.log.settle) == ("1mo", "logs/churn", timedelta(seconds=1))
    assert [one.name for one in load_configs(path, "churn")] == ["churn"]
    with pytest.raises(InputError, match="did you mean 'churn'"):
        load_configs(path, "chrun")


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ("models: {a: {baseline: a, windw: 1d}}", "line 2, windw: 'windw' is not known here; did you mean 'window'?"),
        ("models: {a: 1}", "models.a: is not a section"),
        ("models: {}", "models: names no model"),
        ("store: {url: 'sqlite:///x.db'}\nmodels: {a: {baseline: a}, b: {baseline: b}}", "the same store as a"),
        ("name: x\nmodels: {a: {baseline: a}}", "has its name already"),
    ],
)
def test_models_that_are_wrong_are_named(tmp_path: Path, models: str, said: str) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("log: {path: x}\n" + models)
    with pytest.raises(InputError) as error:
        load_configs(path)
    assert said in str(error.value)


def test_lengths_of_time_are_written_as_they_are_read() -> None:
    for text in ("500ms", "30s", "5min", "2h", "90d", "3w"):
        config = of(LEAST + f"grace: {text}")
        assert duration_text(config.grace) == text
    assert duration_text(timedelta(0)) == "0s"
    assert json.loads(of(LEAST + "grace: 48h").model_dump_json())["grace"] == "2d"


def test_models_of_channels_and_triggers_are_imported_for_a_config_that_has_some(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from modelwatch_gpu.monitor.config.model import MonitorConfig\n"
        "own = ['modelwatch_gpu.monitor.config.channels', 'modelwatch_gpu.monitor.config.triggers']\n"
        "for path in sys.argv[1:]:\n"
        "    config = MonitorConfig.load(path)\n"
        "    print([name in sys.modules for name in own], len(config.alerts.channels), len(config.actions.triggers))\n"
    )
    alerts = "alerts: {{rules: [{{name: a}}], channels: [{0}]}}\n"
    channel = "{name: hook, kind: webhook, url: 'https://example.org/'}"
    trigger = "{name: again, run: {kind: command, argv: ['true']}}"
    texts = {
        "none": LEAST + alerts.format("") + "actions: {triggers: []}\n",
        "channel": LEAST + alerts.format(channel),
        "both": LEAST + alerts.format(channel) + f"actions: {{triggers: [{trigger}]}}\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", script, *texts], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["[False, False] 0 0", "[True, False] 1 0", "[True, True] 1 1"]
    (tmp_path / "wrong").write_text(
        LEAST + "actions:\n  triggers:\n  - name: again\n    run: {kind: command, argv: []}\n"
    )
    with pytest.raises(InputError, match=r"wrong, line 6, actions\.triggers\.0\.run: Tuple should have at least 1"):
        MonitorConfig.load(tmp_path / "wrong")
