"""Pictures of benchmarks: what was found beside the truth."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from tasks import columns as c
from tasks.report import figures
from tasks.settings import Settings

LABELLED = 5
BARS = "bars: means of the seeds' 95% bounds"
COLOURS = {"within-listing": figures.ACCENT, "logistic": figures.WARM}
LINES = (figures.ACCENT, figures.WARM, figures.INK, figures.SOFT)


def beside_truth(world: str, rows: pl.DataFrame) -> Path:
    """Draw found over true importance, a panel per kind of tastes, and return the file."""
    panels = rows.partition_by("tastes", as_dict=True, maintain_order=True)
    figure, axes = figures.canvas(4.2, columns=len(panels))
    for axis, ((tastes,), panel) in zip(axes, panels.items(), strict=True):
        for method, colour in COLOURS.items():
            mine = _means(panel.filter(pl.col("method") == method))
            spread = [mine["found"] - mine["low"], mine["high"] - mine["found"]]
            axis.errorbar(mine["true"], mine["found"], yerr=spread, fmt="o", color=colour, ms=4,
                          elinewidth=0.7, alpha=0.75, label=method)  # fmt: skip
            for name, x, y in mine.head(LABELLED).select("facet", "true", "found").iter_rows():
                axis.annotate(name, (x, y), fontsize=6, color=figures.INK)
        axis.axhline(0.0, color=figures.SOFT, linewidth=0.8)
        axis.set_title(f"{world}, {tastes} tastes", fontsize=9)
        axis.set_xlabel("true importance", fontsize=9)
        axis.set_ylabel("coefficient x within-listing SD", fontsize=9)
        axis.legend(frameon=False, fontsize=8, title_fontsize=7, title=BARS)
    return _written(f"facets-{world}.png", figures.png(figure))


def _means(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the mean over seeds of each facet, the most important first."""
    facet = pl.concat_str(c.CATEGORY_GROUP, c.ATTRIBUTE, separator="/").alias("facet")
    values = {"found": "found_coefficient", "low": "found_low", "high": "found_high"}
    means = [pl.col("true").mean(), *(pl.col(old).mean().alias(new) for new, old in values.items())]
    return rows.group_by(facet).agg(means).sort("true", "facet", descending=[True, False])


def week_of_nights(title: str, rows: pl.DataFrame) -> Path:
    """Draw NDCG by night, a line per order, the gate's decisions above, and return the file.

    `rows`: `day, decision, live, model, value, low, high`.
    """
    figure, (axis,) = figures.canvas(3.6)
    orders = rows.partition_by("model", as_dict=True, maintain_order=True)
    for (order,), colour in zip(orders, (figures.ACCENT, figures.WARM, figures.SOFT), strict=False):
        mine = orders[(order,)].sort("day")
        axis.plot(mine["day"], mine["value"], "o-", color=colour, label=order, ms=4)
        axis.fill_between(mine["day"], mine["low"], mine["high"], color=colour, alpha=0.15)
    for day, decision, live in rows.select("day", "decision", "live").unique().iter_rows():
        top = rows.filter(pl.col("day") == day)["high"].max()
        axis.annotate(f"{decision}\nlive: {live}", (day, top), (0, 4), fontsize=7, ha="center",
                      textcoords="offset points")  # fmt: skip
    axis.set_title(f"{title}: NDCG@60 of held-out lists, night by night", fontsize=9)
    axis.margins(y=0.25)
    axis.tick_params(labelsize=7)
    axis.legend(frameon=False, fontsize=8)
    return _written(f"nights-{title}.png", figures.png(figure))


def curve(title: str, panels: Mapping[str, pl.DataFrame], across: str) -> Path:
    """Draw lines over a number, a panel per measure, and return the file.

    Args:
        title: what the figures are of; names the file.
        panels: by what the vertical axis says: `line, at, value, low, high`, the first line in
            the accent colour; one of null bounds, a cost, is drawn from zero up.
        across: what the horizontal axis says.
    """
    figure, axes = figures.canvas(3.6, columns=len(panels))
    for axis, (measure, panel) in zip(axes, panels.items(), strict=True):
        lines = panel.partition_by("line", as_dict=True, maintain_order=True)
        for ((line,), rows), colour in zip(lines.items(), LINES, strict=False):
            points = rows.sort("at")
            axis.plot(points["at"], points[c.VALUE], "o-", color=colour, label=line, ms=4)
            bounds = points.drop_nulls([c.LOW, c.HIGH])
            ends = bounds["at"], bounds[c.LOW], bounds[c.HIGH]
            axis.fill_between(*ends, color=colour, alpha=0.15)
            axis.vlines(*ends, color=colour, linewidth=1.2)
        if panel[c.LOW].is_null().all():
            axis.set_ylim(bottom=0)
        axis.set_xticks(panel["at"].unique().sort().to_list())
        axis.set_xlabel(across, fontsize=9)
        axis.set_ylabel(measure, fontsize=9)
        axis.legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=9)
    return _written(f"{title}.png", figures.png(figure))


def bars(title: str, rows: pl.DataFrame, unit: str) -> Path:
    """Draw a bar with its interval per row of `line, value, low, high`, and return the file."""
    return _written(f"{title}.png", figures.png(figures.intervals(rows, "line", unit)))


def _written(name: str, content: bytes) -> Path:
    path = Settings().home / "benchmarks" / re.sub("[:,/ ]", "-", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def trade_off(title: str, rows: pl.DataFrame, across: str, up: Sequence[str]) -> Path:
    """Draw gains in each of `up` over the gain in `across`, a panel each, and return the file.

    Args:
        title: what the figures are of; names the file.
        rows: `choice, plain, metric, gain, low, high`, gains over the plain list.
        across: the metric of the horizontal axis.
        up: the metrics of the vertical axes.
    """
    figure, axes = figures.canvas(5.2, columns=len(up))
    colours = dict(
        zip(rows["plain"].unique(maintain_order=True), (*LINES, figures.ALARM), strict=False)
    )
    for axis, metric in zip(axes, up, strict=True):
        wide = _gains(rows, across).join(_gains(rows, metric), on=["choice", "plain"], suffix="_up")
        for number, (name, plain, x, low, high, y, low_up, high_up) in enumerate(wide.rows(), 1):
            wide_by, high_by = [[x - low], [high - x]], [[y - low_up], [high_up - y]]
            axis.errorbar(x, y, xerr=wide_by, yerr=high_by, fmt="o", color=colours[plain], ms=3,
                          elinewidth=0.5, label=f"{number} {name}")  # fmt: skip
            axis.annotate(f"{number}", (x, y), (2, 2), fontsize=6, textcoords="offset points")
        axis.axhline(0.0, color=figures.SOFT, linewidth=0.8)
        axis.axvline(0.0, color=figures.SOFT, linewidth=0.8)
        axis.set_xlabel(f"gain in {across}", fontsize=8)
        axis.set_title(f"gain in {metric}", fontsize=8)
        axis.tick_params(labelsize=6)
    named = axes[0].get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=4, fontsize=6, frameon=False)
    figure.suptitle(f"{title}: differences to the plain list, 95% intervals", fontsize=9)
    return _written(f"{title}.png", figures.png(figure))


def _gains(rows: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Return `choice, plain, gain, low, high` of the choices that are no plain list."""
    mine = rows.filter(pl.col("metric") == metric, pl.col("choice") != pl.col("plain"))
    return mine.select("choice", "plain", "gain", c.LOW, c.HIGH)
