"""The first missing link, by the hours that the contracts declare."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from tasks.lake.contracts import Table
from tasks.lake.lake import Lake
from tasks.lake.tables import EVENTS, ITEM_FEATURES, RANKING_GROUPS, TABLES, USER_FACETS
from tasks.landing.manifest import write_landing_day
from tasks.settings import Settings
from tasks.watch_chain import (
    ChainIncomplete,
    HalfPending,
    due_tables,
    find_missing,
    missing,
)

BEFORE, DAY, TODAY = date(2026, 3, 5), date(2026, 3, 6), date(2026, 3, 7)
NOON = datetime(2026, 3, 7, 12, tzinfo=UTC)


def at(hour: int) -> datetime:
    return datetime(2026, 3, 7, hour, tzinfo=UTC)


def landed(settings: Settings, *days: date) -> None:
    for day in days:
        write_landing_day(settings.landing, day, {}, source="test")


def made(settings: Settings, day: date, but: Collection[Table] = ()) -> None:
    """Enter every table that has an hour into the ledger, but for some."""
    lake = Lake(settings)
    for table in TABLES.values():
        if table.due_hour is not None and table not in but:
            lake.supersede(table, day, by=TODAY, part="one" if table.part else None)


def waiting(hours: float = 4, day: str = "2026-03-01") -> HalfPending:
    since = NOON - timedelta(hours=hours)
    return HalfPending("retrain_ranker", day, ("facets",), ("candidates",), since)


def test_a_shop_without_deliveries_has_no_chain_to_watch(settings: Settings) -> None:
    assert find_missing(NOON, [], settings) == 0


def test_every_table_with_an_hour_is_due_in_the_end() -> None:
    with_hour = [table for table in TABLES.values() if table.due_hour is not None]
    assert due_tables(BEFORE, NOON) == with_hour
    assert len(with_hour) > 10


def test_nothing_is_due_before_its_hour() -> None:
    assert due_tables(DAY, at(2)) == []
    assert EVENTS in due_tables(DAY, at(3))
    assert ITEM_FEATURES not in due_tables(DAY, at(3))


def test_a_complete_chain_counts_what_was_judged(settings: Settings) -> None:
    landed(settings, BEFORE, DAY)
    made(settings, BEFORE)
    made(settings, DAY)
    assert find_missing(NOON, [], settings) == len(due_tables(BEFORE, NOON)) * 2


def test_a_delivery_that_did_not_come_is_the_first_link(settings: Settings) -> None:
    landed(settings, BEFORE)
    made(settings, BEFORE)
    with pytest.raises(ChainIncomplete, match="landing of 2026-03-06 was due at 2026-03-07 03:00"):
        find_missing(at(3), [], settings)
    assert find_missing(at(2), [], settings) == len(due_tables(BEFORE, NOON))


def test_the_earliest_of_the_missing_tables_is_named_and_the_rest_counted(
    settings: Settings,
) -> None:
    landed(settings, BEFORE, DAY)
    made(settings, BEFORE)
    made(settings, DAY, but=(USER_FACETS, ITEM_FEATURES))
    with pytest.raises(ChainIncomplete) as found:
        find_missing(NOON, [], settings)
    assert "item_features of 2026-03-06 was due at 2026-03-07 04:00 UTC" in str(found.value)
    assert "look at build_features (1 more tables are late behind it)" in str(found.value)
    assert found.value.link == "item_features 2026-03-06"


def test_the_older_day_comes_first(settings: Settings) -> None:
    landed(settings, BEFORE, DAY)
    links = missing(Lake(settings), NOON)
    assert (links[0].table, links[0].day) == ("events", BEFORE)
    assert links[-1].day == DAY


def test_days_before_the_first_delivery_are_outside_history(settings: Settings) -> None:
    landed(settings, DAY)
    made(settings, DAY)
    assert find_missing(NOON, [], settings) == len(due_tables(DAY, NOON))


def test_the_first_link_of_each_day_is_named(settings: Settings) -> None:
    landed(settings, BEFORE)
    made(settings, BEFORE, but=(USER_FACETS,))
    with pytest.raises(ChainIncomplete) as found:
        find_missing(NOON, [], settings)
    assert "user_facets of 2026-03-05 was due" in str(found.value)
    assert "landing of 2026-03-06 was due" in str(found.value)
    assert found.value.link == "user_facets 2026-03-05, landing 2026-03-06"


def test_days_half_pending_for_long_are_named_with_what_finishes_them(settings: Settings) -> None:
    with pytest.raises(ChainIncomplete) as found:
        find_missing(NOON, [waiting(), waiting(day="2026-03-03")], settings)
    assert str(found.value) == (
        "retrain_ranker waits for candidates of 2026-03-01, 2026-03-03 (facets came):"
        " trigger retrain_ranker with the day as partition key"
    )
    assert found.value.link == "retrain_ranker 2026-03-01, retrain_ranker 2026-03-03"


def test_a_day_whose_events_all_came_and_woke_nobody_is_named(settings: Settings) -> None:
    unwoken = replace(waiting(), came=("facets", "candidates"), absent=())
    told = "retrain_ranker has no run of 2026-03-01, though facets and candidates came: trigger"
    with pytest.raises(ChainIncomplete, match=told):
        find_missing(NOON, [unwoken], settings)


def test_days_half_pending_behind_a_late_link_are_in_the_same_line(settings: Settings) -> None:
    landed(settings, BEFORE)
    made(settings, BEFORE)
    with pytest.raises(ChainIncomplete) as found:
        find_missing(NOON, [waiting()], settings)
    (line,) = str(found.value).splitlines()
    assert "landing of 2026-03-06" in line
    assert "retrain_ranker waits for candidates of 2026-03-01" in line
    assert found.value.link == "landing 2026-03-06, retrain_ranker 2026-03-01"


def test_a_half_pending_day_that_was_run_by_hand_is_done(settings: Settings) -> None:
    landed(settings, BEFORE, DAY)
    for day in (BEFORE, DAY):
        made(settings, day)
    assert find_missing(NOON, [waiting(day=str(DAY))], settings) > 0


def test_a_half_pending_day_that_was_run_by_hand_in_part_is_not_done(settings: Settings) -> None:
    landed(settings, BEFORE, DAY)
    for day in (BEFORE, DAY):
        made(settings, day)
    early = BEFORE - timedelta(days=1)
    Lake(settings).supersede(RANKING_GROUPS, early, by=TODAY)
    with pytest.raises(ChainIncomplete, match=str(early)):
        find_missing(NOON, [waiting(day=str(early))], settings)


def test_a_day_half_pending_since_a_moment_ago_is_nothing(settings: Settings) -> None:
    assert find_missing(NOON, [waiting(hours=2)], settings) == 0
