"""From features, seed acts and purchases to probabilities and a card: one segment, one day.

probability = calibrated(P(buys anything | x) * P(the seed thing | x, buys))

The second factor is the look-alike: positives did the seed thing, negatives bought other things in
the same days. The first is fitted on everybody eligible; without it people who never buy would be
ranked by taste alone. The calibrator then sees the whole eligible base of a later anchor.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.lake.tables import LOOKALIKE_SCORES
from tasks.lookalikes.calibration import Calibrator, fit_calibrator
from tasks.lookalikes.card import OFFERED, Judged, refusing_card, threshold_card
from tasks.lookalikes.classifier import Array, Classifier, chosen_ridge, fit_classifier
from tasks.lookalikes.judgement import auc_of, calibration_metrics, refuse_degenerate
from tasks.lookalikes.matrix import KEY, sparse_matrix, vocabulary
from tasks.lookalikes.people import IS_BUYER, IS_POSITIVE, eligible_people, training_people
from tasks.lookalikes.windows import Plan
from tasks.settings import Lookalikes

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

log = logging.getLogger(__name__)

CHANCE = 0.5
LATER_SHARE = 5
"""A later window needs a fifth of the seeds that training needs."""


@dataclass(frozen=True)
class Evidence:
    """What a segment is learnt from.

    Attributes:
        features: LOOKALIKE_FEATURES rows by anchor.
        known: `user_id` of everybody known, by anchor.
        seeds: `user_id, day` of seed acts.
        purchases: `user_id, day` of orders.
    """

    features: dict[date, pl.DataFrame]
    known: dict[date, pl.DataFrame]
    seeds: pl.DataFrame
    purchases: pl.DataFrame


@dataclass(frozen=True)
class Scored:
    """What a segment's task writes and tracks."""

    scores: pl.DataFrame
    card: pl.DataFrame
    metrics: dict[str, float] = field(default_factory=dict)
    judged: Judged | None = None
    drivers: pl.DataFrame | None = None
    model: Calibrated | None = None

    @property
    def is_offered(self) -> bool:
        """Whether the card offers thresholds."""
        return bool(self.card["verdict"][0] == OFFERED)


@dataclass(frozen=True)
class Model:
    """The two factors over the same columns."""

    columns: pl.DataFrame
    seed: Classifier
    buyer: Classifier

    def log_odds(self, people: pl.DataFrame, features: pl.DataFrame) -> Array:
        """Return the log-odds of the product of both factors, in the order of the people."""
        x = sparse_matrix(people, features, self.columns)
        return product_log_odds(self.seed.log_odds(x), self.buyer.log_odds(x))


@dataclass(frozen=True)
class Calibrated:
    """A model with its calibrator."""

    model: Model
    calibrator: Calibrator

    def probability(self, people: pl.DataFrame, features: pl.DataFrame) -> Array:
        """Return the probability of each of the people, in their order."""
        return self.calibrator.probability(self.model.log_odds(people, features))


def product_log_odds(first: Array, second: Array) -> Array:
    """Return the log-odds of the product of two probabilities given as log-odds."""
    log_product: Array = -np.logaddexp(0, -first) - np.logaddexp(0, -second)
    odds: Array = log_product - np.log(-np.expm1(log_product))
    return odds


def score_people(plan: Plan, evidence: Evidence, options: Lookalikes) -> Scored:
    """Return probabilities of everybody eligible on the plan's day, and the segment's card.

    Raises:
        QualityGateFailed: the probabilities are degenerate.
    """
    people = {anchor: _people(plan, evidence, anchor) for anchor in plan.anchors}
    seeds = _seed_counts(plan, people)
    log.info("look-alike %s: seeds %s", plan.segment.name, seeds)
    reason = _too_few(plan, seeds, options)
    if reason:
        log.info("look-alike %s: too few, %s", plan.segment.name, reason)
        return Scored(LOOKALIKE_SCORES.empty(), refusing_card("too few", reason, None), seeds)
    model = _calibrated(plan, evidence, people, options)
    today = people[plan.day]
    p = model.probability(today, evidence.features[plan.day])
    _check(plan, evidence, today, p)
    judged = _judged(model, people[plan.card], evidence.features[plan.card])
    metrics = {**seeds, **_metrics(judged), "people": float(len(p))}
    scores = today.select(c.USER_ID).with_columns(pl.Series(c.PROBABILITY, p))
    card = _card(p, judged, options)
    return Scored(scores, card, metrics, judged, drivers(model.model), model)


def _people(plan: Plan, evidence: Evidence, anchor: date) -> pl.DataFrame:
    known = evidence.known[anchor]
    return eligible_people(known, evidence.seeds, evidence.purchases, anchor, plan.segment)


def _seed_counts(plan: Plan, people: dict[date, pl.DataFrame]) -> dict[str, float]:
    """Return how many different people are positive in training, calibration and card."""
    positives = {anchor: rows.filter(IS_POSITIVE)[c.USER_ID] for anchor, rows in people.items()}
    trained = [positives[anchor] for anchor in plan.training]
    return {
        "seeds_training": float(pl.concat(trained).n_unique() if trained else 0),
        "seeds_calibration": float(len(positives[plan.calibration])),
        "seeds_card": float(len(positives[plan.card])),
    }


def _too_few(plan: Plan, seeds: dict[str, float], options: Lookalikes) -> str | None:
    if not plan.training:
        return f"history is too short: to train it has to begin by {plan.begins}"
    if seeds["seeds_training"] < options.min_seeds:
        return f"{seeds['seeds_training']:.0f} people to learn from, {options.min_seeds} are needed"
    later = -(-options.min_seeds // LATER_SHARE)
    fewest = min(seeds["seeds_calibration"], seeds["seeds_card"])
    if fewest < later:
        return f"{fewest:.0f} people did it in a later window, {later} are needed to judge"
    return None


def _calibrated(
    plan: Plan, evidence: Evidence, people: dict[date, pl.DataFrame], options: Lookalikes
) -> Calibrated:
    """Return the model of the training anchors, calibrated on the later one."""
    model = _fitted(plan, evidence, people, options)
    later = people[plan.calibration]
    odds = model.log_odds(later, evidence.features[plan.calibration])
    return Calibrated(model, fit_calibrator(odds, _labels(later)))


def _fitted(
    plan: Plan, evidence: Evidence, people: dict[date, pl.DataFrame], options: Lookalikes
) -> Model:
    """Return both factors, with the ridge that the second one wants."""
    everybody = {anchor: people[anchor] for anchor in plan.training}
    rows = {anchor: training_people(people[anchor]) for anchor in plan.training}
    seen = pl.concat([_of(evidence.features[anchor], rows[anchor]) for anchor in plan.training])
    columns = vocabulary(seen, options.min_support, options.max_columns)
    x, y = _stacked(evidence, rows, columns), _labels(pl.concat(rows.values()))
    log.info("look-alike %s: %d rows x %d columns", plan.segment.name, *x.shape)
    person = pl.concat(rows.values())[c.USER_ID].rank("dense").cast(pl.Int64)
    ridge = chosen_ridge(x, y, person.to_numpy())
    is_buyer = pl.concat(everybody.values()).select(pl.col(IS_BUYER) | pl.col(IS_POSITIVE))
    bought = is_buyer.to_series().cast(pl.Float64).to_numpy()
    buyer = fit_classifier(_stacked(evidence, everybody, columns), bought, ridge)
    return Model(columns, fit_classifier(x, y, ridge), buyer)


def _stacked(
    evidence: Evidence, people: dict[date, pl.DataFrame], columns: pl.DataFrame
) -> csr_matrix:
    from scipy.sparse import vstack

    parts = [sparse_matrix(rows, evidence.features[day], columns) for day, rows in people.items()]
    return vstack(parts).tocsr()


def _of(features: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    return features.join(people, on=c.USER_ID, how="semi").select(c.USER_ID, *KEY, "share")


def _labels(people: pl.DataFrame) -> Array:
    labels: Array = people[IS_POSITIVE].cast(pl.Float64).to_numpy()
    return labels


def _check(plan: Plan, evidence: Evidence, people: pl.DataFrame, p: Array) -> None:
    has_features = people[c.USER_ID].is_in(
        evidence.features[plan.day][c.USER_ID].unique().implode()
    )
    refuse_degenerate(plan.segment.name, p[has_features.to_numpy()])


def _judged(model: Calibrated, people: pl.DataFrame, features: pl.DataFrame) -> Judged:
    p, y = model.probability(people, features), _labels(people)
    return Judged(p, y, auc_of(p, y))


def _metrics(judged: Judged) -> dict[str, float]:
    auc = judged.auc
    known = {"auc": auc.value, "auc_low": auc.low, "auc_high": auc.high} if auc else {}
    return {**known, **calibration_metrics(judged.p, judged.y)}


def _card(today: Array, judged: Judged, options: Lookalikes) -> pl.DataFrame:
    if judged.auc is None or judged.auc.low <= CHANCE:
        reason = "on the later window the order is not surely better than chance"
        return refusing_card("no signal", reason, judged.auc)
    return threshold_card(today, judged, options)


def drivers(model: Model) -> pl.DataFrame:
    """Return `attribute, value, coefficient`, the strongest first."""
    named = model.columns.with_columns(pl.Series("coefficient", model.seed.coefficients))
    return named.sort(pl.col("coefficient").abs(), descending=True).drop("column")
