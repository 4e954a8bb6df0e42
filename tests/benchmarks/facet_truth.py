"""A simulated shop with what facet weights are fitted on, and the true term of every attribute.

u = ... + sum over attributes of term, term = importance x taste of the item's value. With P(view)
and P(cart | view) both logistic in u and both small, the log-odds of a cart rise by about
view_slope + cart_slope with u, the same for every attribute; terms are stated in units of u.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.build_features import write_daily_counts
from tasks.compute_facet_weights import (
    catalogue_attributes,
    fitting_rows,
    preference_features,
    write_user_facets,
)
from tasks.features.counters import SNAPSHOT_DAYS, item_features
from tasks.lake.lake import Lake
from tasks.lake.tables import (
    CUSTOMERS,
    EVENTS,
    EXAMINATION,
    ITEM_ATTRIBUTES,
    ITEM_FEATURES,
    ITEMS,
    SEGMENT_SCORES,
    USER_SEGMENTS,
)
from tasks.landing.ingest import received
from tasks.landing.manifest import write_landing_day
from tasks.segments.examination import examination
from tasks.segments.ranking import carts_by_segment, clicks, evidence, scored
from tasks.segments.rules import user_segments
from tasks.settings import Settings
from tasks.simulator import behaviour, breaks
from tasks.simulator.attributes import COLLECTION, GROUPS, STYLE
from tasks.simulator.draws import Floats
from tasks.simulator.listings import lists_frame, present_lists, shelf
from tasks.simulator.parameters import world_named
from tasks.simulator.sessions import requests
from tasks.simulator.shop import Shop
from tests.benchmarks.measure import identity

LAST_DAY = date(2026, 9, 30)
DAYS = 30
TERM, TASTE = "term/", "taste/"


@dataclass(frozen=True)
class Fitting:
    """What one day's weights are fitted on, as `tasks.facets.weights.facet_weights` takes it.

    Attributes:
        rows: what was shown.
        features: `row_id, attribute, picos` of estimated preferences.
        attributes: `category_group, attribute` of the catalogue.
        terms: `row_id` and per attribute its true term and taste.
    """

    rows: pl.DataFrame
    features: pl.DataFrame
    attributes: pl.DataFrame
    terms: pl.DataFrame


def lived_and_known(
    settings: Settings, world: str, seed: int, customers: int, items: int
) -> pl.DataFrame:
    """Simulate a shop with what its last two days' weights read; return the terms of the listings.

    One row per `listing_id, item_id` that the weights may be fitted on.
    """
    shown = live(settings, world, seed, customers, items)
    for age in range(settings.facets.fit_days + 2, -1, -1):
        know(LAST_DAY - timedelta(days=age), settings)
    return shown


def fitting(settings: Settings, day: date, shown: pl.DataFrame) -> Fitting:
    """Return what the day's weights are fitted on."""
    lake = Lake(settings)
    rows = fitting_rows(lake, day, "listings")
    keys = rows.select("row_id", c.LISTING_ID, c.ITEM_ID)
    terms = keys.join(shown, on=[c.LISTING_ID, c.ITEM_ID]).drop(c.LISTING_ID, c.ITEM_ID)
    features = preference_features(lake, day, rows)
    return Fitting(rows, features, catalogue_attributes(lake, day), terms)


def live(settings: Settings, world: str, seed: int, customers: int, items: int) -> pl.DataFrame:
    """Write the landing days, take them in, and return the terms of what the last days showed."""
    first = LAST_DAY - timedelta(days=DAYS - 1)
    shop = Shop.opened(seed, first, customers, items, world_named(world))
    shown = []
    while shop.next_day <= LAST_DAY:
        day = shop.next_day
        if 0 < (LAST_DAY - day).days <= settings.facets.fit_days + 1:
            shown.append(true_terms(shop))
        deliver(shop, settings)
    return pl.concat(shown)


def deliver(shop: Shop, settings: Settings) -> None:
    """Let the shop live its next day, and take in events and the snapshots that are read."""
    day = shop.next_day
    frames, _ = shop.simulate_day(day)
    write_landing_day(settings.landing, day, frames, "simulator", identity(shop.world.parameters))
    lake, found = Lake(settings), received(settings.landing, day, settings.landing_rules)
    lake.write_day(EVENTS, day, found.judged.events)
    write_daily_counts(day, settings)
    if (LAST_DAY - day).days <= settings.facets.fit_days + 1 + SNAPSHOT_DAYS:
        for table in (ITEMS, ITEM_ATTRIBUTES, CUSTOMERS):
            lake.write_day(table, day, found.snapshots[table])


def true_terms(shop: Shop) -> pl.DataFrame:
    """Return `listing_id, item_id` and the terms and tastes of all that the next day shows."""
    world, state = shop.world, shop.state
    plan = requests(world, state, shop.next_day, world.customers.indices)
    lists = present_lists(world, shelf(world, state, shop.next_day), plan)
    met = behaviour.listed(plan, lists)
    other = behaviour.other_terms(world, state, met)
    terms = behaviour.taste_terms(world, state, met)
    columns = {TASTE + name: _taste(shop, met, name, term) for name, term in terms.items()}
    # What a session is after, and a collection begun, count through these attributes too.
    terms[STYLE] += other["style_intent"]
    terms[COLLECTION] = columns[TASTE + COLLECTION] = other["collection"]
    columns |= {TERM + name: term for name, term in terms.items()}
    values = {name: value.astype(np.float32) for name, value in columns.items()}
    return lists_frame(world, plan, lists).select(c.LISTING_ID, c.ITEM_ID).with_columns(**values)


def _taste(shop: Shop, met: behaviour.Encounters, name: str, term: Floats) -> Floats:
    world = shop.world
    number = [attribute.name for attribute in world.parameters.attributes].index(name)
    importance = world.parameters.attributes[number].importance
    group = np.array([importance.get(group, 0.0) for group in GROUPS])[
        world.catalogue.group[met.item]
    ]
    weight = (
        world.parameters.importance_scale * group * breaks.own_factors(world, met.customer, number)
    )
    return np.divide(term, weight, out=np.zeros(len(term)), where=weight > 0)


def know(day: date, settings: Settings) -> None:
    """Write what listings of the next day are fitted on: segments, scores, preferences."""
    lake, options = Lake(settings), settings.segments
    lake.write_day(ITEM_FEATURES, day, item_features(lake, day, settings.features))
    lake.write_day(USER_SEGMENTS, day, user_segments(evidence(lake, day), options))
    examined = examination(clicks(lake, day, options), options)
    lake.write_day(EXAMINATION, day, examined)
    counts = carts_by_segment(lake, day, examined, options)
    lake.write_day(SEGMENT_SCORES, day, scored(lake, day, counts, options))
    write_user_facets(day, settings)
