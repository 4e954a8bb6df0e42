"""Facet weights: how much a customer's preference for an attribute counts beside the base score.

logistic        the published method: logistic regression of cart on the customer's preference for
                each attribute of the shown item, and sf_pos
within-listing  ours: conditional logit inside each listing with log P(examined) as offset, pairs
                with earlier contact with that very item left out; beside each attribute its mean
                over the item's rows is held constant (Mundlak 1978): what an item has for
                everybody is told by sf_pos, whose noise would else pass for taste

weight = max(0, b_attribute) / b_sf_pos, both per unit of what the engine adds up

Coefficients are fitted on columns of spread 1 with a small ridge, and stated per unit. Intervals
cluster errors by customers and by items, that of b_sf_pos by customers only. A group is published
where the lower end of b_sf_pos's interval is above 0; otherwise the scale is unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.facets import likelihood
from tasks.facets.bootstrap import interval, noise_of_items, resampled
from tasks.facets.design import (
    Array,
    Design,
    around_all,
    around_listing,
    design_of,
    item_means,
    scaled,
)
from tasks.facets.identified import CONSTANT, FEW, identified, spread_of
from tasks.lake.tables import FACET_WEIGHTS
from tasks.progress import Progress
from tasks.settings import Facets

Source = Literal["listings", "purchases"]
FROM_PURCHASES = "no impressions: fitted on purchases beside items that others bought that day"


@dataclass(frozen=True)
class Nuisance:
    """Columns that are fitted beside the attributes and told to nobody, and whether shrunk."""

    x: Array
    is_shrunk: bool


@dataclass(frozen=True)
class Method:
    """A way to fit weights: likelihood, rows, what an item is compared with, what else counts."""

    name: str
    likelihood: likelihood.Likelihood
    rows: Callable[[pl.DataFrame], pl.DataFrame]
    around: Callable[[Design], Array]
    nuisance: Callable[[Design], Nuisance]
    needs_impressions: bool


def sampled_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the carted rows and the sample of the others."""
    return rows.filter("is_sampled")


def choice_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of listings in which a choice is left: some carted, some not, all examinable."""
    known = rows.filter("is_choice", pl.col(c.P_EXAMINED).is_not_null())
    carts = pl.col("is_carted").sum().over(c.LISTING_ID)
    return known.filter(carts > 0, carts < pl.len().over(c.LISTING_ID))


def intercept(design: Design) -> Nuisance:
    """Return a column of ones."""
    return Nuisance(np.ones((design.rows, 1)), is_shrunk=False)


def everybodys(design: Design) -> Nuisance:
    """Return what each item has of each attribute for everybody: the item's mean preferences."""
    attributes = item_means(design)[:, :-1]
    spread = spread_of(attributes - attributes.mean(axis=0))
    return Nuisance(attributes[:, spread > CONSTANT] / spread[spread > CONSTANT], is_shrunk=True)


METHODS = (
    Method("logistic", likelihood.logistic, sampled_rows, around_all, intercept, False),
    Method(
        "within-listing", likelihood.within_listing, choice_rows, around_listing, everybodys, True
    ),
)


def facet_weights(
    rows: pl.DataFrame,
    features: pl.DataFrame,
    attributes: pl.DataFrame,
    options: Facets,
    source: Source,
    seed: int,
) -> pl.DataFrame:
    """Return FACET_WEIGHTS rows of every method, category group and attribute of the catalogue.

    Args:
        rows: what was shown, from `sorted_rows`.
        features: `row_id, attribute, picos`, the customer's preference for the row's attribute.
        attributes: `category_group, attribute` of the catalogue.
        options: settings.
        source: whether rows are shown items or, without impressions, purchases.
        seed: of the bootstrap.
    """
    parts = [FACET_WEIGHTS.empty()]
    groups = sorted(attributes.group_by(c.CATEGORY_GROUP))
    progress = Progress("facet weights", len(groups) * len(METHODS))
    for (group,), names in groups:
        mine = rows.filter(pl.col(c.CATEGORY_GROUP) == group)
        for method in METHODS:
            fitted = _fitted(method, mine, features, options, source, seed)
            parts.append(_of_group(fitted, names, method.name))
            progress.piece(f"{group}, {method.name}: {fitted.summary}")
    return pl.concat(parts)


@dataclass(frozen=True)
class Fitted:
    """One group's coefficients per attribute, or the reason why there are none."""

    rows: int
    users: int
    reason: str | None
    table: pl.DataFrame | None = None
    is_published: bool = False
    untold: dict[str, str] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """What the log says."""
        return f"{self.rows:,} rows of {self.users:,} customers, " + (self.reason or "published")


def _fitted(
    method: Method,
    rows: pl.DataFrame,
    features: pl.DataFrame,
    options: Facets,
    source: Source,
    seed: int,
) -> Fitted:
    usable = method.rows(rows.filter(pl.col(c.SF_POS).is_not_null()))
    size = (usable.height, usable[c.USER_ID].n_unique())
    reason = _refusal(method, rows, usable, options, source)
    if reason:
        return Fitted(*size, reason)
    design = design_of(usable, features, with_score=True)
    design, untold = identified(design, method.around(design))
    if design.names[-1:] != (c.SF_POS,):
        return Fitted(*size, "sf_pos is the same for whatever was shown")
    table, is_published = _estimate(method, design, options, seed)
    unscaled = None if is_published else "the interval of b_sf_pos reaches 0: the scale is unknown"
    note = FROM_PURCHASES if source == "purchases" else None
    return Fitted(*size, unscaled or note, table, is_published, untold)


def _refusal(
    method: Method, rows: pl.DataFrame, usable: pl.DataFrame, options: Facets, source: Source
) -> str | None:
    if method.needs_impressions and source == "purchases":
        return "no impressions: what was examined is not known"
    if rows.is_empty():
        done = "bought" if source == "purchases" else "shown"
        return f"nothing was {done} on days whose day before has preferences and scores"
    carts = int(usable["is_carted"].sum())
    if carts < options.min_carts:
        return f"fewer than {options.min_carts} carts to learn from"
    return None


def _estimate(
    method: Method, design: Design, options: Facets, seed: int
) -> tuple[pl.DataFrame, bool]:
    """Return `attribute` with its estimates, and whether b_sf_pos is surely above 0."""
    spread = spread_of(method.around(design))
    unit, penalty = with_nuisance(scaled(design, spread), method.nuisance, options.ridge)
    fit = likelihood.penalised_fit(method.likelihood, unit, penalty)
    at = method.likelihood(unit, fit)
    draws = _draws(unit, at, fit, penalty, options, seed)
    width = len(design.names)
    return _estimates(design.names, spread, fit[:width] / spread, draws[:, :width] / spread)


def _draws(
    design: Design, at: likelihood.Local, fit: Array, penalty: Array, options: Facets, seed: int
) -> Array:
    """Return draws of the coefficients by columns: customers resampled, and what items add.

    Items add nothing to b_sf_pos: it scales the boost among the very items of this catalogue, while
    an attribute is to count for whatever items come.
    """
    scores = likelihood.block_scores(design, at)
    informations = likelihood.block_informations(design, at)
    draws = resampled(fit, scores, informations, penalty, seed, options.bootstraps)
    whole = informations.sum(axis=0) + np.diag(penalty)
    noise = noise_of_items(*likelihood.pair_scores(design, at), whole, seed + 1, options.bootstraps)
    noise[:, design.names.index(c.SF_POS)] = 0.0
    draws += noise
    return draws


def with_nuisance(
    design: Design, nuisance: Callable[[Design], Nuisance], ridge: float
) -> tuple[Design, Array]:
    """Return the design with the nuisance as its last columns, and the penalty of each column."""
    beside = nuisance(design)
    shrunk = np.full(beside.x.shape[1], ridge if beside.is_shrunk else 0.0)
    penalty = np.append(np.full(len(design.names), ridge), shrunk)
    return replace(design, x=np.column_stack([design.x, beside.x])), penalty


_NO_WEIGHT = [
    pl.lit(None, pl.Float64).alias(name) for name in (c.WEIGHT, "weight_low", "weight_high")
]


def _estimates(
    names: tuple[str, ...], spread: Array, coefficients: Array, draws: Array
) -> tuple[pl.DataFrame, bool]:
    """Return the table of attributes; the last column is sf_pos."""
    low, high = interval(draws)
    is_published = bool(low[-1] > 0)
    weight_low, weight_high = interval(_weights(draws))
    table = pl.DataFrame(
        {
            c.ATTRIBUTE: names,
            "coefficient": coefficients,
            c.LOW: low,
            c.HIGH: high,
            c.WEIGHT: _weights(coefficients[None, :])[0],
            "weight_low": weight_low,
            "weight_high": weight_high,
            "spread": spread,
            "sf_coefficient": np.full(len(names), coefficients[-1]),
            "sf_low": np.full(len(names), low[-1]),
            "sf_high": np.full(len(names), high[-1]),
        }
    )
    told = table if is_published else table.with_columns(_NO_WEIGHT)
    return told.filter(pl.col(c.ATTRIBUTE) != c.SF_POS), is_published


def _weights(coefficients: Array) -> Array:
    """Return max(0, b) / |b_sf_pos| of each row; the last column is sf_pos."""
    weights: Array = np.maximum(0.0, coefficients) / np.abs(coefficients[:, -1:])
    return weights


def _of_group(fitted: Fitted, attributes: pl.DataFrame, method: str) -> pl.DataFrame:
    """Return FACET_WEIGHTS rows: every attribute of the group, estimated or with its reason."""
    empty = FACET_WEIGHTS.empty().select(c.ATTRIBUTE, *_ESTIMATES)
    table = empty if fitted.table is None else fitted.table.select(empty.columns)
    joined = attributes.join(table, on=c.ATTRIBUTE, how="left")
    is_estimated = pl.col("coefficient").is_not_null()
    why = pl.lit(fitted.reason, pl.String)
    untold = pl.col(c.ATTRIBUTE).replace_strict(fitted.untold, default=FEW, return_dtype=pl.String)
    stated = why if fitted.table is None else pl.when(is_estimated).then(why).otherwise(untold)
    return joined.with_columns(
        pl.lit(method).alias("method"),
        (is_estimated & fitted.is_published).alias("published"),
        stated.alias(c.REASON),
        pl.lit(fitted.rows, pl.Int64).alias("rows"),
        pl.lit(fitted.users, pl.Int64).alias("users"),
    ).select(FACET_WEIGHTS.schema.names())


_ESTIMATES = (
    "coefficient",
    c.LOW,
    c.HIGH,
    c.WEIGHT,
    "weight_low",
    "weight_high",
    "spread",
    "sf_coefficient",
    "sf_low",
    "sf_high",
)
