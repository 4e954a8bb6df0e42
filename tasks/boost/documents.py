"""What the index holds of each item: where it belongs, its words, its facets, every base score."""

from __future__ import annotations

import logging

import polars as pl

from tasks import columns as c
from tasks.errors import ContractViolation
from tasks.segments.rules import ALL

log = logging.getLogger(__name__)

STOCKED, WORDS, FACETS = "stocked", "words", "facets"
EVERYWHERE = "*"
"""Stands in `stocked` of an item that every city has."""
UNSCORED = 2.0**-20
"""The base of an item that no segment has a score of: it stands last."""
WORD = r"\w+"


def documents(items: pl.DataFrame, attributes: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """Return one row per item, sorted by `item_id`: what is indexed.

    Args:
        items: ITEMS rows of one day.
        attributes: ITEM_ATTRIBUTES rows of the same day.
        scores: SEGMENT_SCORES rows.

    Returns:
        `item_id, category_group, category, in_stock`; lists `stocked` (cities), `words`, `facets`;
        `sf_pos.<segment>` as float32, where a segment has no score that of `all`.

    Raises:
        ContractViolation: two segments share a field of the index.
    """
    described = attributes.join(items.select(c.ITEM_ID, c.CATEGORY_GROUP), on=c.ITEM_ID)
    facets = described.group_by(c.ITEM_ID).agg(
        facet().sort().alias(FACETS), pl.col(c.VALUE).str.join(" ").alias("values")
    )
    joined = items.join(facets, on=c.ITEM_ID, how="left")
    return (
        joined.with_columns(_stocked(), _words(), pl.col(FACETS).fill_null([]))
        .select(c.ITEM_ID, c.CATEGORY_GROUP, c.CATEGORY, c.IN_STOCK, STOCKED, WORDS, FACETS)
        .join(bases(scores), on=c.ITEM_ID, how="left")
        .with_columns(pl.col(f"^{c.SF_POS}\\..*$").fill_null(UNSCORED))
        .sort(c.ITEM_ID)
    )


def facet() -> pl.Expr:
    r"""Return the term of a group's attribute value, `shoes/brand/Nora`; a `/` within is `\/`."""
    parts = [
        pl.col(name)
        .str.replace_all("\\", "\\\\", literal=True)
        .str.replace_all("/", "\\/", literal=True)
        for name in (c.CATEGORY_GROUP, c.ATTRIBUTE, c.VALUE)
    ]
    return pl.concat_str(parts, separator="/")


def words(text: str) -> tuple[str, ...]:
    """Return a query's words as `documents` splits an item's."""
    return tuple(pl.select(_split(pl.lit(text))).item().to_list())


def _split(text: pl.Expr) -> pl.Expr:
    return text.str.to_lowercase().str.extract_all(WORD).list.unique().list.sort()


def _words() -> pl.Expr:
    text = pl.concat_str(c.CATEGORY_GROUP, c.CATEGORY, "values", separator=" ", ignore_nulls=True)
    return _split(text).alias(WORDS)


def _stocked() -> pl.Expr:
    named = pl.element().filter(pl.element() != "")
    cities = pl.col(c.STOCK_CITIES).str.split("|").list.eval(named).fill_null([EVERYWHERE])
    return pl.when(c.IN_STOCK).then(cities).otherwise(cities.list.head(0)).alias(STOCKED)


def base_field(segment: str) -> str:
    """Return the field that holds a segment's base score; a dot would nest it."""
    return f"{c.SF_POS}.{segment.replace('.', '~')}"


def bases(scores: pl.DataFrame) -> pl.DataFrame:
    """Return `item_id` and one float32 column per segment, gaps filled by `all`."""
    names = {segment: base_field(segment) for segment in sorted({*scores[c.SEGMENT], ALL})}
    if len(set(names.values())) < len(names):
        raise ContractViolation(f"two of the segments share a field of the index: {sorted(names)}")
    field = pl.col(c.SEGMENT).replace_strict(names, return_dtype=pl.String)
    wide = scores.select(c.ITEM_ID, field.alias("field"), c.SF_POS).pivot(
        "field", index=c.ITEM_ID, values=c.SF_POS
    )
    everybodys = base_field(ALL)
    if everybodys not in wide.columns:
        wide = wide.with_columns(pl.lit(None, pl.Float32).alias(everybodys))
    filled = pl.exclude(c.ITEM_ID).fill_null(pl.col(everybodys)).cast(pl.Float32)
    return wide.select(c.ITEM_ID, *sorted(set(wide.columns) - {c.ITEM_ID})).with_columns(filled)
