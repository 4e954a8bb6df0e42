"""From features, seed acts and purchases to probabilities and a card: one segment, one day.

The model learns on the training anchors, the calibrator on everybody eligible on a later one, and
the card on everybody eligible on the one after it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import date

import polars as pl

from tasks import columns as c
from tasks.lake.tables import AUDIENCE_PROFILES, LOOKALIKE_SCORES
from tasks.lookalikes.calibration import fit_calibrator
from tasks.lookalikes.card import OFFERED, Judged, refusing_card, threshold_card
from tasks.lookalikes.classifier import Array
from tasks.lookalikes.counters import Counters
from tasks.lookalikes.judgement import auc_of, calibration_metrics, refuse_degenerate, refuse_leak
from tasks.lookalikes.matrix import KEY
from tasks.lookalikes.model import Calibrated, drivers
from tasks.lookalikes.people import IS_POSITIVE, eligible_people, shown_by_holders
from tasks.lookalikes.profiles import audience_profiles
from tasks.lookalikes.streaming import Seen, log_odds_of, seen
from tasks.lookalikes.training import fitted, lessons
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
        features: the counters by anchor.
        known: `user_id` of everybody known, by anchor.
        seeds: `user_id, day` of seed acts.
        purchases: `user_id, day` of orders.
    """

    features: dict[date, Counters]
    known: dict[date, pl.DataFrame]
    seeds: pl.DataFrame
    purchases: pl.DataFrame


@dataclass(frozen=True)
class Scored:
    """What a segment's task writes and tracks."""

    scores: pl.DataFrame
    card: pl.DataFrame
    profiles: pl.DataFrame
    metrics: dict[str, float] = field(default_factory=dict)
    judged: Judged | None = None
    drivers: pl.DataFrame | None = None
    model: Calibrated | None = None

    @property
    def is_offered(self) -> bool:
        """Whether the card offers thresholds."""
        return bool(self.card["verdict"][0] == OFFERED)


@dataclass(frozen=True)
class Study:
    """A segment on a day: evidence, options, the lots' seed, and `eligible_people` by anchor."""

    plan: Plan
    evidence: Evidence
    options: Lookalikes
    seed: int
    people: dict[date, pl.DataFrame]


def score_people(plan: Plan, evidence: Evidence, options: Lookalikes, seed: int = 0) -> Scored:
    """Return probabilities of everybody eligible on the plan's day, and the segment's card.

    Raises:
        QualityGateFailed: the probabilities are degenerate or too good to be true.
    """
    people = {anchor: _people(plan, evidence, anchor) for anchor in plan.anchors}
    seeds = _seed_counts(plan, people)
    log.info("look-alike %s: seeds %s", plan.segment.name, seeds)
    if reason := _too_few(plan, seeds, options):
        log.info("look-alike %s: too few, %s", plan.segment.name, reason)
        card = refusing_card("too few", reason, None)
        return Scored(LOOKALIKE_SCORES.empty(), card, AUDIENCE_PROFILES.empty(), seeds)
    study = Study(plan, evidence, options, seed, people)
    model = _calibrated(study)
    scored = _scored(study, model, _judged(study, model))
    return replace(scored, metrics=seeds | scored.metrics)


def _scored(study: Study, model: Calibrated, judged: Judged) -> Scored:
    """Return what is known of the people of the plan's day."""
    plan, today = study.plan, study.people[study.plan.day]
    title = f"look-alike {plan.segment.name}: scored"
    found = seen(model, plan.segment.rule, today, study.evidence.features[plan.day], title)
    refuse_degenerate(plan.segment.name, found.p[found.has_features])
    card = _card(found, judged, study.options)
    profiles = audience_profiles(card, found, model.model.columns)
    scores = today.select(c.USER_ID).with_columns(pl.Series(c.PROBABILITY, found.p))
    metrics = _metrics(judged) | {"people": float(today.height)}
    return Scored(scores, card, profiles, metrics, judged, drivers(model.model), model)


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


def _calibrated(study: Study) -> Calibrated:
    """Return the model of the training anchors, calibrated on the later one."""
    plan, features = study.plan, study.evidence.features
    trained = {anchor: study.people[anchor] for anchor in plan.training}
    rule = plan.segment.rule
    model = fitted(lessons(rule, trained, features, study.options, study.seed))
    later = study.people[plan.calibration]
    title = f"look-alike {plan.segment.name}: calibrated on"
    odds = log_odds_of(model, later, features[plan.calibration], title)
    return Calibrated(model, fit_calibrator(odds, _labels(later)))


def _judged(study: Study, model: Calibrated) -> Judged:
    """Return the probabilities of the card's anchor beside what then happened."""
    plan, segment = study.plan, study.plan.segment
    people, counters = study.people[plan.card], study.evidence.features[plan.card]
    found = seen(model, segment.rule, people, counters, f"look-alike {segment.name}: judged on")
    y, by_rule = _labels(people), found.by_rule if segment.rule else None
    auc = auc_of(found.p, y)
    refuse_leak(segment.name, auc, " ".join(drivers(model.model).select(KEY).row(0)))
    shown = shown_by_holders(study.evidence.seeds, plan.card, segment)
    return Judged(found.p, y, auc, by_rule, shown)


def _labels(people: pl.DataFrame) -> Array:
    labels: Array = people[IS_POSITIVE].cast(pl.Float64).to_numpy()
    return labels


def _metrics(judged: Judged) -> dict[str, float]:
    auc = judged.auc
    known = {"auc": auc.value, "auc_low": auc.low, "auc_high": auc.high} if auc else {}
    return {**known, **calibration_metrics(judged.p, judged.y)}


def _card(today: Seen, judged: Judged, options: Lookalikes) -> pl.DataFrame:
    if judged.auc is None or judged.auc.low <= CHANCE:
        reason = "on the later window the order is not surely better than chance"
        return refusing_card("no signal", reason, judged.auc)
    return threshold_card(today.p, judged, options, int(today.by_rule.sum()))
