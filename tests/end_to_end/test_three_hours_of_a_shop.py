"""The chain over three hours of REES46: one day of views, carts and orders, nothing else.

A single day gives features, preferences and candidate lists. It gives nothing that compares with a
later day, and each such step has to end well and say why.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from tasks import status
from tasks.errors import InputNotReady
from tasks.lake.lake import Lake
from tasks.lake.tables import (
    CANDIDATES,
    EVENTS,
    EXAMINATION,
    FACET_WEIGHTS,
    GATE_DECISIONS,
    RANKING_DAYS,
    RANKING_GROUPS,
    THRESHOLD_CARDS,
    USER_FACETS,
)
from tasks.landing.importers import load
from tasks.report.build import build
from tasks.report.page import Page, html, text
from tasks.settings import Settings
from tasks.steps import CHAIN, run_dag
from tests.real_data import real

DAY = date(2019, 10, 1)
LINES = 1_500


@pytest.fixture(scope="module")
def three_hours(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings over a lake in which the chain has run for the first lines of the slice."""
    home = tmp_path_factory.mktemp("rees46")
    settings = Settings(home=home, mlflow_url="", min_free_gb=0)
    load("rees46", first_lines(real(settings, "rees46_slice"), home), settings)
    for dag in CHAIN:
        run_dag(dag, DAY, settings)
    return settings


def first_lines(folder: Path, home: Path) -> Path:
    lines = pl.scan_parquet(folder / "*.parquet").sort("event_time", maintain_order=True)
    # Most lines are views: carts and orders come along, or nothing would have been bought.
    views = pl.col("event_type") == "view"
    kept = lines.filter(~views | (views.cum_sum() <= LINES)).collect()
    source = home / "events.parquet"
    kept.write_parquet(source)
    return source


@pytest.fixture(scope="module")
def page(three_hours: Settings) -> Page:
    return build(DAY, three_hours)


def notes(page: Page, title: str) -> str:
    return " ".join(next(one for one in page.sections if one.title == title).notes)


def test_every_table_of_the_day_is_there(three_hours: Settings) -> None:
    found = status.statuses(Lake(three_hours), [DAY])
    assert set(found["state"]) == {"present", "none"}
    assert status.mends(found) == []


def test_one_day_gives_events_preferences_and_lists_of_every_generator(
    three_hours: Settings,
) -> None:
    lake = Lake(three_hours)
    events = lake.read_day(EVENTS, DAY)
    assert set(events["event_type"]) == {"view", "cart", "order"}
    assert lake.read_day(USER_FACETS, DAY).height > 0
    lists = lake.read_day(CANDIDATES, DAY)
    assert set(lists["generator"]) == set(three_hours.candidates.generators)
    assert set(lists["user_id"]) == set(events["user_id"])


def test_what_nobody_saw_is_not_made_up(three_hours: Settings) -> None:
    lake = Lake(three_hours)
    assert lake.read_day(EXAMINATION, DAY).is_empty()
    assert lake.read_day(RANKING_GROUPS, DAY).is_empty()
    weights = lake.read_day(FACET_WEIGHTS, DAY)
    assert not weights["published"].any()
    assert weights["coefficient"].null_count() == weights.height
    assert set(lake.read_day(THRESHOLD_CARDS, DAY)["verdict"]) == {"too few"}
    decision = lake.read_day(GATE_DECISIONS, DAY).row(0, named=True)
    assert (decision["decision"], decision["is_registered"]) == ("undecided", False)


def test_each_listing_day_is_dropped_because_history_begins_that_day(three_hours: Settings) -> None:
    days = Lake(three_hours).read_day(RANKING_DAYS, DAY)
    assert set(days["role"]) == {"dropped"}
    assert set(days["reason"]) == {
        "nothing is known of the day before: history begins on 2019-10-01"
    }


def test_the_page_says_of_each_result_why_it_is_not_there(page: Page) -> None:
    said = notes(page, "Facet weights")
    assert "nothing was bought on days whose day before has preferences and scores" in said
    assert "no impressions: what was examined is not known" in said
    assert "history is too short" in notes(page, "Look-alike: bag_buyers")
    assert notes(page, "Candidate generators") == (
        "Not measured, ease, lightfm, popular, sasrec: 0 days before the holdout, 3 are needed."
    )
    assert "No listing day could be held out" in notes(page, "Ranker")
    assert "no listing of the last days can be held out" in notes(page, "The gate")


def test_the_page_says_what_the_source_cannot_give(page: Page) -> None:
    said = notes(page, "What this source cannot give")
    for lost in ("No impressions", "No position", "No propensity", "platform is unknown"):
        assert lost in said
    assert "hours silent at the end" in text(page)
    assert "hours silent at the end" in text(page)
    assert html(page).count("<section>") == len(page.sections)


def test_a_day_that_never_landed_is_refused_by_name_and_still_has_a_page(
    three_hours: Settings,
) -> None:
    after = date(2019, 10, 2)
    with pytest.raises(InputNotReady, match="landing day 2019-10-02 has not been delivered"):
        run_dag("build_features", after, three_hours)
    assert "has not written it" in text(build(after, three_hours))
