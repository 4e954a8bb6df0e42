"""Sections: what was received, set aside and counted, and what the source cannot give."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c
from tasks.features.checks import places
from tasks.report import figures
from tasks.report.gaps import Gap, Rows, gap_section
from tasks.report.page import Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RECEIVED_TITLE = "Received events"
CHECKS_TITLE = "Data checks"
BY_DAY_TITLE = "Received by day"
COUNTS = ("rows", "events", "duplicates", "late", "set_aside")
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


def by_day_section(checks: Rows) -> Section:
    """Return ingest's counts, one row per day, from DATA_CHECKS rows of several days."""
    if isinstance(checks, Gap):
        return gap_section(BY_DAY_TITLE, checks)
    counted = checks.filter(table="events", column=c.EVENT_ID, verdict="counted")
    if counted.is_empty():
        return Section(BY_DAY_TITLE, notes=("Ingest counted nothing on these days.",))
    newest = counted.sort(c.DT, "version").unique([c.DT, "check"], keep="last", maintain_order=True)
    whole = newest.select(pl.col(c.DT).alias("day"), "check", pl.col(c.VALUE).cast(pl.Int64))
    ever = pl.col(c.VALUE).max().over("check") > 0
    told = whole.filter(pl.col("check").is_in(COUNTS) | ever)
    names = [*COUNTS, *sorted(set(told["check"]) - set(COUNTS))]
    present = [name for name in names if name in told["check"]]
    return Section(
        BY_DAY_TITLE, told.pivot("check", index="day", values=c.VALUE, on_columns=present)
    )


def checks_section(checks: Rows) -> Section | None:
    """Return the newest DATA_CHECKS rows that have a band, None when there are none."""
    if isinstance(checks, Gap):
        return None
    keys = ["table", "column", "check"]
    newest = checks.sort("version").unique(keys, keep="last").sort(keys)
    banded = newest.filter(pl.col("verdict") != "counted")
    worrying = banded.filter(pl.col("verdict") != "ok").height
    note = f"{worrying} of {banded.height} outside their band."
    table = banded.select(*keys, c.VALUE, c.LOW, c.HIGH, "verdict")
    if banded.is_empty():
        return None
    placed = places(newest)
    figure = figures.bands(placed) if placed.height else None
    return Section(CHECKS_TITLE, table, figure, (note,))


def source_section(events: Rows, source: str, said: tuple[str, ...] = ()) -> Section | None:
    """Return what the received events leave unknown, None when they leave nothing so.

    Unknown is said, never filled in: a signal is missing when no event of the day carries it.

    Args:
        events: EVENTS rows of the day.
        source: where the delivery came from, by its manifest.
        said: what the source's importer says of it.
    """
    if isinstance(events, Gap) or events.is_empty():
        return None
    lost = [name for name in LOST if events[name].null_count() == events.height]
    notes = [f"No {name}: {LOST[name]}." for name in lost]
    if c.IMPRESSION not in events[c.EVENT_TYPE]:
        notes.insert(0, "No impressions: what people saw and passed over is not known.")
    if not notes:
        return None
    return Section(SOURCE_TITLE, notes=(f"Source: {source}.", *notes, *said))


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
    events = rows.filter(pl.col("table") == "events").drop_nulls("rows").sort("day")
    return figures.rows_by_day(events) if events["rows"].sum() else None
