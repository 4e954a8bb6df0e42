"""People by attribute values, as a sparse matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

KEY = (c.ATTRIBUTE, c.VALUE)


def vocabulary(features: pl.DataFrame, min_support: int, max_columns: int) -> pl.DataFrame:
    """Return `attribute, value, column` of the values that enough people have.

    Args:
        features: LOOKALIKE_FEATURES rows of the training anchors only.
        min_support: people of the training anchors that a value needs.
        max_columns: the best supported are kept.
    """
    supported = features.group_by(KEY).agg(pl.len().alias("people"))
    kept = supported.filter(pl.col("people") >= min_support)
    first = kept.sort("people", *KEY, descending=[True, False, False]).head(max_columns)
    return first.sort(KEY).select(*KEY).with_row_index("column")


def sparse_matrix(
    people: pl.DataFrame, features: pl.DataFrame, columns: pl.DataFrame
) -> csr_matrix:
    """Return the shares of `people`, in their order, by the vocabulary's columns."""
    from scipy.sparse import csr_matrix

    placed = people.select(c.USER_ID).with_row_index("row")
    cells = features.join(columns, on=KEY).join(placed, on=c.USER_ID).sort("row", "column")
    places = (cells["row"].to_numpy(), cells["column"].to_numpy())
    return csr_matrix((cells["share"].to_numpy(), places), shape=(people.height, columns.height))
