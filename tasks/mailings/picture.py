"""The picture of what a mailing brought, over the probability."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c
from tasks.mailings.effect import CUTS, QINI, UPLIFT
from tasks.report import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def effect_figure(rows: pl.DataFrame) -> Figure:
    """Draw the uplift curve with its interval, and the Qini curve over the straight line.

    Args:
        rows: MAILING_EFFECTS rows of one audience.
    """
    figure, (left, right) = figures.canvas(3.2, columns=2)
    shares = [100 * (number + 1) // CUTS for number in range(CUTS)]
    uplift, won = (_in_order(rows, metric) for metric in (UPLIFT, QINI))
    left.axhline(0, color=figures.SOFT, linewidth=1)
    left.fill_between(shares, uplift[c.LOW], uplift[c.HIGH], color=figures.ACCENT, alpha=0.18)
    left.plot(shares, uplift["effect"], color=figures.ACCENT)
    left.set_title("rise of the share who did it, 95% interval", fontsize=9)
    right.plot([0, *shares], [0, *won["effect"]], color=figures.ACCENT)
    right.plot([0, 100], [0, won["effect"][-1]], color=figures.SOFT, linewidth=1)
    right.set_title("people won per person written to", fontsize=9)
    for axis in (left, right):
        axis.set_xlabel("% of the audience, most probable first", fontsize=9)
    return figure


def _in_order(rows: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Return a curve's points from its smallest cut, unknown ones as NaN."""
    number = pl.col("cut").str.extract(r"(\d+)").cast(pl.Int64)
    found = rows.filter(pl.col(c.METRIC) == metric).sort(number)
    return found.select(pl.col("effect", c.LOW, c.HIGH).fill_null(float("nan")))
