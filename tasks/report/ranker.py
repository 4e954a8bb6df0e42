"""Sections: the ranker beside what it must beat, and the gate's decision."""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.ranker.drift import MOVED, SHIFTED, STEADY, UNKNOWN, by_family, by_feature
from tasks.ranker.evaluation import SHUFFLED
from tasks.report import figures
from tasks.report.gaps import Gap, Rows, gap_section
from tasks.report.page import Section, interval, with_interval

TITLE = "Ranker"
OTHER_TITLE = "Ranker, other measures"
FAMILY_TITLE = "What the ranker goes by, by family"
FAMILY_NOTE = "share: of what moves scores (summed |SHAP|), beside the incumbent's; they sum to 1."
DRIFT_TITLE = "What the ranker goes by"
LEADING = 8
"""Features shown however steady they are, the most important."""
GATE_TITLE = "The gate"
LIVE_TITLE = "What was live when"
MAIN = "ndcg@60"
WHOLE = "all"


def ranker_sections(metrics: Rows, days: Rows) -> tuple[Section, ...]:
    """Return the sections of RANKER_METRICS rows: NDCG@60 by slice, then what else is measured.

    Args:
        metrics: RANKER_METRICS rows of the day.
        days: RANKING_DAYS rows of the day, the listing days that groups were made from.
    """
    if isinstance(metrics, Gap):
        return (gap_section(TITLE, metrics),)
    listed = listing_days(days)
    if metrics.is_empty():
        return (Section(TITLE, notes=(_unmeasured(days), *listed)),)
    main = of_main(metrics)
    whole = main.filter(pl.col(c.SLICE) == WHOLE)
    figure = figures.intervals(whole, "model", "NDCG@60 on held-out groups", ("ranker",))
    note = "NDCG@60 on held-out groups; intervals: 95% bootstrap over customers."
    other, told = _other(metrics), (note, *_free_of_position(metrics), *listed)
    return (
        Section(TITLE, _beside(main, c.SLICE), figure if whole.height else None, told),
        *([Section(OTHER_TITLE, _beside(other, c.METRIC))] if other.height else []),
        *_drift(metrics),
    )


def _free_of_position(metrics: pl.DataFrame) -> tuple[str, ...]:
    """Say what the ranker gains where items stood by chance."""
    gains = metrics.filter(pl.col(c.SLICE) == SHUFFLED, pl.col(c.METRIC).str.starts_with("gain"))
    rows = gains.select(c.METRIC, c.VALUE, c.LOW, c.HIGH).sort(c.METRIC).iter_rows()
    said = ", ".join(f"{row[0]} {interval(*row[1:])}" for row in rows)
    return (f"Free of position, on every shuffled list: {said}.",) if said else ()


def _drift(metrics: pl.DataFrame) -> tuple[Section, ...]:
    """Return what the ranker goes by, and how like earlier days the held-out lists are."""
    found = by_feature(metrics)
    if found.is_empty():
        return ()
    known = found["psi"].count() > 0
    leads = pl.int_range(pl.len()) < LEADING
    shown = found.filter(leads | ~pl.col("verdict").is_in(["steady", UNKNOWN]))
    note = (
        "share: of what moves scores (summed |SHAP|), beside the incumbent's. psi: how unlike"
        f" earlier days' whole lists the held-out ones are; to {STEADY} steady, above {SHIFTED}"
        f" shifted. moved: more than {MOVED} apart from the incumbent."
    )
    families = Section(FAMILY_TITLE, by_family(metrics), notes=(FAMILY_NOTE,))
    absent = "No psi: every day with whole lists was held out, so there is none to compare with."
    return (families, Section(DRIFT_TITLE, shown, notes=(note, *([] if known else [absent]))))


def _unmeasured(days: Rows) -> str:
    if isinstance(days, Gap) or "holdout" in days[c.ROLE]:
        return "No group of the held-out day has a cart: nothing could be measured."
    return "No listing day could be held out: nothing could be measured."


def listing_days(days: Rows) -> tuple[str, ...]:
    """Say what became of the listing days, and why some of them gave nothing."""
    if isinstance(days, Gap) or days.is_empty():
        return ()
    counted = days.group_by(c.ROLE, c.REASON).agg(pl.len(), pl.col(c.LISTING_DAY).min())
    parts = counted.sort(c.LISTING_DAY).select(c.ROLE, "len", c.REASON).iter_rows()
    said = [f"{count} {role}{f' ({reason})' if reason else ''}" for role, count, reason in parts]
    return (f"Listing days: {', '.join(said)}.",)


def of_main(metrics: pl.DataFrame) -> pl.DataFrame:
    """Return the NDCG@60 rows: the whole first, then by slice, the best model first."""
    rows = metrics.filter(pl.col(c.METRIC).str.to_lowercase() == MAIN)
    order = [pl.col(c.SLICE) != WHOLE, pl.col(c.SLICE), pl.col(c.VALUE), pl.col("model")]
    return rows.sort(order, descending=[False, False, True, False])


def _other(metrics: pl.DataFrame) -> pl.DataFrame:
    """Return what is measured on the whole besides NDCG@60."""
    other = pl.col(c.METRIC).str.to_lowercase() != MAIN
    return metrics.filter(other, pl.col(c.SLICE) == WHOLE).sort(c.METRIC, "model")


def _beside(rows: pl.DataFrame, index: str) -> pl.DataFrame:
    """Return one row per `index` and one column per model, the best of the first row first."""
    texts = with_interval(rows, c.VALUE, c.VALUE, c.LOW, c.HIGH)
    models = texts["model"].unique(maintain_order=True).to_list()
    return texts.pivot("model", index=index, values=c.VALUE, on_columns=models)


def ranker_headline(metrics: Rows) -> str | None:
    """Say NDCG@60 of every model in one line, the best first."""
    if isinstance(metrics, Gap):
        return None
    main = of_main(metrics).filter(pl.col(c.SLICE) == WHOLE)
    pairs = main.select("model", c.VALUE, c.LOW, c.HIGH).iter_rows()
    said = [f"{row[0]} {interval(*row[1:])}" for row in pairs]
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


def live_section(moves: pl.DataFrame) -> Section:
    """Return the section of ALIAS_MOVES rows, oldest first: what was live when, newest on top."""
    if moves.is_empty():
        return Section(LIVE_TITLE, notes=("No model has gone live yet.",))
    until = pl.col("moved_at").shift(-1).alias("until")
    table = (
        moves.with_columns(until)
        .reverse()
        .select(
            pl.col("to_version").alias("live"),
            pl.col("from_version").alias("before"),
            pl.col("moved_at").alias("since"),
            "until",
            pl.col("moved_by").alias("by"),
            "trained_through",
            c.REASON,
        )
    )
    return Section(LIVE_TITLE, table)


def gate_headline(decisions: Rows) -> str | None:
    """Say the newest decision and why in one line."""
    if isinstance(decisions, Gap) or decisions.is_empty():
        return None
    newest = decisions.sort("decided_at", "model_version", descending=True).row(0, named=True)
    return f"Gate: {newest['decision']}. {newest[c.REASON]}"
