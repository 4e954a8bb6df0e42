"""REES46: views, carts and purchases of a multi-category shop, with sessions.

A line has no id of its own, so its whole content is: two equal lines are one event delivered twice,
and ingest counts the second as a duplicate. A purchase is one piece. The first word of
`category_code` is the category group; a line without a code says `unknown`, one without a brand
leaves the brand empty, both until a later line of the item tells it. Prices are in the source's
currency; a price of zero is a gap, not a price.
"""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.landing.importers.mapping import ItemMapping, Mapping

MAPPING = Mapping(
    source="rees46",
    columns={
        c.TS: "event_time",
        c.USER_ID: "user_id",
        c.ITEM_ID: "product_id",
        c.EVENT_TYPE: "event_type",
        c.PRICE: "price",
        c.SESSION_ID: "user_session",
    },
    constants={c.QUANTITY: 1},
    events={"view": c.VIEW, "cart": c.CART, "purchase": c.ORDER},
    time_formats=("%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%d %H:%M:%S"),
    items=ItemMapping(
        columns={c.CATEGORY_GROUP: "category_group", c.CATEGORY: "category_code", c.BRAND: "brand"},
        attributes={"category_id": "category_id"},
    ),
    notes=(
        "no impressions: position, examination, sf_pos on impressions stay unknown",
        "platform is unknown and the surface other; an order is one piece",
        "nobody's city or consent to mailings is known",
    ),
)


def grouped(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Return the lines with `category_group`, the first word of `category_code`."""
    group = pl.col("category_code").str.split(".").list.first()
    return lines.with_columns(group.alias("category_group"))
