"""Pictures: recall by length of list, and what each source brings to a blend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c
from tasks.candidates.evaluation import CUTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def metrics_picture(metrics: pl.DataFrame) -> Figure:
    """Return the picture of rows `generator, metric, value, low, high`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("recall", "ndcg"), strict=True):
        for generator in metrics[c.GENERATOR].unique().sort():
            rows = metrics.filter(pl.col(c.GENERATOR) == generator)
            curve = pl.DataFrame({c.METRIC: [f"{name}@{k}" for k in CUTS]}).join(rows, on=c.METRIC)
            values = curve[c.VALUE].to_numpy()
            spread = (values - curve[c.LOW].to_numpy(), curve[c.HIGH].to_numpy() - values)
            axes.errorbar(CUTS[: len(values)], values, yerr=spread, label=generator, capsize=2)
        axes.set(xlabel="k", ylabel=f"{name}@k")
    axes.legend(fontsize=8)
    return figure


def blend_picture(rows: pl.DataFrame) -> Figure:
    """Return bars of CANDIDATE_BLEND rows: recall, with what only that source finds in front."""
    from matplotlib.figure import Figure

    budgets = rows["budget"].unique().sort()
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, budget in zip(figure.subplots(1, len(budgets)), budgets, strict=True):
        part = rows.filter(pl.col("budget") == budget).sort("recall", "source")
        names = [f"{name} ({quota})" for name, quota in part.select("source", "quota").iter_rows()]
        values = part["recall"].to_numpy()
        spread = (values - part[c.LOW].to_numpy(), part[c.HIGH].to_numpy() - values)
        axes.barh(names, values, xerr=spread, color="#9aa4b5", capsize=2, label="recall")
        axes.barh(names, part["unique_recall"].fill_null(0.0), color="#c8641b", label="it alone")
        axes.set(xlabel=f"recall of {budget} items; in brackets the quota")
    axes.legend(fontsize=8)
    return figure
