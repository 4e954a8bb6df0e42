"""The page of one list: both orders, what put each item where it is, what moved the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c
from tasks.ranker.explanation import ADDS, BEFORE, FAMILY, FEATURE, KNOWN, Explanation
from tasks.ranker.registry import Version
from tasks.report.figures import ACCENT, INK, WARM, canvas, row_height
from tasks.report.page import Page, Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 20
NAMED = 3
"""Features of an item that are named."""


def ranking_page(explained: Explanation, version: Version) -> Page:
    """Return the page of a list that a model version orders."""
    rows = explained.rows
    sections = (
        Section(f"First {SHOWN} in the ranker's order", after(explained)),
        Section(f"First {SHOWN} before", before(explained)),
        Section("What moves this list", moves(explained.parts), moves_figure(explained.parts)),
    )
    subject = f"List {rows[c.GROUP_ID][0]} of {rows[c.USER_ID][0]}"
    return Page(explained.day, headline(explained, version), sections, subject)


def headline(explained: Explanation, version: Version) -> tuple[str, ...]:
    """Return what was shown to whom, what the model may know of it, and which order was better."""
    rows = explained.rows
    first = rows.row(0, named=True)
    shown = (
        f"{rows.height} items of {first[c.CATEGORY_GROUP]} on {first[c.LISTING_DAY]},"
        f" {first[c.SURFACE]}, {first[c.PLATFORM]}; segment {first[c.SEGMENT]}."
    )
    return (shown, _model(version, explained), *_outcome(explained))


def _model(version: Version, explained: Explanation) -> str:
    has_seen = version.trained_through >= explained.rows[c.LISTING_DAY][0]
    seen = "it may have learnt from this list" if has_seen else "it has not seen this list"
    return f"Version {version.number}, trained through {version.trained_through}: {seen}."


def _outcome(explained: Explanation) -> list[str]:
    carts = explained.rows.filter(pl.col(c.LABEL) == 1)
    if carts.is_empty():
        return ["Nothing of it was put into the cart, so neither order is better."]
    ours, theirs = explained.ndcg[c.SCORE], explained.ndcg[explained.before]
    told = ", ".join(
        f"{item} (rank {rank}, before {was})"
        for item, rank, was in carts.select(c.ITEM_ID, c.RANK, BEFORE).iter_rows()
    )
    return [f"Put into the cart: {told}. NDCG {ours:.3f}, {explained.before} {theirs:.3f}."]


def after(explained: Explanation) -> pl.DataFrame:
    """Return the first items with what put them there."""
    rows = explained.rows.head(SHOWN)
    told = pl.Series("because", [_because(explained.parts, item) for item in rows[c.ITEM_ID]])
    rises = (pl.col(BEFORE).cast(pl.Int64) - pl.col(c.RANK).cast(pl.Int64)).alias("rises by")
    is_carted = (pl.col(c.LABEL) == 1).alias("cart")
    return rows.with_columns(told).select(
        c.RANK, c.ITEM_ID, c.SCORE, pl.col(BEFORE).alias("before"), rises, is_carted, "because"
    )


def _because(parts: pl.DataFrame, item: str) -> str:
    mine = parts.filter((pl.col(c.ITEM_ID) == item) & (pl.col(ADDS) != 0)).head(NAMED)
    told = mine.select(FEATURE, KNOWN, ADDS).iter_rows()
    return ", ".join(f"{name} {known} {adds:+.3f}" for name, known, adds in told) or "nothing"


def before(explained: Explanation) -> pl.DataFrame:
    """Return the first items of the order before, and where each is now."""
    is_carted = (pl.col(c.LABEL) == 1).alias("cart")
    rows = explained.rows.sort(BEFORE).head(SHOWN)
    return rows.select(
        pl.col(BEFORE).alias(c.RANK), c.ITEM_ID, pl.col(c.RANK).alias("rank now"), is_carted
    )


def moves(parts: pl.DataFrame) -> pl.DataFrame:
    """Return the features that move items of the list most: mean |what one adds|."""
    size = pl.col(ADDS).abs()
    features = parts.group_by(FEATURE, FAMILY).agg(size.mean().alias("moves by"))
    most = features.filter(pl.col("moves by") > 0).sort(
        "moves by", FEATURE, descending=[True, False]
    )
    return most.select(FEATURE, FAMILY, "moves by").head(SHOWN)


def moves_figure(parts: pl.DataFrame) -> Figure:
    """Draw what each family of features adds to each item of the list, a dot an item."""
    sums = parts.group_by(FAMILY, c.ITEM_ID).agg(pl.col(ADDS).sum())
    spread = sums.group_by(FAMILY).agg(pl.col(ADDS).abs().mean().alias("size"))
    names = spread.sort("size", FAMILY, descending=[True, False])[FAMILY].to_list()
    figure, (axis,) = canvas(row_height(len(names)))
    for height, name in enumerate(names):
        adds = sums.filter(pl.col(FAMILY) == name)[ADDS].sort().to_list()
        colours = [ACCENT if value >= 0 else WARM for value in adds]
        axis.scatter(adds, [height] * len(adds), c=colours, s=18, alpha=0.5)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set_xlabel("added to an item's score, against the list's mean", color=INK, fontsize=9)
    return figure
