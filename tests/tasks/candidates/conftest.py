"""A small shop with structure to learn: three tastes, two cities, four weeks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tasks import columns as c
from tasks.candidates.generator import Known, Requests
from tasks.candidates.interactions import active, located, weighted
from tasks.settings import Settings

LAST = date(2026, 3, 28)
ITEMS = 60
GROUPS = ("clothes", "home", "beauty")


@pytest.fixture(scope="session")
def small_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, mlflow_url="", threads=1, seed=11)
    options = settings.candidates
    sasrec = options.sasrec.model_copy(
        update={"width": 16, "epochs": 2, "length": 12, "min_steps": 10}
    )
    lightfm = options.lightfm.model_copy(update={"width": 8, "epochs": 3})
    ease = options.ease.model_copy(update={"regularisation": 10.0})
    # Every item of the small shop is touched about a dozen times.
    new_items = options.new_items.model_copy(update={"max_touches": 14})
    quick = {"sasrec": sasrec, "lightfm": lightfm, "ease": ease, "min_interactions": 50}
    quick |= {"new_items": new_items}
    quick |= {"k": 20, "bootstraps": 20}
    return settings.model_copy(update={"candidates": options.model_copy(update=quick)})


def catalogue() -> pl.DataFrame:
    """Items 00..59 in three groups; 57 is sold out, 58 in the north only."""
    ids = [f"i{number:02d}" for number in range(ITEMS)]
    return pl.DataFrame(
        {
            c.ITEM_ID: ids,
            c.CATEGORY_GROUP: [GROUPS[number % 3] for number in range(ITEMS)],
            c.CATEGORY: [f"{GROUPS[number % 3]}-{number % 6}" for number in range(ITEMS)],
            c.BRAND: [None if number % 7 == 0 else f"b{number % 4}" for number in range(ITEMS)],
            c.COLOUR: [f"colour{number % 5}" for number in range(ITEMS)],
            c.IN_STOCK: [number != 57 for number in range(ITEMS)],
            c.STOCK_CITIES: ["north" if number == 58 else None for number in range(ITEMS)],
        },
        schema_overrides={c.STOCK_CITIES: pl.String},
    )


def shop_events(users: int = 80, days: int = 28, seed: int = 5) -> pl.DataFrame:
    """Each user touches mostly items of one group, the next item near the last one."""
    chance = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        item = int(chance.integers(ITEMS))
        for step in range(int(chance.integers(4, 16))):
            jump = int(chance.choice([3, 3, 3, 6, 1]))
            item = (item + jump) % ITEMS
            day = LAST - timedelta(days=int(chance.integers(days)))
            at = datetime(day.year, day.month, day.day, 9, tzinfo=UTC) + timedelta(minutes=step)
            kind = str(chance.choice([c.VIEW, c.VIEW, c.CART, c.ORDER]))
            city = "north" if user % 2 else "south"
            rows.append((f"u{user:02d}", f"i{item:02d}", kind, at, f"e{len(rows):05d}", city, day))
    names = (c.USER_ID, c.ITEM_ID, c.EVENT_TYPE, c.TS, c.EVENT_ID, c.CITY, c.DT)
    return pl.DataFrame(rows, schema=list(names), orient="row").with_columns(
        pl.col(c.TS).cast(pl.Datetime("us", "UTC")),
        pl.lit(None, pl.Int64).alias(c.DWELL_SECONDS),
    )


@pytest.fixture(scope="session")
def small_shop(small_settings: Settings) -> Known:
    events = shop_events()
    customers = pl.DataFrame(
        {
            c.USER_ID: [f"u{user:02d}" for user in range(85)],
            c.GENDER: ["f" if user % 3 else None for user in range(85)],
            c.CITY: ["south"] * 85,
        }
    )
    interactions = weighted(events, catalogue(), small_settings.candidates)
    return Known(LAST, interactions, catalogue(), located(events, customers))


@pytest.fixture(scope="session")
def shop_requests(small_shop: Known) -> Requests:
    return active(small_shop, 28)
