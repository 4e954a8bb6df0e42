"""Real folders as logs: the columns of the event contract that each can tell, and no others.

What a folder calls otherwise, and what it means here:

`alibaba_brand`  dates and brands only; a click is a view
`globo_clicks`   a click is a view; it happened when its session began and was received when it came
`rees46_slice`   three hours of one night
`online_retail`  invoices: an order a line, a return a line of an invoice that starts with C;
                 articles only (postage, fees and discounts have codes without five digits); gifts
                 and things for the home; `first_seen` is the day of the first line
`ml1m`, `s3rec`  ratings as views, without times
`obd_small`      slots of two random policies as impressions in shuffled lists, clicks as views
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from tasks import columns as c

ARTICLE = r"^\d{5}"
_ALIBABA_TYPES = {"click": c.VIEW, "favourite": c.FAVORITE, "cart": c.CART, "buy": c.ORDER}
_REES46_TYPES = {"view": c.VIEW, "cart": c.CART, "purchase": c.ORDER}
_RANDOM_POLICIES = ("random_men", "random_women")


def alibaba_brand(folder: Path) -> pl.DataFrame:
    """Return the log of `alibaba_brand`."""
    events = pl.read_parquet(folder / "events.parquet")
    return events.select(
        c.USER_ID,
        pl.col("brand_id").alias(c.BRAND),
        pl.col("event").replace_strict(_ALIBABA_TYPES).alias(c.EVENT_TYPE),
        pl.col("date").cast(pl.Datetime("us")).alias(c.TS),
    )


def globo_clicks(folder: Path) -> pl.DataFrame:
    """Return the log of `globo_clicks`."""
    clicks = pl.read_parquet(folder / "clicks.parquet")
    return clicks.select(
        c.USER_ID,
        c.SESSION_ID,
        pl.col("click_article_id").alias(c.ITEM_ID),
        pl.lit(c.VIEW).alias(c.EVENT_TYPE),
        pl.col("session_start").alias(c.TS),
        pl.col("click_timestamp").alias(c.RECEIVED_AT),
    )


def rees46_slice(folder: Path) -> pl.DataFrame:
    """Return the log of `rees46_slice`."""
    events = pl.read_parquet(folder / "events.parquet")
    return events.select(
        c.USER_ID,
        pl.col("user_session").alias(c.SESSION_ID),
        pl.col("product_id").alias(c.ITEM_ID),
        c.BRAND,
        pl.col("event_type").replace_strict(_REES46_TYPES).alias(c.EVENT_TYPE),
        pl.col("event_time").alias(c.TS),
    )


def online_retail(folder: Path) -> pl.DataFrame:
    """Return the log of `online_retail`."""
    lines = pl.read_parquet(folder / "transactions.parquet")
    returned = pl.col("InvoiceNo").str.starts_with("C")
    sold = (pl.col("Quantity") > 0) & (pl.col("UnitPrice") > 0)
    articles = lines.filter(pl.col("StockCode").str.contains(ARTICLE) & (returned | sold))
    return articles.select(
        pl.col("CustomerID").alias(c.USER_ID),
        pl.col("StockCode").alias(c.ITEM_ID),
        pl.lit("home").alias(c.CATEGORY_GROUP),
        pl.when(returned).then(pl.lit(c.RETURN)).otherwise(pl.lit(c.ORDER)).alias(c.EVENT_TYPE),
        pl.col("InvoiceDate").alias(c.TS),
        pl.col("file_date").min().over("StockCode").alias(c.FIRST_SEEN),
    )


def ml1m(folder: Path) -> pl.DataFrame:
    """Return the log of `ml1m`."""
    ratings = pl.read_parquet(folder / "sequences.parquet")
    return ratings.select(
        c.USER_ID, pl.col("movie_id").alias(c.ITEM_ID), pl.lit(c.VIEW).alias(c.EVENT_TYPE)
    )


def s3rec(folder: Path) -> pl.DataFrame:
    """Return the log of `s3rec`."""
    ratings = pl.read_parquet(folder / "Beauty_sequences.parquet")
    return ratings.select(
        pl.col("user").alias(c.USER_ID),
        pl.col("item").alias(c.ITEM_ID),
        pl.lit(c.VIEW).alias(c.EVENT_TYPE),
    )


def obd_small(folder: Path) -> pl.DataFrame:
    """Return the log of `obd_small`."""
    slots = pl.concat(
        pl.read_parquet(folder / f"{name}.parquet", columns=[c.POSITION, "click"])
        for name in _RANDOM_POLICIES
    )
    shown = slots.select(
        c.POSITION,
        pl.lit(c.IMPRESSION).alias(c.EVENT_TYPE),
        pl.lit("shuffled").alias(c.LISTING_KIND),
    )
    clicked = shown.filter(slots["click"] == 1).with_columns(pl.lit(c.VIEW).alias(c.EVENT_TYPE))
    return pl.concat([shown, clicked])


LOGS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "alibaba_brand": alibaba_brand,
    "globo_clicks": globo_clicks,
    "rees46_slice": rees46_slice,
    "online_retail": online_retail,
    "ml1m": ml1m,
    "s3rec": s3rec,
    "obd_small": obd_small,
}


def real_logs(folder: Path) -> dict[str, pl.DataFrame]:
    """Return the log of every source that lies below `folder`."""
    return {name: read(folder / name) for name, read in LOGS.items() if (folder / name).is_dir()}
