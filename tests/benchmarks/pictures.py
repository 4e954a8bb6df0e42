"""Pictures of benchmarks: what was found beside the truth."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from tasks import columns as c
from tasks.report import figures
from tasks.settings import Settings

LABELLED = 5
COLOURS = {"within-listing": figures.ACCENT, "logistic": figures.WARM}


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
        axis.legend(frameon=False, fontsize=8)
    return _written(f"facets-{world}.png", figures.png(figure))


def _means(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the mean over seeds of each facet, the most important first."""
    facet = pl.concat_str(c.CATEGORY_GROUP, c.ATTRIBUTE, separator="/").alias("facet")
    values = {"found": "found_coefficient", "low": "found_low", "high": "found_high"}
    means = [pl.col("true").mean(), *(pl.col(old).mean().alias(new) for new, old in values.items())]
    return rows.group_by(facet).agg(means).sort("true", "facet", descending=[True, False])


def _written(name: str, content: bytes) -> Path:
    path = Settings().home / "benchmarks" / name.replace(":", "-").replace(",", "-")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
