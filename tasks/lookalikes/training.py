"""Both factors, fitted on the training anchors.

P(seed thing | x, buys)  positives did the seed thing, negatives bought something else those days
P(buys anything | x)     everybody eligible; without it taste alone would rank who never buys

A logistic regression, as nothing is better by log loss after calibration: in six shops of 6,000
customers (three seeds of development in both worlds), the segments' losses added up to some 0.55,
XGBoost's is above it by -0.0000 [-0.0013, +0.0010], CatBoost's by +0.0005 [-0.0007, +0.0014]; by
the simulator's true probabilities, which know no luck, +0.0006 [+0.0000, +0.0011] and +0.0001
[-0.0004, +0.0005]. They take 2 and 7 times as long, and walk through trees for what is one product.
While a single look counted as devotion they were ahead by 0.0006 and 0.0008: what trees cut out of
raw shares, `lookalike_features` now says.

What is known to matter is penalised less: the values of the segment's simple rule, and how much
and how lately somebody acted. Otherwise a few hundred seeds spread over hundreds of columns what
the rule alone would have told.

Of more people than `training_people` a lot is drawn, rarer labels first, and the intercept is moved
back by what the draw did to the odds, which is exact for a logistic regression.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.lookalikes.classifier import Array, Classifier, Codes, chosen_ridge, fit_classifier
from tasks.lookalikes.counters import Counters, Places
from tasks.lookalikes.matrix import NO_CELLS, as_matrix, cells_of, supports, vocabulary
from tasks.lookalikes.model import Model
from tasks.lookalikes.people import IS_BUYER, IS_POSITIVE, training_people
from tasks.lookalikes.registry import Rule
from tasks.settings import Lookalikes

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

log = logging.getLogger(__name__)

RULE_SHARE, GENERAL_SHARE = 0.03, 0.1
"""Of the penalty, chosen by log loss on a later week of a lively shop of development."""
GRADES = ("activity_grade", "orders_grade")
GENERAL = ("activity", "orders", "recency", *GRADES)
LABEL = "label"
ANCHOR = "anchor"


@dataclass(frozen=True)
class Lot:
    """Who is learnt from: `user_id, anchor, label`, and by how much the draw moved the log-odds."""

    people: pl.DataFrame
    moved: float

    @property
    def labels(self) -> Array:
        """The labels, 0.0 and 1.0."""
        found: Array = self.people[LABEL].cast(pl.Float64).to_numpy()
        return found


@dataclass(frozen=True)
class Lessons:
    """What both factors are fitted on: lots, and their shares by the vocabulary's columns."""

    columns: pl.DataFrame
    seeding: Lot
    seeding_x: csr_matrix
    buying: Lot
    buying_x: csr_matrix
    shares: Array

    @property
    def persons(self) -> Codes:
        """A code per customer of `seeding`."""
        codes: Codes = self.seeding.people[c.USER_ID].rank("dense").cast(pl.Int64).to_numpy()
        return codes


def lessons(
    rule: Rule | None,
    people: Mapping[date, pl.DataFrame],
    features: Mapping[date, Counters],
    options: Lookalikes,
    seed: int,
) -> Lessons:
    """Return what there is to learn from.

    Args:
        rule: the segment's simple rule.
        people: `user_id, is_positive, is_buyer` of the training anchors.
        features: their counters.
        options: support, columns and size of the lots.
        seed: of the draws.
    """
    chosen = {anchor: training_people(rows) for anchor, rows in people.items()}
    seeding = drawn(_labelled(chosen, pl.col(IS_POSITIVE)), options.training_people, seed)
    bought = _labelled(people, pl.col(IS_BUYER) | pl.col(IS_POSITIVE))
    buying = drawn(bought, options.training_people, seed + 1)
    columns = vocabulary(_supports(seeding, features), options.min_support, options.max_columns)
    x, everybody = (matrix_of(lot.people, features, columns) for lot in (seeding, buying))
    return Lessons(columns, seeding, x, buying, everybody, penalty_shares(columns, rule))


def penalty_shares(columns: pl.DataFrame, rule: Rule | None) -> Array:
    """Return how much of the penalty each of `attribute, value` carries."""
    is_general = pl.col(c.ATTRIBUTE).is_in(GENERAL)
    share = pl.when(is_general).then(GENERAL_SHARE).otherwise(1.0)
    if rule is not None:
        is_ruled = (pl.col(c.ATTRIBUTE) == rule.attribute) & pl.col(c.VALUE).is_in(rule.values)
        share = pl.when(is_ruled).then(RULE_SHARE).otherwise(share)
    shares: Array = columns.select(share.alias("share"))["share"].to_numpy()
    return shares


def fitted(learnt: Lessons) -> Model:
    """Return both factors, with the ridge that the first one wants."""
    log.info("look-alike: %d rows x %d columns", *learnt.seeding_x.shape)
    x, shares = learnt.seeding_x, learnt.shares
    ridge = chosen_ridge(x, learnt.seeding.labels, learnt.persons, shares)
    seeding = factor(x, learnt.seeding, ridge, shares)
    return Model(learnt.columns, seeding, factor(learnt.buying_x, learnt.buying, ridge, shares))


def drawn(people: pl.DataFrame, most: int, seed: int) -> Lot:
    """Return at most about `most` of `user_id, anchor, label`, in their order."""
    if people.height <= most:
        return Lot(people, 0.0)
    generator, is_one = np.random.default_rng(seed), people[LABEL].to_numpy()
    ones, zeros = np.flatnonzero(is_one), np.flatnonzero(~is_one)
    rarer = min(len(ones), len(zeros), most // 2)
    kept = {True: min(len(ones), most - rarer), False: min(len(zeros), most - rarer)}
    places = [
        generator.choice(of, kept[label], replace=False)
        for label, of in ((True, ones), (False, zeros))
    ]
    moved = _log_share(kept[True], len(ones)) - _log_share(kept[False], len(zeros))
    return Lot(people[np.sort(np.concatenate(places))], moved)


def _log_share(kept: int, of: int) -> float:
    return float(np.log(kept / of)) if of else 0.0


def factor(x: csr_matrix, lot: Lot, ridge: float, shares: Array) -> Classifier:
    """Return the logistic regression of a lot's labels, at the odds of everybody."""
    model = fit_classifier(x, lot.labels, ridge, shares)
    return Classifier(model.intercept - lot.moved, model.coefficients)


def _labelled(people: Mapping[date, pl.DataFrame], label: pl.Expr) -> pl.DataFrame:
    parts = [
        rows.select(c.USER_ID, pl.lit(anchor).alias(ANCHOR), label.alias(LABEL))
        for anchor, rows in people.items()
    ]
    return pl.concat(parts)


def _supports(lot: Lot, features: Mapping[date, Counters]) -> list[pl.DataFrame]:
    return [supports(people, frame) for _, people, frame in _read(lot.people, features)]


def matrix_of(
    people: pl.DataFrame, features: Mapping[date, Counters], columns: pl.DataFrame
) -> csr_matrix:
    """Return `user_id, anchor` by the columns, in their order."""
    parts = [NO_CELLS]
    for places, some, frame in _read(people, features):
        row, column, share = cells_of(some, frame, columns)
        parts.append((places[row].astype(np.int32), column, share))
    return as_matrix(parts, people.height, columns.height)


def _read(
    people: pl.DataFrame, features: Mapping[date, Counters]
) -> Iterator[tuple[Places, pl.DataFrame, pl.DataFrame]]:
    """Yield some of the people at a time: their places, themselves, their counters."""
    start = 0
    for (anchor,), mine in people.group_by(ANCHOR, maintain_order=True):
        for places, frame in features[anchor].of(mine):
            yield start + places, mine[places], frame
        start += mine.height
