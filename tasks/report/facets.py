"""Section: how much each attribute counts, with intervals."""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.report import figures
from tasks.report.gaps import Gap, Rows, gap_section
from tasks.report.page import Section, with_interval

TITLE = "Facet weights"
DRAWN = 24


def facets_section(weights: Rows) -> Section:
    """Return the section of FACET_WEIGHTS rows: published ones first, the heaviest on top."""
    if isinstance(weights, Gap):
        return gap_section(TITLE, weights)
    ordered = weights.sort(
        "published", c.WEIGHT, "method", c.CATEGORY_GROUP, c.ATTRIBUTE,
        descending=[True, True, False, False, False], nulls_last=True,
    )  # fmt: skip
    published = ordered.filter("published")
    figure = (
        figures.intervals(_drawn(published), "facet", "weight, 95% interval")
        if published.height
        else None
    )
    return Section(TITLE, _table(published), figure, tuple(_remarks(ordered)))


def _table(published: pl.DataFrame) -> pl.DataFrame | None:
    if published.is_empty():
        return None
    names = ("method", c.CATEGORY_GROUP, c.ATTRIBUTE, c.WEIGHT, "coefficient", "users")
    weights = with_interval(published, c.WEIGHT, c.WEIGHT, "weight_low", "weight_high")
    return with_interval(weights, "coefficient", "coefficient", c.LOW, c.HIGH).select(names)


def _drawn(published: pl.DataFrame) -> pl.DataFrame:
    names = pl.concat_str(c.CATEGORY_GROUP, c.ATTRIBUTE, "method", separator=" / ").alias("facet")
    heaviest = published.head(DRAWN)
    return heaviest.select(names, pl.col(c.WEIGHT).alias(c.VALUE), *_bounds())


def _bounds() -> tuple[pl.Expr, pl.Expr]:
    return pl.col("weight_low").alias(c.LOW), pl.col("weight_high").alias(c.HIGH)


def _remarks(weights: pl.DataFrame) -> list[str]:
    held = weights.filter(~pl.col("published"))
    reasons = held.group_by(c.REASON).len().sort("len", c.REASON, descending=[True, False])
    said = [
        f"Not published, {count:,}: {reason or 'no reason given'}."
        for reason, count in reasons.iter_rows()
    ]
    if weights.is_empty():
        return ["No weight was fitted: the day has no group with enough carts."]
    first = f"{weights['published'].sum():,} of {weights.height:,} attributes are published."
    return [first, *said]


def facets_headline(weights: Rows) -> str | None:
    """Say the heaviest published attributes in one line."""
    if isinstance(weights, Gap):
        return None
    top = weights.filter("published").sort(
        c.WEIGHT, c.CATEGORY_GROUP, c.ATTRIBUTE, descending=[True, False, False]
    )
    if top.is_empty():
        return "Facet weights: none published."
    names = [f"{group}/{name} {weight:.2f}" for group, name, weight in _names(top)]
    return f"Facet weights: {top.height} published, the heaviest {', '.join(names)}."


def _names(top: pl.DataFrame) -> list[tuple[str, str, float]]:
    return list(top.head(3).select(c.CATEGORY_GROUP, c.ATTRIBUTE, c.WEIGHT).iter_rows())
