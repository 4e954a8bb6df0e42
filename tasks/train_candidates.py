"""Candidate generators: fit, judge on a time split, list the top k for active users.

Each generator is fitted twice: on what was known `holdout_days` ago, to be judged by what users
did since, and on all that is known, to make the lists that are written. A superseded day that
trains because later listings need its lists (one in seven) is not judged: nobody reads its metrics.
"""

from __future__ import annotations

import logging
from datetime import date, timedelta

import polars as pl

from tasks import columns as c
from tasks import tracking
from tasks.candidates import BASELINES, GENERATORS
from tasks.candidates.blend import interleaved
from tasks.candidates.evaluation import ALL, CUTS, TIME, Split, time_split
from tasks.candidates.fitting import YARDSTICK, Offer, fitted, heldout_lists, judged, offered
from tasks.candidates.generator import Known
from tasks.candidates.interactions import active, known_earlier, known_on
from tasks.candidates.logged import log_model
from tasks.candidates.picture import metrics_picture
from tasks.errors import QualityGateFailed
from tasks.lake.contracts import Table
from tasks.lake.lake import Lake
from tasks.lake.tables import (
    CANDIDATE_METRICS,
    CANDIDATES,
    HELDOUT_CANDIDATES,
    ITEM_EMBEDDINGS,
    USER_EMBEDDINGS,
)
from tasks.settings import Candidates, Settings
from tasks.steps import Step
from tasks.training import is_weekly, superseded_by

log = logging.getLogger(__name__)

PARTS = (CANDIDATES, HELDOUT_CANDIDATES, CANDIDATE_METRICS, ITEM_EMBEDDINGS, USER_EMBEDDINGS)
JUDGEMENTS = (CANDIDATE_METRICS, HELDOUT_CANDIDATES)
UNION = "union"


def list_generators(day: date, settings: Settings) -> list[str]:
    """Return the generators to train: all of them, or none on a day that does not train."""
    newer = superseded_by(Lake(settings), day)
    if newer is None or is_weekly(day):
        return list(GENERATORS)
    log.info("%s is not trained: superseded by %s", day, newer)
    return []


def train_generator(day: date, settings: Settings, key: str) -> dict[str, int]:
    """Fit, judge and list one generator; write its part of each table."""
    lake = Lake(settings)
    known = known_on(lake, day, settings.candidates)
    if gap := too_few(known, settings.candidates):
        log.warning("%s: %s; empty parts are written", key, gap)
        return write_nothing(lake, day, key, gap, PARTS)
    heldout = judge(lake, known, settings, key)
    generator = fitted(key, known, settings)
    requests = active(known, settings.candidates.active_days)
    rows = write_offer(lake, day, key, offered(generator, known, requests, settings))
    log_model(settings, generator, known, live=superseded_by(lake, day) is None)
    return {**rows, "heldout_users": heldout, "active_users": requests.height}


def publish_candidates(day: date, settings: Settings) -> int:
    """Refuse a day with too few sources; measure the union and the yardsticks."""
    lake = Lake(settings)
    written = [name for name in lake.parts(CANDIDATES, day) if name in GENERATORS]
    if not written:
        return supersede(lake, day)
    known = known_on(lake, day, settings.candidates)
    lists = pl.concat([lake.read_day(CANDIDATES, day, name) for name in written])
    if not too_few(known, settings.candidates):
        refuse_few(lists, settings.candidates)
        if superseded_by(lake, day) is None:
            measure_union(lake, known, settings, written)
            picture_metrics(lake, day)
    return lists.height


def too_few(known: Known, options: Candidates) -> str | None:
    """Return why nothing is fitted, if so."""
    there = known.interactions.height
    if there >= options.min_interactions:
        return None
    return f"{there} interactions through {known.through}, {options.min_interactions} are needed"


def split_of(lake: Lake, known: Known, options: Candidates) -> Split | str:
    """Return the time split at the start of the holdout, or why there is none."""
    cut = known.through - timedelta(days=options.holdout_days)
    days = (cut - lake.first_day()).days + 1
    if days < options.min_fit_days:
        return f"{max(0, days)} days before the holdout, {options.min_fit_days} are needed"
    then = known_earlier(lake, known, cut)
    if gap := too_few(then, options):
        return gap
    split = time_split(then, known.interactions, options)
    return split if split.requests.height else f"nobody did anything after {cut}"


def judge(lake: Lake, known: Known, settings: Settings, key: str) -> int:
    """Write the generator's metrics and held-out lists; return how many users were tested."""
    day = known.through
    if newer := superseded_by(lake, day):
        for table in JUDGEMENTS:
            lake.supersede(table, day, newer, key)
        return 0
    split = split_of(lake, known, settings.candidates)
    if isinstance(split, str):
        log.warning("%s: no metrics: %s", key, split)
        tracking.params({"no_metrics": split})
        write_nothing(lake, day, key, split, JUDGEMENTS)
        return 0
    lists = heldout_lists(fitted(key, split.known, settings), split)
    metrics = judged(lists, split, settings, fitted(YARDSTICK, split.known, settings))
    lake.write_day(HELDOUT_CANDIDATES, day, lists[TIME], key)
    write_metrics(lake, day, key, metrics)
    track(metrics)
    return split.requests.height


def write_metrics(lake: Lake, day: date, key: str, metrics: pl.DataFrame) -> None:
    """Write what was measured; nothing is left to give a reason for."""
    measured = metrics.with_columns(pl.lit(None, pl.String).alias(c.REASON))
    lake.write_day(CANDIDATE_METRICS, day, measured, key)


def write_nothing(
    lake: Lake, day: date, key: str, reason: str, tables: tuple[Table, ...]
) -> dict[str, int]:
    """Write empty parts, the metrics' one with the reason; return their row counts."""
    frames = {table: table.empty() for table in tables} | {CANDIDATE_METRICS: unmeasured(reason)}
    return {table.name: lake.write_day(table, day, rows, key) for table, rows in frames.items()}


def unmeasured(reason: str) -> pl.DataFrame:
    """Return CANDIDATE_METRICS rows of a generator that nobody could be asked for."""
    row = {"protocol": TIME, c.SLICE: ALL, c.METRIC: "users", c.VALUE: 0.0, c.REASON: reason}
    return pl.DataFrame([row], schema=CANDIDATE_METRICS.schema)


def track(metrics: pl.DataFrame) -> None:
    """Log the metrics over all users to the open run; MLflow takes no @ in a name."""
    whole = metrics.filter(pl.col(c.SLICE) == ALL).select("protocol", c.METRIC, c.VALUE)
    tracking.metrics(
        {f"{protocol}/{name.replace('@', '_at_')}": value for protocol, name, value in whole.rows()}
    )


def write_offer(lake: Lake, day: date, key: str, offer: Offer) -> dict[str, int]:
    """Write lists and embeddings; return their row counts."""
    frames = {CANDIDATES: offer.lists, ITEM_EMBEDDINGS: offer.items, USER_EMBEDDINGS: offer.users}
    return {table.name: lake.write_day(table, day, frame, key) for table, frame in frames.items()}


def supersede(lake: Lake, day: date) -> int:
    """Record of every part that the day does not train, and what does instead.

    Raises:
        QualityGateFailed: the day trains, but no generator wrote anything.
    """
    newer = superseded_by(lake, day)
    if newer is None or is_weekly(day):
        raise QualityGateFailed(f"no generator wrote candidates for {day}")
    for table in PARTS:
        for key in GENERATORS:
            lake.supersede(table, day, newer, key)
    return 0


def refuse_few(lists: pl.DataFrame, options: Candidates) -> None:
    """Stop the chain when fewer generators than the declared minimum offer anything.

    Raises:
        QualityGateFailed: naming those that do.
    """
    sources = lists[c.GENERATOR].unique().sort().to_list()
    if len(sources) < options.min_sources:
        raise QualityGateFailed(
            f"{len(sources)} generators have candidates ({', '.join(sources) or 'none'}),"
            f" {options.min_sources} are needed"
        )


def measure_union(lake: Lake, known: Known, settings: Settings, written: list[str]) -> None:
    """Write metrics of the generators' interleaved lists, and of the yardsticks beside them."""
    split = split_of(lake, known, settings.candidates)
    if isinstance(split, str):
        return
    day = known.through
    for name in BASELINES:
        lists = heldout_lists(fitted(name, split.known, settings), split)
        write_metrics(lake, day, name, judged(lists, split, settings, None))
    heldout = pl.concat([lake.read_day(HELDOUT_CANDIDATES, day, name) for name in written])
    union = {TIME: interleaved(heldout, tuple(GENERATORS), max(CUTS))}
    only = Split(split.known, split.requests, split.protocols[:1])
    metrics = judged(union, only, settings, fitted(YARDSTICK, split.known, settings))
    write_metrics(lake, day, UNION, metrics)
    track(metrics)


def picture_metrics(lake: Lake, day: date) -> None:
    """Log table and picture of everything measured for the day, if anything was."""
    metrics = lake.read_day(CANDIDATE_METRICS, day)
    measured = metrics.filter(pl.col(c.REASON).is_null())
    whole = measured.filter((pl.col(c.SLICE) == ALL) & (pl.col("protocol") == TIME))
    if whole.height and tracking.run_id():
        tracking.figure("candidates.png", metrics_picture(whole))


STEPS = (
    Step(list_generators),
    Step(train_generator, after=(list_generators,), mapped_over=list_generators),
    Step(publish_candidates, after=(train_generator,)),
)
