"""What a day received, and what its weekday had received in the weeks before.

A day whose last checks broke a hard band is no yardstick for others until it is delivered again or
let through.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from statistics import median

import polars as pl

from tasks import columns as c
from tasks.features.counters import SNAPSHOT_DAYS
from tasks.lake.contracts import Table
from tasks.lake.lake import WHOLE, Lake, Window
from tasks.lake.tables import (
    DAILY_ACTS,
    DAILY_ITEM_COUNTS,
    DATA_CHECKS,
    EVENTS,
    ITEMS,
    SET_ASIDE_EVENTS,
)

WEEKS = (1, 2, 3, 4)
KNOWN_WEEKS = 2
"""Fewer weeks with events on this weekday tell no usual day."""
LEAST_EVENTS = 1000
"""Fewer events than this shift by chance."""


@dataclass(frozen=True)
class Past:
    """The same weekday of the weeks before, as far as it had events.

    Attributes:
        volumes: events by day.
        acts: DAILY_ACTS rows.
        item_counts: DAILY_ITEM_COUNTS rows.
        checks: DATA_CHECKS rows, the newest version of each.
    """

    volumes: tuple[int, ...] = ()
    acts: pl.DataFrame = field(default_factory=DAILY_ACTS.empty)
    item_counts: pl.DataFrame = field(default_factory=DAILY_ITEM_COUNTS.empty)
    checks: pl.DataFrame = field(default_factory=DATA_CHECKS.empty)

    @property
    def is_known(self) -> bool:
        """Whether there are weeks enough, and events enough in them, to compare with."""
        return len(self.volumes) >= KNOWN_WEEKS and median(self.volumes) >= LEAST_EVENTS


@dataclass(frozen=True)
class Received:
    """A day's events and catalogue, and what the days before had.

    Attributes:
        day: the day of receipt.
        events: its EVENTS rows.
        items: its ITEMS rows.
        catalogue: item_id and category of the newest snapshot.
        set_aside: how many events were set aside.
        volumes_before: events of each of the 7 days before.
        acts: its DAILY_ACTS rows.
        item_counts: its DAILY_ITEM_COUNTS rows.
        past: the same weekday before.
    """

    day: date
    events: pl.DataFrame
    items: pl.DataFrame
    catalogue: pl.DataFrame
    set_aside: int
    volumes_before: tuple[int, ...] = ()
    acts: pl.DataFrame = field(default_factory=DAILY_ACTS.empty)
    item_counts: pl.DataFrame = field(default_factory=DAILY_ITEM_COUNTS.empty)
    past: Past = field(default_factory=Past)

    @property
    def is_comparable(self) -> bool:
        """Whether day and past both have events enough for a shift to mean something."""
        return self.past.is_known and self.events.height >= LEAST_EVENTS


def received(lake: Lake, day: date) -> Received:
    """Return what a day received, read from the lake.

    Raises:
        InputNotReady: the day has not been taken in.
    """
    earlier = Window(7 * max(WEEKS), ends=-1, optional=True)
    refused = broken(lake.read_window(DATA_CHECKS, day, earlier))[c.DT].to_list()
    week = [day - timedelta(days=age) for age in range(1, 8)]
    weekdays = [day - timedelta(weeks=weeks) for weeks in WEEKS]
    return Received(
        day=day,
        events=lake.read_day(EVENTS, day),
        items=lake.read_day(ITEMS, day),
        catalogue=_catalogue(lake, day),
        set_aside=lake.ledger.written(SET_ASIDE_EVENTS)[day, WHOLE].rows,
        volumes_before=_volumes(lake, [before for before in week if before not in refused]),
        acts=lake.read_day(DAILY_ACTS, day),
        item_counts=lake.read_day(DAILY_ITEM_COUNTS, day),
        past=_past(lake, [before for before in weekdays if before not in refused]),
    )


def _catalogue(lake: Lake, day: date) -> pl.DataFrame:
    items = lake.read_window(ITEMS, day, Window(SNAPSHOT_DAYS, optional=True))
    return items.filter(pl.col(c.DT) == pl.col(c.DT).max()).select(c.ITEM_ID, c.CATEGORY)


def _past(lake: Lake, days: list[date]) -> Past:
    return Past(
        volumes=tuple(volume for volume in _volumes(lake, days) if volume),
        acts=_of_days(lake, DAILY_ACTS, days),
        item_counts=_of_days(lake, DAILY_ITEM_COUNTS, days),
        checks=newest(_of_days(lake, DATA_CHECKS, days)),
    )


def _of_days(lake: Lake, table: Table, days: list[date]) -> pl.DataFrame:
    there = [lake.read_day(table, day) for day in days if lake.has_day(table, day)]
    return pl.concat([pl.DataFrame(schema=table.stored_schema), *there])


def newest(checks: pl.DataFrame) -> pl.DataFrame:
    """Return the newest version of each check of each day."""
    key = [c.DT, "table", "column", "check"]
    return checks.sort(*key, "version").unique(key, keep="last", maintain_order=True)


def broken(checks: pl.DataFrame) -> pl.DataFrame:
    """Return the DATA_CHECKS rows outside a hard band in each day's last run of the checks."""
    judged = checks.filter(pl.col("verdict") != "counted")
    last = pl.col("version") == pl.col("version").max().over(c.DT)
    return judged.filter(last).filter(pl.col("verdict") == "broken")


def _volumes(lake: Lake, days: list[date]) -> tuple[int, ...]:
    written = lake.ledger.written(EVENTS)
    return tuple(written[day, WHOLE].rows for day in days if (day, WHOLE) in written)
