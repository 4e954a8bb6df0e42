"""A page of shelves: which shelves, in what order, and on them no item twice.

A shelf is a named list: a generator's, or its items of one category. A page is read row by row: its
n-th item has reading place n. At each place p = 1, 2, ... of at most `shelves`, a customer's page
takes the shelf, not on it yet, of the highest

gain(shelf) = sum over its first `items` items not on the page yet of worth(p, shelf, rank)
              / log2(reading place + 1)

rank is the item's in the whole list, so a shelf whose best items stand above already gains less.
Of equal gains the shelf named first; one with fewer than `fewest` items left is passed over.

worth(p, shelf, rank) = touched later / listed, over held-out customers whose page of p - 1 shelves
                        has neither shelf nor item; never rising with rank (isotonic regression)

So a shelf counts for what it adds to those above it, which are chosen by the same rule. Shelf after
shelf is how Alvino and Basilico describe it ("Learning a personalized homepage", 2015), and to
judge one by what it adds Ferrari Dacrema et al. ("Offline evaluation of recommender systems in a
user interface with multiple carousels", 2022). It is greedy: another page may gain more in all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.optimize import isotonic_regression

from tasks import columns as c
from tasks.candidates.generator import Requests
from tasks.candidates.interests import INTEREST, heaviest

SHELF, PLACE, WORTH = "shelf", "place", "worth"
_KIND, _NUMBER, _GAIN, _ABOVE = "kind", "number", "gain", "above"
SLATES = pl.Schema(
    {
        c.USER_ID: pl.String(),
        c.ITEM_ID: pl.String(),
        c.RANK: pl.Int32(),
        SHELF: pl.String(),
        PLACE: pl.Int32(),
    }
)


@dataclass(frozen=True)
class Page:
    """What a page may hold.

    Attributes:
        names: of the shelves that may stand on it, first come first in a tie.
        shelves: most shelves.
        items: most items on a shelf.
        fewest: items below which a shelf is left out.
    """

    names: tuple[str, ...]
    shelves: int
    items: int
    fewest: int = 1

    def __post_init__(self) -> None:
        """Refuse a page that no shelf could stand on."""
        if not (self.shelves >= 1 and 1 <= self.fewest <= self.items):
            raise ValueError(f"{self.shelves} shelves of {self.fewest} to {self.items} items")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"a shelf is named twice in {', '.join(self.names)}")


def slates(lists: pl.DataFrame, worth: pl.DataFrame, page: Page) -> pl.DataFrame:
    """Return each user's page: `user_id, item_id, rank, shelf, place`.

    `rank` is the reading place, 1 and up without gaps; `place` is the shelf's.

    Args:
        lists: `shelf, user_id, item_id, rank` of any number of shelves.
        worth: what `learned` returns for the same kind of lists; 0 what it has no row of.
        page: what the page may hold.

    Raises:
        ValueError: a shelf lists an item, or has a rank, twice for one user.
    """
    offered = _offered(lists, page)
    made = pl.DataFrame(schema=SLATES)
    for place in range(1, page.shelves + 1):
        made = _with_next(made, _left(offered, made), worth, place, page)
    return made.sort(c.USER_ID, c.RANK)


def learned(lists: pl.DataFrame, truth: pl.DataFrame, page: Page) -> pl.DataFrame:
    """Return `place, shelf, rank, worth` in [0, 1] of held-out lists.

    Args:
        lists: `shelf, user_id, item_id, rank` of customers whose later items are known.
        truth: pairs `user_id, item_id` touched later.
        page: what the page may hold.

    Raises:
        ValueError: a shelf lists an item, or has a rank, twice for one user.
    """
    offered = _offered(lists, page)
    made, told = pl.DataFrame(schema=SLATES), []
    for place in range(1, page.shelves + 1):
        left = _left(offered, made)
        told.append(_worth(left, truth, place))
        made = _with_next(made, left, told[-1], place, page)
    return pl.concat(told)


def category_shelves(
    ranked: pl.DataFrame, requests: Requests, items: pl.DataFrame, count: int
) -> pl.DataFrame:
    """Return a list's items of each user's heaviest categories as shelves of their own.

    Returns:
        `shelf, user_id, item_id, rank`; `category 1` is the heaviest of the user's history.
    """
    likely = heaviest(requests, items, count, by=c.CATEGORY)
    rank = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(c.USER_ID, SHELF).alias(c.RANK)
    return (
        ranked.join(items.select(c.ITEM_ID, c.CATEGORY), on=c.ITEM_ID)
        .join(likely, on=[c.USER_ID, c.CATEGORY])
        .with_columns(pl.format("category {}", pl.col(INTEREST) + 1).alias(SHELF))
        .sort(c.USER_ID, SHELF, c.RANK)
        .select(SHELF, c.USER_ID, c.ITEM_ID, rank)
    )


def _offered(lists: pl.DataFrame, page: Page) -> pl.DataFrame:
    """Return the lists of the page's shelves in order, with the shelf's number as `kind`."""
    for column in (c.ITEM_ID, c.RANK):
        twice = lists.filter(pl.struct(SHELF, c.USER_ID, column).is_duplicated())
        if twice.height:
            example = twice.sort(SHELF, c.USER_ID, column).row(0, named=True)
            raise ValueError(f"{twice.height} rows share shelf, user and {column}, as {example}")
    kinds = pl.DataFrame({SHELF: page.names}, schema={SHELF: pl.String}).with_row_index(_KIND)
    return lists.join(kinds, on=SHELF).sort(c.USER_ID, _KIND, c.RANK)


def _left(offered: pl.DataFrame, made: pl.DataFrame) -> pl.DataFrame:
    """Return what is offered of shelves and items that the user's page does not have."""
    for column in (SHELF, c.ITEM_ID):
        pair = [c.USER_ID, column]
        offered = offered.join(made, on=pair, how="anti", maintain_order="left")
    return offered


def _with_next(
    made: pl.DataFrame, left: pl.DataFrame, worth: pl.DataFrame, place: int, page: Page
) -> pl.DataFrame:
    """Return the pages with each user's shelf of this place."""
    shelf = [c.USER_ID, _KIND]
    rows = _standing(left, made, worth.filter(pl.col(PLACE) == place), page)
    best = (
        _gains(rows, shelf)
        .sort(c.USER_ID, _GAIN, _KIND, descending=[False, True, False])
        .unique(c.USER_ID, keep="first", maintain_order=True)
    )
    added = rows.join(best, on=shelf, how="semi", maintain_order="left").select(
        c.USER_ID,
        c.ITEM_ID,
        pl.col("reading").alias(c.RANK),
        SHELF,
        pl.lit(place, pl.Int32).alias(PLACE),
    )
    return pl.concat([made, added])


def _standing(
    left: pl.DataFrame, made: pl.DataFrame, worth: pl.DataFrame, page: Page
) -> pl.DataFrame:
    """Return the rows of each shelf as it would stand next, with `reading` place and worth."""
    shelf = [c.USER_ID, _KIND]
    number = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(shelf).alias(_NUMBER)
    above = made.group_by(c.USER_ID).agg(pl.len().cast(pl.Int32).alias(_ABOVE))
    return (
        left.with_columns(number)
        .filter(pl.col(_NUMBER) <= page.items, pl.len().over(shelf) >= page.fewest)
        .join(above, on=c.USER_ID, how="left", maintain_order="left")
        .join(worth, on=[SHELF, c.RANK], how="left", maintain_order="left")
        .with_columns(pl.col(_ABOVE).fill_null(0), pl.col(WORTH).fill_null(0.0))
        .with_columns((pl.col(_ABOVE) + pl.col(_NUMBER)).alias("reading"))
    )


def _gains(rows: pl.DataFrame, shelf: list[str]) -> pl.DataFrame:
    """Return each shelf's gain by the module's formula; the rows are in order of user and shelf."""
    whose = rows.select(pl.struct(shelf).rle_id()).to_series().to_numpy()
    gain = rows[WORTH].to_numpy() / np.log2(rows["reading"].to_numpy() + 1.0)
    # One after another, in order: each thread of a group's sum adds up a part.
    sums = np.bincount(whose, weights=gain)
    return rows.select(shelf).unique(maintain_order=True).with_columns(pl.Series(_GAIN, sums))


def _worth(left: pl.DataFrame, truth: pl.DataFrame, place: int) -> pl.DataFrame:
    """Return `place, shelf, rank, worth` of what is left at a place."""
    hit = truth.select(c.USER_ID, c.ITEM_ID, pl.lit(1).alias("hit"))
    counts = (
        left.join(hit, on=[c.USER_ID, c.ITEM_ID], how="left")
        .group_by(_KIND, SHELF, c.RANK)
        .agg(pl.len().alias("listed"), pl.col("hit").sum().alias("hits"))
        .sort(_KIND, c.RANK)
    )
    schema = {PLACE: pl.Int32(), SHELF: pl.String(), c.RANK: pl.Int32(), WORTH: pl.Float64()}
    curves = [_curve(part, place) for part in counts.partition_by(_KIND, maintain_order=True)]
    return pl.concat([pl.DataFrame(schema=schema), *curves])


def _curve(counts: pl.DataFrame, place: int) -> pl.DataFrame:
    """Return one shelf's worth down to its deepest rank; an unseen one's is the next below's."""
    listed, ranks = counts["listed"].to_numpy(), counts[c.RANK].to_numpy()
    share = counts["hits"].to_numpy() / listed
    falling = isotonic_regression(share, weights=listed, increasing=False).x
    every = np.arange(1, ranks[-1] + 1, dtype=np.int32)
    worth = falling[np.searchsorted(ranks, every)]
    told = pl.DataFrame({c.RANK: every, WORTH: worth})
    return told.select(
        pl.lit(place, pl.Int32).alias(PLACE), pl.lit(counts[SHELF][0]).alias(SHELF), c.RANK, WORTH
    )
