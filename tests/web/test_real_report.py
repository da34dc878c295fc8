"""Real reports in a browser without a network: the demo's, and one of a log with a hostile category."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_report_page import Visit

import modelwatch_gpu as mw
from modelwatch_gpu import demo

HOSTILE = "<script>alert(1)</script>"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def demo_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "report.html"
    demo.run().to_html(path)
    return path


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Visit]]:
    contexts = []

    def go(path: Path, width: int = 1280) -> Visit:
        context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
        contexts.append(context)
        context.route(re.compile("^(?!file:|data:)"), lambda route: route.abort())
        return Visit(context.new_page(), path)

    yield go
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", [1280, 400])
def test_the_demo_opens_without_a_complaint_a_request_or_a_sideways_scroll(
    opened: Any, demo_page: Path, width: int
) -> None:
    seen = opened(demo_page, width)
    verdict = seen.verdict()
    assert re.search(r"\d+ of 24 columns changed; \d+ need attention in the latest month, Dec 2013\.", verdict)
    assert "tailnum has been off since Apr 2013." in verdict
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert seen.is_quiet(), (seen.complaints, seen.requests)


@pytest.mark.parametrize(("column", "label"), [("temp", "37.9"), ("carrier", "UA"), ("tailnum", "not in the baseline")])
def test_a_click_on_the_demo_opens_a_distribution_with_its_numbers(
    opened: Any, demo_page: Path, column: str, label: str
) -> None:
    seen = opened(demo_page)
    seen.cell(column, 3).click()
    assert seen.canvas_size()["height"] > 100
    panel = seen.page.locator(".panel")
    assert panel.get_attribute("aria-label") == f"{column} in Jul 2013"
    panel.locator("summary").click()
    assert label in panel.inner_text()
    assert "dictionary<" not in seen.page.locator("body").inner_text()
    assert seen.is_quiet(), (seen.complaints, seen.requests)


@pytest.mark.parametrize("width", [1280, 400])
def test_calibration_and_confusion_of_every_answer_and_month_are_those_of_the_report(
    opened: Any, demo_page: Path, width: int
) -> None:
    seen, found = opened(demo_page, width), demo.run().to_dict()
    page = seen.page
    assert "score, Dec 2013" in page.get_by_test_id("answers").locator("h3").inner_text()
    page.get_by_label("The month shown").select_option("Apr 2013")
    start = found["windows"][0]["start"]
    bins = [row for row in found["calibration"] if row["window"] == start]
    figure = page.get_by_test_id("calibration")
    assert figure.locator(".now circle").count() == len(bins) > 5
    assert f"{sum(row['rows'] for row in bins):,} labelled rows" in figure.inner_text()
    figure.locator("summary").click()
    told = figure.locator("tbody tr").nth(3).locator("td").last.inner_text()
    shares = [bins[3][name] for name in ("share_positive", "lower", "upper")]
    assert re.findall(r"(\d+)%", told) == [f"{100 * share:.0f}" for share in shares]
    height = [float(c.get_attribute("cy")) for c in figure.locator(".now circle").all()]
    least, most = max(bins, key=lambda row: row["share_positive"]), min(bins, key=lambda row: row["share_positive"])
    assert height.index(min(height)) == bins.index(least)  # SVG counts from the top
    assert height.index(max(height)) == bins.index(most)
    for answer in ("score", "prediction"):
        page.get_by_label("Answer shown").select_option(answer)
        mine = [row for row in found["confusion"] if row["window"] == start and row["column"] == answer]
        cells = page.get_by_test_id("confusion").locator("td").all()
        shown = {
            tuple(re.findall(r"(?:labelled|answered) (\w+)", c.get_attribute("title"))): c.locator(
                "small"
            ).first.inner_text()
            for c in cells
        }
        assert shown == {(row["label"], row["prediction"]): f"{row['rows']:,}" for row in mine}
    assert page.get_by_test_id("calibration").count() == 0  # a class is no probability
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert seen.is_quiet(), (seen.complaints, seen.requests)


def test_segments_furthest_apart_are_on_the_page_by_name_and_bold_where_they_surely_differ(
    opened: Any, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    group = np.resize([HOSTILE, "b", "c"], 3_000)
    score = rng.random(3_000) * np.where(group == "b", 0.55, 1.0)
    log = pa.table({"score": score, "label": (rng.random(3_000) < score).astype(np.int64), "group": group})
    report = mw.compare(log, log, segments=["group"])
    report.to_html(tmp_path / "report.html")
    seen = opened(tmp_path / "report.html", 400)
    rows = seen.page.get_by_test_id("fairness").locator("tbody tr")
    assert rows.first.inner_text() == "score by group"
    found = report.to_dict()["fairness"]
    assert rows.count() == 1 + len(found)
    for row, shown in zip(found, rows.all()[1:], strict=True):
        assert shown.locator("th").inner_text() == row["rate"]
        assert float(shown.locator("td").first.inner_text()) == pytest.approx(row["difference"], rel=0.05)
        bold = shown.locator("td").first.get_attribute("data-worse") is not None
        assert bold is row["disjoint"]
        assert shown.locator("td").last.inner_text().startswith(f"{row['lowest']['group']} ")
    assert {row["disjoint"] for row in found} == {True, False}
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert seen.is_quiet(), (seen.complaints, seen.requests)


def test_the_page_and_the_report_agree_on_every_verdict(opened: Any, demo_page: Path) -> None:
    seen = opened(demo_page)
    report = demo.run()
    worst: dict[tuple[str, int], str] = {}
    main: dict[tuple[str, int], str] = {}
    at = {w.second: i for i, w in enumerate(report.windows)}
    for f in report.findings:  # worst first
        worst.setdefault((f.column, at[f.start]), f.severity)
        if f.check in ("ks", "js_distance"):
            main[(f.column, at[f.start])] = f.severity
    cells = seen.page.evaluate(
        "[...document.querySelectorAll('[data-testid=cell]')].map("
        "(c) => [c.dataset.column, Number(c.dataset.window), c.dataset.severity])"
    )
    assert len(cells) == 25 * 9
    for column, window, severity in cells:
        expected = worst.get((column, window), "none")
        if expected == "not_enough_data":  # of another check than the column's own it is told in the panel
            expected = main.get((column, window), expected)
        assert severity == expected, (column, window)


def test_a_category_of_a_real_log_that_is_named_like_a_script_shows_as_text(opened: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for name, share in (("reference", 0.2), ("production", 0.7)):
        sky = np.where(rng.random(2000) < share, HOSTILE, np.where(rng.random(2000) < 0.5, "clear", "overcast"))
        pq.write_table(pa.table({"sky": pa.array(sky).dictionary_encode()}), tmp_path / f"{name}.parquet")
    report = mw.compare(tmp_path / "reference.parquet", tmp_path / "production.parquet")
    report.to_html(tmp_path / "report.html", title=HOSTILE)
    seen = opened(tmp_path / "report.html")
    seen.cell("sky", 0).click()
    seen.canvas_size()
    seen.page.locator("summary").click()
    assert seen.page.locator(".numbers").get_by_text(HOSTILE, exact=True).is_visible()
    assert f"'{HOSTILE}' went from" in seen.page.get_by_test_id("findings").inner_text()
    assert seen.page.title() == HOSTILE
    assert seen.page.locator("script").count() == 3
    assert seen.is_quiet(), seen.complaints


def test_findings_about_the_table_and_about_ids_are_on_the_page(opened: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    normal = pa.table({"event_id": np.arange(400), "x": rng.normal(size=400), "kind": rng.choice(["a", "b"], 400)})
    spoilt = pa.concat_tables([normal, normal.slice(0, 80)]).append_column("extra", pa.array([1] * 480))
    report = mw.compare(mw.Baseline.fit(normal, quality=True), spoilt, expectations=True)
    assert {":table"} <= {f.column for f in report.findings}
    report.to_html(tmp_path / "report.html")
    seen = opened(tmp_path / "report.html")
    text = seen.page.evaluate("document.body.innerText")
    assert "repeat an id" in text
    assert "'extra', which the baseline does not know" in text
    # Above all columns, one line for each check.
    top = seen.page.get_by_test_id("log-itself")
    shown = {f.check.replace("_", " ") for f in report.findings if f.column == ":table" and f.severity == "alert"}
    assert shown >= {"duplicate ids", "new columns"}
    assert top.locator("li").count() == len({f.check for f in report.findings if f.column == ":table"})
    assert all(name in top.inner_text() for name in shown)
    assert top.bounding_box()["y"] < seen.page.get_by_test_id("cell").first.bounding_box()["y"]
    assert seen.is_quiet(), (seen.complaints, seen.requests)


def test_a_log_of_several_classes_shows_each_of_them_and_lets_choose_the_number(opened: Any, tmp_path: Path) -> None:
    names = np.array(["cat", HOSTILE, "fish"])
    rng = np.random.default_rng(1)

    def log(wrong: float) -> pa.Table:
        label = rng.integers(0, 3, 900)
        prediction = np.where((label == 2) & (rng.random(900) < wrong), 0, label)
        return pa.table({"label": names[label], "prediction": names[prediction]})

    report = mw.compare(log(0.0), log(0.5))
    report.to_html(tmp_path / "report.html")
    seen = opened(tmp_path / "report.html", 400)
    table = seen.page.get_by_test_id("classes")
    found = {row["class"]: row for row in report.to_dict()["classes"] if row["of"] == "log"}
    for measure in ("f1", "recall", "precision"):
        if measure != "f1":
            seen.page.get_by_label("Number shown of each class").select_option(measure)
        rows = {r.locator("th").inner_text(): r.locator("td").last for r in table.locator("tbody tr").all()}
        assert set(rows) == {"cat", HOSTILE, "fish"}
        for name, cell in rows.items():
            assert cell.inner_text().split()[0] == f"{found[name][measure]:.3g}"
        worse = {name for name, cell in rows.items() if "worse than the baseline" in cell.inner_text()}
        assert worse == {"f1": {"cat", "fish"}, "recall": {"fish"}, "precision": {"cat"}}[measure]
    confusion = seen.page.get_by_test_id("confusion")
    for row in report.to_dict()["confusion"]:
        if row["of"] == "log":
            cell = confusion.get_by_title(f"labelled {row['label']}, answered {row['prediction']}: {row['rows']} rows;")
            assert cell.locator("small").first.inner_text() == str(row["rows"])
    assert seen.page.get_by_role("region", name="Class by class: precision").get_attribute("tabindex") == "0"
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert seen.is_quiet(), (seen.complaints, seen.requests)


def test_long_names_keep_both_ends_and_the_page_says_what_it_leaves_out(
    opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelwatch_gpu.report.view.SHOWN_FINDINGS", 3)
    names = [f"feature_with_a_rather_long_name_of_the_customer_table_{i:03d}" for i in range(4)]
    rng = np.random.default_rng(1)
    base = pa.table({name: rng.normal(size=500) for name in names})
    report = mw.compare(base, pa.table({name: np.full(500, np.nan) for name in names}))
    report.to_html(tmp_path / "report.html")
    seen = opened(tmp_path / "report.html", 360)
    page = seen.page
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for name in names:
        tail = page.get_by_role("rowheader", name=name).locator(".cut span").last
        assert tail.inner_text() == name[-9:]
        assert tail.evaluate("e => e.scrollWidth <= e.clientWidth && e.getBoundingClientRect().right <= innerWidth")
    assert f"These are the worst 3 of {len(report.findings)} findings" in page.locator("body").inner_text()
    assert seen.is_quiet(), (seen.complaints, seen.requests)


def test_on_paper_performance_is_the_baseline_and_the_latest_windows(opened: Any, tmp_path: Path) -> None:
    days = np.repeat(np.arange(12), 40) * 86_400
    log = pa.table(
        {
            "ts": pa.array(days).cast(pa.timestamp("s")),
            "label": np.resize(["a", "b", "c"], 480),
            "prediction": np.resize(["a", "b", "b"], 480),
        }
    )
    mw.compare(mw.Baseline.fit(log), log, window="1d").to_html(tmp_path / "report.html")
    seen = opened(tmp_path / "report.html", 720)
    latest = [f"1970-01-{day:02d}" for day in range(7, 13)]
    seen.page.emulate_media(media="print")
    for name, first in (("performance", ["Measure", "Baseline"]), ("classes", ["Class", "Baseline"])):
        heads = seen.page.get_by_test_id(name).locator("thead th")
        assert [h.inner_text() for h in heads.all() if h.is_visible()] == [*first, *latest]
    table = seen.page.get_by_test_id("performance")
    assert table.evaluate("e => e.getBoundingClientRect().right <= innerWidth")
    seen.page.emulate_media(media="screen")
    assert all(h.is_visible() for h in seen.page.get_by_test_id("classes").locator("thead th").all())
