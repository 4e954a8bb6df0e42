"""Ranker: groups of a day, a model that the gate judges, the alias that follows its verdict."""

from __future__ import annotations

import logging
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from tasks import columns as c
from tasks.lake.contracts import Table
from tasks.lake.lake import Lake, Window
from tasks.lake.tables import (
    GATE_DECISIONS,
    RANKER_METRICS,
    RANKING_DAYS,
    RANKING_GROUPS,
)
from tasks.settings import Settings
from tasks.steps import NOTE, Step
from tasks.training import superseded_by

log = logging.getLogger(__name__)


def build_groups(day: date, settings: Settings) -> dict[str, int]:
    """Write the day's whole training set: groups with labels and what was known before each.

    Raises:
        InputNotReady: events, or the newest listing day's features, are absent.
    """
    from tasks.ranker.building import build
    from tasks.ranker.groups import summary

    lake = Lake(settings)
    if superseded(lake, day, RANKING_GROUPS, RANKING_DAYS):
        return {}
    settings.home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=settings.home, prefix="groups-") as folder:
        built = build(lake, day, Path(folder))
        lake.write_day(RANKING_DAYS, day, built.days)
        lake.write_day_in_pieces(RANKING_GROUPS, day, built.frames())
    return summary(built.days, built.kept)


def train_ranker(day: date, settings: Settings) -> dict[str, int | str]:
    """Train, judge on held-out days, record the gate's decision; a refusal is no failure.

    Raises:
        InputNotReady: the groups of `day` are absent.
    """
    from tasks.ranker import evaluation, history, told, verdict

    lake = Lake(settings)
    if superseded(lake, day, RANKER_METRICS):
        return {}
    groups = lake.scan_day(RANKING_GROUPS, day)
    past = verdict.Past(history.decisions_before(lake, day), history.moves_until(lake, day))
    found = verdict.judged(groups, day, past, settings)
    metrics = found.trial.metrics if found else pl.DataFrame(schema=evaluation.METRICS)
    lake.write_day(RANKER_METRICS, day, metrics)
    decision = verdict.decision_row(found)
    lake.append_day(GATE_DECISIONS, day, decision)
    verdict.track(found, decision)
    counts = {"metrics": metrics.height, "customers": int(decision["customers"][0])}
    return counts | {NOTE: told.note(decision)}


def promote(day: date, settings: Settings) -> dict[str, int | str]:
    """Make the day's model live if the gate passed it; return the move, if there was one.

    Its note does not repeat why: `train_ranker` has told it on the same run.

    What was once decided about a day that is superseded now is history: it neither goes live nor
    fails again. Nor does what was rolled back from go live again.

    Raises:
        QualityGateFailed: the gate refused the model, or found it too good.
    """
    from tasks.ranker import history, promotion
    from tasks.ranker.registry import registry_of

    lake = Lake(settings)
    past = lake.read_window(GATE_DECISIONS, day, Window(1, optional=True))
    decision = None if superseded_by(lake, day) else promotion.newest_decision(past)
    number = promotion.promotable(decision)
    if decision is None or number is None:
        log.info(
            "%s: nothing to promote: %s", day, decision[c.REASON] if decision else "superseded"
        )
        return {"moves": 0}
    registry = registry_of(settings)
    found = promotion.registered(registry, number)
    moves = history.all_moves(lake)
    live = registry.serving()
    if live is not None and live.number == found.number:
        return {"moves": 0, NOTE: f"live already: version {number}"}
    if why := promotion.obstacle(decision, moves, live, found):
        log.info("%s: %s", day, why)
        return {"moves": 0, NOTE: f"not live: {why}"}
    asked = promotion.Move(live, found, "promote", str(decision[c.REASON]))
    moved = promotion.move(lake, day, registry, asked)
    return {"moves": 1, NOTE: f"live: {moved}"}


def superseded(lake: Lake, day: date, *tables: Table) -> bool:
    """Return whether a newer day trains instead, and say so in the ledger."""
    newer = superseded_by(lake, day)
    if newer is None:
        return False
    for table in tables:
        lake.supersede(table, day, by=newer)
    log.info("%s is not trained: superseded by %s", day, newer)
    return True


STEPS = (
    Step(build_groups),
    Step(train_ranker, after=(build_groups,)),
    Step(promote, after=(train_ranker,)),
)
