"""What users were shown, examined and passed over: negatives that say more than a random item.

examined(user, item, day) = sum over the day's impressions of P(examined | platform, surface,
                            position) as it was estimated on that day, where that is at least
                            `least_examined`: below it nobody knows whether the item was seen
passed over               = shown and examined in the last `days` days, and neither viewed, made a
                            favourite, carted nor ordered in them; its weight is the sum of examined

Impressions are the bulk of all events, so they are read only where `share` asks, and counted by
user, item and day in the lake (`interactions.shown_on`). Sums are of millionths: whole numbers have
no order of adding up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tasks import columns as c
from tasks.candidates.generator import Ints, Known, positions
from tasks.candidates.windows import NOTHING
from tasks.errors import ContractViolation
from tasks.settings import PassedOver

PER_WINDOW = 16
"""Draws a window in each step: a batch of 32 then has as many as it has shared negatives."""


def passed_over(known: Known, options: PassedOver) -> pl.DataFrame:
    """Return `user_id, item_id, weight` (above 0, in millionths), sorted, by the module's formula.

    Raises:
        ContractViolation: nothing is known of what was shown, as of a file from elsewhere.
    """
    if known.shown is None:
        raise ContractViolation(
            f"VITRINA_CANDIDATES__PASSED_OVER__SHARE is {options.share:g}, but nothing is known of"
            " what was shown here: set it to 0"
        )
    recent = pl.col(c.DT) > known.through - timedelta(days=options.days)
    pairs = known.shown.filter(recent).group_by(c.USER_ID, c.ITEM_ID)
    summed = pairs.agg(pl.col(c.EXAMINED_PPM).sum().alias(c.WEIGHT), pl.col(c.IS_TOUCHED).any())
    passed = summed.filter(~pl.col(c.IS_TOUCHED) & (pl.col(c.WEIGHT) > 0))
    return passed.drop(c.IS_TOUCHED).sort(c.USER_ID, c.ITEM_ID)


@dataclass(frozen=True)
class Drawn:
    """What the users of windows passed over, to be drawn from in proportion to its weight.

    `first` and `end`: where the user of each window has its items; `cumulative`: of all weights,
    0 first. `weight`: what the drawn weigh where all other negatives weigh 1.
    """

    first: Ints
    end: Ints
    items: Ints
    cumulative: Ints
    weight: float

    def draw(self, windows: Ints) -> Tensor:
        """Return (windows, PER_WINDOW) places of items, `NOTHING` where nothing was passed over."""
        first, end = self.first[windows], self.end[windows]
        low, high = self.cumulative[first], self.cumulative[end]
        # By torch, whose chance a checkpoint keeps.
        chance = torch.rand(len(windows), PER_WINDOW, dtype=torch.float64).numpy()
        at = low[:, None] + np.floor(chance * (high - low)[:, None])
        drawn = np.searchsorted(self.cumulative, at, side="right") - 1
        there = np.append(self.items, NOTHING)[np.minimum(drawn, end[:, None] - 1)]
        return torch.from_numpy(np.where((first < end)[:, None], there, NOTHING))

    def content(self) -> tuple[bytes, ...]:
        """Return all that the draws depend on, beside chance."""
        arrays = (self.first, self.end, self.items, self.cumulative)
        return (*(array.tobytes() for array in arrays), str(self.weight).encode())


def drawn_by(known: Known, whose: Ints, item_ids: pl.Series, options: PassedOver) -> Drawn | None:
    """Return what the users of windows passed over; None where the settings do not ask.

    Args:
        known: what is learned from.
        whose: the row of each window's user in `known.users`.
        item_ids: the catalogue; other items are left out.
        options: days, and the share that the drawn have of all negatives.
    """
    if not options.share:
        return None
    pairs = positions(passed_over(known, options), known.users[c.USER_ID], "row")
    placed = positions(pairs, item_ids, "item").sort("row", "item")
    row, item, weight = (
        placed[name].to_numpy().astype(np.int64) for name in ("row", "item", c.WEIGHT)
    )
    first, end = (np.searchsorted(row, whose, side) for side in ("left", "right"))
    cumulative = np.concatenate([np.zeros(1, np.int64), np.cumsum(weight)])
    return Drawn(first, end, item, cumulative, options.share / (1 - options.share))
