"""Simulated shops in which look-alikes are scored on a day and the next days judge them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.lake.lake import Lake
from tasks.lake.tables import CUSTOMERS, EVENTS, ITEM_ATTRIBUTES, ITEMS
from tasks.landing.ingest import received
from tasks.landing.manifest import write_landing_day
from tasks.lookalikes.classifier import Array
from tasks.lookalikes.people import IS_POSITIVE, eligible_people
from tasks.lookalikes.registry import Segment, segments
from tasks.lookalikes.scoring import Evidence
from tasks.lookalikes.streaming import Flags
from tasks.lookalikes.windows import Plan
from tasks.score_lookalikes import anchors_of, evidence_of, feature_days, write_features
from tasks.settings import Settings
from tasks.simulator.parameters import world_named
from tasks.simulator.shop import Shop

DAYS, HORIZON = 44, 7
FIRST_DAY = date(2026, 8, 1)
SCORED_DAY = FIRST_DAY + timedelta(days=DAYS - 1)


@dataclass(frozen=True)
class Life:
    """A shop that has lived up to the horizon after the scored day.

    `evenings` are the shop itself after each day that may be an anchor.
    """

    name: str
    lake: Lake
    evenings: dict[date, Shop]


@dataclass(frozen=True)
class Lived:
    """One segment on the scored day, and what its people did in the horizon after it.

    `people` are `user_id, is_positive, is_buyer`; `views` are those of the features' window.
    """

    plan: Plan
    evidence: Evidence
    people: pl.DataFrame
    views: Array


def lived(settings: Settings, world: str, seed: int, customers: int, items: int) -> Life:
    """Let a shop live up to the horizon after the scored day, with features of every anchor."""
    shop = Shop.opened(seed, FIRST_DAY, customers, items, world_named(world))
    evenings = {}
    while shop.next_day <= SCORED_DAY + timedelta(days=HORIZON):
        day = shop.next_day
        _take_in(shop, settings)
        if (SCORED_DAY - day).days % HORIZON == 0:
            evenings[day] = shop.copy()
    lake = Lake(settings)
    for day in feature_days(lake, SCORED_DAY, list(segments().values())):
        write_features(day, settings)
    return Life(str(seed), lake, evenings)


def _take_in(shop: Shop, settings: Settings) -> None:
    day = shop.next_day
    frames, _ = shop.simulate_day(day)
    write_landing_day(settings.landing, day, frames, source="simulator")
    lake, found = Lake(settings), received(settings.landing, day, settings.landing_rules)
    lake.write_day(EVENTS, day, found.judged.events)
    for table in (ITEMS, ITEM_ATTRIBUTES, CUSTOMERS):
        lake.write_day(table, day, found.snapshots[table])


def judged_later(lake: Lake, segment: Segment) -> Lived:
    """Return a segment as its task sees it, and what then happened."""
    plan = anchors_of(lake, SCORED_DAY, segment)
    evidence, later = evidence_of(lake, plan), SCORED_DAY + timedelta(days=HORIZON)
    days = (later - plan.first_seed_day).days + 1
    snapshots = dict.fromkeys((ITEMS, ITEM_ATTRIBUTES, CUSTOMERS), 7)
    seeds = lake.select(segment.sql, later, {EVENTS: days, **snapshots}).unique()
    orders = lake.select("lookalike_purchases", later, {EVENTS: days})
    people = eligible_people(evidence.known[SCORED_DAY], seeds, orders, SCORED_DAY, segment)
    return Lived(plan, evidence, people, _views(lake, people))


def _views(lake: Lake, people: pl.DataFrame) -> Array:
    window = lake.settings.lookalikes.window_days
    events = lake.read_window(EVENTS, SCORED_DAY - timedelta(days=1), window)
    views = events.filter(pl.col(c.EVENT_TYPE) == c.VIEW).group_by(c.USER_ID).len("views")
    counts = people.join(views, on=c.USER_ID, how="left", maintain_order="left")["views"]
    found: Array = counts.fill_null(0).cast(pl.Float64).to_numpy()
    return found


def by_rule(shop: Lived) -> Flags:
    """Return whom the segment's simple rule takes of the people."""
    rule, flags = shop.plan.segment.rule, np.zeros(shop.people.height, bool)
    if rule is None:
        return flags
    for places, frame in shop.evidence.features[SCORED_DAY].of(shop.people):
        wanted = frame.filter(
            pl.col(c.ATTRIBUTE) == rule.attribute, pl.col(c.VALUE).is_in(list(rule.values))
        )
        ids = shop.people[places][c.USER_ID]
        flags[places] = ids.is_in(wanted[c.USER_ID].unique().implode()).to_numpy()
    return flags


def labels(people: pl.DataFrame) -> Array:
    """Return who did the seed thing, 0.0 and 1.0."""
    found: Array = people[IS_POSITIVE].cast(pl.Float64).to_numpy()
    return found
