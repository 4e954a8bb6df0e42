"""Ranking groups: which listings, what was known before each, and how rows become the table.

`building` gathers them some listing days at a time; here is what is asked of each batch.

As known on D the newest listing day whose attribution has closed is D - 1 (it closes a day after
the listing). Training takes the `listing_days` days before the held-out one. A row of listing day t
reads partition t - 1; where a table lacks it, the whole day's listings are dropped and counted.
Candidates come from the newest partition before t within `max_age_days`, their age a feature.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks import columns as c
from tasks.candidates import GENERATORS
from tasks.errors import InputNotReady
from tasks.features.counters import SNAPSHOT_DAYS
from tasks.lake.contracts import Table
from tasks.lake.lake import WHOLE, Lake, Window
from tasks.lake.ledger import days_between
from tasks.lake.tables import (
    CANDIDATES,
    CUSTOMERS,
    EVENTS,
    EXAMINATION,
    ITEM_ATTRIBUTES,
    ITEM_EMBEDDINGS,
    ITEM_FEATURES,
    ITEMS,
    RANKING_GROUPS,
    SEGMENT_ITEM_FEATURES,
    SEGMENT_SCORES,
    USER_EMBEDDINGS,
    USER_FACETS,
    USER_FEATURES,
    USER_ITEM_FEATURES,
    USER_SEGMENTS,
)
from tasks.ranker.features import AGE, NUMBERS, PRODUCT, candidate_feature
from tasks.seeds import seed_of
from tasks.segments.rules import unknown_segment
from tasks.settings import Ranker, Settings

log = logging.getLogger(__name__)

SNAPSHOTS: tuple[Table, ...] = (ITEMS, ITEM_ATTRIBUTES, CUSTOMERS)
KNOWN_BEFORE: tuple[Table, ...] = (
    *SNAPSHOTS,
    ITEM_FEATURES,
    USER_FEATURES,
    USER_ITEM_FEATURES,
    USER_SEGMENTS,
    SEGMENT_ITEM_FEATURES,
    SEGMENT_SCORES,
    EXAMINATION,
    USER_FACETS,
)
"""Tables that a row of listing day t reads from partition t - 1."""

CANDIDATE_DAY = "candidate_day"
KEPT = ("train_groups", "measured_groups", "measured_groups_with_label")
PPM = 1_000_000
HEX_PLACES = 16**4
EVERY_HASH = "g"
LISTED_ORDER = (c.LISTING_DAY, c.GROUP_ID, c.ITEM_ID)
"""The order in which rows are chosen: whole listing days, then whole groups."""


def listing_days(lake: Lake, day: date) -> pl.DataFrame:
    """Return `listing_day, is_ready, reason` of the days that groups of `day` may come from.

    Raises:
        InputNotReady: the newest day's features are within history but absent; dropping that day
            would silently hold out an older one.
    """
    newest = day - timedelta(days=1)
    span = days_between(newest - timedelta(days=lake.settings.ranker.listing_days), newest)
    there = {table.name: _written(lake, table) for table in KNOWN_BEFORE}
    absent = {listed: _absent_before(there, listed) for listed in span}
    if absent[newest] and newest > lake.first_day():
        raise InputNotReady(
            f"{', '.join(absent[newest])}: {newest - timedelta(days=1)} is absent, and the held-out"
            f" listings of {newest} read it; backfill build_features for that day"
        )
    return pl.DataFrame(
        {
            c.LISTING_DAY: span,
            "is_ready": [not absent[listed] for listed in span],
            c.REASON: [_reason(absent[listed], listed, lake.first_day()) for listed in span],
        },
        schema_overrides={c.REASON: pl.String},
    )


def _written(lake: Lake, table: Table, part: str = WHOLE) -> set[date]:
    """Return the days of a part; asked once a table, since each asking looks for new records."""
    return {written for written, key in lake.ledger.written(table) if key == part}


def _absent_before(there: dict[str, set[date]], listed: date) -> list[str]:
    before = listed - timedelta(days=1)
    return [name for name, days in there.items() if before not in days]


def _reason(absent: list[str], listed: date, first: date) -> str | None:
    if listed <= first:
        return f"nothing is known of the day before: history begins on {first}"
    return f"the day before lacks {', '.join(absent)}" if absent else None


def candidate_days(lake: Lake, days: list[date]) -> pl.DataFrame:
    """Return `listing_day, generator, candidate_day`: the newest candidates made before each."""
    oldest = lake.settings.candidates.max_age_days
    made = {name: _written(lake, CANDIDATES, name) for name in GENERATORS}
    rows = [
        (listed, name, newest_before(made[name], listed, oldest))
        for listed in days
        for name in GENERATORS
    ]
    schema = {c.LISTING_DAY: pl.Date, c.GENERATOR: pl.String, CANDIDATE_DAY: pl.Date}
    return pl.DataFrame(rows, schema=schema, orient="row").drop_nulls(CANDIDATE_DAY)


def newest_before(days: set[date], listed: date, max_age_days: int) -> date | None:
    """Return the newest day before `listed`, at most `max_age_days` older; None if none is."""
    return max((made for made in days if 0 < (listed - made).days <= max_age_days), default=None)


def sampling(settings: Settings) -> dict[str, str | int]:
    """Return the parameters that draw groups and negatives in SQL."""
    options = settings.ranker
    return {
        "salt": str(seed_of(settings, RANKING_GROUPS.name)),
        "groups_per_platform": options.groups_per_platform,
        "measured_groups": options.measured_groups,
        "held_out_days": options.held_out_days,
        "negatives_below": hash_bound(options.negatives_kept),
    }


def hash_bound(share: float) -> str:
    """Return what four hex digits of a hash stay below with probability `share`."""
    return EVERY_HASH if share >= 1 else f"{int(share * HEX_PLACES):04x}"


def days_counted(lake: Lake, day: date, listed: pl.DataFrame) -> pl.DataFrame:
    """Return listings, carts and buyers of each listing day, dropped days included."""
    span = {EVENTS: listed.height + 1}
    frame = listed.select(c.LISTING_DAY, "is_ready")
    counts = lake.select("ranking_days", day, span, {"listing_days": frame})
    reasons = listed.select(c.LISTING_DAY, c.REASON)
    return counts.join(reasons, on=c.LISTING_DAY, how="left", maintain_order="left")


def has_impressions(counted: pl.DataFrame) -> bool:
    """Return whether this source logs what it shows."""
    return bool(counted["listings"].sum())


def listed_rows(lake: Lake, day: date, listed: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield group rows from listings: what was shown and what of it was put into the cart."""
    frames = {"listing_days": listed.select(c.LISTING_DAY, "is_ready")}
    span = {EVENTS: listed.height + 1}
    drawn = sampling(lake.settings)
    return lake.stream("ranking_listings", LISTED_ORDER, day, span, frames, drawn)


def candidate_rows(
    lake: Lake, day: date, listed: pl.DataFrame, made: pl.DataFrame
) -> Iterator[pl.DataFrame]:
    """Yield group rows where nothing is shown: buyers' candidates and what they bought."""
    frames = {"listing_days": listed.select(c.LISTING_DAY, "is_ready"), "candidate_days": made}
    reach = listed.height + lake.settings.candidates.max_age_days
    inputs: dict[Table, Window | int] = {
        EVENTS: listed.height + 1,
        CANDIDATES: Window(reach, ends=-1, optional=True),
    }
    drawn = sampling(lake.settings)
    return lake.stream("ranking_candidates", LISTED_ORDER, day, inputs, frames, drawn)


def with_known(lake: Lake, day: date, rows: pl.DataFrame, days: Sequence[date]) -> pl.DataFrame:
    """Return rows of these listing days with everything that was known the day before each."""
    span = (max(days) - min(days)).days + 1
    ends = (max(days) - day).days - 1
    before = Window(span, ends, optional=True)
    snapshots = Window(span + SNAPSHOT_DAYS - 1, ends, optional=True)
    inputs = {table: snapshots if table in SNAPSHOTS else before for table in KNOWN_BEFORE}
    params: dict[str, str | int] = {
        "unknown_segment": unknown_segment(lake.settings.segments),
        "prior_events": lake.settings.features.prior_events,
        "snapshot_days": SNAPSHOT_DAYS,
    }
    return lake.select("ranking_groups", day, inputs, {"group_rows": rows}, params)


def with_candidates(lake: Lake, rows: pl.DataFrame, made: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with each generator's score, rank, age and embedding product."""
    key = [c.GROUP_ID, c.ITEM_ID]
    for generator in GENERATORS:
        days = made.filter(pl.col(c.GENERATOR) == generator).drop(c.GENERATOR)
        found = [_scored(lake, part, generator) for part in _by_candidate_day(rows, days)]
        frame = pl.concat([_no_scores(generator), *found])
        rows = rows.join(frame, on=key, how="left", maintain_order="left")
        log.info("%s: scores of %d days joined", generator, len(found))
    return rows


def _by_candidate_day(rows: pl.DataFrame, days: pl.DataFrame) -> Iterator[pl.DataFrame]:
    pairs = rows.select(c.GROUP_ID, c.ITEM_ID, c.USER_ID, c.LISTING_DAY)
    dated = pairs.join(days, on=c.LISTING_DAY, how="inner", maintain_order="left")
    yield from dated.partition_by(CANDIDATE_DAY, maintain_order=True)


def _no_scores(generator: str) -> pl.DataFrame:
    features = (c.SCORE, c.RANK, AGE, PRODUCT)
    schema = {c.GROUP_ID: pl.String(), c.ITEM_ID: pl.String()}
    return pl.DataFrame(
        schema={**schema, **{candidate_feature(generator, x): pl.Float32() for x in features}}
    )


def _scored(lake: Lake, pairs: pl.DataFrame, generator: str) -> pl.DataFrame:
    """Return the features of one generator for rows that all read one candidate day."""
    made: date = pairs[CANDIDATE_DAY][0]
    lists = _of_users(lake, CANDIDATES, made, generator, pairs)
    joined = pairs.join(
        lists.select(c.USER_ID, c.ITEM_ID, c.SCORE, c.RANK),
        on=[c.USER_ID, c.ITEM_ID],
        how="left",
        maintain_order="left",
    ).with_columns(
        (pl.col(c.LISTING_DAY) - pl.col(CANDIDATE_DAY)).dt.total_days().alias(AGE),
        _products(lake, pairs, made, generator).alias(PRODUCT),
    )
    names = {x: candidate_feature(generator, x) for x in (c.SCORE, c.RANK, AGE, PRODUCT)}
    features = [pl.col(x).cast(pl.Float32).alias(name) for x, name in names.items()]
    return joined.select(c.GROUP_ID, c.ITEM_ID, *features)


def _of_users(
    lake: Lake, table: Table, made: date, generator: str, pairs: pl.DataFrame
) -> pl.DataFrame:
    """Return a generator's rows of those who were shown something; others fill no memory."""
    users = pairs.select(c.USER_ID).unique()
    frames = lake.frames(table, made, tuple(table.columns), generator)
    return pl.concat(
        [table.empty(), *(frame.join(users, on=c.USER_ID, how="semi") for frame in frames)]
    )


def _products(lake: Lake, pairs: pl.DataFrame, made: date, generator: str) -> pl.Series:
    """Return user vector times item vector; null where either is absent."""
    if not lake.has_day(USER_EMBEDDINGS, made, generator):
        return pl.Series([None] * pairs.height, dtype=pl.Float32)
    users = _of_users(lake, USER_EMBEDDINGS, made, generator, pairs)
    items = lake.read_day(ITEM_EMBEDDINGS, made, generator)
    return products(pairs, users, items)


def products(pairs: pl.DataFrame, users: pl.DataFrame, items: pl.DataFrame) -> pl.Series:
    """Return the product of the user's and the item's embedding for each pair, null if absent."""
    user_rows = _rows_of(pairs[c.USER_ID], users[c.USER_ID])
    item_rows = _rows_of(pairs[c.ITEM_ID], items[c.ITEM_ID])
    found = (user_rows >= 0) & (item_rows >= 0)
    values = np.full(pairs.height, np.nan, dtype=np.float32)
    if not found.any():
        return pl.Series(PRODUCT, values).fill_nan(None)
    values[found] = np.einsum(
        "ij,ij->i", _matrix(users)[user_rows[found]], _matrix(items)[item_rows[found]]
    )
    return pl.Series(PRODUCT, values).fill_nan(None)


def _rows_of(ids: pl.Series, known: pl.Series) -> npt.NDArray[np.int64]:
    places = pl.DataFrame({"id": known}).with_row_index("row")
    joined = pl.DataFrame({"id": ids}).join(places, on="id", how="left", maintain_order="left")
    return joined["row"].cast(pl.Int64).fill_null(-1).to_numpy()


def _matrix(embeddings: pl.DataFrame) -> npt.NDArray[np.float32]:
    width = embeddings[c.EMBEDDING].list.len()[0]
    return embeddings[c.EMBEDDING].list.to_array(width).to_numpy()


def finished(rows: pl.DataFrame) -> pl.DataFrame:
    """Return RANKING_GROUPS rows: roles named, logs taken, features as 32-bit floats."""
    role = (
        pl.when("is_held_out").then(pl.lit("holdout")).when("is_trained").then(pl.lit("train"))
    ).otherwise(pl.lit("spare"))
    # A position that nothing is known about counts as examined: it moves no order in its group.
    examined = pl.col(c.P_EXAMINED).fill_null(1.0).log().clip(upper_bound=0.0)
    return rows.with_columns(
        role.alias(c.ROLE),
        examined.alias("log_examination"),
        (pl.col("facet_ppm") / PPM).alias("facet_sum"),
        pl.col("listed_at").cast(pl.Datetime("us", "UTC")),
    ).select(
        pl.col(name).cast(pl.Float32) if name in NUMBERS else pl.col(name).cast(dtype)
        for name, dtype in RANKING_GROUPS.schema.items()
    )


def described(counted: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """Return RANKING_DAYS rows: what each listing day gave, and why a day gave nothing.

    Args:
        counted: rows of `days_counted`.
        kept: rows of `kept_by_day`.
    """
    source = "impressions" if has_impressions(counted) else "candidates"
    held_out = kept.filter("is_held_out")[c.LISTING_DAY].max()
    role = (
        pl.when(pl.col(c.LISTING_DAY).eq_missing(pl.lit(held_out, pl.Date)))
        .then(pl.lit("holdout"))
        .otherwise(pl.lit("train"))
    )
    is_empty = pl.col("measured_groups") + pl.col("train_groups") == 0
    return (
        counted.join(kept.select(c.LISTING_DAY, *KEPT), on=c.LISTING_DAY, how="left")
        .with_columns(pl.col(KEPT).cast(pl.Int64).fill_null(0), pl.lit(source).alias("source"))
        .with_columns(pl.when(is_empty).then(pl.lit("empty")).otherwise(role).alias(c.ROLE))
        .with_columns(pl.when("is_ready").then(c.ROLE).otherwise(pl.lit("dropped")).alias(c.ROLE))
        .with_columns(_why_empty(source).alias(c.REASON))
        .drop("is_ready")
        .sort(c.LISTING_DAY)
    )


def kept_by_day(groups: pl.DataFrame) -> pl.DataFrame:
    """Return rows, groups and positives of each listing day, and what its groups are kept for."""
    group, is_measured = pl.col(c.GROUP_ID), pl.col("is_measured")
    rules = (pl.col("is_trained"), is_measured, is_measured & (pl.col(c.LABEL) == 1))
    return groups.group_by(c.LISTING_DAY).agg(
        *(
            group.filter(rule).n_unique().alias(name)
            for name, rule in zip(KEPT, rules, strict=True)
        ),
        (pl.col(c.ROLE) == "holdout").any().alias("is_held_out"),
        pl.len().alias("rows"),
        group.n_unique().alias("groups"),
        pl.col(c.LABEL).sum().alias("positives"),
    )


def _why_empty(source: str) -> pl.Expr:
    """Return the reason of a day that is ready and gave no group; otherwise the one there is."""
    nobody = "nothing was shown" if source == "impressions" else "no buyer had candidates"
    nothing_kept = pl.when(pl.col("listings") > 0).then(pl.lit("no listing had a cart"))
    why = nothing_kept.otherwise(pl.lit(nobody))
    return pl.when(pl.col(c.ROLE) == "empty").then(why).otherwise(pl.col(c.REASON))


def summary(days: pl.DataFrame, kept: pl.DataFrame) -> dict[str, int]:
    """Return the counts that the log and the run's page show."""
    dropped = days.filter(pl.col(c.ROLE) == "dropped")
    return {
        **{name: int(kept[name].sum()) for name in ("rows", "groups", "positives")},
        "listings_dropped": int(dropped["listings"].sum()),
        "days_dropped": dropped.height,
    }


def held_out_days(groups: pl.DataFrame | pl.LazyFrame, options: Ranker) -> list[date]:
    """Return the days that may be held out, newest first: the last ones with whole lists."""
    measured = groups.lazy().filter("is_measured").select(c.LISTING_DAY).unique().collect()
    days = measured[c.LISTING_DAY].sort(descending=True)
    return days.to_list()[: options.held_out_days]
