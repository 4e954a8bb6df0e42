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
from tasks.landing.manifest import LANDING
from tasks.settings import Settings
from tasks.status import MISSING, dag_of, statuses
from tasks.steps import Step

WATCHED_DAYS = 2
"""The day before, and the one before that, whose every hour has passed."""
PATIENCE = timedelta(hours=3)


class ChainIncomplete(InputNotReady):
    """Something is late; `link` names all of it, so that the same lateness is one alert."""

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
    """A day for which a DAG has events that it waits for and no run, the newest since `since`."""

    dag: str
    day: str
    came: tuple[str, ...]
    absent: tuple[str, ...]
    since: datetime


def find_missing(now: datetime, pending: Sequence[HalfPending], settings: Settings) -> int:
    """Return how many tables were judged.

    Raises:
        ChainIncomplete: in one line the first missing link of each day, how many there are behind
            it, and the days that are half pending, each with what to do.
    """
    lake = Lake(settings)
    late = missing(lake, now)
    waiting = [key for key in pending if now - key.since > PATIENCE and not has_run(lake, key)]
    if late or waiting:
        said = [*_late_days(late), *_half_pending_days(waiting)]
        raise ChainIncomplete("; ".join(said), _link(late, waiting))
    return sum(len(due_tables(day, now)) for day in watched_days(lake, now))


def judge_day(day: date, settings: Settings) -> int:
    """Fail if a table of `day` is not there; by hand (Airflow's `find_missing` looks hourly)."""
    over = datetime.combine(day + timedelta(days=WATCHED_DAYS), time(), UTC)
    return find_missing(over, [], settings)


def has_run(lake: Lake, key: HalfPending) -> bool:
    """Return whether the DAG has done the day all the same: a run by hand consumes no event."""
    tables = [table for table in TABLES.values() if dag_of(table) == key.dag]
    return all(
        key.day in {str(day) for day, _ in lake.ledger.current(table)}
        for table in tables
        if table.class_ != "historical"
    )


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


def _late_days(late: Sequence[Missing]) -> list[str]:
    return [
        _said(first, sum(link.day == first.day for link in late) - 1) for first in _firsts(late)
    ]


def _said(first: Missing, behind: int) -> str:
    rest = f" ({behind} more tables are late behind it)" if behind else ""
    return (
        f"{first.table} of {first.day} was due at {first.due:%Y-%m-%d %H:%M} UTC and is not there:"
        f" look at {first.dag}{rest}"
    )


def _firsts(late: Sequence[Missing]) -> list[Missing]:
    """Return the first missing link of each day: the next day may be late for its own reason."""
    firsts: dict[date, Missing] = {}
    for link in late:
        firsts.setdefault(link.day, link)
    return list(firsts.values())


def _half_pending_days(waiting: Sequence[HalfPending]) -> list[str]:
    kinds: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for key in waiting:
        kinds.setdefault((key.dag, key.absent, key.came), []).append(key.day)
    return [
        f"{_what_happened(dag, came, absent, days)}: trigger {dag} with the day as partition key"
        for (dag, absent, came), days in kinds.items()
    ]


def _what_happened(
    dag: str, came: Sequence[str], absent: Sequence[str], days: Sequence[str]
) -> str:
    if not absent:
        return f"{dag} has no run of {', '.join(days)}, though {' and '.join(came)} came"
    waits_for = f"{' and '.join(absent)} of {', '.join(days)}"
    return f"{dag} waits for {waits_for} ({' and '.join(came)} came)"


def _link(late: Sequence[Missing], waiting: Sequence[HalfPending]) -> str:
    names = [f"{link.table} {link.day}" for link in _firsts(late)]
    return ", ".join([*names, *(f"{key.dag} {key.day}" for key in waiting)])


STEPS = (Step(judge_day),)
