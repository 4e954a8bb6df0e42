"""The shop's items: attributes, prices, stock, newcomers, and what nobody sees: appeal and quality.

Every number is drawn by the item's own index, so that a catalogue that has grown keeps its items.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.simulator.attributes import (
    BRAND,
    CLOTHES_SIZES,
    COLLECTION,
    COLOUR,
    GENDER,
    GROUPS,
    SEASON,
    SHOE_SIZES,
    SIZE,
    STYLE,
    Attribute,
)
from tasks.simulator.breaks import heavy
from tasks.simulator.draws import Draws, Flags, Floats, Ints, Stream, zipf_cumulative
from tasks.simulator.parameters import Parameters

ABSENT = -1
OLDEST_DAYS = 400
PROMOTED_GROUPS = (GROUPS.index("clothes"), GROUPS.index("shoes"))
UNROTATED = (BRAND, SIZE, GENDER, COLLECTION)
NEVER_MISSING = (BRAND, COLOUR, SIZE, GENDER, STYLE, COLLECTION)
_HEADS = (
    "Nor",
    "Vel",
    "Lum",
    "Tar",
    "Mio",
    "Sol",
    "Bel",
    "Kar",
    "Ru",
    "Fen",
    "Ada",
    "Wil",
    "Os",
    "Pe",
)
_TAILS = ("da", "vik", "ra", "mont", "lie", "son", "ta", "berg", "no", "sey", "lle", "ka")


def brand_name(index: int) -> str:
    """Return the invented name of a brand."""
    head, tail = _HEADS[index % len(_HEADS)], _TAILS[index // len(_HEADS) % len(_TAILS)]
    number = index // (len(_HEADS) * len(_TAILS))
    return f"{head}{tail}{number or ''}"


def value_names(attribute: Attribute, items: int) -> tuple[str, ...]:
    """Return an attribute's values in a shop that opened with `items` items."""
    if attribute.values:
        return attribute.values
    count = int(np.clip(items * attribute.counted, 8, 2000))
    if attribute.name == BRAND:
        return tuple(brand_name(index) for index in range(count))
    return tuple(f"{attribute.name}_{index:03d}" for index in range(count))


@dataclass(frozen=True)
class Catalogue:
    """Items by index; `values[attribute][item]` is a code into `names[attribute]`, or -1."""

    parameters: Parameters
    draws: Draws
    opened: date
    category: Ints
    group: Ints
    names: dict[str, tuple[str, ...]]
    values: dict[str, Ints]
    list_price: Ints
    appeal: Floats
    quality: Floats
    rating: Floats
    seller: Ints
    first_day: Ints

    @property
    def size(self) -> int:
        """Items ever, newcomers to come included."""
        return len(self.category)

    @property
    def indices(self) -> Ints:
        """All item indices."""
        return np.arange(self.size)

    @cached_property
    def ids(self) -> pl.Series:
        """Public ids by index."""
        return "i" + pl.Series(c.ITEM_ID, self.indices).cast(pl.String).str.zfill(6)

    @cached_property
    def attribute_rows(self) -> pl.DataFrame:
        """Attribute values of all items, long, with each item's `first_day`."""
        categories = [entry.name for entry in self.parameters.categories]
        wide = {c.CATEGORY: named(categories, self.category)}
        wide |= {name: named(names, self.values[name]) for name, names in self.names.items()}
        rows = pl.DataFrame({c.ITEM_ID: self.ids, "first_day": self.first_day, **wide})
        long = rows.unpivot(
            index=[c.ITEM_ID, "first_day"], variable_name=c.ATTRIBUTE, value_name=c.VALUE
        )
        return long.drop_nulls().sort(c.ITEM_ID, c.ATTRIBUTE)

    def on_sale(self, day: date) -> Flags:
        """Items that have been seen by `day`."""
        return self.first_day <= (day - self.opened).days

    def in_stock(self, day: date) -> Flags:
        """Items on sale that some city has; settled anew each week."""
        week = day.toordinal() // 7
        stocked = (
            self.draws.uniform(Stream.ITEM_STOCK, self.indices, week)
            >= self.parameters.out_of_stock
        )
        return self.on_sale(day) & stocked

    def stocked_cities(self, day: date) -> Ints:
        """Bit k is set when city k has the item; all bits when it is stocked everywhere."""
        week, cities = day.toordinal() // 7, len(self.parameters.cities)
        everywhere = self.draws.uniform(Stream.ITEM_CITY_STOCK, self.indices, week, cities)
        masks = np.full(self.size, 2**cities - 1)
        for city in range(cities):
            drawn = self.draws.uniform(Stream.ITEM_CITY_STOCK, self.indices, week, city)
            gone = (everywhere >= self.parameters.stocked_everywhere) & (
                drawn >= self.parameters.stocked_in_city
            )
            masks -= gone * 2**city
        return masks

    def prices(self, day: date) -> Ints:
        """Prices of `day` in minor units, weekly discounts and the promotion included."""
        week, parameters = day.toordinal() // 7, self.parameters
        drawn = self.draws.uniform(Stream.ITEM_DISCOUNT, self.indices, week)
        discount = np.where(drawn < parameters.discounted, 0.1 + 2.0 * drawn, 0.0)
        discount += (
            in_promotion(parameters, self.opened, day)
            * parameters.promotion_discount
            * np.isin(self.group, PROMOTED_GROUPS)
        )
        return np.maximum(
            np.rint(self.list_price * (1.0 - discount) / 10).astype(np.int64) * 10, 10
        )


def in_promotion(parameters: Parameters, opened: date, day: date) -> bool:
    """Whether clothes and shoes are on promotion on `day`."""
    return (day - opened).days % parameters.calendar_days in parameters.promotion_days


def catalogue(
    parameters: Parameters, draws: Draws, opened: date, items: int, days: int
) -> Catalogue:
    """Return the shop that opened with `items` items and the newcomers of its first `days` days."""
    index = np.arange(items + int(items * parameters.new_items_per_day * days))
    shares = np.array([category.share for category in parameters.categories])
    category = draws.choice(np.cumsum(shares / shares.sum()), Stream.ITEM_CATEGORY, index)
    groups = np.array([GROUPS.index(entry.group) for entry in parameters.categories])[category]
    quality = draws.normal(Stream.ITEM_QUALITY, index)
    names = {entry.name: value_names(entry, items) for entry in parameters.attributes}
    return Catalogue(
        parameters,
        draws,
        opened,
        category=category,
        group=groups,
        names=names,
        values=_values(parameters, draws, category, groups, names),
        list_price=_list_prices(parameters, draws, category),
        appeal=parameters.appeal_sd
        * heavy(draws.normal(Stream.ITEM_APPEAL, index), parameters.breaks.heavy_tails),
        quality=quality * parameters.quality_sd,
        rating=_ratings(draws, index, quality),
        seller=_sellers(draws, index, items),
        first_day=_first_days(parameters, draws, index, items),
    )


def _ratings(draws: Draws, index: Ints, quality: Floats) -> Floats:
    exact = 4.2 + 0.35 * quality + 0.2 * draws.normal(Stream.ITEM_RATING, index)
    return exact.clip(1, 5).round(1)


def _first_days(parameters: Parameters, draws: Draws, index: Ints, items: int) -> Ints:
    """Return the day each item was first seen, counted from the opening."""
    age = 1 + (draws.uniform(Stream.ITEM_FIRST_SEEN, index) * OLDEST_DAYS).astype(np.int64)
    newcomer = np.ceil((index - items + 1) / (items * parameters.new_items_per_day))
    return np.where(index < items, -age, newcomer.astype(np.int64))


def _list_prices(parameters: Parameters, draws: Draws, category: Ints) -> Ints:
    middle = np.array([entry.price for entry in parameters.categories])[category]
    spread = np.exp(parameters.price_sd * draws.normal(Stream.ITEM_PRICE, np.arange(len(category))))
    return np.maximum(np.rint(middle * spread / 100).astype(np.int64), 2) * 100 - 10


def _sellers(draws: Draws, index: Ints, items: int) -> Ints:
    return draws.choice(
        zipf_cumulative(int(np.clip(items // 20, 5, 5000)), 0.8), Stream.ITEM_SELLER, index
    )


def _values(
    parameters: Parameters,
    draws: Draws,
    category: Ints,
    group: Ints,
    names: dict[str, tuple[str, ...]],
) -> dict[str, Ints]:
    values: dict[str, Ints] = {}
    for number, attribute in enumerate(parameters.attributes):
        drawn = _drawn_values(
            parameters, draws, category, attribute, number, len(names[attribute.name])
        )
        has = np.array([name in attribute.importance for name in GROUPS])[group]
        values[attribute.name] = np.where(
            has & ~_missing(parameters, draws, attribute, number, category), drawn, ABSENT
        )
    return values


def _missing(
    parameters: Parameters, draws: Draws, attribute: Attribute, number: int, category: Ints
) -> Flags:
    drawn = draws.uniform(Stream.ITEM_MISSING, np.arange(len(category)), number)
    return (drawn < parameters.missing_values) & (attribute.name not in NEVER_MISSING)


def _drawn_values(
    parameters: Parameters,
    draws: Draws,
    category: Ints,
    attribute: Attribute,
    number: int,
    count: int,
) -> Ints:
    index = np.arange(len(category))
    if attribute.name == GENDER:
        return _genders(parameters, draws.uniform(Stream.ITEM_VALUE, index, number), category)
    if attribute.name == SIZE:
        return _sizes(parameters, draws.uniform(Stream.ITEM_VALUE, index, number), category)
    drawn = draws.choice(zipf_cumulative(count, attribute.zipf), Stream.ITEM_VALUE, index, number)
    if attribute.name in UNROTATED:
        return drawn
    # Each category has its own frequent values: leather bags, cotton shirts.
    rotation = draws.bits(Stream.ROTATION, category, number) % np.uint64(count)
    return (drawn + rotation.astype(np.int64)) % count


def _genders(parameters: Parameters, drawn: Floats, category: Ints) -> Ints:
    women = np.array([entry.women for entry in parameters.categories])[category]
    men = np.array([entry.men for entry in parameters.categories])[category]
    return np.where(drawn < women, 0, np.where(drawn < women + men, 1, 2)).astype(np.int64)


def _sizes(parameters: Parameters, drawn: Floats, category: Ints) -> Ints:
    shoes = np.array([entry.group == "shoes" for entry in parameters.categories])[category]
    # Two uniforms from one, so that middle sizes are the frequent ones.
    middle = (drawn + (drawn * 97) % 1.0) / 2
    clothes_size = (middle * len(CLOTHES_SIZES)).astype(np.int64)
    shoe_size = len(CLOTHES_SIZES) + (middle * len(SHOE_SIZES)).astype(np.int64)
    return np.where(shoes, shoe_size, clothes_size)


def season_fit(catalogue: Catalogue, day: date) -> Floats:
    """Return 1 for items in season, down to -1 half a year away; 0 where no season matters."""
    peaks = np.array([entry.peak_month for entry in catalogue.parameters.categories])[
        catalogue.category
    ]
    own = np.array([0, 4, 7, 10, 1])[np.maximum(catalogue.values[SEASON], 0)]
    peaks = np.where(own > 0, own, peaks)
    angle = 2 * np.pi * (day.month + day.day / 30 - 0.5 - peaks) / 12
    return np.where(peaks > 0, np.cos(angle), 0.0)


def items_frame(catalogue: Catalogue, day: date) -> pl.DataFrame:
    """Return the snapshot of items that lands on `day`."""
    shown = np.flatnonzero(catalogue.on_sale(day))
    categories = [entry.name for entry in catalogue.parameters.categories]
    cities = catalogue.parameters.cities
    seen = [catalogue.opened + timedelta(int(days)) for days in catalogue.first_day[shown]]
    return pl.DataFrame(
        {
            c.ITEM_ID: catalogue.ids.gather(shown),
            c.CATEGORY_GROUP: named(GROUPS, catalogue.group[shown]),
            c.CATEGORY: named(categories, catalogue.category[shown]),
            c.BRAND: _value_column(catalogue, BRAND, shown),
            c.COLOUR: _value_column(catalogue, COLOUR, shown),
            c.SIZE: _value_column(catalogue, SIZE, shown),
            c.PRICE: catalogue.prices(day)[shown],
            c.RATING: _known_ratings(catalogue, day, shown),
            c.SELLER_ID: "s" + pl.Series(catalogue.seller[shown]).cast(pl.String).str.zfill(4),
            c.IN_STOCK: catalogue.in_stock(day)[shown],
            c.STOCK_CITIES: _city_lists(cities, catalogue.stocked_cities(day)[shown]),
            c.FIRST_SEEN: seen,
        }
    )


def _known_ratings(catalogue: Catalogue, day: date, shown: Ints) -> pl.Series:
    """Return ratings; an item of the last two weeks has none yet."""
    young = catalogue.first_day[shown] > (day - catalogue.opened).days - 14
    return pl.Series(np.where(young, np.nan, catalogue.rating[shown])).fill_nan(None)


def attributes_frame(catalogue: Catalogue, day: date) -> pl.DataFrame:
    """Return the long snapshot of attribute values that lands on `day`."""
    known = catalogue.attribute_rows.filter(pl.col("first_day") <= (day - catalogue.opened).days)
    return known.drop("first_day")


def named(names: tuple[str, ...] | list[str], codes: Ints) -> pl.Series:
    """Return the names of codes; null for -1."""
    known = pl.Series([*names, None], dtype=pl.String)
    return known.gather(np.where(codes < 0, len(names), codes))


def _value_column(catalogue: Catalogue, attribute: str, shown: Ints) -> pl.Series:
    return named(catalogue.names[attribute], catalogue.values[attribute][shown])


def _city_lists(cities: tuple[str, ...], masks: Ints) -> pl.Series:
    everywhere = 2 ** len(cities) - 1
    lists = [
        "|".join(city for bit, city in enumerate(cities) if mask >> bit & 1)
        for mask in range(everywhere)
    ]
    return pl.Series([*lists, None], dtype=pl.String).gather(masks)
