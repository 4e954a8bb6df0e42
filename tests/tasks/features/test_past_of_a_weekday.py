from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl

from tasks import columns as c
from tasks.features.received import received
from tasks.lake.lake import Lake
from tasks.lake.tables import (
    DAILY_ACTS,
    DAILY_ITEM_COUNTS,
    DATA_CHECKS,
    EVENTS,
    ITEMS,
    SET_ASIDE_EVENTS,
)
from tasks.landing.manifest import write_landing_day
from tasks.settings import Settings
from tests.rows import rows

DAY = date(2026, 3, 31)
EVENTS_OF = {0: 5, 1: 8, 7: 3, 8: 9, 14: 4, 21: 0}
"""How many events there are, by days before DAY."""


def take_in(lake: Lake, day: date, count: int) -> None:
    moment = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    events = [{c.EVENT_ID: f"{day}-{n}", c.TS: moment, c.RECEIVED_AT: moment} for n in range(count)]
    write_landing_day(lake.settings.landing, day, {}, source="test")
    lake.write_day(EVENTS, day, rows(EVENTS, *events))
    lake.write_day(SET_ASIDE_EVENTS, day, SET_ASIDE_EVENTS.empty())
    lake.write_day(ITEMS, day, ITEMS.empty())
    lake.write_day(DAILY_ACTS, day, DAILY_ACTS.empty())
    lake.write_day(DAILY_ITEM_COUNTS, day, rows(DAILY_ITEM_COUNTS, {c.ITEM_ID: f"{count} events"}))
    for version in (1, 2):
        check = {"table": "events", "column": c.PRICE, "check": "share null", "version": version}
        lake.append_day(DATA_CHECKS, day, rows(DATA_CHECKS, check | {c.VALUE: count * version}))


def test_a_weekdays_past_is_the_same_weekday_and_the_newest_word_on_it(settings: Settings) -> None:
    lake = Lake(settings)
    for age, count in sorted(EVENTS_OF.items(), reverse=True):
        take_in(lake, DAY - timedelta(days=age), count)
    found = received(lake, DAY)
    assert found.events.height == 5
    assert found.volumes_before == (8, 3)
    past = found.past
    assert past.volumes == (3, 4)
    assert sorted(past.item_counts[c.ITEM_ID]) == ["0 events", "3 events", "4 events"]
    assert past.checks.select(pl.col(c.DT), c.VALUE).sort(c.DT).rows() == [
        (DAY - timedelta(days=21), 0.0),
        (DAY - timedelta(days=14), 8.0),
        (DAY - timedelta(days=7), 6.0),
    ]
