"""Drift: are held-out lists like those of the days before, and does the model look at the same?

psi         of a feature: sum over bins of (h - e) x ln(h / e), h and e the shares of rows of the
            held-out lists and of the earlier days' whole lists (population stability index;
            Siddiqi 2006). Training rows are no measure: they are as many of each platform, of
            lists with a cart. Bins are the earlier rows' tenths, of a category its values; null is
            a bin. To `STEADY` steady, above `SHIFTED` shifted. Unknown without earlier whole lists
            (the gate held all of them out together), and of `CALENDAR`: ages and weekdays move on.
shap share  of a feature or a family of them: its part of the summed |SHAP| on held-out rows, of
            the new model and of the incumbent. Features above `MOVED` apart have moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.candidates import GENERATORS
from tasks.ranker import evaluation as ev
from tasks.ranker.features import AGE, CATEGORIES, FEATURES, candidate_feature

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PSI, SHARE = "psi", "shap share"
STEADY, SHIFTED, MOVED = 0.1, 0.25, 0.1
TENTHS = np.linspace(0.1, 0.9, 9)
# An empty bin would make the logarithm infinite.
LEAST_SHARE = 1e-4
SHOWN = 15
_FEATURE, _FAMILY = "feature=", "family="
CALENDAR = (c.LISTING_WEEKDAY, *(candidate_feature(generator, AGE) for generator in GENERATORS))
UNKNOWN = "unknown"
SHARES = {"share": (ev.RANKER, SHARE), "incumbent": (ev.INCUMBENT, SHARE)}
"""Whose share of |SHAP| stands in which column."""


def measured(
    earlier: pl.DataFrame, lists: pl.DataFrame, shares: Mapping[str, pl.DataFrame]
) -> pl.DataFrame:
    """Return metric rows: PSI of the features, each model's SHAP shares by feature and family.

    Args:
        earlier: whole lists of the days before the held-out ones; none: no PSI.
        lists: whole held-out lists.
        shares: `feature, family, share` by order, as `shap_shares` gives it.
    """
    steady = [one.name for one in FEATURES if one.name not in CALENDAR]
    watched = steady if earlier.height else []
    rows = [(ev.RANKER, _FEATURE + name, PSI, psi(earlier[name], lists[name])) for name in watched]
    for order, found in shares.items():
        rows += [(order, name, SHARE, share) for name, share in _by_slice(found)]
    known = {name: ev.METRICS[name] for name in ("model", c.SLICE, c.METRIC, c.VALUE)}
    nothing = pl.lit(None, pl.Float64)
    frame = pl.DataFrame(rows, schema=known, orient="row")
    return frame.with_columns(nothing.alias(c.LOW), nothing.alias(c.HIGH))


def _by_slice(shares: pl.DataFrame) -> Iterator[tuple[str, float]]:
    """Yield each feature's and then each family's slice with its share."""
    ordered = shares.sort("family", "feature")
    families = ordered.group_by("family", maintain_order=True).agg(pl.col("share").sum())
    for prefix, name, found in ((_FEATURE, "feature", shares), (_FAMILY, "family", families)):
        for part, share in found.select(name, "share").iter_rows():
            yield prefix + part, share


def psi(before: pl.Series, now: pl.Series) -> float:
    """Return the population stability index of two samples of a feature; 0 without rows."""
    if before.is_empty() or now.is_empty():
        return 0.0
    edges = None if before.name in CATEGORIES else _edges(before)
    counted = [_bins(one, edges).value_counts(name="n") for one in (before, now)]
    both = counted[0].join(counted[1], on="bin", how="full", coalesce=True, nulls_equal=True)
    both = both.fill_null(0).sort("bin")
    then, here = (
        np.maximum(both[name].to_numpy() / both[name].sum(), LEAST_SHARE)
        for name in ("n", "n_right")
    )
    return float(((here - then) * np.log(here / then)).sum())


def _edges(values: pl.Series) -> list[float]:
    known = values.drop_nulls().cast(pl.Float64)
    return np.unique(np.quantile(known, TENTHS)).tolist() if len(known) else []


def _bins(values: pl.Series, edges: list[float] | None) -> pl.Series:
    """Return each value's bin as text; null stays null."""
    if edges is None:
        return values.cast(pl.String).alias("bin")
    places = pl.Series(edges, dtype=pl.Float64).search_sorted(values.cast(pl.Float64), side="right")
    return pl.select(
        pl.when(values.is_not_null()).then(places).cast(pl.String).alias("bin")
    ).to_series()


def by_feature(metrics: pl.DataFrame) -> pl.DataFrame:
    """Return `feature, share, incumbent, psi, verdict`, the ranker's most important first.

    `incumbent` is its share, null without one; `psi` null where unknown, as the verdict then says
    unless the share has moved. Empty where no drift was measured.
    """
    parts = SHARES | {"psi": (ev.RANKER, PSI)}
    found = _beside(metrics, _FEATURE, "feature", parts)
    moved = (pl.col("share") - pl.col("incumbent")).abs() > MOVED
    verdict = (
        pl.when(moved).then(pl.lit("moved"))
        .when(pl.col("psi").is_null()).then(pl.lit(UNKNOWN))
        .when(pl.col("psi") > SHIFTED).then(pl.lit("shifted"))
        .when(pl.col("psi") > STEADY).then(pl.lit("shifting"))
        .otherwise(pl.lit("steady"))
    )  # fmt: skip
    return found.with_columns(verdict.alias("verdict")).sort(
        "share", "feature", descending=[True, False]
    )


def by_family(metrics: pl.DataFrame) -> pl.DataFrame:
    """Return `family, share, incumbent`, the most important first; each column sums to 1.

    `incumbent` is null without one. Empty where nothing was explained.
    """
    return _beside(metrics, _FAMILY, "family", SHARES).sort(
        "share", "family", descending=[True, False]
    )


def _beside(
    metrics: pl.DataFrame, prefix: str, key: str, parts: Mapping[str, tuple[str, str]]
) -> pl.DataFrame:
    """Return one row per slice of that prefix: its name as `key`, a column per (model, metric)."""
    told = metrics.filter(pl.col(c.SLICE).str.starts_with(prefix)).with_columns(
        pl.col(c.SLICE).str.strip_prefix(prefix).alias(key)
    )
    found = told.select(key).unique()
    for column, (model, metric) in parts.items():
        mine = told.filter(pl.col("model") == model, pl.col(c.METRIC) == metric)
        found = found.join(mine.select(key, pl.col(c.VALUE).alias(column)), key, "left")
    return found


def drift_figure(found: pl.DataFrame) -> Figure:
    """Return a picture of `by_feature` rows: the greatest PSI, with its bands."""
    from matplotlib.figure import Figure

    known = found.drop_nulls("psi").sort("psi", "feature", descending=[True, False])
    greatest = known.head(SHOWN).reverse()
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(greatest["feature"].to_list(), greatest["psi"].to_list(), color="#335588")
    for bound in (STEADY, SHIFTED):
        axes.axvline(bound, color="grey", linewidth=0.8, linestyle="--")
    axes.set_xlabel(f"PSI against earlier lists: to {STEADY} steady, above {SHIFTED} shifted")
    return figure
