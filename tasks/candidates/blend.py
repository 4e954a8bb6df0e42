"""The union of generators: lists interleaved by rank, ties in the registry's order, no repeats.

Rank r of the union is the r-th distinct item met when reading first all items of rank 1, then all
of rank 2, and so on. Scores of different generators are never compared.
"""

from __future__ import annotations

import polars as pl

from tasks import columns as c


def interleaved(lists: pl.DataFrame, order: tuple[str, ...], k: int) -> pl.DataFrame:
    """Return `user_id, item_id, rank` of the union's first `k`.

    Args:
        lists: `generator, user_id, item_id, rank` of any number of generators.
        order: generators, first come first in a tie of ranks; others are left out.
        k: longest list.
    """
    place = pl.col(c.GENERATOR).replace_strict(
        list(order), list(range(len(order))), default=None, return_dtype=pl.Int32
    )
    return (
        lists.with_columns(place.alias("place"))
        .drop_nulls("place")
        .sort(c.USER_ID, c.RANK, "place")
        .unique([c.USER_ID, c.ITEM_ID], keep="first", maintain_order=True)
        .with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(c.USER_ID).alias(c.RANK))
        .filter(pl.col(c.RANK) <= k)
        .select(c.USER_ID, c.ITEM_ID, c.RANK)
    )
