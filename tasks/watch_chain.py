"""The first missing link: what should be there by now and is not.

due(table, day) = 00:00 UTC after `day` + the table's due_hour; a table that is superseded or
written is there. Links are judged in the order of their hours, landing first, since whatever comes
after a missing one is missing for its sake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from tasks.errors import InputNotReady
from tasks.lake.contracts import Table
from tasks.lake.lake import Lake
from tasks.lake.tables import EVENTS, TABLES
from tasks.settings import Settings
from tasks.status import MISSING, dag_of, statuses
from tasks.steps import Step

WATCHED_DAYS = 2
"""The day before, and the one before that, whose every hour has passed."""
PATIENCE = timedelta(hours=3)
LANDING = "landing"


class ChainIncomplete(InputNotReady):
    """Something is late; `link` names it, so that one late thing is one alert."""

    def __init__(self, message: str, link: str) -> None:
        super().__init__(message)
        self.link = link


@dataclass(frozen=True)
class Missing:
    """A table that is late on a day."""

    table: str
    day: date
    due: datetime
    dag: str


@dataclass(frozen=True)
class HalfPending:
    """A day for which a DAG has some of the events it waits for, the newest since `since`."""

    dag: str
    day: str
    came: tuple[str, ...]
    absent: tuple[str, ...]
    since: datetime


def find_missing(now: datetime, pending: Sequence[HalfPending], settings: Settings) -> int:
    """Return how many tables were judged.

    Raises:
        ChainIncomplete: naming the first missing link, how many there are, and the days that are
            half pending, each with what to do.
    """
    lake = Lake(settings)
    late = missing(lake, now)
    waiting = [key for key in pending if now - key.since > PATIENCE]
    if late or waiting:
        raise ChainIncomplete(_message(late, waiting), _link(late, waiting))
    return sum(len(due_tables(day, now)) for day in watched_days(lake, now))


def missing(lake: Lake, now: datetime) -> list[Missing]:
    """Return what is late, the first link first."""
    found = [link for day in watched_days(lake, now) for link in _of_day(lake, day, now)]
    return sorted(found, key=lambda link: link.due)


def watched_days(lake: Lake, now: datetime) -> list[date]:
    """Return the days that are judged, none before the shop's first delivery."""
    today = now.astimezone(UTC).date()
    days = [today - timedelta(days=age) for age in range(WATCHED_DAYS, 0, -1)]
    landed = lake.complete_days(today)
    return [day for day in days if landed and day >= landed[0]]


def due_tables(day: date, now: datetime) -> list[Table]:
    """Return the tables that should be there for `day` by now."""
    return [table for table in TABLES.values() if _is_due(table, day, now)]


def _of_day(lake: Lake, day: date, now: datetime) -> list[Missing]:
    tables = {table.name: table for table in due_tables(day, now)}
    if tables and day not in lake.complete_days(day):
        return [Missing(LANDING, day, _due(EVENTS, day), "the shop's export")]
    found = statuses(lake, [day], tables.values()).filter(state=MISSING)
    return [
        Missing(name, day, _due(tables[name], day), dag_of(tables[name])) for name in found["table"]
    ]


def _is_due(table: Table, day: date, now: datetime) -> bool:
    return table.due_hour is not None and now >= _due(table, day)


def _due(table: Table, day: date) -> datetime:
    midnight = datetime.combine(day + timedelta(days=1), time(), UTC)
    return midnight + timedelta(hours=table.due_hour or 0)


def _message(late: Sequence[Missing], waiting: Sequence[HalfPending]) -> str:
    lines = [_said(late)] if late else []
    lines += [
        f"{key.dag} has waited for {' and '.join(key.absent)} of {key.day} since"
        f" {key.since:%Y-%m-%d %H:%M} UTC ({' and '.join(key.came)} came): trigger {key.dag} with"
        f" partition key {key.day}"
        for key in waiting
    ]
    return "\n".join(lines)


def _said(late: Sequence[Missing]) -> str:
    first = late[0]
    behind = f"; {len(late) - 1} more tables are late behind it" if len(late) > 1 else ""
    return (
        f"{first.table} of {first.day} was due at {first.due:%Y-%m-%d %H:%M} UTC and is not there:"
        f" look at {first.dag}{behind}"
    )


def _link(late: Sequence[Missing], waiting: Sequence[HalfPending]) -> str:
    if late:
        return f"{late[0].table} {late[0].day}"
    return f"{waiting[0].dag} {waiting[0].day}"


STEPS = (Step(judge_day),)
