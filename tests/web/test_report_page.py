"""The HTML report: what a person sees in a browser, and what hostile data cannot do to the page."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from example_view import EMPTY, HOSTILE, calm_view, daily_view, example_view, no_window_view, single_window_view

from modelwatch_gpu.report.html import render_html


class Elements(HTMLParser):
    """Every start tag of a page with its attributes, and the text of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script":
            self.scripts[-1] += data

    def island(self) -> Any:
        at = [attrs for tag, attrs in self.tags if tag == "script"].index({"type": "application/json", "id": "view"})
        return json.loads(self.scripts[at])


class Visit:
    """A page opened from disk, with all it complained about and all it asked for."""

    def __init__(self, page: Any, path: Path) -> None:
        self.page, self.path = page, path
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.as_uri())

    def cell(self, column: str, window: int) -> Any:
        return self.page.locator(f'[data-testid="cell"][data-column="{column}"][data-window="{window}"]')

    def canvas_size(self) -> dict[str, float]:
        canvas = self.page.locator('[data-testid="distribution"] canvas')
        canvas.wait_for(state="visible")
        box = canvas.bounding_box()
        return {"width": box["width"], "height": box["height"]}

    def verdict(self) -> str:
        return str(self.page.get_by_test_id("verdict").inner_text())

    def is_quiet(self) -> bool:
        return not self.complaints and [u for u in self.requests if not u.startswith("data:")] == [self.path.as_uri()]


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Visit]]:
    contexts = []

    def go(view: dict[str, Any], width: int = 1280, scheme: str = "light") -> Visit:
        path = tmp_path / f"report{len(contexts)}.html"
        path.write_text(render_html(view), encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        contexts.append(context)
        context.route(re.compile("^(?!file:|data:)"), lambda route: route.abort())
        return Visit(context.new_page(), path)

    yield go
    for context in contexts:
        context.close()


# ---- the text of the file, no browser needed -------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["</script><b>", "<!--<script>", "\u2028\u2029", "&lt;", "\ud800", "\x00", "]]>"])
def test_the_data_cannot_break_out_of_its_element(text: str) -> None:
    view = example_view()
    view["notes"] = [text]
    page = Elements(render_html(view))
    assert page.island()["notes"] == [text]
    assert [tag for tag, _ in page.tags].count("script") == 3
    assert "b" not in [tag for tag, _ in page.tags]


def test_the_title_is_escaped_and_cannot_fill_in_another_placeholder() -> None:
    title = "</title><img src=x onerror=alert(1)> $view ${script}"
    page = Elements(render_html({**example_view(), "title": title}))
    assert "img" not in [tag for tag, _ in page.tags]
    assert page.island()["title"] == title


def test_no_attribute_names_an_address_on_the_network() -> None:
    for tag, attrs in Elements(render_html(example_view())).tags:
        for name, value in attrs.items():
            told = re.sub(r"'sha256-[\w+/=]+'", "", value or "")  # base64 of a hash may have slashes of its own
            assert not re.search(r"(https?:)?//", told), f"<{tag} {name}={value!r}>"
    style = re.search(r"<style>(.*?)</style>", render_html(example_view()), re.DOTALL)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_the_policy_allows_nothing_but_the_scripts_and_the_style_that_are_in_the_file() -> None:
    page = Elements(render_html(example_view()))
    policy = next(a["content"] or "" for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert policy.count("'sha256-") == 3


def test_the_same_view_renders_to_the_same_text() -> None:
    assert render_html(example_view()) == render_html(example_view())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError):
        render_html({**example_view(), "rows": value})


def test_the_licences_of_the_chart_library_travel_with_the_page() -> None:
    page = render_html(calm_view())
    for notice in ("The Apache Software Foundation", "Baidu Inc.", "Mike Bostock", "Microsoft Corporation"):
        assert notice in page


# ---- in a browser ----------------------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_from_disk_without_a_complaint_or_a_request(visit: Any, width: int, scheme: str) -> None:
    seen = visit(example_view(), width, scheme)
    seen.cell("temp", 3).click()
    assert seen.canvas_size()["height"] > 100
    assert seen.is_quiet(), (seen.complaints, seen.requests)
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.browser
def test_the_verdict_says_how_many_columns_changed_and_since_when(visit: Any) -> None:
    verdict = visit(example_view()).verdict()
    assert "9 of 12 columns changed; 7 need attention in the latest month, Dec 2013." in verdict
    assert "temp and 5 others have been off since Sep 2013." in verdict


@pytest.mark.browser
def test_a_click_on_a_cell_shows_the_distribution_and_a_second_click_hides_it(visit: Any) -> None:
    seen = visit(example_view())
    assert seen.page.get_by_test_id("distribution").count() == 0
    seen.cell("temp", 0).click()
    size = seen.canvas_size()
    assert size["width"] > 300
    assert size["height"] > 150
    assert seen.cell("temp", 0).get_attribute("aria-expanded") == "true"
    seen.cell("temp", 0).click()
    assert seen.page.get_by_test_id("distribution").count() == 0


@pytest.mark.browser
def test_enter_on_a_cell_opens_arrows_move_and_escape_comes_back(visit: Any) -> None:
    seen = visit(example_view())
    seen.cell("temp", 2).focus()
    seen.page.keyboard.press("ArrowRight")
    seen.page.keyboard.press("Enter")
    assert seen.canvas_size()["width"] > 300
    region = seen.page.locator(".panel")
    assert region.get_attribute("aria-label") == "temp in Jul 2013"
    region.get_by_label("Previous month").focus()
    seen.page.keyboard.press("ArrowLeft")
    assert region.get_attribute("aria-label") == "temp in Jun 2013"
    region.get_by_label("Next month").click()
    assert region.get_attribute("aria-label") == "temp in Jul 2013"
    seen.page.keyboard.press("Escape")
    assert region.count() == 0
    assert seen.page.evaluate("document.activeElement.dataset.window") == "3"
    assert seen.is_quiet(), seen.complaints


@pytest.mark.browser
def test_every_cell_says_in_words_what_its_colour_says(visit: Any) -> None:
    seen = visit(example_view())
    assert "temp, Apr 2013, alert, ks 0.35" in seen.cell("temp", 0).get_attribute("aria-label")
    assert "not enough data" in seen.cell("origin", 6).get_attribute("aria-label")
    assert "alert, present" in seen.cell("visib", 8).get_attribute("aria-label")
    assert seen.page.locator('[data-testid="cell"]:not([aria-label])').count() == 0
    assert seen.page.locator('[data-testid="cell"][tabindex="0"]').count() == 1


@pytest.mark.browser
def test_a_category_named_like_a_script_shows_as_text_and_does_not_run(visit: Any) -> None:
    seen = visit(example_view())
    seen.cell("sky", 8).click()
    seen.canvas_size()
    seen.page.locator('[data-testid="distribution"] canvas').hover()
    seen.page.locator("summary").click()
    assert seen.page.locator(".numbers").get_by_text(HOSTILE, exact=True).is_visible()
    seen.page.get_by_label("Filter findings").fill(HOSTILE)
    assert f"carrier = {HOSTILE}" in seen.page.get_by_test_id("findings").inner_text()
    assert seen.page.locator("script").count() == 3
    assert seen.is_quiet(), seen.complaints


@pytest.mark.browser
@pytest.mark.parametrize(("column", "window"), [("temp", EMPTY), ("visib", 7)])
def test_a_window_without_values_says_so_instead_of_drawing(visit: Any, column: str, window: int) -> None:
    seen = visit(example_view())
    seen.cell(column, window).click()
    shown = seen.page.get_by_test_id("distribution")
    assert re.search("no rows|no values", shown.inner_text())
    assert shown.locator("canvas").count() == 0
    assert seen.is_quiet(), seen.complaints


@pytest.mark.browser
def test_the_columns_can_be_filtered_and_sorted(visit: Any) -> None:
    seen = visit(example_view())
    names = lambda: seen.page.locator(".matrix tr[data-row] th.name > span").all_inner_texts()  # noqa: E731
    assert names()[:3] == ["score", "arr_delayed", "temp"]
    seen.page.get_by_label("Only what changed").check()
    assert len(names()) == 9
    seen.page.get_by_label("Sort columns").select_option("name")
    assert names()[1:] == sorted(names()[1:])
    seen.page.get_by_label("Find a column").fill("dew")
    assert names() == ["dewp"]
    seen.page.get_by_label("Find a column").fill("nothing like it")
    assert seen.page.get_by_text("No column fits").is_visible()


@pytest.mark.browser
def test_findings_come_in_pages_and_can_be_filtered(visit: Any) -> None:
    view = example_view()
    seen = visit(view)
    rows = seen.page.get_by_test_id("findings").locator("tbody tr")
    assert rows.count() == 100
    seen.page.get_by_role("button", name="Next", exact=True).click()
    assert seen.page.get_by_text(f"101 to 200 of {len(view['findings'])} findings").is_visible()
    seen.page.get_by_label("Severity", exact=True).select_option("not_enough_data")
    assert rows.count() == sum(f["severity"] == "not_enough_data" for f in view["findings"])
    seen.page.get_by_label("Severity", exact=True).select_option("")
    seen.page.get_by_label("Filter findings").fill("carrier = ua")
    assert 0 < rows.count() < 100
    rows.first.get_by_role("button").click()
    assert seen.canvas_size()["width"] > 300


@pytest.mark.browser
def test_a_calm_report_says_so_and_raises_no_alarm(visit: Any) -> None:
    seen = visit(calm_view())
    assert "All calm. All 12 columns look like the baseline" in seen.verdict()
    assert seen.page.get_by_role("heading", name="What changed").count() == 0
    assert seen.page.locator('.cell[data-severity="alert"], .cell[data-severity="warning"]').count() == 0
    assert seen.is_quiet(), seen.complaints


@pytest.mark.browser
def test_a_worse_finding_of_another_check_is_not_hidden_by_a_calm_main_check(visit: Any) -> None:
    seen = visit(example_view())
    assert seen.cell("distance", 8).get_attribute("data-severity") == "warning"
    assert "missing 6.1%, warning at 5%" in seen.cell("distance", 8).get_attribute("aria-label")


@pytest.mark.browser
def test_a_whole_log_report_has_one_cell_a_column_and_reads_well(visit: Any) -> None:
    seen = visit(single_window_view())
    assert "2 of 12 columns changed: 1 at alert, 1 at warning." in seen.verdict()
    seen.cell("temp", 0).click()
    assert seen.canvas_size()["width"] > 300
    assert seen.is_quiet(), seen.complaints


@pytest.mark.browser
def test_a_log_without_windows_still_makes_a_page(visit: Any) -> None:
    seen = visit(no_window_view())
    assert "nothing to compare yet" in seen.verdict()
    assert seen.page.get_by_test_id("findings").count() == 1
    assert seen.is_quiet(), seen.complaints


@pytest.mark.browser
def test_four_hundred_days_scroll_inside_their_box_and_start_at_the_latest(visit: Any) -> None:
    seen = visit(daily_view())
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert seen.page.evaluate("document.querySelector('.scroller').scrollLeft") > 1000
    seen.cell("temp", 399).click()
    box = seen.page.locator(".panel").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 1280
    assert seen.is_quiet(), seen.complaints
