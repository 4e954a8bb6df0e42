"""Segment order on public logs without impressions: what people took up later, beside popularity.

Each log becomes acts `user_id, item_id, day`; segments come from the declared rules on what the log
tells of its people (when they came, on which platform), scores from the acts of the window before
the split, and everybody with an act after it, on an item known then, is asked for what he took up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.lake.tables import USER_SEGMENTS
from tasks.ranker.measure import intervals, paired_gains
from tasks.segments.grid import Catalogue
from tasks.segments.rules import unknown_segment, user_segments
from tasks.segments.scores import segment_scores
from tasks.settings import Segments, Settings
from tests.benchmarks.measure import Bench

CUTOFF, DRAWS = 60, 1_000
SF_POS, POPULARITY = "sf_pos", "popularity"
MOBILE = 3


@dataclass(frozen=True)
class Log:
    """`user_id, item_id, day, is_app`; items' categories; the window and the later days."""

    acts: pl.DataFrame
    categories: pl.DataFrame
    window_days: int
    later_days: int


def globo(folder: Path) -> Log:
    """Return a week of news clicks, and what was read the day after."""
    clicks = pl.read_parquet(folder / "globo_clicks" / "clicks.parquet")
    acts = clicks.select(
        pl.col("user_id").cast(pl.String),
        pl.col("click_article_id").cast(pl.String).alias(c.ITEM_ID),
        pl.col("click_timestamp").dt.date().alias("day"),
        (pl.col("click_deviceGroup") == MOBILE).alias("is_app"),
    )
    # Clicks of a day follow each other for weeks in the log's tail; nine whole days are there.
    days = acts["day"].unique().sort()[:9]
    kept = acts.filter(pl.col("day").is_in(days.implode()))
    categories = (
        kept.select(c.ITEM_ID).unique().with_columns(pl.lit(None, pl.String).alias(c.CATEGORY))
    )
    return Log(kept, categories, window_days=7, later_days=1)


def online_retail(folder: Path) -> Log:
    """Return a gift shop's purchases of known customers: 30 days, and the two weeks after."""
    lines = pl.read_parquet(folder / "online_retail" / "transactions.parquet")
    acts = lines.filter(pl.col("Quantity") > 0, pl.col("CustomerID").is_not_null()).select(
        pl.col("CustomerID").cast(pl.String).alias(c.USER_ID),
        pl.col("StockCode").alias(c.ITEM_ID),
        pl.col("InvoiceDate").dt.date().alias("day"),
        pl.lit(False).alias("is_app"),
    )
    items = pl.read_parquet(folder / "online_retail" / "items_derived.parquet")
    categories = items.select(
        pl.col("StockCode").alias(c.ITEM_ID), pl.col("material").alias(c.CATEGORY)
    )
    return Log(acts.unique(), categories.unique(c.ITEM_ID), window_days=30, later_days=14)


LOGS = {"globo_clicks": globo, "online_retail": online_retail}


def note_public_logs(bench: Bench, settings: Settings) -> None:
    """Record each log's figures, or why there are none."""
    for name, read in LOGS.items():
        if settings.real_data is None or not (settings.real_data / name).exists():
            bench.note(**{name: f"left out: VITRINA_REAL_DATA holds no {name}"})
            continue
        for metric, rows in taken_up(read(settings.real_data), settings.segments).items():
            prefix = f"{name}/{metric}"
            bench.intervals(prefix, intervals(rows, [SF_POS, POPULARITY], DRAWS, seed=0))
            gains = paired_gains(rows, SF_POS, [POPULARITY], DRAWS, seed=0)
            bench.intervals(f"{prefix}/sf_pos_over", gains, "+.4f")
        bench.note(**{f"{name}/users": rows.height})


def taken_up(log: Log, options: Segments) -> dict[str, pl.DataFrame]:
    """Return recall@60 and NDCG@60 of every later user, by `sf_pos` and by popularity."""
    last = log.acts["day"].max()
    age = (pl.lit(last) - pl.col("day")).dt.total_days()
    later = log.acts.filter(age < log.later_days)
    before = log.acts.with_columns((age - log.later_days).alias("age")).filter(
        pl.col("age").is_between(0, log.window_days - 1)
    )
    people = segments_of(before, options)
    scores = scored(before, people, log.categories, options)
    wanted = later.select(c.USER_ID, c.ITEM_ID).unique().join(before, on=c.ITEM_ID, how="semi")
    unknown = pl.lit(unknown_segment(options))
    asked = wanted.join(people, on=c.USER_ID, how="left").with_columns(
        pl.col(c.SEGMENT).fill_null(unknown)
    )
    ranked = {
        SF_POS: asked.join(ranks(scores, c.SF_POS), on=[c.SEGMENT, c.ITEM_ID], how="left"),
        POPULARITY: asked.join(popular(before), on=c.ITEM_ID, how="left"),
    }
    parts = {name: per_user(rows) for name, rows in ranked.items()}
    return {metric: _beside(parts, metric) for metric in ("recall@60", "ndcg@60")}


def segments_of(before: pl.DataFrame, options: Segments) -> pl.DataFrame:
    """Return `user_id, segment` by the declared rules on what the log tells."""
    told = before.group_by(c.USER_ID).agg(
        pl.len().cast(pl.Int64).alias("acts_30"),
        pl.col("is_app").sum().cast(pl.Int64).alias("acts_app_30"),
        pl.col("age").min().alias("days_since_event"),
        pl.col("age").max().alias("days_since_first_event"),
    )
    nothing = {"acts_women_30": pl.Int64, "acts_men_30": pl.Int64}
    evidence = told.with_columns(
        (pl.col("acts_30") - pl.col("acts_app_30")).alias("acts_web_30"),
        pl.lit(None, pl.String).alias("customer_gender"),
        pl.lit(False).alias("is_customer"),
        *(pl.lit(0, dtype).alias(name) for name, dtype in nothing.items()),
    )
    rows = user_segments(evidence, options)
    return rows.select(list(USER_SEGMENTS.columns)).select(c.USER_ID, c.SEGMENT)


def scored(
    before: pl.DataFrame, people: pl.DataFrame, categories: pl.DataFrame, options: Segments
) -> pl.DataFrame:
    """Return SEGMENT_SCORES rows: without impressions acts count as purchases do."""
    acts = before.join(people, on=c.USER_ID).group_by(c.SEGMENT, c.ITEM_ID).len("orders")
    zero = ("impressions", "examined_ppm", "listed_views", "listed_carts", "carts")
    counts = acts.with_columns(
        pl.col("orders").cast(pl.Int64), *(pl.lit(0, pl.Int64).alias(name) for name in zero)
    )
    items = before.select(c.ITEM_ID).unique().join(categories, on=c.ITEM_ID, how="left")
    values = pl.DataFrame(schema={name: pl.String for name in (c.ITEM_ID, c.ATTRIBUTE, c.VALUE)})
    there = sorted({*people[c.SEGMENT], unknown_segment(options)})
    return segment_scores(counts, Catalogue(items, values), there, options)


def ranks(scores: pl.DataFrame, by: str) -> pl.DataFrame:
    """Return `segment, item_id, rank`, 1 the best; ties by id."""
    ordered = scores.sort(c.SEGMENT, by, c.ITEM_ID, descending=[False, True, False])
    place = pl.int_range(1, pl.len() + 1).over(c.SEGMENT).alias(c.RANK)
    return ordered.with_columns(place).select(c.SEGMENT, c.ITEM_ID, c.RANK)


def popular(before: pl.DataFrame) -> pl.DataFrame:
    """Return `item_id, rank` by acts of the window; ties by id."""
    counts = before.group_by(c.ITEM_ID).len().sort("len", c.ITEM_ID, descending=[True, False])
    return counts.with_columns(pl.int_range(1, pl.len() + 1).alias(c.RANK)).drop("len")


def per_user(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `user_id, recall@60, ndcg@60` of rows with the rank of each wanted item."""
    found = pl.col(c.RANK) <= CUTOFF
    ideal = np.cumsum(1.0 / np.log2(np.arange(2, CUTOFF + 2)))
    best = pl.DataFrame({"wanted": np.arange(1, CUTOFF + 1, dtype=np.uint32), "ideal": ideal})
    sums = rows.group_by(c.USER_ID).agg(
        pl.len().alias("all"),
        found.sum().alias("hits"),
        (found / (pl.col(c.RANK) + 1).log(2)).sum().alias("dcg"),
    )
    wanted = pl.col("all").clip(1, CUTOFF).cast(pl.UInt32).alias("wanted")
    return (
        sums.with_columns(wanted)
        .join(best, on="wanted")
        .select(
            c.USER_ID,
            (pl.col("hits") / pl.col("all")).alias("recall@60"),
            (pl.col("dcg") / pl.col("ideal")).alias("ndcg@60"),
        )
    )


def _beside(parts: dict[str, pl.DataFrame], metric: str) -> pl.DataFrame:
    mine, other = (parts[name].select(c.USER_ID, pl.col(metric).alias(name)) for name in parts)
    rows = mine.join(other, on=c.USER_ID)
    return rows.with_columns(pl.col(c.USER_ID).alias(c.GROUP_ID)).sort(c.USER_ID)
