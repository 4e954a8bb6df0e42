"""The result page in a real browser: it renders, loads nothing from elsewhere, and fits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

import pytest

from tasks.lake.lake import Lake
from tasks.lake.tables import RANKER_METRICS
from tasks.landing.manifest import write_landing_day
from tasks.report.build import build
from tasks.report.page import write_html
from tasks.settings import Settings
from tests.rows import rows

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

DAY = date(2026, 10, 1)


@pytest.fixture(scope="module")
def shown(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    settings = Settings(home=tmp_path_factory.mktemp("page"), mlflow_url="")
    write_landing_day(settings.landing, DAY, {}, "test")
    measured = {"slice": "all", "metric": "ndcg@60", "low": 0.2, "high": 0.4, "value": 0.3}
    models = [
        measured | {"model": name} for name in ("ranker", "<script>document.title=1</script>")
    ]
    Lake(settings).write_day(RANKER_METRICS, DAY, rows(RANKER_METRICS, *models))
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(write_html(build(DAY, settings), settings).as_uri())
    yield page
    page.close()


def test_the_page_has_a_title_and_every_section_of_its_contents(shown: Page) -> None:
    assert shown.title() == "Vitrina, 01 October 2026"
    links = [link.get_attribute("href") for link in shown.locator("nav a").all()]
    assert len(links) >= 8
    assert all(link and shown.locator(link).count() == 1 for link in links)


def test_plots_are_drawn(shown: Page) -> None:
    pictures = shown.locator("img").all()
    assert pictures
    widths = [picture.evaluate("image => image.naturalWidth") for picture in pictures]
    assert all(width > 400 for width in widths)


def test_a_name_out_of_the_data_is_shown_and_not_run(shown: Page) -> None:
    assert shown.locator("th", has_text="document.title=1").count() >= 1
    assert shown.locator("script").count() == 0


def test_nothing_is_wider_than_the_window(shown: Page) -> None:
    width = shown.evaluate("document.documentElement.scrollWidth")
    assert width <= 1200


def test_the_page_asks_for_nothing_outside_itself(browser: Browser, shown: Page) -> None:
    asked: list[str] = []
    page = browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(shown.url)
    page.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
