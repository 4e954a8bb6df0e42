"""Popular items: by city and trending, and the popularity of the last week as a yardstick.

weight(item, city) = sum over its interactions there of weight x 0.5 ** (age in days / half-life)
share(item)        = weight(item) / sum of weights
score(item | city) = (weight(item, city) + m x share(item)) / (sum of the city's weights + m)

m is `popular.city_prior`: a city with little demand of its own shows what sells everywhere, and so
does a request without a city. Items nobody touched have no score.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks import columns as c
from tasks.candidates.generator import (
    NO_OPINION,
    Floats,
    Generator,
    Known,
    Requests,
    Run,
    positions,
)
from tasks.settings import Candidates

WEEK_DAYS = 7


class Popular(Generator):
    """What sells in the customer's city, the newest interactions counting most."""

    name: ClassVar[str] = "popular"
    reads_history: ClassVar[bool] = False

    def __init__(self, item_ids: pl.Series, cities: list[str], shares: Floats) -> None:
        """Keep scores: one row per city, the last for requests without one."""
        self.item_ids = item_ids
        self._cities = cities
        self._shares = shares

    @classmethod
    def fit(cls, known: Known, options: Candidates, run: Run) -> Self:
        """Count decayed weights by city and item."""
        counts = daily_weights(known).with_columns(
            pl.col(c.WEIGHT) * (0.5 ** (pl.col("age") / options.popular.half_life_days))
        )
        return cls._from_weights(counts, known.item_ids(), options.popular.city_prior)

    @classmethod
    def _from_weights(cls, counts: pl.DataFrame, item_ids: pl.Series, prior: float) -> Self:
        cities = counts[c.CITY].drop_nulls().unique().sort()
        cells = positions(counts, item_ids, "item").join(
            pl.DataFrame({c.CITY: cities}).with_row_index("row"),
            on=c.CITY,
            how="left",
            maintain_order="left",
        )
        weights = np.zeros((len(cities) + 1, len(item_ids)))
        rows = cells["row"].fill_null(len(cities)).to_numpy()
        np.add.at(weights, (rows, cells["item"].to_numpy()), cells[c.WEIGHT].to_numpy())
        return cls(item_ids, cities.to_list(), shrunk(weights, prior))

    def scores(self, requests: Requests) -> Floats:
        """Return the shares of each user's city."""
        place = {city: row for row, city in enumerate(self._cities)}
        rows = [place.get(city, len(place)) for city in requests.users[c.CITY]]
        return self._shares[rows]

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return shares, cities and items."""
        facts = {"cities": self._cities, "item_ids": self.item_ids.to_list()}
        return {"shares": self._shares}, facts

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Self:
        """Return the generator that gave this state."""
        return cls(pl.Series(c.ITEM_ID, facts["item_ids"]), facts["cities"], arrays["shares"])


class PopularOfWeek(Popular):
    """Popularity of the last 7 days, everywhere alike: the yardstick on a time split."""

    name: ClassVar[str] = "popular_7d"

    @classmethod
    def fit(cls, known: Known, options: Candidates, run: Run) -> Self:
        """Count the weights of the last 7 days, neither by city nor by age."""
        week = daily_weights(known).filter(pl.col("age") < WEEK_DAYS)
        anywhere = week.with_columns(pl.lit(None, pl.String).alias(c.CITY))
        return cls._from_weights(anywhere, known.item_ids(), prior=1.0)


def daily_weights(known: Known) -> pl.DataFrame:
    """Return integer weight by `city, item_id, age` in days, in a fixed order."""
    age = (pl.lit(known.through) - pl.col(c.TS).dt.date()).dt.total_days().clip(0).alias("age")
    whose = known.users.select(c.USER_ID, c.CITY)
    placed = known.interactions.select(c.USER_ID, c.ITEM_ID, c.WEIGHT, age).join(
        whose, on=c.USER_ID, how="left"
    )
    key = (c.CITY, c.ITEM_ID, "age")
    return placed.group_by(key).agg(pl.col(c.WEIGHT).sum()).sort(key)


def shrunk(weights: NDArray[np.float64], prior: float) -> Floats:
    """Return each city's shares pulled towards those of all together, which are the last row."""
    total = weights.sum(axis=0)
    overall = total / max(total.sum(), np.finfo(np.float64).tiny)
    in_city = (weights[:-1] + prior * overall) / (weights[:-1].sum(axis=1, keepdims=True) + prior)
    shares = np.vstack([in_city, overall]).astype(np.float32)
    return np.where(shares > 0, shares, NO_OPINION)
