"""From groups to a recorded verdict: hold out one day, more when undecided, refit, register.

The rivals of a trial have not seen its held-out days; where no model is that old, `sf_pos` and
popularity decide. Days held out together are compared with an accepted model older than the first
of them; where there is none, fewer days are. The live model has seen all of them but the newest, so
its comparison on that day stays evidence: more days must not drop the live model.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c
from tasks import tracking
from tasks.lake.tables import GATE_DECISIONS
from tasks.ranker import drift, history, told
from tasks.ranker import evaluation as ev
from tasks.ranker import model as ranker
from tasks.ranker.gate import Comparison, Decision, Evidence
from tasks.ranker.groups import held_out_days
from tasks.ranker.registry import registry_of
from tasks.ranker.trial import Known, Rival, Trial, confirmed, fitted, last_day, trained_rows, tried
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
    """The gate's last word: the trial, the decision after the refit, and the version, if any.

    `trained_through` is that of the refit, where nothing was refitted that of the judged model.
    """

    trial: Trial
    decision: Decision
    trained_through: date | None
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
    options = settings.ranker
    gains = history.past_gains(past.decisions, options.past_gains, options.min_customers)
    trial = tried(groups, days[:1], rivals.found, Known(gains, rivals.lost), settings)
    if trial.decision.verdict == "undecided" and trial.fitted is not None:
        together, older = pooled(day, days, past, (trial, rivals), settings)
        if len(together) > 1:
            log.info("undecided on %s: holding out %d days together", days[0], len(together))
            lost = tuple(dict.fromkeys((*rivals.lost, *older.lost)))
            known = Known(gains, lost, newest_alone(trial, rivals, older))
            trial, rivals = tried(groups, together, older.found, known, settings), older
    return _published(trial, rivals.incumbent, groups, day, settings)


@dataclass(frozen=True)
class Rivals:
    """The models to compare with, and the names of those that the registry does not have."""

    found: tuple[Rival, ...]
    lost: tuple[str, ...]

    @property
    def incumbent(self) -> str | None:
        """The incumbent's version."""
        return next((one.version.number for one in self.found if one.order == ev.INCUMBENT), None)

    @property
    def orders(self) -> set[str]:
        """The names of the orders that the models give."""
        return {one.order for one in self.found}


def pooled(
    day: date, days: list[date], past: Past, newest: tuple[Trial, Rivals], settings: Settings
) -> tuple[list[date], Rivals]:
    """Return as many of the days, newest first, as may be held out together, and their rivals.

    Whatever the newest day alone was compared with has a model there that has not seen them, and
    the live model was compared on the newest day, or is among them.
    """
    trial, rivals = newest
    compared = {one.against for one in trial.evidence.comparisons}
    for count in range(len(days), 1, -1):
        older = rivals_of(day, days[count - 1], past, settings)
        is_kept = older.incumbent == rivals.incumbent or ev.INCUMBENT in compared
        if rivals.orders <= older.orders and is_kept:
            return days[:count], older
    return days[:1], rivals


def newest_alone(trial: Trial, rivals: Rivals, older: Rivals) -> tuple[Comparison, ...]:
    """Return the newest day's comparison with the incumbent that further days do not have.

    It is of the model that was judged on that day alone, which has seen the other days.
    """
    if older.incumbent == rivals.incumbent:
        return ()
    return tuple(
        replace(one, against=ev.NEWEST_ALONE, by_value=True)
        for one in trial.evidence.comparisons
        if one.against == ev.INCUMBENT
    )


def rivals_of(day: date, first_held_out: date, past: Past, settings: Settings) -> Rivals:
    """Return the incumbent and the model live 14 days ago, the newest that the registry has."""
    before = {
        ev.INCUMBENT: history.accepted_before(past.decisions, past.moves, first_held_out),
        ev.LIVE_BEFORE: history.live_before(past.moves, day, first_held_out),
    }
    found, lost = list[Rival](), list[str]()
    for order, versions in before.items():
        rival, absent = _newest(order, versions, settings)
        found += [rival] if rival else []
        lost += absent
    return Rivals(tuple(found), tuple(lost))


def _newest(
    order: str, versions: Sequence[history.Named], settings: Settings
) -> tuple[Rival | None, list[str]]:
    """Return the first of the versions that the registry has, and the names of those before it."""
    registry, lost = registry_of(settings), list[str]()
    for number, through in versions:
        version = registry.version(number)
        # The lake may outlive a registry, whose successor counts its versions from 1 again.
        if version is not None and version.trained_through == through:
            return Rival(order, version, registry.load(number)), lost
        lost.append(f"{order} {number}")
    return None, lost


def _published(
    trial: Trial, incumbent: str | None, groups: pl.LazyFrame, day: date, settings: Settings
) -> Verdict:
    """Refit on everything and register, where the gate allows it."""
    rows = trained_rows(groups)
    through = last_day(rows)
    if trial.decision.verdict not in PUBLISHABLE or through is None:
        return Verdict(trial, trial.decision, trial.trained_through, incumbent)
    refit = fitted(rows, settings)
    decision, correlation = confirmed(trial, refit, settings)
    number = None
    if decision.verdict in PUBLISHABLE:
        number = _registered(refit, trial.lists, day, through, settings)
    return Verdict(trial, decision, through, incumbent, number, correlation)


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
        "lists": evidence.lists,
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
        "lists": 0,
        "comparisons": "[]",
    }


def track(verdict: Verdict | None, row: pl.DataFrame) -> None:
    """Show the verdict on the task's run: figures, the SHAP picture, the decision in words."""
    tracking.text("decision.md", told.page(row))
    tracking.metrics(told.numbers(row))
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
