"""People by attribute values, as a sparse matrix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks import columns as c
from tasks.lookalikes.classifier import Array

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

KEY = (c.ATTRIBUTE, c.VALUE)
Cells = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Array]
NO_CELLS: Cells = (np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0))


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
    return as_matrix([cells_of(people, features, columns)], people.height, columns.height)


def cells_of(people: pl.DataFrame, features: pl.DataFrame, columns: pl.DataFrame) -> Cells:
    """Return place, column and share of what `people` have of the vocabulary, in any order."""
    placed = people.select(c.USER_ID).with_row_index("row")
    known = features.join(columns, on=KEY).select(c.USER_ID, "column", "share")
    cells = known.join(placed, on=c.USER_ID)
    row, column = (cells[name].cast(pl.Int32).to_numpy() for name in ("row", "column"))
    return row, column, cells["share"].to_numpy()


def as_matrix(parts: list[Cells], rows: int, columns: int) -> csr_matrix:
    """Return cells as a matrix, each row's by column: a sum has the same bits in whatever parts."""
    from scipy.sparse import csr_matrix

    row, column, share = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    matrix = csr_matrix((share, (row, column)), shape=(rows, columns))
    matrix.sort_indices()
    return matrix
