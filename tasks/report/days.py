"""Section: tables by day, present, missing or stale, with what mends them."""

from __future__ import annotations

import polars as pl

from tasks import status
from tasks.report.page import Section

TITLE = "Tables by day"


def days_section(found: pl.DataFrame) -> Section:
    """Return the section of STATUS_SCHEMA rows: one row per table, one column per day."""
    grid = status.by_day(found)
    if not grid:
        return Section(TITLE, notes=("No day of this range has landed.",))
    days = sorted({day for states in grid.values() for day in states})
    table = pl.DataFrame(
        {
            "table": list(grid),
            **{str(day): [states.get(day) for states in grid.values()] for day in days},
        }
    )
    todo = status.mends(found)
    return Section(TITLE, table, notes=tuple(todo) or ("Nothing to mend.",))


def days_headline(found: pl.DataFrame) -> str:
    """Count the missing and stale table days in one line."""
    states = [state for days in status.by_day(found).values() for state in days.values()]
    missing, stale = states.count(status.MISSING), states.count(status.STALE)
    return f"Tables by day: {missing} missing, {stale} stale of {len(states)}."
