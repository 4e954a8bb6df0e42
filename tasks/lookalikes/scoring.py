"""From features, seed acts and purchases to probabilities and a card: one segment, one day."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.lake.tables import LOOKALIKE_SCORES
from tasks.lookalikes.calibration import Calibrator, fit_calibrator
from tasks.lookalikes.card import Judged, refusing_card, threshold_card
from tasks.lookalikes.classifier import Array, Classifier, chosen_ridge, fit_classifier
from tasks.lookalikes.judgement import auc_of, calibration_metrics, refuse_degenerate
from tasks.lookalikes.matrix import KEY, sparse_matrix, vocabulary
from tasks.lookalikes.people import IS_POSITIVE, eligible_people, training_people
from tasks.lookalikes.windows import Plan
from tasks.settings import Lookalikes

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


@dataclass(frozen=True)
class Model:
    """A classifier with its columns and its calibrator."""

    columns: pl.DataFrame
    classifier: Classifier
    calibrator: Calibrator

    def probability(self, people: pl.DataFrame, features: pl.DataFrame) -> Array:
        """Return the probability of each of the people, in their order."""
        x = sparse_matrix(people, features, self.columns)
        return self.calibrator.probability(self.classifier.log_odds(x))


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
        return Scored(LOOKALIKE_SCORES.empty(), refusing_card("too few", reason, None), seeds)
    model = _fitted(plan, evidence, people, options)
    today = people[plan.day]
    p = model.probability(today, evidence.features[plan.day])
    _check(plan, evidence, today, p)
    judged = _judged(model, people[plan.card], evidence.features[plan.card])
    metrics = {**seeds, **_metrics(judged), "people": float(len(p))}
    scores = today.select(c.USER_ID).with_columns(pl.Series(c.PROBABILITY, p))
    return Scored(scores, _card(p, judged, options), metrics, judged, drivers(model))


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
        return "history is too short for an anchor to train on"
    if seeds["seeds_training"] < options.min_seeds:
        return f"{seeds['seeds_training']:.0f} people to learn from, {options.min_seeds} are needed"
    later = -(-options.min_seeds // LATER_SHARE)
    fewest = min(seeds["seeds_calibration"], seeds["seeds_card"])
    if fewest < later:
        return f"{fewest:.0f} people did it in a later window, {later} are needed to judge"
    return None


def _fitted(
    plan: Plan, evidence: Evidence, people: dict[date, pl.DataFrame], options: Lookalikes
) -> Model:
    """Return the model of the training anchors, calibrated on the later one."""
    from scipy.sparse import vstack

    rows = {anchor: training_people(people[anchor]) for anchor in plan.training}
    seen = pl.concat([_of(evidence.features[anchor], rows[anchor]) for anchor in plan.training])
    columns = vocabulary(seen, options.min_support, options.max_columns)
    x = vstack([sparse_matrix(rows[a], evidence.features[a], columns) for a in plan.training])
    y = np.concatenate([_labels(rows[anchor]) for anchor in plan.training])
    log.info("look-alike %s: %d rows x %d columns", plan.segment.name, *x.shape)
    person = pl.concat([rows[anchor][c.USER_ID] for anchor in plan.training]).rank("dense")
    ridge = chosen_ridge(x.tocsr(), y, person.cast(pl.Int64).to_numpy())
    classifier = fit_classifier(x.tocsr(), y, ridge)
    later = people[plan.calibration]
    odds = classifier.log_odds(sparse_matrix(later, evidence.features[plan.calibration], columns))
    return Model(columns, classifier, fit_calibrator(odds, _labels(later)))


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


def _judged(model: Model, people: pl.DataFrame, features: pl.DataFrame) -> Judged:
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
    named = model.columns.with_columns(pl.Series("coefficient", model.classifier.coefficients))
    return named.sort(pl.col("coefficient").abs(), descending=True).drop("column")
