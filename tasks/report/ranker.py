"""Sections: the ranker beside what it must beat, and the gate's decision."""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.report import figures
from tasks.report.gaps import Gap, Rows, gap_section
from tasks.report.page import Section, interval, with_interval

TITLE = "Ranker"
GATE_TITLE = "The gate"
MAIN = "ndcg@60"
WHOLE = "all"


def ranker_section(metrics: Rows) -> Section:
    """Return the section of RANKER_METRICS rows: NDCG@60 first, everything else below it."""
    if isinstance(metrics, Gap):
        return gap_section(TITLE, metrics)
    if metrics.is_empty():
        return Section(
            TITLE, notes=("No group of the held-out day has a cart: nothing could be measured.",)
        )
    ordered = _ordered(metrics)
    main = ordered.filter("main", "whole")
    figure = (
        figures.intervals(main, "model", "NDCG@60 on held-out groups", ("ranker",))
        if main.height
        else None
    )
    table = with_interval(ordered.drop("main", "whole"), c.VALUE, c.VALUE, c.LOW, c.HIGH)
    return Section(TITLE, table, figure, ("Intervals: 95% bootstrap over customers.",))


def _ordered(metrics: pl.DataFrame) -> pl.DataFrame:
    main = (pl.col(c.METRIC).str.to_lowercase() == MAIN).alias("main")
    whole = (pl.col(c.SLICE) == WHOLE).alias("whole")
    order = ("main", "whole", c.METRIC, c.SLICE, c.VALUE, "model")
    rows = metrics.with_columns(main, whole).sort(
        order, descending=[True, True, False, False, True, False]
    )
    return rows.select("model", c.SLICE, c.METRIC, c.VALUE, c.LOW, c.HIGH, "main", "whole")


def ranker_headline(metrics: Rows) -> str | None:
    """Say NDCG@60 of every model in one line, the best first."""
    if isinstance(metrics, Gap) or metrics.is_empty():
        return None
    main = _ordered(metrics).filter("main", "whole")
    said = [
        f"{row[0]} {interval(*row[1:])}"
        for row in main.select("model", c.VALUE, c.LOW, c.HIGH).iter_rows()
    ]
    return f"Ranker, NDCG@60: {', '.join(said)}." if said else None


def gate_section(decisions: Rows) -> Section:
    """Return the section of the day's GATE_DECISIONS rows, newest first."""
    if isinstance(decisions, Gap):
        return gap_section(GATE_TITLE, decisions)
    if decisions.is_empty():
        return Section(GATE_TITLE, notes=("The gate decided nothing this day.",))
    newest = decisions.sort("decided_at", "model_version", descending=True)
    gain = with_interval(newest, "gain", "gain", "gain_low", "gain_high")
    table = gain.select(
        "decided_at",
        "model_version",
        "decision",
        "incumbent",
        "gain",
        "held_out_from",
        "trained_through",
    )
    return Section(GATE_TITLE, table, notes=(f"Why: {newest[c.REASON][0]}",))


def gate_headline(decisions: Rows) -> str | None:
    """Say the newest decision and why in one line."""
    if isinstance(decisions, Gap) or decisions.is_empty():
        return None
    newest = decisions.sort("decided_at", "model_version", descending=True).row(0, named=True)
    return f"Gate: {newest['decision']}. {newest[c.REASON]}"
