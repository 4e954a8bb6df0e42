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
from tasks.landing.importers.lines import DAY, LINE, SOURCE, parsed_id, parsed_number
from tasks.landing.importers.mapping import Mapping

UNKNOWN = "unknown"
AS_ATTRIBUTES = (c.CATEGORY, c.BRAND, c.COLOUR, c.SIZE)


def told_facts(kept: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Return one row per (day, item) with the last price and the last value of each fact told.

    Args:
        kept: parsed lines whose fate is an event.
        mapping: names the fact columns when there is no catalogue file.
    """
    facts = {} if mapping.items.file else _fact_columns(mapping)
    # A price of zero is a gift or a gap in the source, not what the item costs.
    price = pl.col(c.PRICE).filter(pl.col(c.PRICE) > 0).drop_nulls().last()
    told = [
        _text(pl.col(SOURCE + name), kept.schema[SOURCE + name]).alias(fact)
        for fact, name in facts.items()
    ]
    lines = kept.select(DAY, c.TS, LINE, c.ITEM_ID, c.PRICE, *told).sort(
        c.TS, LINE, maintain_order=True
    )
    last = [pl.col(fact).drop_nulls().last() for fact in facts]
    return (
        lines.group_by(DAY, c.ITEM_ID, maintain_order=True).agg(price, *last).sort(DAY, c.ITEM_ID)
    )


def _fact_columns(mapping: Mapping) -> dict[str, str]:
    attributes = {f"attribute:{name}": column for name, column in mapping.items.attributes.items()}
    return {**mapping.items.columns, **attributes}


def _text(cell: pl.Expr, found: pl.DataType) -> pl.Expr:
    return parsed_id(cell, found)


def catalogue_facts(catalogue: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Return one row per item of a catalogue file; the first row of an item stands."""
    facts = {c.ITEM_ID: str(mapping.items.key), **_fact_columns(mapping)}
    texts = [
        _text(pl.col(name), catalogue.schema[name]).alias(fact) for fact, name in facts.items()
    ]
    named = catalogue.select(texts).filter(pl.col(c.ITEM_ID).is_not_null())
    return named.unique(c.ITEM_ID, keep="first", maintain_order=True).sort(c.ITEM_ID)


def no_items(kept: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Return what `learnt` starts from."""
    return (
        told_facts(kept.clear(), mapping)
        .drop(DAY)
        .with_columns(pl.lit(None, pl.Date).alias(c.FIRST_SEEN))
    )


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


def described(known: pl.DataFrame, catalogue: pl.DataFrame | None) -> pl.DataFrame:
    """Return the known items, with the catalogue file's facts where there is one."""
    return known if catalogue is None else known.join(catalogue, on=c.ITEM_ID, how="left")


def item_rows(items: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Return the items snapshot: the ITEMS contract, unknown categories named `unknown`."""
    return items.select(_item_column(name, items, mapping) for name in ITEMS.columns)


def _item_column(name: str, items: pl.DataFrame, mapping: Mapping) -> pl.Expr:
    dtype = ITEMS.columns[name].dtype
    if name in mapping.items.constants:
        return pl.lit(mapping.items.constants[name]).cast(dtype).alias(name)
    if name not in items.columns:
        # Shops without stock figures sold what they list.
        return pl.lit(
            True if name == c.IN_STOCK else UNKNOWN if _named(name) else None, dtype
        ).alias(name)
    cell = pl.col(name)
    if name == c.IN_STOCK:
        return (cell.str.to_lowercase().is_in(["true", "1", "yes"])).fill_null(True).alias(name)
    if name == c.RATING:
        return parsed_number(cell, pl.String(), mapping).clip(0, 5).alias(name)
    if name == c.PRICE:
        return cell.fill_null(0).alias(name)
    return (cell.fill_null(UNKNOWN) if _named(name) else cell).cast(dtype).alias(name)


def _named(name: str) -> bool:
    return name in (c.CATEGORY_GROUP, c.CATEGORY)


def attribute_rows(items: pl.DataFrame, rows: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Return the ITEM_ATTRIBUTES snapshot: category, brand, colour, size and the declared ones.

    Args:
        items: rows of `described`.
        rows: their `item_rows`.
        mapping: declares the attributes and what separates several values of one cell.
    """
    own = [
        _long(rows.select(c.ITEM_ID, pl.col(name).alias(c.VALUE)), name) for name in AS_ATTRIBUTES
    ]
    declared = [
        _long(
            items.select(
                c.ITEM_ID, _values(f"attribute:{name}", mapping.items.multi_valued.get(name))
            ),
            name,
        )
        for name in mapping.items.attributes
    ]
    known = pl.concat([*own, *declared]).filter(
        pl.col(c.VALUE).is_not_null() & (pl.col(c.VALUE) != UNKNOWN)
    )
    return known.unique().sort(c.ITEM_ID, c.ATTRIBUTE, c.VALUE)


def _values(name: str, separator: str | None) -> pl.Expr:
    cell = pl.col(name).cast(pl.String)
    return (cell.str.split(separator) if separator else cell).alias(c.VALUE)


def _long(values: pl.DataFrame, attribute: str) -> pl.DataFrame:
    single = values.explode(c.VALUE) if values.schema[c.VALUE] == pl.List(pl.String) else values
    trimmed = pl.col(c.VALUE).str.strip_chars()
    told = single.filter(trimmed != "").with_columns(trimmed, pl.lit(attribute).alias(c.ATTRIBUTE))
    return told.select(*ITEM_ATTRIBUTES.columns)


def told_customers(kept: pl.DataFrame) -> pl.DataFrame:
    """Return one row per (day, user) with the last city told."""
    lines = kept.select(DAY, c.TS, LINE, c.USER_ID, c.CITY).sort(c.TS, LINE, maintain_order=True)
    city = pl.col(c.CITY).drop_nulls().last()
    return lines.group_by(DAY, c.USER_ID, maintain_order=True).agg(city).sort(DAY, c.USER_ID)


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
