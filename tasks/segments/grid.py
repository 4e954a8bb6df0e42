"""What segment models look at: the counts of every taste and item, and what is known of the items.

A *taste* is what a segment's name says of what people like: the values of the dimensions that are
declared to shape taste (`women` of `women.active.app`). Models of items are fitted by taste, since
segments are too many and too small for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks import columns as c
from tasks.segments.rules import taste_of
from tasks.settings import Segments

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Numbers = npt.NDArray[np.float64]

MILLION = 1_000_000
TASTE = "taste"
EXAMINED, VIEWS, CARTS = "examined_ppm", "listed_views", "listed_carts"
COUNTED = (EXAMINED, VIEWS, CARTS)
LEAST_ITEMS = 2
"""Items that must have a value: what one item alone has is that item."""


@dataclass(frozen=True)
class Stage:
    """One step towards a cart: out of so many trials so many went on, by taste and item."""

    trials: Numbers
    successes: Numbers


@dataclass(frozen=True)
class Grid:
    """Counts by taste and item; rows sorted by taste, then item.

    Attributes:
        rows: `taste, item_id` and the counts, 0 where they never met.
        items: `item_id, category, price_to_category, age_days`, sorted.
        values: `item_id, attribute, value`.
        tastes: sorted.
    """

    rows: pl.DataFrame
    items: pl.DataFrame
    values: pl.DataFrame
    tastes: tuple[str, ...]

    def stages(self) -> list[Stage]:
        """Return the steps: examined -> viewed -> carted; without logged views in one step."""
        examined, views, carts = (self.rows[name].cast(pl.Float64).to_numpy() for name in COUNTED)
        steps = [examined / MILLION, views, carts] if views.any() else [examined / MILLION, carts]
        # P(examined) is estimated: what was examined may come out below what was clicked.
        return [Stage(np.maximum(before, after), after) for before, after in pairwise(steps)]

    @cached_property
    def has(self) -> csr_matrix:
        """Items by values: 1 where the item has the value, category included; and its price."""
        from scipy.sparse import csr_matrix, hstack

        held = pl.concat([self.values, _as_values(self.items)]).unique()
        keyed = held.select(
            c.ITEM_ID, pl.concat_str(c.ATTRIBUTE, c.VALUE, separator="=").alias("key")
        ).join(self.items.select(c.ITEM_ID).with_row_index("row"), on=c.ITEM_ID)
        shared = keyed.filter(pl.len().over("key") >= LEAST_ITEMS).sort("row", "key")
        column = shared["key"].rank("dense").cast(pl.Int64).to_numpy() - 1
        shape = self.items.height, column.max(initial=-1) + 1
        one = np.ones(shared.height)
        values = csr_matrix((one, (shared["row"].to_numpy(), column)), shape=shape)
        return hstack([values, csr_matrix(self.prices[:, None])], format="csr")

    @property
    def prices(self) -> Numbers:
        """How dear each item is for its category, as a log; 0 where nothing is known."""
        dearer = self.items["price_to_category"].clip(0.01, 100.0).log().fill_null(0.0)
        prices: Numbers = dearer.to_numpy()
        return prices

    def by_row(self, rates: Numbers) -> pl.DataFrame:
        """Return `taste, item_id, p_cart` of a rate per row."""
        return self.rows.select(TASTE, c.ITEM_ID).with_columns(pl.Series(c.P_CART, rates))


def _as_values(items: pl.DataFrame) -> pl.DataFrame:
    category = pl.lit(c.CATEGORY).alias(c.ATTRIBUTE)
    known = items.filter(pl.col(c.CATEGORY).is_not_null())
    return known.select(c.ITEM_ID, category, pl.col(c.CATEGORY).alias(c.VALUE))


@dataclass(frozen=True)
class Catalogue:
    """What can be scored: ITEM_FEATURES rows, and `item_id, attribute, value` of the newest day."""

    items: pl.DataFrame
    values: pl.DataFrame


def grid_of(
    counts: pl.DataFrame, catalogue: Catalogue, segments: list[str], options: Segments
) -> Grid:
    """Return the grid of everything that can be scored.

    Args:
        counts: rows of `sql/segment_scores.sql`.
        catalogue: one row per item; more values than the items' are allowed.
        segments: the segments to score.
        options: the rules of segments.
    """
    ordered = catalogue.items.select(c.ITEM_ID, c.CATEGORY, "price_to_category", "age_days").sort(
        c.ITEM_ID
    )
    likes = tastes_of(segments, options)
    tastes = likes[TASTE].unique().sort().to_list()
    # Sums of integers only: they are the same in whatever order threads add them.
    met = counts.join(likes, on=c.SEGMENT)
    sums = met.group_by(TASTE, c.ITEM_ID).agg(pl.col(COUNTED).sum())
    every = pl.DataFrame({TASTE: tastes}, schema={TASTE: pl.String}).join(
        ordered.select(c.ITEM_ID), how="cross"
    )
    rows = every.join(sums, on=[TASTE, c.ITEM_ID], how="left").with_columns(
        pl.col(COUNTED).fill_null(0)
    )
    held = catalogue.values.join(ordered, on=c.ITEM_ID, how="semi")
    held = held.select(c.ITEM_ID, c.ATTRIBUTE, c.VALUE)
    return Grid(rows.sort(TASTE, c.ITEM_ID), ordered, held, tuple(tastes))


def tastes_of(segments: list[str], options: Segments) -> pl.DataFrame:
    """Return `segment, taste`."""
    likes = [taste_of(segment, options) for segment in segments]
    return pl.DataFrame(
        {c.SEGMENT: segments, TASTE: likes}, schema={c.SEGMENT: pl.String, TASTE: pl.String}
    )
