"""People by attribute values, as a sparse matrix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

KEY = (c.ATTRIBUTE, c.VALUE)


def supports(people: pl.DataFrame, features: pl.DataFrame) -> pl.DataFrame:
    """Return `attribute, value, people`: how many of the people have each value."""
    theirs = features.join(people, on=c.USER_ID, how="semi")
    return theirs.group_by(KEY).agg(pl.len().cast(pl.Int64).alias("people"))


def vocabulary(counted: Iterable[pl.DataFrame], min_support: int, max_columns: int) -> pl.DataFrame:
    """Return `attribute, value, column` of the values that enough people have.

    Args:
        counted: supports among people of the training anchors only; those of a value add up.
        min_support: people of the training anchors that a value needs.
        max_columns: the best supported are kept.
    """
    supported = pl.concat(counted).group_by(KEY).agg(pl.col("people").sum())
    kept = supported.filter(pl.col("people") >= min_support)
    first = kept.sort("people", *KEY, descending=[True, False, False]).head(max_columns)
    return first.sort(KEY).select(*KEY).with_row_index("column")


def sparse_matrix(
    people: pl.DataFrame, features: pl.DataFrame, columns: pl.DataFrame
) -> csr_matrix:
    """Return the shares of `people`, in their order, by the vocabulary's columns."""
    from scipy.sparse import csr_matrix

    placed = people.select(c.USER_ID).with_row_index("row")
    known = features.join(columns, on=KEY, maintain_order="left")
    cells = known.select(c.USER_ID, "column", "share").join(placed, on=c.USER_ID)
    # In one order whatever the join's, so that a person's sum has the same bits in any frame.
    cells = cells.sort("row", "column")
    places = (cells["row"].to_numpy(), cells["column"].to_numpy())
    return csr_matrix((cells["share"].to_numpy(), places), shape=(people.height, columns.height))
