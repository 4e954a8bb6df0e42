"""Ranking groups with something to learn: carts follow `facet_brand` and `sf_pos`, if looked at."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from tasks.lake.tables import RANKING_GROUPS
from tests.rows import rows

LAST = date(2026, 3, 9)
ITEMS = 12


def drawn_groups(
    seed: int = 0, days: int = 6, per_day: int = 60, steepness: float = 0.2
) -> pl.DataFrame:
    """Return RANKING_GROUPS rows of `days` listing days up to LAST; the newest is held out.

    P(cart) = position ^ -steepness x sigmoid(6 x facet_brand + 2 x sf_pos - 6), features uniform;
    positions follow `item_views_7`, which has no effect of its own.
    """
    random = np.random.default_rng(seed)
    lists = days * per_day
    shape = (lists, ITEMS)
    brand, score, views = random.random(shape), random.random(shape), random.random(shape)
    position = (-views).argsort(axis=1).argsort(axis=1) + 1
    examined = position**-steepness
    odds = 6 * brand + 2 * score - 6
    carts = random.random(shape) < examined / (1 + np.exp(-odds))
    day = np.repeat(np.arange(days) % days, per_day)
    number = np.repeat(np.arange(lists), ITEMS)
    days_of = [LAST - timedelta(days=days - 1 - int(d)) for d in np.repeat(day, ITEMS)]
    filler = rows(RANKING_GROUPS, {}).drop("group_id")
    drawn = pl.DataFrame(
        {
            "group_id": [f"g{n:05d}" for n in number],
            "item_id": [f"i{n:02d}" for n in np.tile(np.arange(ITEMS), lists)],
            "listing_day": days_of,
            "role": ["holdout" if d == LAST else "train" for d in days_of],
            "user_id": [f"u{n % 80:02d}" for n in number],
            "position": position.ravel().astype(np.int32),
            "label": carts.ravel().astype(np.int64),
            "log_examination": np.log(examined.ravel()),
            "facet_brand": brand.ravel().astype(np.float32),
            "sf_pos": score.ravel().astype(np.float32),
            "item_views_7": views.ravel().astype(np.float32),
            "item_carts_30": np.zeros(lists * ITEMS, dtype=np.float32),
            "item_price": np.full(lists * ITEMS, 1000, dtype=np.float32),
            "user_days_since_event": np.ones(lists * ITEMS, dtype=np.float32),
        }
    )
    known = filler.drop(set(drawn.columns) & set(filler.columns))
    flags = {"is_trained": True, "is_measured": True}
    found = drawn.join(known, how="cross").with_columns(
        pl.lit(value).alias(name) for name, value in flags.items()
    )
    listed = datetime(2026, 3, 1, tzinfo=UTC)
    return found.with_columns(listed_at=pl.lit(listed).cast(RANKING_GROUPS.schema["listed_at"]))[
        list(RANKING_GROUPS.columns)
    ]
