"""Partial counts of each day of receipt: a window of 30 days need not read its events again.

What a day received is counted once, when it is taken in; counters of 30 days add up 30 such days.
Each row keeps the day its events happened on, since a window asks for both days. Only what is much
shorter than the events has a table: counts by user, by item, and the acts, a tenth of the events.
A count by user and item would be three quarters as long as the impressions that it counts, so those
are read from the events.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from tasks.errors import InputNotReady
from tasks.lake.contracts import Table
from tasks.lake.lake import WHOLE, Lake, Window
from tasks.lake.ledger import Record
from tasks.lake.tables import DAILY_ACTS, DAILY_ITEM_COUNTS, DAILY_USER_COUNTS, EVENTS

DAILY = (DAILY_ACTS, DAILY_ITEM_COUNTS, DAILY_USER_COUNTS)


def daily_counts(lake: Lake, day: date) -> dict[Table, pl.DataFrame]:
    """Return the rows of each table that counts the events received on `day`.

    Raises:
        InputNotReady: the day has no events yet.
    """
    return {table: lake.select(table.name, day, {EVENTS: 1}) for table in DAILY}


def refuse_behind(lake: Lake, day: date, days: int) -> None:
    """Refuse a window in which a day's events were replaced after they had been counted.

    Raises:
        InputNotReady: naming the table, the day, and the backfill that counts it again.
    """
    for table in DAILY:
        written = lake.ledger.written(table)
        for counted in Window(days).of(day):
            record = written.get((counted, WHOLE))
            if record and _is_behind(lake, record):
                raise InputNotReady(
                    f"{table.name}: {counted} was counted before its events were replaced;"
                    f" backfill build_features for {counted}"
                )


def _is_behind(lake: Lake, record: Record) -> bool:
    """Return whether the events that a day was counted from differ from those there now."""
    now = lake.ledger.written(EVENTS).get((record.dt, WHOLE))
    version = record.inputs[EVENTS.name][str(record.dt)]
    if now is None or now.version == version:
        return False
    then = lake.ledger.version(EVENTS, record.dt, WHOLE, version)
    return then is None or then.row_hash != now.row_hash
