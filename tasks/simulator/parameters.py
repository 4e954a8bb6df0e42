"""The parameters of the shop's world, frozen by version and digest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

from tasks.simulator.attributes import ATTRIBUTES, CATEGORIES, TRAITS, Attribute, Category, Trait
from tasks.simulator.breaks import ALL, NAMES, NONE, Breaks


@dataclass(frozen=True)
class Parameters:
    """Every number that shapes a world; log-odds unless a unit says otherwise."""

    version: str = "default-4"
    categories: tuple[Category, ...] = CATEGORIES
    attributes: tuple[Attribute, ...] = ATTRIBUTES
    traits: tuple[Trait, ...] = TRAITS
    cities: tuple[str, ...] = (
        "avila",
        "borgo",
        "cadiz",
        "delft",
        "evora",
        "faro",
        "ghent",
        "hanko",
    )
    city_zipf: float = 1.0
    vector_length: int = 8

    new_items_per_day: float = 0.002
    missing_values: float = 0.05
    out_of_stock: float = 0.04
    stocked_everywhere: float = 0.7
    stocked_in_city: float = 0.75
    discounted: float = 0.15
    appeal_sd: float = 0.7
    quality_sd: float = 0.35
    price_sd: float = 0.5

    women: float = 0.58
    gender_known: float = 0.9
    birth_year_known: float = 0.85
    consent: float = 0.62
    sessions_per_day: float = 0.33
    sessions_sd: float = 1.2
    late_joiners: float = 0.12
    joining_days: int = 60
    listings_go_on: float = 0.55
    max_listings: int = 8
    weekdays: tuple[float, ...] = (1.0, 0.96, 0.97, 0.98, 0.95, 1.1, 1.2)
    hours: tuple[float, ...] = (
        2, 1, 1, 1, 1, 2, 3, 5, 6, 6, 6, 6, 7, 7, 6, 6, 6, 7, 8, 10, 11, 11, 8, 4,
    )  # fmt: skip
    quiet_day: int = 9
    quiet_factor: float = 0.15
    promotion_days: tuple[int, ...] = (18, 19, 20)
    promotion_factor: float = 1.25
    promotion_discount: float = 0.2
    calendar_days: int = 30
    unknown_platform: float = 0.01
    other_platform: float = 0.15
    wide_listings: float = 0.2
    plain_searches: float = 0.4
    listing_lengths: tuple[int, ...] = (12, 20, 24, 40, 60)
    listing_length_shares: tuple[float, ...] = (0.3, 0.4, 0.2, 0.08, 0.02)

    same_category: float = 0.5
    next_category: float = 0.3
    same_category_later: float = 0.2
    next_category_later: float = 0.4
    same_style: float = 0.45
    next_style: float = 0.4
    interest_sd: float = 1.5
    wrong_gender: float = -3.0
    trait_interest: float = 4.3

    shuffled: float = 0.02
    explored: float = 0.12
    explored_slots: int = 2
    explored_length: int = 8
    ordering_noise: float = 0.45
    query_match: float = 2.0
    shelf_size: int = 120
    popularity_decay: float = 0.93

    examine_floor: float = 0.08
    examine_scale: tuple[float, ...] = (11.0, 7.5, 8.0, 8.5, 10.0)
    examine_power: float = 1.3
    taste_shared: float = 0.7
    favouring: float = 0.8
    gender_shift: float = 0.7
    usual_sample: int = 20_000
    importance_scale: float = 1.5
    price_weight: float = 0.6
    season_weight: float = 0.5
    style_intent: float = 0.7
    collection_continues: float = 0.8
    seen_before: float = 0.35
    bought_once: float = -5.0
    bought_again: float = 1.0
    rest_days: int = 10
    trait_need: float = 2.8
    need_in_orders: float = 0.5
    view_intercept: float = -3.1
    view_slope: float = 1.0
    cart_intercept: float = -6.5
    cart_slope: float = 0.85
    favorite_intercept: float = -7.1
    favorite_slope: float = 0.5
    order_intercept: float = -2.0
    order_slope: float = 0.25
    return_intercept: float = -1.55
    return_by_group: tuple[float, ...] = (0.4, 0.5, -0.1, -1.7, -2.2)
    order_later: float = 0.15
    several_ordered: float = 0.15
    revisit: float = 0.2
    memory: int = 12

    newsletter_weekday: int = 2
    newsletter_share: float = 0.3
    opt_out: float = 0.004
    visit_after_mailing: float = 0.04
    mailing_days: int = 3

    duplicates: float = 0.005
    duplicated_at_once: float = 0.6
    late: float = 0.003
    bots_per_customer: float = 0.0007
    bot_days: float = 0.2
    bot_events: int = 2600
    staff_events: int = 5400
    truth_sample: float = 0.05
    breaks: Breaks = NONE

    @property
    def digest(self) -> str:
        """The first 16 hex digits of the sha256 of the parameters that change what happens."""
        shaping = {name: value for name, value in asdict(self).items() if name != "truth_sample"}
        text = json.dumps(shaping, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


DEFAULT = Parameters()
ROUGH = "rough"
LIVELY = replace(
    DEFAULT, version=f"{DEFAULT.version}-lively", cart_intercept=-3.7, order_intercept=0.2
)
"""Customers who order about seven times as much: in minutes a small shop shows what a real one of
its size does not. For demonstrations: quality is quoted from the default world."""
WHOLE = {"default": DEFAULT, "lively": LIVELY}


def world_named(name: str) -> Parameters:
    """Return the parameters of a world.

    Args:
        name: `default`; `lively`; `rough`, which breaks every assumption of `breaks.NAMES`; or some
            of them: `rough:cascade,heavy_tails`.

    Raises:
        ValueError: there is no such world or break.
    """
    kind, _, listed = name.partition(":")
    broken = tuple(listed.split(",")) if listed else NAMES
    if name in WHOLE:
        return WHOLE[name]
    if kind != ROUGH or not set(broken) <= set(NAMES):
        raise ValueError(f"no world {name!r}: default, lively, rough, or rough:NAME,... of {NAMES}")
    return replace(DEFAULT, version=f"{DEFAULT.version}-{name}", breaks=ALL.only(broken))
