"""A marketer chooses an audience in the real Airflow UI, by clicks alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tasks.lake.lake import Lake, Window
from tasks.lake.tables import AUDIENCE_DECISIONS, AUDIENCES
from tests.airflow.conftest import Installation, eventually
from tests.cluster.scored import DAY, PEOPLE, SEGMENT, serving
from vitrina_airflow.rest import Airflow

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with serving(tmp_path_factory.mktemp("mailing"), {}) as (family, settings):
        airflow = Airflow(family.airflow_url)
        eventually(lambda: airflow.dag("send_audience"), "the DAG")
        yield Installation(airflow, family, settings, [])


@pytest.fixture(scope="module")
def page(browser: Browser, installation: Installation) -> Iterator[Page]:
    size = {"width": 1440, "height": 1000}
    opened = browser.new_page(viewport=size, base_url=installation.airflow.url)  # type: ignore[arg-type]
    opened.set_default_timeout(PATIENCE_MS)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def asked(installation: Installation, page: Page) -> Page:
    """The question, opened from the list of required actions after a run that was asked for."""
    page.goto("/dags/send_audience")
    page.get_by_role("button", name="Trigger Dag").click()
    form = page.get_by_role("dialog")
    form.get_by_role("combobox").first.click()
    page.get_by_role("option", name=SEGMENT).click()
    form.locator("[name=element_mailing]").fill("spring")
    form.get_by_text("Advanced Options").click()
    form.locator("[name=partitionKey]").fill(str(DAY))
    form.get_by_test_id("trigger-dag-submit").click()
    form.wait_for(state="hidden")

    def waits() -> bool:
        return bool(installation.airflow.tasks_in(["awaiting_input"]))

    eventually(waits, "the question")
    page.goto("/required_actions")
    page.get_by_role("link", name="Who gets spring?").click()
    page.get_by_test_id("hitl-option-Send").wait_for()
    return page


def test_the_marketer_reads_the_card_and_what_each_threshold_comes_to(asked: Page) -> None:
    asked.get_by_text("40 people are scored. Left out: 0 opted out").wait_for()
    table = asked.locator("table", has_text="get a letter")
    head, cells = (table.locator(name).all_inner_texts() for name in ("th", "td"))
    offer = dict(zip(head, cells, strict=True))
    assert (offer["threshold"], offer["left out"], offer["suggestion"]) == ("0.5", "0", "wide")
    assert int(offer["get a letter"]) + int(offer["control"]) == PEOPLE - 20
    # From 21/41 to 40/41.
    assert offer["do it without a letter"] == f"{sum(range(21, 41)) / 41:.1f}"
    # What the card does not know.
    assert {offer[name] for name in ("expected buyers", "precision", "lift")} == {"-"}
    asked.get_by_text(f"audience-{SEGMENT}-{DAY}.html").wait_for()


def test_a_typed_threshold_writes_the_audience_with_the_user_s_name(
    installation: Installation, asked: Page
) -> None:
    lake = Lake(installation.settings)

    def waits() -> bool:
        return bool(installation.airflow.tasks_in(["awaiting_input"]))

    def answered() -> dict[str, object] | None:
        # Airflow asks anew, a minute later, where an answer comes before it has seen the asking
        # process end: read first, as a person does.
        if waits():
            asked.wait_for_timeout(10_000)
        if waits():
            asked.reload()
            asked.locator("[name=element_threshold]").fill("0.75")
            with asked.expect_response(lambda response: response.request.method == "PATCH"):
                asked.get_by_test_id("hitl-option-Send").click()
        found = lake.read_window(AUDIENCE_DECISIONS, DAY, Window(1, optional=True))
        return found.row(0, named=True) if found.height else None

    decision = eventually(answered, "the audience", seconds=400)
    assert (decision["mailing"], decision["threshold"]) == ("spring", 0.75)
    people = lake.read_day(AUDIENCES, DAY)
    # 31/41 is the least probability from 0.75 on: ten people.
    assert sorted(people["user_id"]) == [f"u{number}" for number in range(30, 40)]
    asked.reload()
    asked.get_by_text(str(decision["chosen_by"])).first.wait_for()


def test_the_note_of_the_run_says_who_chose_what(installation: Installation, asked: Page) -> None:
    def ended() -> str | None:
        (run,) = installation.airflow.runs(["send_audience"], [DAY])
        return str(run["dag_run_id"]) if run["state"] == "success" else None

    run = eventually(ended, "the run")
    asked.goto(f"/dags/send_audience/runs/{quote(run, safe='')}")
    note = asked.get_by_text("chose by threshold").first
    note.wait_for()
    assert note.is_visible()
