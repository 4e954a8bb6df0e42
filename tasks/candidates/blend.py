"""The union of generators: lists interleaved by share, ties in the registry's order, no repeats.

Reading order is (rank - 1/2) / share of the generator, so that a generator of twice the share is
read twice as fast: of equal shares first all items of rank 1, then all of rank 2, and so on. Rank r
of the union is the r-th distinct item. Scores of different generators are never compared.
"""

from __future__ import annotations

import polars as pl

from tasks import columns as c


def interleaved(lists: pl.DataFrame, shares: dict[str, float], k: int) -> pl.DataFrame:
    """Return `user_id, item_id, rank` of the union's first `k`.

    Args:
        lists: `generator, user_id, item_id, rank` of any number of generators.
        shares: by generator, first come first in a tie; others are left out.
        k: longest list.
    """
    sources = pl.DataFrame(
        {c.GENERATOR: list(shares), "share": list(shares.values())},
        schema={c.GENERATOR: pl.String, "share": pl.Float64},
    ).with_row_index("place")
    return (
        lists.join(sources, on=c.GENERATOR)
        .with_columns(((pl.col(c.RANK) - 0.5) / pl.col("share")).alias("read"))
        .sort(c.USER_ID, "read", "place")
        .unique([c.USER_ID, c.ITEM_ID], keep="first", maintain_order=True)
        .with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(c.USER_ID).alias(c.RANK))
        .filter(pl.col(c.RANK) <= k)
        .select(c.USER_ID, c.ITEM_ID, c.RANK)
    )
