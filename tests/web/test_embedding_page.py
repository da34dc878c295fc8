"""An embedding in a report's page: both clouds, the rows that moved most, and hostile texts that stay texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from test_report_page import Visit

import modelwatch_gpu as mw

HOSTILE = "<img src=x onerror=alert(1)>"

pytestmark = pytest.mark.browser


def log_of(shift: float, seed: int) -> pa.Table:
    values = (np.random.default_rng(seed).normal(size=(80, 3)) + shift).astype(np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), 3)
    return pa.table({"id": np.arange(80), "prompt": [HOSTILE] * 80, "vector": vectors})


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[[Path], Visit]]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    context.route(re.compile("^(?!file:|data:)"), lambda route: route.abort())
    yield lambda path: Visit(context.new_page(), path)
    context.close()


def test_clouds_and_exemplars_are_shown_and_texts_stay_texts(opened: Callable[[Path], Visit], tmp_path: Path) -> None:
    roles = mw.Roles(id="id", text="prompt", embedding="vector")
    report = mw.compare(mw.Baseline.fit(log_of(0, 1), roles=roles), log_of(1.5, 2))
    report.to_html(tmp_path / "report.html")
    visit = opened(tmp_path / "report.html")
    visit.cell("vector", 0).click()
    assert visit.canvas_size()["width"] > 200
    visit.page.get_by_text("Rows that moved most").click()
    row = visit.page.locator("table.numbers tbody th").first
    assert HOSTILE in row.inner_text()
    assert visit.page.locator("table.numbers img").count() == 0
    assert visit.is_quiet()
