"""Section: recall and NDCG of each candidate generator, beside popularity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c
from tasks.report import figures
from tasks.report.gaps import Gap, Rows
from tasks.report.page import Section, with_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Candidate generators"
POPULAR = "popular"
NDCG, RECALL = "ndcg", "recall"
ABOVE = "above_popular_7d"
PLACE = ("protocol", c.SLICE)
WHOLE, HISTORY = "all", "history"


def candidates_section(metrics: Rows, degraded: tuple[str, ...] = ()) -> Section:
    """Return the section of CANDIDATE_METRICS rows: NDCG and recall per generator.

    `degraded` says which generators wrote nothing that day. Of each metric the smallest k is
    shown; the protocols by time come first, then whole slices. Slices by length of history are left
    to the table in the lake.
    """
    if isinstance(metrics, Gap):
        return Section(TITLE, notes=(*degraded, metrics.reason))
    ndcg = of_kind(metrics, NDCG)
    if ndcg.is_empty():
        return Section(TITLE, notes=(*degraded, *_unmeasured(metrics)))
    ranked = in_order(beside_popularity(ndcg))
    return Section(TITLE, _table(ranked, metrics), _figure(ranked), (*degraded, *_remarks(ranked)))


def _unmeasured(metrics: pl.DataFrame) -> list[str]:
    """Say why there is no NDCG, generators that share a reason together."""
    told = metrics.filter(pl.col(c.REASON).is_not_null()).group_by(c.REASON)
    reasons = told.agg(pl.col(c.GENERATOR).sort()).sort(c.REASON)
    said = [f"Not measured, {', '.join(names)}: {reason}." for reason, names in reasons.iter_rows()]
    return said or ["No NDCG was measured: no test user bought after the split."]


def of_kind(metrics: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Return the rows of one metric at its smallest k, e.g. `ndcg@10`."""
    parts = pl.col(c.METRIC).str.to_lowercase().str.split("@")
    by_length = pl.col(c.SLICE).str.starts_with(HISTORY)
    rows = metrics.filter((parts.list.first() == kind) & ~by_length).with_columns(
        parts.list.last().cast(pl.Int64).alias("k")
    )
    return rows.filter(pl.col("k") == pl.col("k").min()).drop("k")


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows by protocol, slice and falling value."""
    by_time = ~pl.col("protocol").str.starts_with("time")
    whole = pl.col(c.SLICE) != WHOLE
    order = [by_time, "protocol", whole, c.SLICE, c.VALUE, c.GENERATOR]
    return rows.sort(order, descending=[False] * 4 + [True, False])


def beside_popularity(metrics: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with `times_popular`: the value over that of `popular`."""
    popular = metrics.filter(pl.col(c.GENERATOR) == POPULAR)
    base = popular.select(*PLACE, pl.col(c.VALUE).alias(POPULAR))
    ratio = pl.when(pl.col(POPULAR) > 0).then(pl.col(c.VALUE) / pl.col(POPULAR))
    joined = metrics.join(base, on=PLACE, how="left", maintain_order="left")
    return joined.with_columns(ratio.alias("times_popular")).drop(POPULAR)


def _table(ndcg: pl.DataFrame, metrics: pl.DataFrame) -> pl.DataFrame:
    name = str(ndcg[c.METRIC][0])
    keys = [*PLACE, c.GENERATOR]
    shown = with_interval(ndcg, name, c.VALUE, c.LOW, c.HIGH)
    recall = of_kind(metrics, RECALL)
    beside = (_column(recall, _name(recall, RECALL)), _column(above(metrics, name), ABOVE))
    for column in beside:
        shown = shown.join(column, on=keys, how="left", maintain_order="left")
    return shown.select(*keys, name, "times_popular", ABOVE, _name(recall, RECALL))


def above(metrics: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return the paired difference of a metric to what was popular in the last 7 days."""
    return metrics.filter(pl.col(c.METRIC).str.to_lowercase() == f"{ABOVE}:{name.lower()}")


def _column(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    shown = with_interval(rows, name, c.VALUE, c.LOW, c.HIGH)
    return shown.select(*PLACE, c.GENERATOR, name)


def _name(rows: pl.DataFrame, kind: str) -> str:
    return str(rows[c.METRIC][0]) if rows.height else kind


def _figure(ranked: pl.DataFrame) -> Figure:
    rows = _first(ranked)
    protocol, part, metric = rows.select(*PLACE, c.METRIC).row(0)
    marked = rows.filter(pl.col(c.GENERATOR) != POPULAR)[c.GENERATOR].to_list()
    return figures.intervals(rows, c.GENERATOR, f"{metric}, {protocol}, {part}", marked)


def _first(ranked: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the protocol and slice that stand on top."""
    return ranked.filter(pl.struct(PLACE) == pl.struct(PLACE).first())


def _remarks(metrics: pl.DataFrame) -> tuple[str, ...]:
    whole = (
        "Ranked over the whole catalogue, never against sampled negatives; every test user counts."
    )
    if POPULAR in metrics[c.GENERATOR]:
        return (whole,)
    return (whole, "Popularity was not measured that day, so nothing can be set beside it.")


def candidates_headline(metrics: Rows) -> str | None:
    """Say every generator's NDCG in one line, the best first."""
    if isinstance(metrics, Gap) or (ndcg := of_kind(metrics, NDCG)).is_empty():
        return None
    rows = _first(in_order(ndcg))
    pairs = rows.select(c.GENERATOR, c.VALUE).iter_rows()
    said = ", ".join(f"{name} {value:.4f}" for name, value in pairs)
    return f"Candidates, {rows[c.METRIC][0]} ({rows['protocol'][0]}): {said}."
