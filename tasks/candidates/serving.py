"""Lists from scores: what may be shown, the top k, ties.

Left out: items out of stock or not stocked in the user's city, and the pairs a protocol blocks
(items just bought, unless their category group is bought again). Ties go to the smaller item id.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks import columns as c
from tasks.candidates.generator import NO_OPINION, Floats, Generator, Requests, positions

SCORES_AT_ONCE = 8_000_000
LISTS = pl.Schema(
    {c.USER_ID: pl.String(), c.ITEM_ID: pl.String(), c.SCORE: pl.Float64(), c.RANK: pl.Int32()}
)
RANKS = pl.Schema({c.USER_ID: pl.String(), c.ITEM_ID: pl.String(), c.RANK: pl.Int32()})
_CITY_SEPARATOR = "|"


class Shelf(NamedTuple):
    """What may be shown: the snapshot of items, less the blocked pairs."""

    items: pl.DataFrame
    blocked: pl.DataFrame


def recommend(
    generator: Generator, requests: Requests, k: int, items: pl.DataFrame, blocked: pl.DataFrame
) -> pl.DataFrame:
    """Return each user's top k: `user_id, item_id, score, rank`; rank starts at 1, without gaps.

    Args:
        generator: a fitted generator.
        requests: users and their histories.
        k: longest list.
        items: snapshot with `item_id, in_stock, stock_cities`; other items are not on sale.
        blocked: pairs `user_id, item_id` that must not be shown.
    """
    size, stock = users_at_once(generator), Stock(items, generator.item_ids)
    lists = [_lists(generator, batch, k, stock, blocked) for batch in requests.batches(size)]
    return pl.concat([pl.DataFrame(schema=LISTS), *lists])


def users_at_once(generator: Generator) -> int:
    """Return how many users are scored together."""
    return max(1, SCORES_AT_ONCE // max(1, len(generator.item_ids)))


def ranks_of(
    generator: Generator, requests: Requests, pairs: pl.DataFrame, shelf: Shelf
) -> pl.DataFrame:
    """Return the pairs `user_id, item_id` with `rank`, null where no list would hold the item.

    The rank is that of `recommend`, however long the list.
    """
    size, stock = users_at_once(generator), Stock(shelf.items, generator.item_ids)
    found = [
        _ranks(generator, batch, pairs, stock, shelf.blocked) for batch in requests.batches(size)
    ]
    ranked = pl.concat([pl.DataFrame(schema=RANKS), *found])
    return pairs.join(ranked, on=(c.USER_ID, c.ITEM_ID), how="left", maintain_order="left")


def _ranks(
    generator: Generator, batch: Requests, pairs: pl.DataFrame, stock: Stock, blocked: pl.DataFrame
) -> pl.DataFrame:
    scores = _shown(generator, batch, stock, blocked)
    asked = _cells(pairs, batch, generator)
    rows, places = asked["row"].to_numpy(), asked["item"].to_numpy()
    ranks = np.fromiter(
        (_rank(scores[row], place) for row, place in zip(rows, places, strict=True)),
        dtype=np.int32,
        count=len(rows),
    )
    found = asked.select(c.USER_ID, c.ITEM_ID, pl.Series(c.RANK, ranks))
    return found.filter(pl.Series(np.isfinite(scores[rows, places])))


def _rank(scores: Floats, place: int) -> int:
    """Return the rank of one item among a user's scores, ties to the smaller item."""
    mine = scores[place]
    return 1 + int(np.count_nonzero(scores > mine) + np.count_nonzero(scores[:place] == mine))


def _cells(pairs: pl.DataFrame, batch: Requests, generator: Generator) -> pl.DataFrame:
    return positions(positions(pairs, batch.users[c.USER_ID], "row"), generator.item_ids, "item")


def _shown(generator: Generator, batch: Requests, stock: Stock, blocked: pl.DataFrame) -> Floats:
    """Return scores, without an opinion on what may not be shown."""
    scores = generator.scores(batch)
    scores[~stock.sold_in(batch.users[c.CITY])] = NO_OPINION
    hidden = _cells(blocked, batch, generator)
    scores[hidden["row"].to_numpy(), hidden["item"].to_numpy()] = NO_OPINION
    return scores


def _lists(
    generator: Generator, batch: Requests, k: int, stock: Stock, blocked: pl.DataFrame
) -> pl.DataFrame:
    scores = _shown(generator, batch, stock, blocked)
    rows, places, ranks = top_k(scores, k)
    return pl.DataFrame(
        {
            c.USER_ID: batch.users[c.USER_ID].gather(rows),
            c.ITEM_ID: generator.item_ids.gather(places),
            c.SCORE: scores[rows, places].astype(np.float64),
            c.RANK: ranks,
        },
        schema=LISTS,
    )


def top_k(scores: Floats, k: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int32]]:
    """Return rows, columns and ranks of the k best of each row; ties go to the smaller column."""
    users, items = scores.shape
    if users == 0 or items == 0:
        nothing = np.zeros(0, dtype=np.intp)
        return nothing, nothing, nothing.astype(np.int32)
    worst = np.partition(scores, max(0, items - k), axis=1)[:, max(0, items - k)]
    # Everything tied with the k-th best stays in until ties are settled by column.
    rows, places = np.nonzero((scores >= worst[:, None]) & np.isfinite(scores))
    order = np.lexsort((places, -scores[rows, places], rows))
    rows, places = rows[order], places[order]
    ranks = np.arange(1, len(rows) + 1) - np.searchsorted(rows, rows)
    kept = ranks <= k
    return rows[kept], places[kept], ranks[kept].astype(np.int32)


class Stock:
    """Which of a catalogue's items are sold in which city."""

    def __init__(self, items: pl.DataFrame, item_ids: pl.Series) -> None:
        """Read the snapshot once: items sold everywhere, and those of named cities."""
        on_sale = positions(items.filter(pl.col(c.IN_STOCK)), item_ids, "item")
        named = on_sale.drop_nulls(c.STOCK_CITIES).with_columns(
            pl.col(c.STOCK_CITIES).str.split(_CITY_SEPARATOR)
        )
        self._everywhere = np.zeros(len(item_ids), dtype=np.bool_)
        self._everywhere[on_sale.filter(pl.col(c.STOCK_CITIES).is_null())["item"].to_numpy()] = True
        self._named = named.select("item", pl.col(c.STOCK_CITIES).alias(c.CITY)).explode(c.CITY)

    def sold_in(self, cities: pl.Series) -> NDArray[np.bool_]:
        """Return (cities, items); without a city, what is in stock anywhere is sold."""
        distinct = cities.unique().to_list()
        masks = np.stack([self._mask(city) for city in distinct])
        place = {city: index for index, city in enumerate(distinct)}
        found: NDArray[np.bool_] = masks[[place[city] for city in cities]]
        return found

    def _mask(self, city: str | None) -> NDArray[np.bool_]:
        here = self._named if city is None else self._named.filter(pl.col(c.CITY) == city)
        mask = self._everywhere.copy()
        mask[here["item"].to_numpy()] = True
        return mask


def bought(
    histories: pl.DataFrame, items: pl.DataFrame, repeatable: tuple[str, ...]
) -> pl.DataFrame:
    """Return pairs `user_id, item_id` bought, of category groups that are not bought again."""
    again = items.filter(pl.col(c.CATEGORY_GROUP).is_in(repeatable)).select(c.ITEM_ID)
    orders = histories.filter(pl.col(c.EVENT_TYPE) == c.ORDER).select(c.USER_ID, c.ITEM_ID)
    return orders.unique(maintain_order=True).join(
        again, on=c.ITEM_ID, how="anti", maintain_order="left"
    )


def seen(histories: pl.DataFrame) -> pl.DataFrame:
    """Return pairs `user_id, item_id` of any kind of contact."""
    return histories.select(c.USER_ID, c.ITEM_ID).unique(maintain_order=True)
