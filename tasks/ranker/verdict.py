"""From groups to a recorded verdict: hold out one day, more when undecided, refit, register.

The rivals of a trial have not seen its held-out days; where no model is that old, `sf_pos` and
popularity decide. Days are held out together only as far back as every rival of the first trial
still qualifies: more days must not drop the live model from the comparison. So after a night that
decided nothing the live model is a day older, and the next one may pool a day more.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c
from tasks import tracking
from tasks.lake.tables import GATE_DECISIONS
from tasks.ranker import drift, history
from tasks.ranker import evaluation as ev
from tasks.ranker import model as ranker
from tasks.ranker.gate import Decision, Evidence
from tasks.ranker.groups import held_out_days
from tasks.ranker.registry import registry_of
from tasks.ranker.trial import Rival, Trial, confirmed, fitted, trained_rows, tried
from tasks.settings import Settings

if TYPE_CHECKING:
    from catboost import CatBoost

log = logging.getLogger(__name__)

EXAMPLE_ROWS = 5
PUBLISHABLE = ("pass", "too good")


@dataclass(frozen=True)
class Past:
    """What earlier days decided, and what was live when, as known on the day."""

    decisions: pl.DataFrame
    moves: pl.DataFrame


@dataclass(frozen=True)
class Verdict:
    """The gate's last word: the trial, the decision after the refit, and the version, if any."""

    trial: Trial
    decision: Decision
    trained_through: date
    incumbent: str | None
    number: str | None = None
    refit_correlation: float | None = None


def judged(groups: pl.LazyFrame, day: date, past: Past, settings: Settings) -> Verdict | None:
    """Return the verdict on a model of these groups; None when there is no list to hold out.

    Training rows stay where they lie, whole lists come to memory.
    """
    days = held_out_days(groups, settings.ranker)
    if not days:
        return None
    rivals = rivals_of(day, days[0], past, settings)
    gains = history.past_gains(past.decisions, settings.ranker.past_gains)
    trial = tried(groups, days[:1], rivals, gains, settings)
    together = unseen(days, rivals)
    if _may_pool(trial, together):
        log.info("undecided on %s: holding out %d days together", days[0], len(together))
        trial = tried(groups, together, rivals, gains, settings)
    incumbent = next((one.version.number for one in rivals if one.order == ev.INCUMBENT), None)
    return _published(trial, incumbent, groups, day, settings)


def unseen(days: list[date], rivals: Sequence[Rival]) -> list[date]:
    """Return those of the days, newest first, that no rival has learnt from."""
    return [day for day in days if all(one.version.trained_through < day for one in rivals)]


def _may_pool(trial: Trial, days: list[date]) -> bool:
    return trial.decision.verdict == "undecided" and trial.fitted is not None and len(days) > 1


def rivals_of(day: date, first_held_out: date, past: Past, settings: Settings) -> list[Rival]:
    """Return the incumbent and the model live 14 days ago, those that the registry still has."""
    numbers = {
        ev.INCUMBENT: history.incumbent(past.decisions, past.moves, first_held_out),
        ev.LIVE_BEFORE: history.live_before(past.moves, day, first_held_out),
    }
    found = [
        _rival(order, number, first_held_out, settings)
        for order, number in numbers.items()
        if number is not None
    ]
    return [rival for rival in found if rival is not None]


def _rival(order: str, number: str, first_held_out: date, settings: Settings) -> Rival | None:
    """Return a registered model to compare with, if it is there and has not seen the lists."""
    registry = registry_of(settings)
    version = registry.version(number)
    # The lake may outlive a registry, whose successor counts its versions from 1 again.
    if version is None or version.trained_through >= first_held_out:
        log.warning("version %s of %s is not in this registry", number, order)
        return None
    return Rival(order, version, registry.load(number))


def _published(
    trial: Trial, incumbent: str | None, groups: pl.LazyFrame, day: date, settings: Settings
) -> Verdict:
    """Refit on everything and register, where the gate allows it."""
    through = trained_rows(groups).select(pl.col(c.LISTING_DAY).max()).collect().item()
    seen = through if isinstance(through, date) else trial.first_day
    if trial.decision.verdict not in PUBLISHABLE:
        return Verdict(trial, trial.decision, seen, incumbent)
    refit = fitted(trained_rows(groups), settings)
    decision, correlation = confirmed(trial, refit, settings)
    number = None
    if decision.verdict in PUBLISHABLE:
        number = _registered(refit, trial.lists, day, seen, settings)
    return Verdict(trial, decision, seen, incumbent, number, correlation)


def _registered(
    model: CatBoost, lists: pl.DataFrame, day: date, through: date, settings: Settings
) -> str:
    example = ranker.features(lists.head(EXAMPLE_ROWS)).to_pandas()
    return registry_of(settings).save(model, day, through, example)


def decision_row(verdict: Verdict | None) -> pl.DataFrame:
    """Return the GATE_DECISIONS row of a verdict; None stands for a day without lists."""
    row = _unjudged() if verdict is None else _row(verdict)
    return pl.DataFrame([row | {"decided_at": history.now()}], schema=GATE_DECISIONS.schema)


def _row(verdict: Verdict) -> dict[str, object]:
    trial, evidence = verdict.trial, verdict.trial.evidence
    base = _base_gain(evidence)
    return {
        "model_version": verdict.number or history.UNREGISTERED,
        "decision": verdict.decision.verdict,
        c.REASON: verdict.decision.reason,
        "is_registered": verdict.number is not None,
        "incumbent": verdict.incumbent,
        "trained_through": verdict.trained_through,
        "held_out_from": trial.first_day,
        "held_out_days": len(trial.days),
        "customers": evidence.customers,
        **base,
        "top_feature": evidence.top_feature or None,
        "top_share": evidence.top_share,
        "diversity_ratio": evidence.diversity_ratio,
        "price_ratio": evidence.price_ratio,
        "refit_correlation": verdict.refit_correlation,
        "accept_reason": verdict.decision.accept_reason or None,
        "comparisons": history.comparisons_text(evidence.comparisons),
    }


def _base_gain(evidence: Evidence) -> dict[str, float | None]:
    gains = {one.against: one.gain for one in evidence.comparisons}
    base = ev.base_orders(list(gains))
    if not base:
        return {"gain": None, "gain_low": None, "gain_high": None}
    gain = gains[base[0]]
    return {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}


def _unjudged() -> dict[str, object]:
    return {
        "model_version": history.UNREGISTERED,
        "decision": "undecided",
        c.REASON: "no listing of the last days can be held out. The live model stays.",
        "is_registered": False,
        "held_out_days": 0,
        "customers": 0,
        "comparisons": "[]",
    }


def track(verdict: Verdict | None, row: pl.DataFrame) -> None:
    """Show the verdict on the task's run: figures, the SHAP picture, the decision in words."""
    tracking.text("decision.md", f"# {row['decision'][0]}\n\n{row[c.REASON][0]}\n")
    if verdict is None or verdict.trial.fitted is None:
        return
    for model, part, metric, value in verdict.trial.metrics.select(
        "model", c.SLICE, c.METRIC, c.VALUE
    ).iter_rows():
        tracking.metric(_metric_name(model, part, metric), value)
    found = verdict.trial.fitted
    tracking.figure("shap.png", ev.shap_figure(found.shares, found.values))
    tracking.figure("drift.png", drift.drift_figure(drift.by_feature(verdict.trial.metrics)))


def _metric_name(*words: str) -> str:
    return "/".join(words).replace("@", "_at_").replace("=", " ")
