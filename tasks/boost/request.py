"""What a customer asks for, and which base score they get."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from tasks import columns as c
from tasks.boost.documents import EVERYWHERE, FACETS, STOCKED, WORDS, base_field

BASE, IS_STOCKED = "base", "is_stocked"


@dataclass(frozen=True)
class Request:
    """One search.

    Attributes:
        segment: whose scores are the base; one that the index holds.
        words: all of them are among an item's words.
        category: only its items; None is any.
        category_group: only its items; None is any.
        city: whose stock counts; None is that of any city.
    """

    segment: str
    words: tuple[str, ...] = ()
    category: str | None = None
    category_group: str | None = None
    city: str | None = None


def candidates(documents: pl.DataFrame, request: Request) -> pl.DataFrame:
    """Return `item_id, category_group, base, is_stocked, facets` of the items that match."""
    asked = {c.CATEGORY: request.category, c.CATEGORY_GROUP: request.category_group}
    wanted = [pl.col(name) == value for name, value in asked.items() if value is not None]
    wanted += [pl.col(WORDS).list.contains(pl.lit(word)) for word in request.words]
    return documents.filter(pl.all_horizontal(pl.lit(True), *wanted)).select(
        c.ITEM_ID,
        c.CATEGORY_GROUP,
        pl.col(base_field(request.segment)).alias(BASE),
        _is_stocked(request.city).alias(IS_STOCKED),
        FACETS,
    )


def _is_stocked(city: str | None) -> pl.Expr:
    if city is None:
        return pl.col(c.IN_STOCK)
    stocked = pl.col(STOCKED)
    return stocked.list.contains(pl.lit(city)) | stocked.list.contains(pl.lit(EVERYWHERE))
