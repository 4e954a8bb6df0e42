"""The design matrix of a category group: shown items by attributes and `sf_pos`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks import columns as c

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
PICO = 1e-12


@dataclass(frozen=True)
class Design:
    """Rows sorted by block of customers and listing.

    Attributes:
        names: the columns of `x`: attributes, then `sf_pos` if there is one.
        x: rows by columns.
        y: 1.0 where the item was carted.
        offset: log P(examined), 0.0 where unknown.
        listing: a code per listing, not decreasing.
        item: a code per item.
        block: a code per block of customers, not decreasing.
        users: how many customers the rows are of.
    """

    names: tuple[str, ...]
    x: Array
    y: Array
    offset: Array
    listing: Codes
    item: Codes
    block: Codes
    users: int

    @property
    def rows(self) -> int:
        """How many shown items."""
        return len(self.y)


def sorted_rows(rows: pl.DataFrame, blocks: int) -> pl.DataFrame:
    """Return fitting rows with `block` and `row_id`, in the order of a design.

    A block is a share of the customers: memory stays bounded however many of them there are.
    """
    place = pl.col(c.USER_ID).rank("dense").cast(pl.Int64) - 1
    ordered = rows.with_columns((place % blocks).alias("block"))
    ordered = ordered.sort("block", c.LISTING_ID, c.ITEM_ID)
    return ordered.with_row_index("row_id").with_columns(pl.col("row_id").cast(pl.Int64))


def design_of(rows: pl.DataFrame, features: pl.DataFrame, with_score: bool) -> Design:
    """Return the design of one category group.

    Args:
        rows: fitting rows from `sorted_rows`, of one group.
        features: `row_id, attribute, picos`.
        with_score: whether `sf_pos` is a column; its nulls are then gone from `rows`.
    """
    names, x = _attribute_matrix(rows, features)
    if with_score:
        names, x = (*names, c.SF_POS), np.column_stack([x, rows[c.SF_POS].to_numpy()])
    return Design(
        names=names,
        x=x,
        y=rows["is_carted"].cast(pl.Float64).to_numpy(),
        offset=rows["p_examined"].log().fill_null(0.0).to_numpy(),
        listing=_codes(rows[c.LISTING_ID]),
        item=rows[c.ITEM_ID].rank("dense").cast(pl.Int64).to_numpy() - 1,
        block=_codes(rows["block"]),
        users=rows[c.USER_ID].n_unique(),
    )


def _attribute_matrix(rows: pl.DataFrame, features: pl.DataFrame) -> tuple[tuple[str, ...], Array]:
    places = rows.select("row_id").with_row_index("place")
    cells = features.join(places, on="row_id").sort("place", c.ATTRIBUTE)
    names = cells[c.ATTRIBUTE].unique().sort()
    x = np.zeros((rows.height, len(names)))
    column_of = {name: place for place, name in enumerate(names)}
    column = cells[c.ATTRIBUTE].replace_strict(column_of, return_dtype=pl.Int64)
    x[cells["place"].to_numpy(), column.to_numpy()] = cells["picos"].to_numpy() * PICO
    return tuple(names), x


def _codes(values: pl.Series) -> Codes:
    """Return 0, 1, 2... by first appearance."""
    return (values.rle_id().cast(pl.Int64)).to_numpy()


def around_all(design: Design) -> Array:
    """Return each column around its mean over all rows."""
    around: Array = design.x - design.x.mean(axis=0)
    return around


def around_listing(design: Design) -> Array:
    """Return each column around its listing's mean."""
    starts = starts_of(design.listing)
    sizes = np.diff(np.append(starts, design.rows))
    means = np.add.reduceat(design.x, starts, axis=0) / sizes[:, None]
    around: Array = design.x - np.repeat(means, sizes, axis=0)
    return around


def starts_of(codes: Codes) -> npt.NDArray[np.intp]:
    """Return where each run of equal codes begins."""
    return np.flatnonzero(np.diff(codes, prepend=codes[0] - 1 if len(codes) else 0))


def item_means(design: Design) -> Array:
    """Return, beside each row, the mean of each column over the rows of the same item."""
    sums = np.zeros((design.item.max(initial=-1) + 1, design.x.shape[1]))
    np.add.at(sums, design.item, design.x)
    counts = np.bincount(design.item)
    means: Array = (sums / np.maximum(counts, 1)[:, None])[design.item]
    return means


def with_columns(design: Design, places: list[int]) -> Design:
    """Return the design with some of its columns."""
    names = tuple(design.names[place] for place in places)
    return replace(design, names=names, x=design.x[:, places])


def scaled(design: Design, spread: Array) -> Design:
    """Return the design with each column divided by its spread."""
    return replace(design, x=design.x / spread)
