"""Section: recall and NDCG of each candidate generator, beside popularity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c
from tasks.report import figures
from tasks.report.gaps import Gap, Rows, gap_section
from tasks.report.page import Section, with_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Candidate generators"
POPULAR = "popular"
SHOWN = ("recall", "ndcg")


def candidates_section(metrics: Rows) -> Section:
    """Return the section of CANDIDATE_METRICS rows: recall and NDCG per generator and protocol."""
    if isinstance(metrics, Gap):
        return gap_section(TITLE, metrics)
    shown = _shown(metrics)
    if shown.is_empty():
        return Section(
            TITLE, notes=("No recall or NDCG was measured: no test user bought after the split.",)
        )
    wide = with_interval(beside_popularity(shown), c.VALUE, c.VALUE, c.LOW, c.HIGH)
    return Section(TITLE, wide, _figure(shown), _remarks(shown))


def _shown(metrics: pl.DataFrame) -> pl.DataFrame:
    kind = pl.col(c.METRIC).str.to_lowercase().str.split("@").list.first()
    columns = ("protocol", c.SLICE, c.METRIC, c.GENERATOR, c.VALUE, c.LOW, c.HIGH)
    order = ("protocol", c.SLICE, c.METRIC, c.VALUE, c.GENERATOR)
    return (
        metrics.filter(kind.is_in(SHOWN))
        .select(columns)
        .sort(order, descending=[False] * 3 + [True, False])
    )


def beside_popularity(metrics: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with `times_popular`: the value over that of `popular`."""
    keys = ["protocol", c.SLICE, c.METRIC]
    popular = metrics.filter(pl.col(c.GENERATOR) == POPULAR).select(
        *keys, pl.col(c.VALUE).alias(POPULAR)
    )
    ratio = pl.when(pl.col(POPULAR) > 0).then(pl.col(c.VALUE) / pl.col(POPULAR))
    joined = metrics.join(popular, on=keys, how="left", maintain_order="left")
    return joined.with_columns(ratio.alias("times_popular")).drop(POPULAR)


def _first(metrics: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the protocol, slice and NDCG that is drawn and put in the headline."""
    ndcg = metrics.filter(pl.col(c.METRIC).str.to_lowercase().str.starts_with("ndcg"))
    if ndcg.is_empty():
        return ndcg
    rows = ndcg.with_columns(_whole_first(), _time_first()).sort("whole", "time", c.METRIC)
    return rows.join(
        rows.head(1).select("protocol", c.SLICE, c.METRIC), on=["protocol", c.SLICE, c.METRIC]
    )


def _whole_first() -> pl.Expr:
    return (~pl.col(c.SLICE).is_in(["all", ""])).alias("whole")


def _time_first() -> pl.Expr:
    return (~pl.col("protocol").str.contains("time")).alias("time")


def _figure(metrics: pl.DataFrame) -> Figure | None:
    rows = _first(metrics).sort(c.VALUE, c.GENERATOR, descending=[True, False])
    if rows.is_empty():
        return None
    protocol, part, metric = rows.select("protocol", c.SLICE, c.METRIC).row(0)
    better = rows.filter(pl.col(c.GENERATOR) != POPULAR)[c.GENERATOR].to_list()
    return figures.intervals(rows, c.GENERATOR, f"{metric}, {protocol}, {part}", better)


def _remarks(metrics: pl.DataFrame) -> tuple[str, ...]:
    whole = (
        "Ranked over the whole catalogue, never against sampled negatives; every test user counts."
    )
    if POPULAR in metrics[c.GENERATOR]:
        return (whole,)
    return (whole, "Popularity was not measured that day, so nothing can be set beside it.")


def candidates_headline(metrics: Rows) -> str | None:
    """Say the best generator's NDCG beside popularity in one line."""
    if isinstance(metrics, Gap) or (rows := _first(_shown(metrics))).is_empty():
        return None
    ranked = rows.sort(c.VALUE, c.GENERATOR, descending=[True, False])
    said = ", ".join(
        f"{name} {value:.4f}" for name, value in ranked.select(c.GENERATOR, c.VALUE).iter_rows()
    )
    return f"Candidates, {ranked[c.METRIC][0]} ({ranked['protocol'][0]}): {said}."
