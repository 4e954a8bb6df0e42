"""Places of a list drawn by chance in proportion to score, each with its propensity.

Of k places m = round(sampled_share x k) are drawn, spread evenly from the top down; the others hold
the first k - m ranks. Drawn from are the ranks below those, down to `sampled_depth`:

w(i)          = exp(score(i) / (sampled_temperature x SD of the user's scores there))
propensity(i) = min(1, a x w(i)), a such that they sum to m: the chance that i is in the list

Draws are systematic in a random order (Madow, 1949), so that these chances are exact; drawn items
stand among the drawn places by rank. They depend on seed, day, user and item alone, by the hash of
one version of polars.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks import columns as c
from tasks.settings import Candidates

Floats64 = NDArray[np.float64]
_SLOT = "slot"
_UNIT = 2.0**-64


def sampled(ranked: pl.DataFrame, options: Candidates, k: int, seed: int) -> pl.DataFrame:
    """Return `user_id, item_id, score, rank, propensity` of k places; null where rank decided.

    Args:
        ranked: `user_id, item_id, score, rank`, at least `sampled_depth` ranks where there are any.
        options: share, depth and temperature.
        k: longest list.
        seed: of the draws of one generator and day.
    """
    count = round(options.sampled_share * k)
    by_rank = pl.lit(None, pl.Float64).alias(c.PROPENSITY)
    if count == 0:
        return ranked.filter(pl.col(c.RANK) <= k).with_columns(by_rank)
    drawn_places, other_places = places(k, count)
    deepest = max(k, options.sampled_depth)
    ordered = ranked.filter(pl.col(c.RANK) <= deepest).sort(c.USER_ID, c.RANK)
    is_fixed = pl.col(c.RANK) <= k - count
    fixed = ordered.filter(is_fixed).with_columns(by_rank)
    drawn = _drawn(ordered.filter(~is_fixed), (k - count, deepest), options, count, seed)
    both = pl.concat([_slotted(fixed, other_places), _slotted(drawn, drawn_places)])
    place = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(c.USER_ID).alias(c.RANK)
    return both.sort(c.USER_ID, _SLOT).with_columns(place).drop(_SLOT)


def places(k: int, count: int) -> tuple[list[int], list[int]]:
    """Return which of places 1 to k are drawn, and the others."""
    steps = np.arange(k + 1) * count // k
    is_drawn = np.diff(steps) > 0
    every = np.arange(1, k + 1)
    return every[is_drawn].tolist(), every[~is_drawn].tolist()


def _slotted(rows: pl.DataFrame, slots: list[int]) -> pl.DataFrame:
    """Return each user's rows with the places that they take, in order."""
    numbered = rows.with_columns(pl.int_range(pl.len()).over(c.USER_ID).alias("number"))
    taken = pl.DataFrame({_SLOT: slots}, schema={_SLOT: pl.Int64}).with_row_index("number")
    taken = taken.cast({"number": pl.Int64})
    return numbered.join(taken, on="number", maintain_order="left").drop("number")


def _drawn(
    pool: pl.DataFrame, ranks: tuple[int, int], options: Candidates, count: int, seed: int
) -> pl.DataFrame:
    """Return the drawn rows of the pool, by user and score, with their propensity.

    The pool has the ranks above the first of `ranks`, up to the second.
    """
    if pool.is_empty():
        return pool.with_columns(pl.lit(None, pl.Float64).alias(c.PROPENSITY))
    above, deepest = ranks
    rows, columns = pool[c.USER_ID].rle_id().to_numpy(), pool[c.RANK].to_numpy() - above - 1
    # As wide for any users: numpy adds up a wider row in other parts, to another last bit.
    shape = (int(rows[-1]) + 1, deepest - above)
    scores, order = np.full(shape, np.nan), np.full(shape, np.inf)
    scores[rows, columns] = pool[c.SCORE].to_numpy()
    order[rows, columns] = chances(pool, (c.USER_ID, c.ITEM_ID), seed)
    chance = inclusion(weights(scores, options.sampled_temperature), count)
    starts = chances(pool.unique(c.USER_ID, maintain_order=True), (c.USER_ID,), seed)
    is_in = systematic(chance, order, starts)
    told = pool.with_columns(pl.Series(c.PROPENSITY, chance[rows, columns]))
    return told.filter(pl.Series(is_in[rows, columns]))


def chances(rows: pl.DataFrame, key: tuple[str, ...], seed: int) -> Floats64:
    """Return a number in [0, 1) a row that only the seed and these columns decide."""
    hashed = rows.select(pl.struct(key).hash(seed=seed)).to_series()
    return hashed.to_numpy().astype(np.float64) * _UNIT * (1 - 1e-9)


def weights(scores: Floats64, temperature: float) -> Floats64:
    """Return w of the module's formula up to a factor a row, 0 where there is no item."""
    spread = np.nanstd(scores, axis=1, keepdims=True)
    scaled = (scores - np.nanmax(scores, axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    return np.where(np.isnan(scaled), 0.0, np.exp(scaled / temperature))


def inclusion(weight: Floats64, count: int) -> Floats64:
    """Return each row's propensities: in proportion to weight, at most 1, summing to `count`.

    A row of fewer items has them all for sure.
    """
    sure = np.zeros(weight.shape, dtype=np.bool_)
    while True:
        free = np.where(sure, 0.0, weight)
        total = free.sum(axis=1, keepdims=True)
        left = count - sure.sum(axis=1, keepdims=True)
        chance: Floats64 = np.where(sure, 1.0, left * free / np.where(total > 0, total, 1.0))
        over = (chance >= 1) & ~sure
        if not over.any():
            return chance
        sure |= over


def systematic(chance: Floats64, order: Floats64, starts: Floats64) -> NDArray[np.bool_]:
    """Return who covers a point start, start + 1, ... of the row when lengths are laid in order.

    Args:
        chance: (users, items) lengths.
        order: (users, items) numbers whose order is that in which they are laid.
        starts: (users) in [0, 1).
    """
    laid = np.argsort(order, axis=1, kind="stable")
    ends = np.cumsum(np.take_along_axis(chance, laid, axis=1), axis=1)
    points = np.floor(ends - starts[:, None])
    before = np.concatenate([np.floor(-starts)[:, None], points[:, :-1]], axis=1)
    drawn = np.zeros(chance.shape, dtype=np.bool_)
    np.put_along_axis(drawn, laid, points > before, axis=1)
    return drawn
