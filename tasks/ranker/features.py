"""What the ranker may look at: every feature once, with family, owner and what absence means.

Numbers come as known the day before the listing. A row that a present partition does not have is
null, and CatBoost takes null as smaller than every number: an unseen pair is not a pair seen zero
times. Stock alone is taken as there: below every number newcomers, which have no snapshot yet,
would rank with what is sold out. To add a feature, add it to `sql/ranking_groups.sql` and name it
here; a new candidate generator brings its own. Position is never one: it enters as the training
Pool's baseline.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Literal, TypeVar

import polars as pl

from tasks import columns as c
from tasks.candidates import GENERATORS

Rows = TypeVar("Rows", pl.DataFrame, pl.LazyFrame)
"""Rows in memory, or where they lie."""
PRODUCT = "product"
AGE = "age_days"

Default = Literal["null", "the listing's"]
LOWEST = "below every number: unknown is not zero"
NO_MATCH = "below every number: no preference meets the item"
EVERYBODY = "that of segment `all`; without one, below every number"
UNNAMED = "below every number: the generator does not name the item"
UNMADE = "below every number: no candidates are recent enough"
NEVER_SHOWN = "below every number: a list of candidates that nobody was shown"
WORD = "a word of its own, `absent`"
THERE = "as in stock: what is new has no snapshot of the day before"


@dataclass(frozen=True)
class Feature:
    """A column of `ranking_groups` that the model sees.

    Attributes:
        name: of the column.
        family: what it tells about.
        owner: who answers for its values: `Owner` in the header of the SQL that makes them.
        missing: how an absent value is taken.
        default: what an unknown customer's row of an unknown item has: null, or what the listing's
            other rows have.
        is_category: whether it is a word.
        more_is_no_worse: whether a person would insist: all else equal, a greater value never
            lowers the score.
        absent: the number that stands for null; NaN: below every number.
    """

    name: str
    family: str
    owner: str
    missing: str
    default: Default = "null"
    is_category: bool = False
    more_is_no_worse: bool = False
    absent: float = nan


def candidate_feature(generator: str, what: str) -> str:
    """Return the name of a generator's score, rank, age or product."""
    return f"{generator}_{what}"


def _family(family: str, owner: str, *names: str, missing: str = LOWEST) -> tuple[Feature, ...]:
    return tuple(Feature(name, family, owner, missing) for name in names)


def _of_generator(generator: str) -> tuple[Feature, ...]:
    score, rank, age, product = (
        candidate_feature(generator, what) for what in (c.SCORE, c.RANK, AGE, PRODUCT)
    )
    return (
        *_family("candidates", "candidates", score, rank, missing=UNNAMED),
        Feature(age, "candidates", "candidates", UNMADE, default="the listing's"),
        *_family("candidates", "candidates", product),
    )


def _context(name: str, default: Default) -> Feature:
    return Feature(name, "context", "ranker", WORD, default, is_category=True)


def _time(name: str) -> Feature:
    return Feature(name, "time", "ranker", NEVER_SHOWN, default="the listing's")


def _stock(name: str) -> Feature:
    return Feature(name, "stock", "ranker", THERE, more_is_no_worse=True, absent=1.0)


_ITEM = ("impressions_7", "views_7", "carts_7", "orders_7", "carts_30", "orders_30", "returns_30")
_ITEM_RATES = ("view_rate_30", "cart_rate_30", "order_rate_30", "age_days", "days_since_order")
_PAIR = ("impressions_7", "views_7", "views_30", "favorites_30", "carts_30", "orders_30")
_PAIR_RECENCY = ("days_since_view", "days_since_cart", "days_since_order")
_SEGMENT = ("impressions_30", "views_30", "carts_30", "orders_30")
_SEGMENT_RATES = ("view_rate_30", "cart_rate_30")
_USER = ("views_30", "carts_30", "orders_30", "days_since_event")
_FACET = ("brand", "colour", "size", "category", "sum", "matches")

FEATURES: tuple[Feature, ...] = (
    *_family("item", "features", *(f"item_{name}" for name in (*_ITEM, *_ITEM_RATES))),
    *_family("item", "features", "item_rating"),
    *_family("user", "features", *(f"user_{name}" for name in _USER)),
    *_family("user x item", "features", *(f"pair_{name}" for name in (*_PAIR, *_PAIR_RECENCY))),
    *_family("segment", "segments", *(f"segment_{name}" for name in _SEGMENT)),
    *_family("segment", "ranker", *(f"segment_{name}" for name in _SEGMENT_RATES)),
    *_family("segment", "segments", c.SF_POS, "sf_support", missing=EVERYBODY),
    *_family("facets", "facets", *(f"facet_{name}" for name in _FACET), missing=NO_MATCH),
    *_family("price", "ranker", "item_price"),
    *_family("price", "features", "price_to_category"),
    *_family("price", "ranker", "price_to_user"),
    *(_stock(name) for name in ("in_stock", "in_stock_here")),
    *(feature for generator in GENERATORS for feature in _of_generator(generator)),
    *(_time(name) for name in ("listing_hour", c.LISTING_WEEKDAY)),
    _context(c.PLATFORM, "the listing's"),
    _context(c.SURFACE, "the listing's"),
    _context(c.CATEGORY_GROUP, "null"),
)
NUMBERS = tuple(feature.name for feature in FEATURES if not feature.is_category)
CATEGORIES = tuple(feature.name for feature in FEATURES if feature.is_category)
NAMES = tuple(feature.name for feature in FEATURES)
