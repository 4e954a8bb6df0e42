"""The threshold card: what an audience above each threshold is expected to do.

For threshold t: audience_size = people scored today with probability >= t; precision and recall are
those of the same threshold among the eligible people of the card's anchor, whose labels are known;
lift = precision / base rate; expected_buyers = audience_size * precision.

sure  the widest audience whose precision is surely (lower bound) at least `sure_lift` base rates
wide  the smallest audience that reaches `wide_recall` of the buyers, surely above the base rate
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.lake.tables import THRESHOLD_CARDS
from tasks.lookalikes.classifier import Array
from tasks.lookalikes.judgement import Estimate, wilson
from tasks.settings import Lookalikes

SHARES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
"""Audiences of the grid, as shares of the people scored today."""


@dataclass(frozen=True)
class Judged:
    """The probabilities of the card's anchor, with what then happened."""

    p: Array
    y: Array
    auc: Estimate | None


def threshold_card(today: Array, judged: Judged, options: Lookalikes) -> pl.DataFrame:
    """Return THRESHOLD_CARDS rows of one segment that offers thresholds.

    Args:
        today: the probabilities of the people scored today.
        judged: the later window.
        options: the rules of the two suggestions.
    """
    return _complete(_suggested(_grid(today, judged), options), judged.auc, "ok", None)


def refusing_card(verdict: str, reason: str, auc: Estimate | None) -> pl.DataFrame:
    """Return the one row of a card without thresholds: nobody is above 1."""
    row = pl.DataFrame({c.THRESHOLD: [1.0], "audience_size": [0]})
    return _complete(row, auc, verdict, reason)


def _grid(today: Array, judged: Judged) -> pl.DataFrame:
    thresholds = _thresholds(today)
    audience = _at_least(today, thresholds)
    chosen, hits = _at_least(judged.p, thresholds), _at_least(judged.p[judged.y > 0], thresholds)
    positives, rate = int(judged.y.sum()), float(judged.y.mean())
    low, high = wilson(hits, chosen)
    recall_low, recall_high = wilson(hits, np.full(len(hits), positives))
    precision = np.where(chosen > 0, hits / np.maximum(chosen, 1), np.nan)
    numbers = {
        "precision": precision,
        "precision_low": low,
        "precision_high": high,
        "recall": hits / positives,
        "recall_low": recall_low,
        "recall_high": recall_high,
        "lift": precision / rate,
        "lift_low": low / rate,
        "lift_high": high / rate,
        "expected_buyers": audience * precision,
        "expected_low": audience * low,
        "expected_high": audience * high,
    }
    table = pl.DataFrame({c.THRESHOLD: thresholds, "audience_size": audience, **numbers})
    return table.with_columns(
        pl.col(numbers.keys()).fill_nan(None), pl.lit(rate).alias("base_rate")
    )


def _thresholds(today: Array) -> Array:
    """Return the probability of the last person of each share, highest first, each once."""
    ordered = np.sort(today)[::-1]
    places = [max(1, round(share * len(ordered))) - 1 for share in SHARES]
    return np.unique(ordered[places])[::-1]


def _at_least(p: Array, thresholds: Array) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return len(p) - np.searchsorted(np.sort(p), thresholds, "left").astype(np.int64)


def _suggested(grid: pl.DataFrame, options: Lookalikes) -> pl.DataFrame:
    rising = grid.sort("audience_size")
    sure = rising.filter(pl.col("lift_low") >= options.sure_lift)["audience_size"].max()
    wider = rising.filter(pl.col("recall") >= options.wide_recall, pl.col("lift_low") > 1)
    wide = wider.filter(pl.col("audience_size") > (sure or 0))["audience_size"].min()
    size = pl.col("audience_size")
    kind = pl.when(size == sure).then(pl.lit("sure")).when(size == wide).then(pl.lit("wide"))
    return rising.with_columns(kind.alias("suggestion"))


def _complete(
    rows: pl.DataFrame, auc: Estimate | None, verdict: str, reason: str | None
) -> pl.DataFrame:
    known = {"auc": auc.value, "auc_low": auc.low, "auc_high": auc.high} if auc else {}
    said = rows.with_columns(
        pl.lit(verdict).alias("verdict"),
        pl.lit(reason, pl.String).alias(c.REASON),
        *(pl.lit(value).alias(name) for name, value in known.items()),
    )
    absent = [
        pl.lit(None, dtype).alias(name)
        for name, dtype in THRESHOLD_CARDS.schema.items()
        if name not in said.columns
    ]
    return said.with_columns(absent).select(
        pl.col(name).cast(dtype) for name, dtype in THRESHOLD_CARDS.schema.items()
    )
