"""What mailings brought: each is measured once, when its segment's horizon has passed.

An audience of day D that was chosen on day C is compared on the horizon's days after the later of
the two, as known at the end of the last one: whenever it is measured, the result is the same.

What a mailing is judged by, seed thing and horizon, is its segment's file. Where that is gone,
nobody knows when the outcome is due, only that it is within the greatest horizon that the registry
allows. Until then the file may come back and nothing is lost; on that day the run fails, so that a
person hears of it once; a file that somebody took away for good fails no later night.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import polars as pl

from tasks import columns as c
from tasks import tracking
from tasks.errors import ContractViolation, InputNotReady, VitrinaError
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
from tasks.lookalikes.registry import (
    DAYS,
    SEEDS_FOLDER,
    Segment,
    seed_acts,
    segment_names,
    segment_of,
)
from tasks.mailings import stored
from tasks.mailings.effect import SEED, effects
from tasks.mailings.picture import effect_figure
from tasks.seeds import seed_of
from tasks.settings import Settings
from tasks.steps import NOTE, Step

log = logging.getLogger(__name__)

OWN = (c.LOOKALIKE_SEGMENT, c.MAILING, "audience_day")
LONGEST = DAYS["horizon_days"][1]
"""Days of the greatest horizon that a segment may have."""


def measure(day: date, settings: Settings) -> dict[str, Any]:
    """Write the effects of every audience whose horizon has passed by `day`; return how many.

    Raises:
        InputNotReady: a day of a horizon is absent; the other mailings are done.
        ContractViolation: a segment's file is wrong, or gone on the last day that it can be due;
            the others are done.
    """
    lake, done = Lake(settings), []
    failed: list[tuple[str, VitrinaError]] = []
    for decision in decisions_until(lake, day):
        try:
            if brought := measured_if_due(lake, day, decision):
                done.append(brought)
        except (ContractViolation, InputNotReady) as error:
            failed.append((decision[c.MAILING], error))
    refuse_failed(failed)
    return {"mailings": len(done)} | ({NOTE: "; ".join(done)} if done else {})


def measured_if_due(lake: Lake, day: date, decision: dict[str, Any]) -> str | None:
    """Write the effects of an audience and return the main one in words, None where it waits."""
    if decision[c.LOOKALIKE_SEGMENT] not in segment_names():
        refuse_gone(day, decision)
        return None
    segment = segment_of(decision[c.LOOKALIKE_SEGMENT])
    if last_day(decision, segment.horizon_days) > day:
        return None
    return measure_one(lake, day, decision, segment)


def refuse_gone(day: date, decision: dict[str, Any]) -> None:
    """Log a mailing without its segment's file; raise ContractViolation on the last day due."""
    own = decision[c.MAILING], decision[c.LOOKALIKE_SEGMENT], decision["dt"]
    last = last_day(decision, LONGEST)
    if day == last:
        raise ContractViolation(
            f"sql/{SEEDS_FOLDER.name}/{own[1]}.sql is gone, {LONGEST} days after the audience of"
            f" {own[2]} was chosen; put it back and clear, or it is never measured"
        )
    told = f"waits for it until {last}" if day < last else "was never measured"
    log.warning("%s.%s.%s: its segment's file is gone; the mailing %s", *own, told)


def refuse_failed(failed: list[tuple[str, VitrinaError]]) -> None:
    """Raise what stopped mailings: ContractViolation if any is one, since no wait mends that."""
    if not failed:
        return
    is_wrong = any(isinstance(error, ContractViolation) for _, error in failed)
    words = "; ".join(f"{mailing}: {error}" for mailing, error in failed)
    kind = ContractViolation if is_wrong else InputNotReady
    raise kind(f"{len(failed)} mailings are not measured: {words}")


def first_day(decision: dict[str, Any]) -> date:
    """Return the first day on which a letter may have had an effect."""
    last: date = max(decision["dt"], decision["chosen_at"].date())
    return last + timedelta(days=1)


def last_day(decision: dict[str, Any], horizon_days: int) -> date:
    """Return the last day on which what a letter did counts."""
    return first_day(decision) + timedelta(days=horizon_days - 1)


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
    people = with_outcomes(lake, decision, segment)
    title = f"{mailing}.{segment.name}.{audience_day}"
    options = lake.settings.mailings
    rows = effects(people, options.bootstraps, seed_of(lake.settings, MAILING_EFFECTS.name, title))
    own = dict(zip(OWN, (segment.name, mailing, audience_day), strict=True))
    found = rows.with_columns(pl.lit(value).alias(name) for name, value in own.items())
    lake.append_day(MAILING_EFFECTS, day, found.select(MAILING_EFFECTS.schema.names()))
    tracking.figure(f"{title}.png", effect_figure(found))
    log.info("%s: %d people measured", title, people.height)
    return f"{title}: {told(found)}"


def with_outcomes(lake: Lake, decision: dict[str, Any], segment: Segment) -> pl.DataFrame:
    """Return the audience of a decision with what each person did within the segment's horizon."""
    first, last = first_day(decision), last_day(decision, segment.horizon_days)
    events = Window(segment.horizon_days)
    catalogue = Window(max(segment.horizon_days, SNAPSHOT_DAYS))
    inputs: dict[Table, Window | int] = {
        EVENTS: events,
        ITEMS: catalogue,
        ITEM_ATTRIBUTES: catalogue,
        CUSTOMERS: SNAPSHOT_DAYS,
    }
    acts = seed_acts(segment, lake.select(segment.sql, last, inputs))
    seeds = acts.filter(pl.col("day").is_between(first, last))
    params = {"first": first, "last": last}
    ordered = lake.select("mailing_outcomes", last, {EVENTS: events}, params=params)
    own = decision["dt"], segment.name, decision[c.MAILING]
    return outcomes(stored.rows_of(lake, AUDIENCES, *own), seeds[c.USER_ID], ordered)


def outcomes(people: pl.DataFrame, seeds: pl.Series, ordered: pl.DataFrame) -> pl.DataFrame:
    """Return people with `orders`, `revenue` and whether they did the seed thing.

    Args:
        people: with `user_id`, one row each.
        seeds: `user_id` of everybody who did the seed thing, each once or often.
        ordered: rows of `mailing_outcomes`.
    """
    return people.join(ordered, on=c.USER_ID, how="left").with_columns(
        pl.col("orders", "revenue").fill_null(0),
        pl.col(c.USER_ID).is_in(seeds.unique().implode()).alias(SEED),
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
