"""Sections: what was received, set aside and counted, and what the source cannot give."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c
from tasks.report import figures
from tasks.report.gaps import Gap, Rows, gap_section
from tasks.report.page import Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RECEIVED_TITLE = "Received events"
CHECKS_TITLE = "Data checks"
SOURCE_TITLE = "What this source cannot give"
LOST = {
    c.LISTING_ID: "ranking groups are made from candidates, since no listing is logged",
    c.POSITION: "no examination by position; `sf_pos` is not corrected for it",
    c.PROPENSITY: "no metric free of position: nothing was shown with a known chance",
    c.SESSION_ID: "carts are not credited within a session",
    c.DWELL_SECONDS: "long views cannot be told from short ones",
    c.QUERY: "search listings cannot be told apart by what was asked",
    c.VARIANT: "no experiment can be read",
}


def received_section(events: Rows, set_aside: Rows, day: date) -> Section:
    """Return the section of a day's EVENTS and SET_ASIDE_EVENTS: by type, late, set aside."""
    if isinstance(events, Gap):
        return gap_section(RECEIVED_TITLE, events)
    counts = events.group_by(c.EVENT_TYPE).agg(
        pl.len().alias("events"),
        pl.col(c.USER_ID).n_unique().alias("users"),
        pl.col(c.ITEM_ID).n_unique().alias("items"),
        late(day).sum().alias("late"),
    )
    order = pl.col(c.EVENT_TYPE).cast(pl.Enum(c.EVENT_TYPES))
    notes = (_total(events, day), *_aside(set_aside))
    return Section(RECEIVED_TITLE, counts.sort(order) if counts.height else None, notes=notes)


def late(day: date) -> pl.Expr:
    """Return whether an event happened on a day before the one it was received on."""
    return pl.col(c.TS).dt.date() < day


def _total(events: pl.DataFrame, day: date) -> str:
    if events.is_empty():
        return "A quiet day: the delivery is complete and holds no event."
    behind = events.select(late(day).sum()).item()
    share = behind / events.height
    return f"{events.height:,} events received, {behind:,} of them late ({share:.2%})."


def _aside(set_aside: Rows) -> list[str]:
    if isinstance(set_aside, Gap):
        return [f"Set aside: {set_aside.reason}"]
    if set_aside.is_empty():
        return ["Set aside: none."]
    reasons = (
        set_aside.group_by(c.REASON).agg(pl.len(), pl.col(c.USER_ID).n_unique()).sort(c.REASON)
    )
    return [
        f"Set aside, {reason}: {count:,} events of {users:,} users."
        for reason, count, users in reasons.iter_rows()
    ]


def checks_section(checks: Rows) -> Section:
    """Return the section of DATA_CHECKS rows of a day: the newest version of each."""
    if isinstance(checks, Gap):
        return gap_section(CHECKS_TITLE, checks)
    keys = ["table", "column", "check"]
    newest = checks.sort("version").unique(keys, keep="last").sort(keys)
    if newest.is_empty():
        return Section(CHECKS_TITLE, notes=("Nothing was checked this day.",))
    table = newest.select(*keys, c.VALUE, c.LOW, c.HIGH, "verdict")
    worrying = newest.filter(pl.col("verdict").is_in(["warned", "broken"])).height
    return Section(
        CHECKS_TITLE, table, notes=(f"{worrying} of {newest.height} outside their band.",)
    )


def source_section(events: Rows) -> Section | None:
    """Return what the received events leave unknown, None when they leave nothing so.

    Unknown is said, never filled in: a signal is missing when no event of the day carries it.
    """
    if isinstance(events, Gap) or events.is_empty():
        return None
    notes = [
        f"No {name}: {harm}."
        for name, harm in LOST.items()
        if events[name].null_count() == events.height
    ]
    if c.IMPRESSION not in events[c.EVENT_TYPE]:
        notes.insert(
            0,
            "No impressions: what people saw and passed over is not known.",
        )
    return Section(SOURCE_TITLE, notes=tuple(notes)) if notes else None


def volume_section(found: pl.DataFrame) -> Section:
    """Return rows per table of the page's day beside those of the day before.

    Args:
        found: STATUS_SCHEMA rows of several days.
    """
    title = "Rows by table"
    rows = found.group_by("table", "day", maintain_order=True).agg(total("rows"))
    days = sorted(set(rows["day"]))[-2:]
    if not days:
        return Section(title, notes=("No table has a row yet.",))
    wide = rows.select("table").unique(maintain_order=True)
    for day in days:
        of_day = rows.filter(pl.col("day") == day).select("table", pl.col("rows").alias(str(day)))
        wide = wide.join(of_day, on="table", how="left", maintain_order="left")
    return Section(title, wide, _volume_figure(rows))


def total(name: str) -> pl.Expr:
    """Return the sum, null and not 0 where nothing was written."""
    return pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name)


def _volume_figure(rows: pl.DataFrame) -> Figure | None:
    events = rows.filter(pl.col("table") == "events").sort("day")
    return figures.rows_by_day(events) if events["rows"].sum() else None
