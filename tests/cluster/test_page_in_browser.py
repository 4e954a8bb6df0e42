"""Our pages in a real browser, a day's result and a card: they render, load nothing, and fit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tasks.lake.lake import Lake
from tasks.lake.tables import RANKER_METRICS
from tasks.landing.manifest import write_landing_day
from tasks.lookalikes.card import threshold_card
from tasks.report import page as report
from tasks.report.build import build
from tasks.report.card import card_page
from tasks.settings import Settings
from tests.cards import MAILINGS, SEGMENT, judged, overlaps, profiles
from tests.rows import rows

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

DAY = date(2026, 10, 1)
DESK, PHONE = 1200, 390


class Told(NamedTuple):
    """A page, and the address of the file that it was written to."""

    page: report.Page
    address: str


def result(settings: Settings) -> report.Page:
    """Return the result page of a day of which a ranker with a wicked name is known."""
    write_landing_day(settings.landing, DAY, {}, "test")
    measured = {"slice": "all", "metric": "ndcg@60", "low": 0.2, "high": 0.4, "value": 0.3}
    models = [
        measured | {"model": name} for name in ("ranker", "<script>document.title=1</script>")
    ]
    Lake(settings).write_day(RANKER_METRICS, DAY, rows(RANKER_METRICS, *models))
    return build(DAY, settings)


def audience(settings: Settings) -> report.Page:
    """Return the page of a card, one of whose values has a wicked name."""
    card = threshold_card(judged().p, judged(), settings.lookalikes, rule_size=34)
    return card_page(DAY, SEGMENT, card, profiles(), overlaps(), MAILINGS)


@pytest.fixture(scope="module", params=[result, audience])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    settings = Settings(home=tmp_path_factory.mktemp("page"), mlflow_url="")
    page = request.param(settings)
    return Told(page, report.write_html(page, settings).as_uri())


@pytest.fixture(scope="module")
def shown(browser: Browser, told: Told) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": DESK, "height": 900})
    page.goto(told.address)
    yield page
    page.close()


def test_the_page_has_a_title_and_every_section_of_its_contents(told: Told, shown: Page) -> None:
    assert shown.title() == told.page.title == shown.locator("h1").inner_text()
    links = [link.get_attribute("href") for link in shown.locator("nav a").all()]
    assert len(links) == len(told.page.sections)
    assert all(link and shown.locator(link).count() == 1 for link in links)


def test_every_line_of_the_headline_can_be_read(told: Told, shown: Page) -> None:
    lines = shown.locator("ul.headline li")
    assert lines.all_inner_texts() == list(told.page.headline)
    assert all(line.is_visible() for line in lines.all())


def test_plots_are_drawn(told: Told, shown: Page) -> None:
    pictures = shown.locator("img").all()
    assert len(pictures) == sum(section.figure is not None for section in told.page.sections)
    widths = [picture.evaluate("image => image.naturalWidth") for picture in pictures]
    assert all(width > 400 for width in widths)


def test_a_name_out_of_the_data_is_shown_and_not_run(shown: Page) -> None:
    assert shown.get_by_text("<script>document.title=1</script>").first.is_visible()
    assert shown.locator("script").count() == 0


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_nothing_is_wider_than_the_window(browser: Browser, told: Told, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(told.address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_the_page_asks_for_nothing_outside_itself(browser: Browser, told: Told) -> None:
    asked: list[str] = []
    page = browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(told.address)
    page.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
