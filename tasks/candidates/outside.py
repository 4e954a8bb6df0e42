"""Any interactions file as something that generators can be judged on, outside the lake.

Leave-one-out: each user's last item is the truth and all before it the request. The item before
the last is held out for validation, of all users or of some; everything else before the last is
learned. Where a file tells no time, the order of its position column stands for it, and everything
happened on one day.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.candidates.evaluation import LEAVE_ONE_OUT, Protocol, Split
from tasks.candidates.generator import Known
from tasks.candidates.interactions import requests_of
from tasks.candidates.serving import seen
from tasks.errors import ContractViolation

NO_DAY = date(1970, 1, 1)
MILLISECONDS = 100_000_000_000
"""Above this an integer time is in milliseconds: as seconds it would lie after the year 5000."""
_FROM_END = "from_end"


class Naming(NamedTuple):
    """Which columns of a file hold what; `time` or `order` may be absent, not both."""

    user: str = c.USER_ID
    item: str = c.ITEM_ID
    time: str | None = None
    order: str | None = None


def read_table(path: Path) -> pl.DataFrame:
    """Return a Parquet or CSV file.

    Raises:
        ContractViolation: there is no such file, or it is neither.
    """
    if not path.is_file():
        raise ContractViolation(f"no file {path}")
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    if path.suffix == ".csv":
        return pl.read_csv(path)
    raise ContractViolation(f"{path} is neither .parquet nor .csv")


def interactions_of(table: pl.DataFrame, naming: Naming) -> pl.DataFrame:
    """Return interactions of weight 1, in order within each user; ties keep the file's order.

    Raises:
        ContractViolation: a column is absent, or neither time nor order is named.
    """
    if not (naming.time or naming.order):
        raise ContractViolation("name the column of the time (--time) or of the order (--order)")
    if absent := [name for name in naming if name and name not in table.columns]:
        raise ContractViolation(f"no column {absent[0]!r}; there are {', '.join(table.columns)}")
    moment = _moment(table, naming.time)
    named = table.select(
        pl.col(naming.user).cast(pl.String).alias(c.USER_ID),
        pl.col(naming.item).cast(pl.String).alias(c.ITEM_ID),
        pl.lit(c.VIEW).alias(c.EVENT_TYPE),
        moment.alias(c.TS),
        *(pl.lit(1, pl.Int64).alias(name) for name in (c.TIMES, c.WEIGHT)),
        *([pl.col(naming.order).alias("order")] if naming.order else []),
    ).drop_nulls([c.USER_ID, c.ITEM_ID, c.TS])
    by = [c.USER_ID, c.TS, "order"] if naming.order else [c.USER_ID, c.TS]
    ordered = named.sort(by, maintain_order=True).drop("order", strict=False)
    return ordered.with_columns(pl.col(c.TS).dt.date().alias(c.DT))


def _moment(table: pl.DataFrame, time: str | None) -> pl.Expr:
    utc = pl.Datetime("us", "UTC")
    if time is None:
        return pl.lit(datetime(NO_DAY.year, NO_DAY.month, NO_DAY.day, tzinfo=UTC), utc)
    kind, column = table.schema[time], pl.col(time)
    if kind.is_integer():
        seconds = pl.when(column > MILLISECONDS).then(column // 1000).otherwise(column)
        return pl.from_epoch(seconds, "s").dt.replace_time_zone("UTC").cast(utc)
    if kind == pl.String:
        return column.str.to_datetime(time_zone="UTC", time_unit="us")
    return column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def catalogue_of(interactions: pl.DataFrame, features: pl.DataFrame | None) -> pl.DataFrame:
    """Return every item of the file as in stock everywhere, with its features where told."""
    items = interactions.select(c.ITEM_ID).unique().sort(c.ITEM_ID)
    if features is not None:
        told = features.with_columns(pl.col(c.ITEM_ID).cast(pl.String)).unique(c.ITEM_ID)
        items = items.join(told, on=c.ITEM_ID, how="left", maintain_order="left")
    untold = [name for name in (c.CATEGORY_GROUP, c.STOCK_CITIES) if name not in items.columns]
    return items.with_columns(
        pl.lit(True).alias(c.IN_STOCK), *(pl.lit(None, pl.String).alias(name) for name in untold)
    )


def known_of(interactions: pl.DataFrame, items: pl.DataFrame) -> Known:
    """Return the file as known on its last day."""
    users = interactions.select(c.USER_ID).unique().sort(c.USER_ID)
    nowhere = users.with_columns(pl.lit(None, pl.String).alias(c.CITY))
    last = interactions[c.DT].max()
    assert isinstance(last, date)
    return Known(last, interactions, items, nowhere)


def leave_one_out(known: Known, validation_users: int | None = None) -> Split:
    """Return the split of the module's docstring; users with one interaction are not tested.

    Args:
        known: the whole file.
        validation_users: so many users, drawn by chance, are validated on (None: all).
    """
    from_end = pl.int_range(pl.len(), 0, -1).over(c.USER_ID)
    placed = known.interactions.with_columns(from_end.alias(_FROM_END))
    several = pl.len().over(c.USER_ID) > 1
    last = placed.filter((pl.col(_FROM_END) == 1) & several)
    before = placed.filter(pl.col(_FROM_END) > 1).drop(_FROM_END)
    validated = pl.col(c.USER_ID).is_in(_some(last[c.USER_ID], validation_users).implode())
    held = (pl.col(_FROM_END) == 2) & validated  # noqa: PLR2004 (the item before the last)
    learned = placed.filter((pl.col(_FROM_END) > 1) & ~held).drop(_FROM_END)
    later = placed.filter(held).drop(_FROM_END)
    asked = requests_of(Known(known.through, before, known.items, known.users), last[c.USER_ID])
    truth = last.select(c.USER_ID, c.ITEM_ID)
    protocol = Protocol(LEAVE_ONE_OUT, truth, seen(before))
    then = Known(known.through, learned, known.items, known.users, later)
    return Split(then, asked, (protocol,))


def _some(users: pl.Series, count: int | None) -> pl.Series:
    ids = users.unique().sort()
    if count is None:
        return ids
    return ids.gather(np.random.default_rng(0).permutation(len(ids))[:count])
