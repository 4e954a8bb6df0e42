"""Look-alike audiences: one mapped task per segment file of `sql/lookalike_seeds/`.

Probability = P(seed thing in (D, D + horizon] | features up to D - gap) for everybody eligible on
D. Anchors of the past train, calibrate and judge it; see `tasks/lookalikes/windows.py`.
"""

from __future__ import annotations

import logging
from datetime import date, timedelta
from functools import partial
from itertools import product

import polars as pl

from tasks import columns as c
from tasks import tracking
from tasks.errors import PartsMissing
from tasks.features.calendar import calendar
from tasks.features.counters import SNAPSHOT_DAYS
from tasks.lake.contracts import Table
from tasks.lake.lake import WHOLE, Lake, Window
from tasks.lake.tables import (
    AUDIENCE_OVERLAPS,
    AUDIENCE_PROFILES,
    CUSTOMERS,
    EVENTS,
    ITEM_ATTRIBUTES,
    ITEMS,
    LOOKALIKE_FEATURES,
    LOOKALIKE_SCORES,
    TABLES,
    THRESHOLD_CARDS,
)
from tasks.lookalikes.card import OFFERED
from tasks.lookalikes.counters import Counters
from tasks.lookalikes.distributed import SparkCounters
from tasks.lookalikes.logged import log_model
from tasks.lookalikes.picture import reliability_figure
from tasks.lookalikes.profiles import audience_overlaps, members
from tasks.lookalikes.registry import Segment, seed_acts, segment_names, segment_of, segments
from tasks.lookalikes.scoring import Evidence, Scored, score_people
from tasks.lookalikes.windows import Plan, plan_of
from tasks.report.card import card_page
from tasks.report.mailings import mailing_sections, recent_mailings
from tasks.report.page import html, write_html
from tasks.seeds import seed_of
from tasks.settings import Settings
from tasks.status import changed_inputs
from tasks.steps import Step
from tasks.training import superseded_by

log = logging.getLogger(__name__)


def list_segments(day: date, settings: Settings) -> list[str]:
    """Write the features that an anchor lacks and return the segments; none without training."""
    lake = Lake(settings)
    if by := superseded_by(lake, day):
        lake.supersede(LOOKALIKE_FEATURES, day, by)
        log.info("%s is not scored: superseded by %s; force it to score it all the same", day, by)
        return []
    for feature_day in feature_days(lake, day, list(segments().values())):
        if feature_day == day or not is_fresh(lake, feature_day):
            write_features(feature_day, settings)
    return segment_names()


def score_segment(day: date, settings: Settings, key: str) -> dict[str, int]:
    """Write one segment's probabilities and threshold card and return their row counts.

    Raises:
        ContractViolation: there is no such segment, or its SELECT is not `user_id, day`.
        QualityGateFailed: the probabilities are degenerate; nothing is written.
    """
    lake = Lake(settings)
    plan = anchors_of(lake, day, segment_of(key))
    seed = seed_of(settings, LOOKALIKE_SCORES.name, key)
    scored = score_people(plan, evidence_of(lake, plan), settings.lookalikes, seed)
    track(scored)
    people = lake.write_day(LOOKALIKE_SCORES, day, scored.scores, key)
    lake.write_day(AUDIENCE_PROFILES, day, scored.profiles, key)
    thresholds = lake.write_day(THRESHOLD_CARDS, day, scored.card, key)
    if scored.model is not None and scored.is_offered:
        log_model(settings, key, scored.model, day, live=superseded_by(lake, day) is None)
    return {"people": people, "thresholds": thresholds}


def publish_lookalikes(day: date, settings: Settings) -> dict[str, int]:
    """Write whom audiences share and a page per card, and return how many are offered.

    Raises:
        PartsMissing: naming the segments that have no card; the others' pages are written.
    """
    lake = Lake(settings)
    names = segment_names()
    if by := superseded_by(lake, day):
        for table, name in product((LOOKALIKE_SCORES, AUDIENCE_PROFILES, THRESHOLD_CARDS), names):
            lake.supersede(table, day, by, name)
        lake.supersede(AUDIENCE_OVERLAPS, day, by)
        return {"segments": 0}
    there = [name for name in names if is_true(lake, THRESHOLD_CARDS, day, name)]
    offered = show_cards(lake, day, there) if there else 0
    if absent := [name for name in names if name not in there]:
        said = ", ".join(absent)
        raise PartsMissing(f"{day}: no card of {said}; mend and clear their score_segment")
    return {"segments": len(names), "offered": offered, "refused": len(names) - offered}


def show_cards(lake: Lake, day: date, names: list[str]) -> int:
    """Write the overlaps and the page of each of these segments; return how many are offered."""
    cards = lake.read_day(THRESHOLD_CARDS, day).filter(pl.col(c.LOOKALIKE_SEGMENT).is_in(names))
    overlaps = audience_overlaps(audiences(lake, day, cards))
    lake.write_day(AUDIENCE_OVERLAPS, day, overlaps)
    known = (cards, lake.read_day(AUDIENCE_PROFILES, day), *recent_mailings(lake, day))
    for name in names:
        mine = pl.col(c.LOOKALIKE_SEGMENT) == name
        card, profile, decisions, effects = (rows.filter(mine) for rows in known)
        mailings = mailing_sections(decisions, effects)
        page = card_page(day, segment_of(name), card, profile, overlaps, mailings)
        write_html(page, lake.settings, stem=f"audience-{name}-")
        tracking.text(f"{name}.html", html(page))
    return cards.filter(pl.col("verdict") == OFFERED)[c.LOOKALIKE_SEGMENT].n_unique()


def audiences(lake: Lake, day: date, cards: pl.DataFrame) -> dict[tuple[str, str], pl.Series]:
    """Return the `user_id` of each suggested audience, read a segment at a time."""
    return {
        (name, suggestion): users
        for (name,), card in cards.group_by(c.LOOKALIKE_SEGMENT, maintain_order=True)
        for suggestion, users in members(card, lake.read_day(LOOKALIKE_SCORES, day, name)).items()
    }


def feature_days(lake: Lake, day: date, known: list[Segment]) -> list[date]:
    """Return the partitions of features that the segments' anchors need, in order."""
    plans = [anchors_of(lake, day, segment) for segment in known]
    wanted = {plan.feature_day(anchor) for plan in plans for anchor in plan.anchors}
    first = lake.first_day()
    return sorted({day} | {needed for needed in wanted if needed > first})


def is_fresh(lake: Lake, day: date) -> bool:
    """Return whether the features of `day` are there, as they would be if written now."""
    record = lake.ledger.written(LOOKALIKE_FEATURES).get((day, WHOLE))
    return (
        record is not None
        and record.settings_hash == lake.settings_hash
        and record.code_version == lake.settings.code_version
        and is_true(lake, LOOKALIKE_FEATURES, day, WHOLE)
    )


def is_true(lake: Lake, table: Table, day: date, part: str) -> bool:
    """Return whether the table's part of `day` is there and nothing that it read has changed."""
    record = lake.ledger.written(table).get((day, part))
    if record is None:
        return False
    current = {name: lake.ledger.current(TABLES[name]) for name in record.inputs}
    return not changed_inputs(lake, current, record)


def write_features(day: date, settings: Settings) -> int:
    """Write the features of `day`, which end the day before, and return the row count."""
    lake = Lake(settings)
    days = settings.lookalikes.window_days
    snapshot = Window(SNAPSHOT_DAYS, ends=-1)
    rows = lake.stream(
        LOOKALIKE_FEATURES.name,
        LOOKALIKE_FEATURES.key,
        day,
        {EVENTS: Window(days, ends=-1), ITEMS: snapshot, ITEM_ATTRIBUTES: snapshot},
        frames={"calendar": calendar(day - timedelta(days=1), days)},
    )
    return lake.write_day_in_pieces(LOOKALIKE_FEATURES, day, rows)


def anchors_of(lake: Lake, day: date, segment: Segment) -> Plan:
    """Return the segment's anchors that history reaches."""
    options = lake.settings.lookalikes
    return plan_of(segment, day, lake.first_day(), options.history_days, options.training_anchors)


def evidence_of(lake: Lake, plan: Plan) -> Evidence:
    """Read what the segment is learnt from."""
    days = (plan.day - plan.first_seed_day).days + 1
    # What has left the catalogue since was a seed thing all the same.
    inputs = {EVENTS: days, ITEMS: days, ITEM_ATTRIBUTES: days, CUSTOMERS: SNAPSHOT_DAYS}
    seeds = lake.select(plan.segment.sql, plan.day, inputs)
    features = {anchor: counters_of(lake, plan.feature_day(anchor)) for anchor in plan.anchors}
    return Evidence(
        features=features,
        known={anchor: known_people(lake, anchor, rows) for anchor, rows in features.items()},
        seeds=seed_acts(plan.segment, seeds),
        purchases=lake.select("lookalike_purchases", plan.day, {EVENTS: days}),
    )


def counters_of(lake: Lake, day: date) -> Counters:
    """Return the features of one partition; none before history."""
    frames = partial(lake.frames, LOOKALIKE_FEATURES, day)
    if lake.settings.engine == "duckdb":
        return Counters(frames)
    return SparkCounters(frames, lake, day)


def known_people(lake: Lake, day: date, features: Counters) -> pl.DataFrame:
    """Return `user_id` of the newest customer snapshot and of everybody with features."""
    snapshots = lake.read_window(CUSTOMERS, day, SNAPSHOT_DAYS)
    newest = snapshots.filter(pl.col(c.DT) == pl.col(c.DT).max())
    return pl.concat([newest.select(c.USER_ID), features.people]).unique()


def track(scored: Scored) -> None:
    """Log metrics, the card and pictures of one segment."""
    tracking.metrics(scored.metrics)
    tracking.text("card.csv", scored.card.write_csv())
    if scored.judged is not None:
        tracking.figure("reliability.png", reliability_figure(scored.judged))
    if scored.is_offered:
        tracking.text("profiles.csv", scored.profiles.write_csv())
    if scored.drivers is not None:
        tracking.text("drivers.csv", scored.drivers.head(100).write_csv())


STEPS = (
    Step(list_segments),
    Step(score_segment, after=(list_segments,), mapped_over=list_segments),
    Step(publish_lookalikes, after=(score_segment,)),
)
