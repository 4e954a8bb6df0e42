"""Examination: how probable it is that somebody looked at a position, from clicks on chance slots.

clicks(source, position) ~ impressions(source, position) * level(source) * curve(position)

A source is one platform, surface and arrangement. Where the item stood by chance (an explored slot
or a shuffled listing) the level says how good its items were and the curve what position does; the
two are fitted by turns, which is the maximum likelihood of the Poisson model. The curve is then

smoothed    clicks and impressions summed over the positions within a fifth of each
shrunk      a platform and surface towards all of them by `prior_shown` pseudo-impressions
monotone    decreasing isotonic regression
relative    divided by its first position: p_examined(1) = 1; deeper than any seen = the last seen

The position-based model of Craswell et al. (2008), "An experimental comparison of click
position-bias models"; randomised slots as in Joachims et al. (2017), "Unbiased learning-to-rank
with biased feedback". Without enough clicks on chance slots all clicks are used, `basis` says
`ranked`, and the curve is then too steep by what the ranking knew.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks import columns as c
from tasks.lake.tables import EXAMINATION
from tasks.settings import Segments

Numbers = npt.NDArray[np.float64]

ROUNDS = 50
NEIGHBOURS = 0.2
FLOOR = 0.01
"""The least p_examined: a tail without clicks is no proof that nobody looked."""

PLACE = [c.PLATFORM, c.SURFACE]
ARRANGEMENT = "arrangement"


@dataclass(frozen=True)
class Fit:
    """Clicks and exposure (impressions x level), one row per source, and the common curve."""

    sources: pl.DataFrame
    impressions: Numbers
    clicks: Numbers
    exposure: Numbers
    curve: Numbers
    prior_exposure: float

    def place(self, platform: str, surface: str) -> Numbers:
        """Return where this place's sources are."""
        rows = (pl.col(c.PLATFORM) == platform) & (pl.col(c.SURFACE) == surface)
        return self.sources.select(rows).to_series().to_numpy()


def enough_chance(counts: pl.DataFrame, options: Segments) -> bool:
    """Return whether items that stood by chance were clicked often enough to tell positions."""
    return int(counts["clicks"].sum()) >= options.min_explored_clicks


def examination(counts: pl.DataFrame, options: Segments) -> pl.DataFrame:
    """Return EXAMINATION rows for every position of every platform and surface.

    A platform and surface that was never seen has the common curve, so that whoever reads the
    table next day finds a row for what appears then.

    Args:
        counts: rows of `sql/examination.sql`; none where the source logs no impressions.
        options: pseudo-counts and limits.
    """
    if counts.is_empty():
        return EXAMINATION.empty()
    fitted = _fit(counts, options)
    places = product(c.PLATFORMS, c.SURFACES)
    rows = pl.concat(_curve_of_place(fitted, *place, options.max_position) for place in places)
    ranked = "ranked" in counts[ARRANGEMENT]
    basis = pl.lit("ranked" if ranked else "explored").alias(c.BASIS)
    return rows.with_columns(basis).select(list(EXAMINATION.columns))


def _fit(used: pl.DataFrame, options: Segments) -> Fit:
    deepest = used.select(pl.col(c.POSITION).max()).item()
    sources, impressions, clicks = _grid(used, deepest)
    level = np.ones(len(impressions))
    curve = np.ones(deepest)
    for _ in range(ROUNDS):
        curve = _ratio(clicks.sum(axis=0), level @ impressions)
        curve = curve / max(curve.max(), 1e-12)
        level = _ratio(clicks.sum(axis=1), impressions @ curve)
    exposure = level[:, None] * impressions
    common = _monotone(_nearby(clicks.sum(axis=0)), _nearby(exposure.sum(axis=0)))
    mean_level = clicks.sum() / max(float((impressions @ common).sum()), 1.0)
    return Fit(sources, impressions, clicks, exposure, common, options.prior_shown * mean_level)


def _grid(used: pl.DataFrame, deepest: int) -> tuple[pl.DataFrame, Numbers, Numbers]:
    """Return the sources and, one row each, impressions and clicks by position."""
    source = [*PLACE, ARRANGEMENT]
    ordered = used.sort([*source, c.POSITION])
    row = ordered.select(pl.struct(source).rle_id()).to_series().to_numpy()
    position = ordered[c.POSITION].to_numpy() - 1
    sources = ordered.select(source).unique(maintain_order=True)
    impressions, clicks = np.zeros((2, sources.height, deepest))
    impressions[row, position] = ordered["impressions"].to_numpy()
    clicks[row, position] = ordered["clicks"].to_numpy()
    return sources, impressions, clicks


def _curve_of_place(fitted: Fit, platform: str, surface: str, deepest: int) -> pl.DataFrame:
    rows = fitted.place(platform, surface)
    clicks, exposure = fitted.clicks[rows].sum(axis=0), fitted.exposure[rows].sum(axis=0)
    prior = fitted.prior_exposure
    curve = _monotone(_nearby(clicks) + prior * fitted.curve, _nearby(exposure) + prior)
    unseen = (0, deepest - len(curve))
    return pl.DataFrame(
        {
            c.PLATFORM: platform,
            c.SURFACE: surface,
            c.POSITION: np.arange(1, deepest + 1, dtype=np.int32),
            c.P_EXAMINED: np.pad(_relative(curve), unseen, mode="edge"),
            "impressions": np.pad(fitted.impressions[rows].sum(axis=0), unseen).astype(np.int64),
            "clicks": np.pad(clicks, unseen).astype(np.int64),
        }
    )


def _relative(curve: Numbers) -> Numbers:
    """Return the curve over its first position; without a click nothing tells positions apart."""
    if not curve[0] > 0:
        return np.ones_like(curve)
    relative: Numbers = np.clip(curve / curve[0], FLOOR, 1.0)
    return relative


def _nearby(values: Numbers) -> Numbers:
    """Return sums over as many positions before as behind, up to a fifth of each position."""
    deepest = len(values)
    position = np.arange(1, deepest + 1)
    reach = np.minimum((position * NEIGHBOURS).astype(int), deepest - position)
    total = np.concatenate([[0.0], np.cumsum(values)])
    sums: Numbers = total[position + reach] - total[position - reach - 1]
    return sums


def _monotone(clicks: Numbers, exposure: Numbers) -> Numbers:
    """Return the decreasing curve nearest to clicks / exposure; unexposed positions follow.

    Pool adjacent violators: a position that rises above the one before shares its mean with it.
    """
    pools: list[tuple[float, float, int]] = []
    weights = np.maximum(exposure, 1e-9)
    for value, weight in zip(_ratio(clicks, exposure).tolist(), weights.tolist(), strict=True):
        pool = (value, weight, 1)
        while pools and pools[-1][0] < pool[0]:
            pool = _pooled(pools.pop(), pool)
        pools.append(pool)
    return np.repeat([value for value, _, _ in pools], [positions for _, _, positions in pools])


def _pooled(
    one: tuple[float, float, int], two: tuple[float, float, int]
) -> tuple[float, float, int]:
    weight = one[1] + two[1]
    return (one[0] * one[1] + two[0] * two[1]) / weight, weight, one[2] + two[2]


def _ratio(clicks: Numbers, exposure: Numbers) -> Numbers:
    """Return clicks / exposure, and the mean where nothing was exposed."""
    mean = clicks.sum() / max(float(exposure.sum()), 1e-12)
    ratio: Numbers = np.where(exposure > 0, clicks / np.maximum(exposure, 1e-12), mean)
    return ratio
