"""What the ranker may look at: every feature once, with its family.

Numbers come as known the day before the listing. A row that a present partition does not have is
null, and CatBoost takes null as smaller than every number: an unseen pair is not a pair seen zero
times. To add a feature, add it to `sql/ranking_groups.sql` and name it here; a new candidate
generator brings its own. Position is never one: it enters as the training Pool's baseline.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks import columns as c
from tasks.candidates import GENERATORS

PRODUCT = "product"
AGE = "age_days"


@dataclass(frozen=True)
class Feature:
    """A column of `ranking_groups` that the model sees."""

    name: str
    family: str
    is_category: bool = False


def candidate_feature(generator: str, what: str) -> str:
    """Return the name of a generator's score, rank, age or product."""
    return f"{generator}_{what}"


def _family(family: str, *names: str) -> tuple[Feature, ...]:
    return tuple(Feature(name, family) for name in names)


_CANDIDATES = tuple(
    candidate_feature(generator, what)
    for generator in GENERATORS
    for what in (c.SCORE, c.RANK, AGE, PRODUCT)
)
_CONTEXT = (c.PLATFORM, c.SURFACE, c.CATEGORY_GROUP)
_ITEM = ("impressions_7", "views_7", "carts_7", "orders_7", "carts_30", "orders_30", "returns_30")
_ITEM_RATES = ("view_rate_30", "cart_rate_30", "order_rate_30", "age_days", "days_since_order")
_PAIR = ("impressions_7", "views_7", "views_30", "favorites_30", "carts_30", "orders_30")
_PAIR_RECENCY = ("days_since_view", "days_since_cart", "days_since_order")
_SEGMENT = ("impressions_30", "views_30", "carts_30", "orders_30")
_USER = ("views_30", "carts_30", "orders_30", "days_since_event")

FEATURES: tuple[Feature, ...] = (
    *_family("item", *(f"item_{name}" for name in (*_ITEM, *_ITEM_RATES)), "item_rating"),
    *_family("user", *(f"user_{name}" for name in _USER)),
    *_family("user x item", *(f"pair_{name}" for name in (*_PAIR, *_PAIR_RECENCY))),
    *_family("segment", *(f"segment_{name}" for name in _SEGMENT), c.SF_POS, "sf_support"),
    *_family("facets", "facet_brand", "facet_colour", "facet_size", "facet_category"),
    *_family("facets", "facet_sum", "facet_matches"),
    *_family("price", "item_price", "price_to_category", "price_to_user"),
    *_family("stock", "in_stock", "in_stock_here"),
    *_family("candidates", *_CANDIDATES),
    *(Feature(name, "context", is_category=True) for name in _CONTEXT),
)
NUMBERS = tuple(feature.name for feature in FEATURES if not feature.is_category)
CATEGORIES = tuple(feature.name for feature in FEATURES if feature.is_category)
NAMES = tuple(feature.name for feature in FEATURES)
