"""Catalogue: what the shop knew of its items and customers at the end of a day.

A source tells an item's facts over time: its price with every sale, its brand with every line. The
snapshot of day D holds the last fact told by D, and `first_seen` is the first day with a line of
the item; nothing that a later line tells is used. A catalogue file has no times: what it says of an
item holds from the item's first day on.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from tasks import columns as c
from tasks.lake.tables import CUSTOMERS, ITEM_ATTRIBUTES, ITEMS
from tasks.landing.importers.lines import (
    DAY,
    FATE,
    LINE,
    SOURCE,
    TRUTHS,
    parsed_id,
    parsed_number,
)
from tasks.landing.importers.mapping import Mapping

Constant = str | float | bool
UNKNOWN = "unknown"
ATTRIBUTE_FACT = "attribute:"
AS_ATTRIBUTES = (c.CATEGORY, c.BRAND, c.COLOUR, c.SIZE)


def told_facts(kept: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Return one row per (day, item) with the last price and the last value of each fact told.

    Args:
        kept: parsed lines whose fate is an event.
        mapping: names the fact columns when there is no catalogue file.
    """
    facts = {} if mapping.items.file else _fact_columns(mapping)
    # A price of zero is a gift or a gap in the source; a return names what was paid long ago.
    asked = (pl.col(c.PRICE) > 0) & (pl.col(FATE) != c.RETURN)
    price = pl.col(c.PRICE).filter(asked).drop_nulls().last()
    told = [
        parsed_id(pl.col(SOURCE + name), kept.schema[SOURCE + name]).alias(fact)
        for fact, name in facts.items()
    ]
    lines = _in_order(kept.select(DAY, c.TS, LINE, FATE, c.ITEM_ID, c.PRICE, *told))
    last = [pl.col(fact).drop_nulls().last() for fact in facts]
    by_item = lines.group_by(DAY, c.ITEM_ID, maintain_order=True).agg(price, *last)
    return by_item.sort(DAY, c.ITEM_ID)


def _in_order(lines: pl.DataFrame) -> pl.DataFrame:
    """Lines of one moment stay in file order, so that the last of them is always the same."""
    return lines.sort(c.TS, LINE, maintain_order=True)


def _fact_columns(mapping: Mapping) -> dict[str, str]:
    attributes = {
        ATTRIBUTE_FACT + name: column for name, column in mapping.items.attributes.items()
    }
    return {**mapping.items.columns, **attributes}


def catalogue_facts(catalogue: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Return one row per item of a catalogue file; the first row of an item stands."""
    facts = {c.ITEM_ID: str(mapping.items.key), **_fact_columns(mapping)}
    texts = [
        parsed_id(pl.col(name), catalogue.schema[name]).alias(fact) for fact, name in facts.items()
    ]
    named = catalogue.select(texts).filter(pl.col(c.ITEM_ID).is_not_null())
    return named.unique(c.ITEM_ID, keep="first", maintain_order=True).sort(c.ITEM_ID)


def no_catalogue(mapping: Mapping) -> pl.DataFrame:
    """Return a catalogue that lists nothing, for a source that can do without one."""
    return pl.DataFrame(schema=dict.fromkeys([c.ITEM_ID, *_fact_columns(mapping)], pl.String))


def no_items(kept: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Return what `learnt` starts from."""
    first_seen = pl.lit(None, pl.Date).alias(c.FIRST_SEEN)
    return told_facts(kept.clear(), mapping).drop(DAY).with_columns(first_seen)


def learnt(known: pl.DataFrame, told: pl.DataFrame, day: date) -> pl.DataFrame:
    """Return what is known once `day` has told its facts; what is not told anew stands.

    Args:
        known: the result for the day before.
        told: rows of `told_facts` of this day, without `day`.
        day: becomes `first_seen` of items told for the first time.
    """
    news = told.with_columns(pl.lit(day).alias(c.FIRST_SEEN))
    both = known.join(news, on=c.ITEM_ID, how="full", coalesce=True, suffix=":new")
    first = pl.coalesce(c.FIRST_SEEN, f"{c.FIRST_SEEN}:new").alias(c.FIRST_SEEN)
    changing = [name for name in known.columns if name not in (c.ITEM_ID, c.FIRST_SEEN)]
    newer = [pl.coalesce(f"{name}:new", name).alias(name) for name in changing]
    return both.select(c.ITEM_ID, *newer, first).sort(c.ITEM_ID)


def snapshots(
    items: pl.DataFrame,
    customers: pl.DataFrame,
    catalogue: pl.DataFrame | None,
    mapping: Mapping,
) -> dict[str, pl.DataFrame]:
    """Return the frames of a delivery beside its events.

    Args:
        items: what `learnt` knows.
        customers: what `met` knows.
        catalogue: rows of `catalogue_facts`, None where the lines tell.
        mapping: constants, attributes, consent.
    """
    known = items if catalogue is None else items.join(catalogue, on=c.ITEM_ID, how="left")
    rows = item_rows(known.sort(c.ITEM_ID), mapping)
    return {
        ITEMS.name: rows,
        ITEM_ATTRIBUTES.name: attribute_rows(known, rows, mapping),
        CUSTOMERS.name: customer_rows(customers, mapping),
    }


def item_rows(items: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Return the items snapshot: the ITEMS contract, unknown categories named `unknown`.

    Shops without stock figures sold what they list, so `in_stock` is true unless told otherwise;
    a price that no line tells is 0.
    """
    unless_told: dict[str, Constant] = {
        c.IN_STOCK: True,
        c.PRICE: 0,
        c.CATEGORY_GROUP: UNKNOWN,
        c.CATEGORY: UNKNOWN,
    }
    filled = {**unless_told, **mapping.items.constants}
    return items.select(_item_column(name, items, filled, mapping) for name in ITEMS.columns)


def _item_column(
    name: str, items: pl.DataFrame, filled: dict[str, Constant], mapping: Mapping
) -> pl.Expr:
    dtype = ITEMS.columns[name].dtype
    constant = pl.lit(filled.get(name)).cast(dtype)
    if name not in items.columns:
        return constant.alias(name)
    cell = pl.col(name)
    if dtype == pl.Boolean:
        cell = cell.str.to_lowercase().replace_strict(TRUTHS, default=None, return_dtype=dtype)
    elif dtype == pl.Float64:
        cell = parsed_number(cell, pl.String(), mapping)
    return pl.coalesce(cell, constant).alias(name)


def attribute_rows(items: pl.DataFrame, rows: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Return the ITEM_ATTRIBUTES snapshot: category, brand, colour, size and the declared ones.

    Args:
        items: rows of `described`.
        rows: their `item_rows`.
        mapping: declares the attributes and what separates several values of one cell.
    """
    own = [_long(rows, pl.col(name), name) for name in AS_ATTRIBUTES]
    declared = [_long(items, _values(name, mapping), name) for name in mapping.items.attributes]
    return pl.concat([*own, *declared]).unique().sort(c.ITEM_ID, c.ATTRIBUTE, c.VALUE)


def _values(attribute: str, mapping: Mapping) -> pl.Expr:
    name = ATTRIBUTE_FACT + attribute
    separator = mapping.items.multi_valued.get(attribute)
    return pl.col(name).str.split(separator) if separator else pl.col(name)


def _long(items: pl.DataFrame, value: pl.Expr, attribute: str) -> pl.DataFrame:
    cells = items.select(c.ITEM_ID, value.alias(c.VALUE))
    single = cells.explode(c.VALUE) if cells.schema[c.VALUE] == pl.List(pl.String) else cells
    told = single.with_columns(
        pl.col(c.VALUE).str.strip_chars(), pl.lit(attribute).alias(c.ATTRIBUTE)
    )
    known = told.filter(pl.col(c.VALUE).is_not_null() & ~pl.col(c.VALUE).is_in(["", UNKNOWN]))
    return known.select(*ITEM_ATTRIBUTES.columns)


def told_customers(kept: pl.DataFrame) -> pl.DataFrame:
    """Return one row per (day, user) with the last city told."""
    lines = _in_order(kept.select(DAY, c.TS, LINE, c.USER_ID, c.CITY))
    city = pl.col(c.CITY).drop_nulls().last()
    by_user = lines.group_by(DAY, c.USER_ID, maintain_order=True).agg(city)
    return by_user.sort(DAY, c.USER_ID)


def no_customers() -> pl.DataFrame:
    """Return what `met` starts from."""
    return pl.DataFrame(schema={c.USER_ID: pl.String, c.CITY: pl.String})


def met(known: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Return (user, city) of everybody met by the end of the day that `told` is about."""
    news = told
    both = known.join(news, on=c.USER_ID, how="full", coalesce=True, suffix=":new")
    city = pl.coalesce(f"{c.CITY}:new", c.CITY).alias(c.CITY)
    return both.select(c.USER_ID, city).sort(c.USER_ID)


def customer_rows(known: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Return the CUSTOMERS snapshot; gender and birth year are not in such sources."""
    told = known.with_columns(pl.lit(mapping.consent).alias(c.CONSENT))
    return told.select(
        (pl.col(name) if name in told.columns else pl.lit(None)).cast(column.dtype).alias(name)
        for name, column in CUSTOMERS.columns.items()
    )
