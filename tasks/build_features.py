"""Build features of a day: what landed becomes events, counters, sequences, segments, scores."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import polars as pl

from tasks.features.checks import check_day, require_accepted
from tasks.features.counters import counters
from tasks.features.daily import daily_counts, refuse_behind
from tasks.lake.contracts import Table
from tasks.lake.lake import WHOLE, Lake
from tasks.lake.tables import DATA_CHECKS, EVENTS, SET_ASIDE_EVENTS, USER_SEGMENTS
from tasks.landing.ingest import check_rows, received
from tasks.progress import Progress
from tasks.segments.ranking import evidence, ranked
from tasks.segments.rules import user_segments
from tasks.settings import Settings
from tasks.steps import Step


def ingest(day: date, settings: Settings) -> dict[str, int]:
    """Write the day's events and snapshots as received, counted; return the counts by fate.

    Raises:
        InputNotReady: the day, or one of the days before that may hold copies, has not landed.
        ContractViolation: the delivery breaks a rule; nothing is written.
    """
    lake = Lake(settings)
    found = received(settings.landing, day, settings.landing_rules)
    lake.remember_landing([found.manifest])
    for table, rows in found.snapshots.items():
        lake.write_day(table, day, rows)
    # Only now: a correction of an earlier day can change which events are copies, and no snapshot.
    lake.remember_landing(found.earlier, EVENTS.name)
    lake.write_day(SET_ASIDE_EVENTS, day, found.judged.set_aside)
    lake.write_day(EVENTS, day, found.judged.events)
    version = lake.ledger.written(EVENTS)[day, WHOLE].version
    lake.append_day(DATA_CHECKS, day, check_rows(found.judged.counts, version))
    write_daily_counts(day, settings)
    return found.judged.counts


def write_daily_counts(day: date, settings: Settings) -> None:
    """Write what counts the day's events, made of nothing but them.

    Raises:
        InputNotReady: the day has no events yet.
    """
    lake = Lake(settings)
    for table, rows in daily_counts(lake, day).items():
        lake.write_day(table, day, rows)


def count_interactions(day: date, settings: Settings) -> dict[str, int]:
    """Check the day, then write its counters, demand, sequences, segments; return rows by table.

    Raises:
        DataCheckFailed: a data check is outside its hard band.
        InputNotReady: a day of the windows has no events or snapshots yet, was counted before its
            events were replaced, or was refused itself.
    """
    lake = Lake(settings)
    check_day(lake, day)
    require_accepted(lake, day, settings.features.sequence_days)
    refuse_behind(lake, day, settings.features.sequence_days)
    tables = selected(
        counters(lake, day, settings.features)
        | {USER_SEGMENTS: lambda: user_segments(evidence(lake, day), settings.segments)}
    )
    return {table.name: lake.write_day(table, day, rows) for table, rows in tables.items()}


def selected(selects: dict[Table, Callable[[], pl.DataFrame]]) -> dict[Table, pl.DataFrame]:
    """Return the rows of every table, logging each SELECT."""
    progress, found = Progress("select", len(selects)), {}
    for table, select in selects.items():
        found[table] = select()
        progress.piece(f"{table.name}: {found[table].height:,} rows")
    return found


def rank_segments(day: date, settings: Settings) -> dict[str, int]:
    """Write the day's counters and scores by segment; return rows by table.

    Raises:
        InputNotReady: the day's segments or item features are not there yet.
    """
    lake = Lake(settings)
    return {
        table.name: lake.write_day(table, day, rows)
        for table, rows in ranked(lake, day, settings.segments).items()
    }


STEPS = (
    Step(ingest),
    Step(count_interactions, after=(ingest,)),
    Step(rank_segments, after=(count_interactions,)),
)
