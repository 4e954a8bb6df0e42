"""What each customer prefers, and how much each attribute counts beside the base score.

Listings of day t are fitted on preferences and scores of day t - 1: what the engine knew then. A
cart is credited within a day, so the newest listing day of D is D - 1. A listing day whose day
before has no preferences or no scores is left out and counted, never joined to a later day.
"""

from __future__ import annotations

import logging
from datetime import date, timedelta

import polars as pl

from tasks import columns as c
from tasks import tracking
from tasks.facets.design import sorted_rows
from tasks.facets.picture import weights_figure
from tasks.facets.preferences import event_weights, prior_ppm
from tasks.facets.sampling import kept_below
from tasks.facets.stability import steadiness
from tasks.facets.weights import METHODS, Source, facet_weights
from tasks.features.calendar import calendar
from tasks.features.counters import SNAPSHOT_DAYS
from tasks.lake.lake import Lake, Window
from tasks.lake.tables import (
    EVENTS,
    EXAMINATION,
    FACET_WEIGHTS,
    ITEM_ATTRIBUTES,
    ITEM_FEATURES,
    ITEMS,
    SEGMENT_SCORES,
    USER_FACETS,
    USER_SEGMENTS,
)
from tasks.seeds import seed_of
from tasks.segments.rules import unknown_segment
from tasks.settings import Settings
from tasks.steps import Step

log = logging.getLogger(__name__)

POOL_ITEMS = 200
"""Items of a day's purchases that others' choices are made of, without impressions."""


def write_user_facets(day: date, settings: Settings) -> int:
    """Write what each customer prefers as known on `day` and return the row count."""
    lake = Lake(settings)
    options = settings.facets
    rows = lake.stream(
        USER_FACETS.name,
        USER_FACETS.key,
        day,
        {EVENTS: options.window_days, ITEMS: SNAPSHOT_DAYS, ITEM_ATTRIBUTES: SNAPSHOT_DAYS},
        frames={
            "calendar": calendar(day, options.window_days, options.half_life_days),
            "event_weights": event_weights(options),
        },
        params={"top_values": options.top_values, "prior_ppm": prior_ppm(options)},
    )
    return lake.write_day_in_pieces(USER_FACETS, day, rows)


def fit_facet_weights(day: date, settings: Settings) -> int:
    """Write every method's weights as known on `day` and return the row count."""
    lake = Lake(settings)
    source = source_of(lake, day)
    rows = fitting_rows(lake, day, source)
    features = preference_features(lake, day, rows)
    attributes = catalogue_attributes(lake, day)
    seed = seed_of(settings, FACET_WEIGHTS.name)
    weights = facet_weights(rows, features, attributes, settings.facets, source, seed)
    track(weights, rows)
    for method, value in steadiness(newest_before(day, settings), weights).items():
        tracking.metric(f"steadiness_{method}", value)
    return lake.write_day(FACET_WEIGHTS, day, weights)


def source_of(lake: Lake, day: date) -> Source:
    """Return whether the shop logs what it shows; without impressions purchases have to do."""
    counted = lake.read_day(ITEM_FEATURES, day).select("impressions_30", "orders_30").sum()
    impressions, orders = counted.row(0)
    return "purchases" if impressions == 0 and orders > 0 else "listings"


def listing_days(lake: Lake, day: date) -> pl.DataFrame:
    """Return `day, known_day` of the listing days that can be fitted as they were."""
    ages = range(lake.settings.facets.fit_days, 0, -1)
    wanted = [day - timedelta(days=age) for age in ages]
    known = {shown: shown - timedelta(days=1) for shown in wanted}
    kept = {shown: before for shown, before in known.items() if _has_scores(lake, before)}
    log.info("facet weights: %d of %d listing days can be fitted", len(kept), len(wanted))
    tracking.metric("listing_days_left_out", len(wanted) - len(kept))
    schema = {"day": pl.Date, "known_day": pl.Date}
    return pl.DataFrame({"day": list(kept), "known_day": list(kept.values())}, schema=schema)


def _has_scores(lake: Lake, day: date) -> bool:
    return lake.has_day(USER_FACETS, day) and lake.has_day(SEGMENT_SCORES, day)


def fitting_rows(lake: Lake, day: date, source: Source) -> pl.DataFrame:
    """Return what was shown (or, without impressions, could have been bought), sorted by block."""
    options = lake.settings.facets
    before = Window(options.fit_days, ends=-2, optional=True)
    catalogue = Window(options.fit_days + SNAPSHOT_DAYS - 1, ends=-2, optional=True)
    rows = lake.select(
        "facet_rows" if source == "listings" else "facet_purchases",
        day,
        {
            EVENTS: max(options.window_days, options.fit_days + 1),
            ITEMS: catalogue,
            USER_SEGMENTS: before,
            SEGMENT_SCORES: before,
            EXAMINATION: 1,
        },
        frames={"listing_days": listing_days(lake, day)},
        params={
            "kept_below": kept_below(options.negative_share),
            "pool_items": POOL_ITEMS,
            "unknown_segment": unknown_segment(lake.settings.segments),
        },
    )
    return sorted_rows(rows, options.blocks)


def preference_features(lake: Lake, day: date, rows: pl.DataFrame) -> pl.DataFrame:
    """Return `row_id, attribute, picos`: what the engine would have added to each row."""
    options = lake.settings.facets
    keys = ("row_id", c.USER_ID, c.ITEM_ID, "known_day", "snapshot_day", c.CATEGORY_GROUP)
    return lake.select(
        "facet_features",
        day,
        {
            USER_FACETS: Window(options.fit_days, ends=-2, optional=True),
            ITEM_ATTRIBUTES: Window(options.fit_days + SNAPSHOT_DAYS - 1, ends=-2, optional=True),
        },
        frames={"facet_rows": rows.select(keys)},
    )


def catalogue_attributes(lake: Lake, day: date) -> pl.DataFrame:
    """Return `category_group, attribute` of the newest catalogue, sorted."""
    items = lake.read_window(ITEMS, day, SNAPSHOT_DAYS).select(c.ITEM_ID, c.CATEGORY_GROUP, c.DT)
    described = lake.read_window(ITEM_ATTRIBUTES, day, SNAPSHOT_DAYS)
    newest = items.filter(pl.col(c.DT) == pl.col(c.DT).max())
    joined = described.join(newest, on=[c.ITEM_ID, c.DT])
    return joined.select(c.CATEGORY_GROUP, c.ATTRIBUTE).unique().sort(pl.all())


def newest_before(day: date, settings: Settings) -> pl.DataFrame:
    """Return the newest weights of the week before, none if there are none.

    They are looked at beside the day's own and are no input of it: a lake of their own reads them.
    """
    rows = Lake(settings).read_window(FACET_WEIGHTS, day, Window(7, ends=-1, optional=True))
    return rows.filter(pl.col(c.DT) == pl.col(c.DT).max())


def track(weights: pl.DataFrame, rows: pl.DataFrame) -> None:
    """Log counts and a picture per method."""
    tracking.metrics({"fitting_rows": rows.height, "published": float(weights["published"].sum())})
    for method in METHODS:
        if figure := weights_figure(weights, method.name):
            tracking.figure(f"{method.name}.png", figure)


STEPS = (Step(write_user_facets), Step(fit_facet_weights, after=(write_user_facets,)))
