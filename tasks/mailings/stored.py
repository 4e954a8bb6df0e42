"""Decisions and audiences as the lake keeps them.

Both are historical: a row records an act, so it carries the time of the act.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from tasks import columns as c
from tasks.lake.contracts import Table
from tasks.lake.lake import Lake, Window
from tasks.lake.tables import AUDIENCE_DECISIONS, AUDIENCES
from tasks.mailings.audience import CONTROL, SENT, Audience

TODAY = Window(1, optional=True)


def now() -> datetime:
    """Return the time of an act that is being recorded."""
    return datetime.now(UTC)


def rows_of(lake: Lake, table: Table, day: date, segment: str, mailing: str) -> pl.DataFrame:
    """Return a table's rows of one audience: of (segment, day, mailing)."""
    return lake.read_window(table, day, TODAY).filter(
        pl.col(c.LOOKALIKE_SEGMENT) == segment, pl.col(c.MAILING) == mailing
    )


def decision(lake: Lake, day: date, segment: str, mailing: str) -> dict[str, Any] | None:
    """Return what was decided, None while nothing was."""
    found = rows_of(lake, AUDIENCE_DECISIONS, day, segment, mailing)
    return found.row(0, named=True) if found.height else None


def people(audience: Audience, segment: str, mailing: str) -> pl.DataFrame:
    """Return AUDIENCES rows."""
    return audience.people.with_columns(
        pl.lit(segment).alias(c.LOOKALIKE_SEGMENT), pl.lit(mailing).alias(c.MAILING)
    ).select(AUDIENCES.schema.names())


def decided(audience: Audience, **facts: object) -> pl.DataFrame:
    """Return the AUDIENCE_DECISIONS row of an audience; `facts` are who chose what, and when."""
    row = {
        c.THRESHOLD: audience.threshold,
        SENT: audience.count(SENT),
        CONTROL: audience.count(CONTROL),
        "base_rate": audience.base_rate,
        "detectable_effect": audience.detectable_effect,
        **audience.left_out,
        **facts,
    }
    return pl.DataFrame([row], schema=AUDIENCE_DECISIONS.schema)


def told(found: dict[str, Any]) -> str:
    """Return a decision in one sentence, for the run's note."""
    rise = found["detectable_effect"]
    seen = "no effect can be told" if rise is None else f"a rise of {100 * rise:.2f} points shows"
    return (
        f"{found[c.MAILING]}, {found[c.LOOKALIKE_SEGMENT]}: {found['chosen_by']} chose by"
        f" {found['chosen'].replace('_', ' ')}, {found['chosen_at']:%Y-%m-%d %H:%M} UTC;"
        f" threshold {found[c.THRESHOLD]:.4g}, {found[SENT]:,} get the letter,"
        f" {found[CONTROL]:,} are control; {seen}"
    )
