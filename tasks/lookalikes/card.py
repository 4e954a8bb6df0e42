"""The threshold card: what an audience above each threshold is expected to do.

For threshold t: audience_size = people scored today with probability >= t; precision and recall are
those of the same threshold among the eligible people of the card's anchor, whose labels are known;
lift = precision / base rate; expected_buyers = audience_size * precision.

cost_per_buyer = contact_price / precision, where the price of reaching one person is set

The simple rule's audience is judged on the same anchor, beside as many of the most probable.

A lasting trait can be there without having been shown. trait_share = precision / shown, shown = the
share of those who had shown it before that anchor who show it again in the horizon (Elkan and Noto
2008, "Learning classifiers from only positive and unlabeled data", with that share as c). Assumed:
who has not shown it yet shows it as often as who has. Who has comes more often, so that trait_share
is rather too low. It moves no threshold and no order.

sure  the audience whose precision is surely the highest (its lower bound is), above the base rate
wide  the smallest larger one, surely above the base rate, that reaches `wide_recall` of the buyers,
      or where none does, the largest that is surely above the base rate
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks import columns as c
from tasks.lake.tables import THRESHOLD_CARDS
from tasks.lookalikes.classifier import Array
from tasks.lookalikes.judgement import Estimate, wilson
from tasks.lookalikes.people import Shown
from tasks.settings import Lookalikes

Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
SHARES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
"""Audiences of the grid, as shares of the people scored today."""
OFFERED = "ok"
"""The verdict of a card that offers thresholds."""


@dataclass(frozen=True)
class Judged:
    """The probabilities of the card's anchor, with what then happened.

    `by_rule` are those whom the simple rule takes, None without a rule; `shown` is there for a
    lasting trait.
    """

    p: Array
    y: Array
    auc: Estimate | None
    by_rule: Flags | None = None
    shown: Shown | None = None


def threshold_card(
    today: Array, judged: Judged, options: Lookalikes, rule_size: int = 0
) -> pl.DataFrame:
    """Return THRESHOLD_CARDS rows of one segment that offers thresholds.

    Args:
        today: the probabilities of the people scored today.
        judged: the later window.
        options: the rules of the two suggestions, and the price of reaching one person.
        rule_size: how many of today's people the simple rule takes.
    """
    grid = _suggested(_grid(today, judged), options)
    told = grid.with_columns(
        *_costs(options.contact_price), *_trait(judged.shown), *_rule(rule_size, judged)
    )
    return _complete(told, judged.auc, OFFERED, None)


def refusing_card(verdict: str, reason: str, auc: Estimate | None) -> pl.DataFrame:
    """Return the one row of a card without thresholds: nobody is above 1."""
    row = pl.DataFrame({c.THRESHOLD: [1.0], "audience_size": [0]})
    return _complete(row, auc, verdict, reason)


def _grid(today: Array, judged: Judged) -> pl.DataFrame:
    thresholds = _thresholds(today)
    audience = _at_least(today, thresholds)
    chosen, hits = _at_least(judged.p, thresholds), _at_least(judged.p[judged.y > 0], thresholds)
    positives, rate = np.full(len(hits), int(judged.y.sum())), float(judged.y.mean())
    precision = _with_interval("precision", hits, chosen)
    recall = _with_interval("recall", hits, positives)
    lift = precision.select(
        (pl.all() / rate).name.map(lambda name: name.replace("precision", "lift"))
    )
    buyers = precision.select(pl.all() * pl.Series(audience))
    buyers.columns = ["expected_buyers", "expected_low", "expected_high"]
    grid = pl.DataFrame({c.THRESHOLD: thresholds, "audience_size": audience})
    return pl.concat([grid, precision, recall, lift, buyers], how="horizontal").with_columns(
        pl.lit(rate).alias("base_rate")
    )


def _with_interval(name: str, hits: Counts, of: Counts) -> pl.DataFrame:
    """Return a share and its interval; all null where there is nothing to count."""
    low, high = wilson(hits, of)
    share = np.divide(hits, of, out=np.full(len(of), np.nan), where=of > 0)
    table = pl.DataFrame({name: share, f"{name}_low": low, f"{name}_high": high})
    return table.with_columns(pl.when(pl.col(name).is_not_nan()).then(pl.all()))


def _costs(price: float | None) -> list[pl.Expr]:
    """Return what an expected buyer costs; nothing where reaching nobody is known to be bought."""
    if price is None:
        return []
    sides = {"": "", "_low": "_high", "_high": "_low"}
    cost = {side: pl.col(f"precision{of}") for side, of in sides.items()}
    return [
        pl.when(share > 0).then(price / share).alias(f"cost_per_buyer{side}")
        for side, share in cost.items()
    ]


def _trait(shown: Shown | None) -> list[pl.Expr]:
    if shown is None or not shown.again:
        return []
    again, holders = np.array([shown.again]), np.array([shown.holders])
    low, high = (float(bound[0]) for bound in wilson(again, holders))
    share = shown.again / shown.holders
    # The widest that both intervals allow.
    sides = {"": ("", share), "_low": ("_low", high), "_high": ("_high", low)}
    return [
        pl.lit(share).alias("shown_share"),
        *(
            (pl.col(f"precision{of}") / by).clip(upper_bound=1).alias(f"trait_share{side}")
            for side, (of, by) in sides.items()
        ),
    ]


def _rule(rule_size: int, judged: Judged) -> list[pl.Expr]:
    """Return the simple rule's reach, and what as many of the most probable would have done."""
    if judged.by_rule is None:
        return []
    most = np.argsort(-judged.p, kind="stable")[: judged.by_rule.sum()]
    told = {
        "rule_size": rule_size,
        **_did("rule", judged.y[judged.by_rule], judged),
        **_did("rule_matched", judged.y[most], judged),
    }
    return [pl.lit(value).alias(name) for name, value in told.items()]


def _did(name: str, y: Array, judged: Judged) -> dict[str, float | None]:
    """Return precision, null of nobody, and recall of some people of the later window."""
    hits, size = np.array([int(y.sum())]), np.array([len(y)])
    precision = _with_interval(f"{name}_precision", hits, size).row(0, named=True)
    return precision | {f"{name}_recall": float(y.sum() / judged.y.sum())}


def _thresholds(today: Array) -> Array:
    """Return the probability of the last person of each share, highest first, each once."""
    ordered = np.sort(today)[::-1]
    places = [max(1, round(share * len(ordered))) - 1 for share in SHARES]
    return np.unique(ordered[places])[::-1]


def _at_least(p: Array, thresholds: Array) -> Counts:
    return len(p) - np.searchsorted(np.sort(p), thresholds, "left").astype(np.int64)


def _suggested(grid: pl.DataFrame, options: Lookalikes) -> pl.DataFrame:
    rising = grid.sort("audience_size")
    better = rising.filter(pl.col("lift_low") > 1)
    sure = better.sort("precision_low", "audience_size", descending=True)["audience_size"].first()
    larger = better.filter(pl.col("audience_size") > (sure or 0))
    reaching = larger.filter(pl.col("recall") >= options.wide_recall)["audience_size"].min()
    wide = reaching or larger["audience_size"].max()
    size = pl.col("audience_size")
    kind = pl.when(size.eq_missing(pl.lit(sure))).then(pl.lit("sure"))
    return rising.with_columns(
        kind.when(size.eq_missing(pl.lit(wide))).then(pl.lit("wide")).alias("suggestion")
    )


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
