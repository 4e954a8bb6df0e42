"""Picture: recall by length of list, one line a generator, with 95% intervals."""

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
