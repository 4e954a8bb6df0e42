"""A simulated shop as generators know it on the day embeddings are made, what its customers did in
the days after, and the tastes behind them.

True tastes of a customer: log-interest in every category, the vector that all likings follow, price
sensitivity and gender, and what no attribute shows where a world hides a style; of the morning
after, so that drift and exposure are counted in.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.candidates.generator import Known
from tasks.candidates.interactions import located, weighted
from tasks.candidates.preference import HORIZON_DAYS
from tasks.lake.tables import CUSTOMERS, ITEMS
from tasks.landing.ingest import received
from tasks.landing.manifest import write_landing_day
from tasks.settings import Settings
from tasks.simulator.breaks import taste_vectors
from tasks.simulator.draws import Floats
from tasks.simulator.parameters import world_named
from tasks.simulator.sessions import interests
from tasks.simulator.shop import Shop
from tests.benchmarks.measure import identity

LAST_DAY = date(2026, 9, 30)
MADE = LAST_DAY - timedelta(days=HORIZON_DAYS)
DAYS = 30 + HORIZON_DAYS
CUSTOMERS_THERE, ITEMS_THERE = 2_500, 1_200


class Lived(NamedTuple):
    """What was known on `MADE`, the interactions up to `LAST_DAY`, and tastes `user_id, ...`."""

    known: Known
    interactions: pl.DataFrame
    tastes: pl.DataFrame


def lived(settings: Settings, world: str, seed: int) -> Lived:
    """Return a shop of `DAYS` days."""
    first = LAST_DAY - timedelta(days=DAYS - 1)
    shop = Shop.opened(seed, first, CUSTOMERS_THERE, ITEMS_THERE, world_named(world))
    events: list[pl.DataFrame] = []
    while shop.next_day <= LAST_DAY:
        day = shop.next_day
        frames, _ = shop.simulate_day(day)
        delivered = identity(shop.world.parameters)
        write_landing_day(settings.landing, day, frames, "simulator", delivered)
        found = received(settings.landing, day, settings.landing_rules)
        events.append(found.judged.events.with_columns(pl.lit(day).alias(c.DT)))
        if day == MADE:
            items, people, tastes = found.snapshots[ITEMS], found.snapshots[CUSTOMERS], liked(shop)
    acts = pl.concat(events).filter(pl.col(c.EVENT_TYPE).is_in(ACTS))
    then = acts.filter(pl.col(c.DT) <= MADE)
    known = Known(MADE, weighted(then, items, settings.candidates), items, located(then, people))
    return Lived(known, weighted(acts, items, settings.candidates), tastes)


ACTS = (c.VIEW, c.FAVORITE, c.CART, c.ORDER)


def liked(shop: Shop) -> pl.DataFrame:
    """Return `user_id` and the true tastes of every customer on the shop's next day."""
    world, who = shop.world, shop.world.customers.indices
    parts: list[Floats] = [
        interests(world, shop.next_day, who),
        taste_vectors(world, shop.state, who, shop.next_day),
        np.column_stack([world.customers.price_sensitivity, world.customers.gender]),
    ]
    if world.parameters.breaks.hidden_style:
        parts.append(world.hidden_tastes)
    columns = np.column_stack(parts).T
    named = {f"taste{place}": column for place, column in enumerate(columns)}
    return pl.DataFrame({c.USER_ID: world.customers.ids, **named})
