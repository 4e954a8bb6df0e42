"""What mailings brought: each is measured once, when its segment's horizon has passed.

An audience of day D is compared on days D+1 to D + horizon, as known at the end of the last one:
whenever it is measured, the result is the same.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import polars as pl

from tasks import columns as c
from tasks import tracking
from tasks.errors import ContractViolation
from tasks.features.counters import SNAPSHOT_DAYS
from tasks.lake.contracts import Table
from tasks.lake.lake import Lake, Window
from tasks.lake.tables import (
    AUDIENCE_DECISIONS,
    AUDIENCES,
    CUSTOMERS,
    EVENTS,
    ITEM_ATTRIBUTES,
    ITEMS,
    MAILING_EFFECTS,
)
from tasks.lookalikes.registry import Segment, segment_of
from tasks.mailings import stored
from tasks.mailings.effect import SEED, effects
from tasks.mailings.picture import effect_figure
from tasks.seeds import seed_of
from tasks.settings import Settings
from tasks.steps import NOTE, Step

log = logging.getLogger(__name__)

OWN = (c.LOOKALIKE_SEGMENT, c.MAILING, "audience_day")


def measure(day: date, settings: Settings) -> dict[str, Any]:
    """Write the effects of every audience whose horizon has passed by `day`; return how many.

    Raises:
        InputNotReady: a day of events of a horizon is absent.
        ContractViolation: a segment is there no more, or its SELECT is wrong; the others are done.
    """
    lake, done, failed = Lake(settings), [], []
    for decision in decisions_until(lake, day):
        try:
            segment = segment_of(decision[c.LOOKALIKE_SEGMENT])
            if decision["dt"] + timedelta(days=segment.horizon_days) <= day:
                done.append(measure_one(lake, day, decision, segment))
        except ContractViolation as error:
            failed.append(f"{decision[c.MAILING]}: {error}")
    if failed:
        raise ContractViolation(f"{len(failed)} mailings are not measured: {'; '.join(failed)}")
    return {"mailings": len(done)} | ({NOTE: "; ".join(done)} if done else {})


def decisions_until(lake: Lake, day: date) -> Iterator[dict[str, Any]]:
    """Yield the decisions up to `day` that no day has measured, oldest first."""
    window = Window(AUDIENCE_DECISIONS.keep_days, optional=True)
    decided = lake.read_window(AUDIENCE_DECISIONS, day, window)
    # Of any day: one that is measured again for an earlier day would count twice.
    newest = max((written for written, _ in lake.ledger.written(MAILING_EFFECTS)), default=day)
    known = lake.read_window(MAILING_EFFECTS, max(newest, day), window).select(OWN).unique()
    open_ones = decided.join(known.rename({"audience_day": "dt"}), on=[*OWN[:2], "dt"], how="anti")
    yield from open_ones.sort("dt", *OWN[:2]).iter_rows(named=True)


def measure_one(lake: Lake, day: date, decision: dict[str, Any], segment: Segment) -> str:
    """Write the effects of one audience and return the main one in words."""
    mailing, audience_day = decision[c.MAILING], decision["dt"]
    people = with_outcomes(lake, audience_day, mailing, segment)
    title = f"{mailing}.{segment.name}.{audience_day}"
    options = lake.settings.mailings
    rows = effects(people, options.bootstraps, seed_of(lake.settings, MAILING_EFFECTS.name, title))
    own = dict(zip(OWN, (segment.name, mailing, audience_day), strict=True))
    found = rows.with_columns(pl.lit(value).alias(name) for name, value in own.items())
    lake.append_day(MAILING_EFFECTS, day, found.select(MAILING_EFFECTS.schema.names()))
    tracking.figure(f"{title}.png", effect_figure(found))
    log.info("%s: %d people measured", title, people.height)
    return f"{title}: {told(found)}"


def with_outcomes(lake: Lake, day: date, mailing: str, segment: Segment) -> pl.DataFrame:
    """Return an audience of `day` with what each person did within the segment's horizon."""
    first, last = day + timedelta(days=1), day + timedelta(days=segment.horizon_days)
    events = Window(segment.horizon_days)
    snapshots = (ITEMS, ITEM_ATTRIBUTES, CUSTOMERS)
    inputs: dict[Table, Window | int] = {EVENTS: events, **dict.fromkeys(snapshots, SNAPSHOT_DAYS)}
    seeds = lake.select(segment.sql, last, inputs).filter(pl.col("day").is_between(first, last))
    params = {"first": first, "last": last}
    ordered = lake.select("mailing_outcomes", last, {EVENTS: events}, params=params)
    people = stored.rows_of(lake, AUDIENCES, day, segment.name, mailing)
    return people.join(ordered, on=c.USER_ID, how="left").with_columns(
        pl.col("orders", "revenue").fill_null(0),
        pl.col(c.USER_ID).is_in(seeds[c.USER_ID].unique().implode()).alias(SEED),
    )


def told(rows: pl.DataFrame) -> str:
    """Return the effect on the segment's seed thing in words."""
    row = rows.filter(pl.col(c.METRIC) == SEED).row(0, named=True)
    if row["effect"] is None:
        return "no control group, so no effect can be told"
    low, high = 100 * row[c.LOW], 100 * row[c.HIGH]
    return (
        f"{100 * row['effect']:+.2f} points [{low:+.2f}, {high:+.2f}], {row['sent']:,} sent,"
        f" {row['control']:,} control"
    )


STEPS = (Step(measure),)
