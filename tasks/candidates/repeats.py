"""A customer's own items again: the yardstick for shops where things are bought again.

score(user, item) = sum over the user's interactions with it of weight x 0.5 ** (age / half-life)
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks import columns as c
from tasks.candidates.generator import NO_OPINION, Floats, Generator, Known, Requests, Run
from tasks.settings import Candidates


class Repeats(Generator):
    """What the customer touched before, most and newest first."""

    name: ClassVar[str] = "own_repeats"

    def __init__(self, item_ids: pl.Series, half_life_days: float) -> None:
        """Keep the catalogue; histories come with each request."""
        self.item_ids = item_ids
        self._half_life_days = half_life_days

    @classmethod
    def fit(cls, known: Known, options: Candidates, run: Run) -> Self:
        """Learn nothing but the catalogue."""
        return cls(known.item_ids(), options.repeats_half_life_days)

    def scores(self, requests: Requests) -> Floats:
        """Return decayed weights of each user's own items."""
        rows, items, weights, age_days, _ = requests.encoded(self.item_ids)
        own = np.zeros((requests.height, len(self.item_ids)))
        np.add.at(own, (rows, items), weights * 0.5 ** (age_days / self._half_life_days))
        return np.where(own > 0, own, NO_OPINION).astype(np.float32)

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return items and half-life."""
        return {}, {"item_ids": self.item_ids.to_list(), "half_life_days": self._half_life_days}

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Self:
        """Return the generator that gave this state."""
        return cls(pl.Series(c.ITEM_ID, facts["item_ids"]), facts["half_life_days"])
