"""Candidate generators: fit, judge on a time split, list the top k for active users.

Each generator is fitted twice: on what was known `holdout_days` ago, to be judged by what users
did since, and on all that is known, to make the lists that are written. One that falls below its
floor writes nothing and fails; readers take its newest lists, and the others' go on. A superseded
day that trains because later listings need its lists (one in seven) is not judged: nobody reads its
metrics.
"""

from __future__ import annotations

import logging
from datetime import date, timedelta
from typing import NamedTuple

import polars as pl

from tasks import columns as c
from tasks import tracking
from tasks.candidates import BASELINES, GENERATORS, generator_class
from tasks.candidates.blend import interleaved
from tasks.candidates.evaluation import ALL, CUTS, TIME, Split, time_split
from tasks.candidates.fitting import (
    YARDSTICK,
    Lists,
    Offer,
    fitted,
    heldout_lists,
    judged,
    judged_as_published,
    offered,
)
from tasks.candidates.generator import Generator, Known
from tasks.candidates.interactions import active, known_earlier, known_on
from tasks.candidates.logged import log_model
from tasks.candidates.nearest import measured
from tasks.candidates.picture import blend_picture, metrics_picture
from tasks.candidates.quotas import blend
from tasks.candidates.registered import model_name
from tasks.candidates.serving import Shelf, ranks_of
from tasks.candidates.sources import degraded
from tasks.errors import ContractViolation, QualityGateFailed
from tasks.lake.contracts import Table
from tasks.lake.lake import Lake
from tasks.lake.tables import (
    CANDIDATE_BLEND,
    CANDIDATE_METRICS,
    CANDIDATES,
    HELDOUT_CANDIDATES,
    HELDOUT_RANKS,
    ITEM_EMBEDDINGS,
    ITEM_INDEX,
    USER_EMBEDDINGS,
)
from tasks.seeds import seed_of
from tasks.settings import Candidates, Settings
from tasks.steps import Step
from tasks.training import is_weekly, superseded_by

log = logging.getLogger(__name__)

JUDGEMENTS = (CANDIDATE_METRICS, HELDOUT_CANDIDATES, HELDOUT_RANKS)
PARTS = (CANDIDATES, *JUDGEMENTS, ITEM_EMBEDDINGS, ITEM_INDEX, USER_EMBEDDINGS)
FLOOR_METRIC = "ndcg@10"
UNION = "union"


def list_generators(day: date, settings: Settings) -> list[str]:
    """Return the generators to train: those of the settings, or none on a day that does not train.

    Raises:
        ContractViolation: the settings name one that the registry does not have.
    """
    chosen = settings.candidates.generators
    if unknown := [name for name in chosen if name not in GENERATORS]:
        raise ContractViolation(
            f"no generator {', '.join(unknown)}; there are {', '.join(GENERATORS)}"
        )
    newer = superseded_by(Lake(settings), day)
    if newer is None or is_weekly(day):
        return list(chosen)
    log.info("%s is not trained: superseded by %s", day, newer)
    return []


def train_generator(day: date, settings: Settings, key: str) -> dict[str, int]:
    """Fit, judge and list one generator; write its part of each table."""
    lake, reads_shown = Lake(settings), generator_class(key).reads_shown
    known = known_on(lake, day, settings.candidates, with_shown=reads_shown)
    if gap := too_few(known, settings.candidates):
        log.warning("%s: %s; empty parts are written", key, gap)
        return write_nothing(lake, day, key, gap, PARTS)
    judgement = judged_on(lake, known, settings, key)
    generator = fitted(key, known, settings)
    requests = active(known, settings.candidates.active_days)
    rows = write_offer(lake, day, key, offered(generator, known, requests, settings))
    heldout = write_judgement(lake, day, key, judgement)
    track_training(generator, settings.candidates)
    log_model(settings, generator, known, live=superseded_by(lake, day) is None)
    return {**rows, "heldout_users": heldout, "active_users": requests.height}


def publish_candidates(day: date, settings: Settings) -> int:
    """Refuse a day with too few sources; measure the union and the yardsticks."""
    lake = Lake(settings)
    there = lake.parts(CANDIDATES, day)
    written = [name for name in settings.candidates.generators if name in there]
    if not written:
        return supersede(lake, day)
    known = known_on(lake, day, settings.candidates)
    lists = pl.concat([lake.read_day(CANDIDATES, day, name) for name in written])
    gap = too_few(known, settings.candidates)
    if not gap:
        refuse_few(lists, settings.candidates)
    for line in degraded(lake, day):
        log.warning("%s", line)
    if newer := superseded_by(lake, day):
        lake.supersede(CANDIDATE_BLEND, day, newer)
    else:
        measure_together(lake, known, settings, [] if gap else written)
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


class Judgement(NamedTuple):
    """What a held-out fit came to: metrics, the lists behind them, and where it has each item."""

    users: int
    metrics: pl.DataFrame
    lists: pl.DataFrame
    ranks: pl.DataFrame


def judged_on(lake: Lake, known: Known, settings: Settings, key: str) -> Judgement | str | date:
    """Return what the generator is worth, why that cannot be told, or the day that supersedes.

    Raises:
        QualityGateFailed: it is below its floor.
    """
    if newer := superseded_by(lake, known.through):
        return newer
    split = split_of(lake, known, settings.candidates)
    if isinstance(split, str):
        log.warning("%s: no metrics: %s", key, split)
        tracking.params({"no_metrics": split})
        return split
    generator = fitted(key, split.known, settings)
    lists, yardstick = heldout_lists(generator, split), yardstick_lists(split, settings)
    metrics = judged(lists, split, settings, yardstick)
    if not settings.candidates.publishes_plain_lists:
        written = judged_as_published(generator, split, settings, yardstick)
        metrics = pl.concat([metrics, written])
    track(metrics)
    refuse_weak(generator, metrics)
    return Judgement(split.requests.height, metrics, lists[TIME], heldout_ranks(generator, split))


def heldout_ranks(generator: Generator, split: Split) -> pl.DataFrame:
    """Return HELDOUT_RANKS rows: where the generator has what the test users touched later."""
    protocol = split.protocols[0]
    assert protocol.first_days is not None
    shelf = Shelf(split.known.items, protocol.blocked)
    return ranks_of(generator, split.requests, protocol.first_days, shelf)


def refuse_weak(generator: Generator, metrics: pl.DataFrame) -> None:
    """Refuse a generator that is surely below its floor.

    Raises:
        QualityGateFailed: the upper end of NDCG@10 is below `floor` times that of popularity.
    """
    whole = metrics.filter((pl.col(c.SLICE) == ALL) & (pl.col("protocol") == TIME))
    rows = {row[c.METRIC]: row for row in whole.to_dicts()}
    found, gain = rows[FLOOR_METRIC], rows[f"above_{YARDSTICK}:{FLOOR_METRIC}"]
    popular = found[c.VALUE] - gain[c.VALUE]
    if found[c.HIGH] < generator.floor * popular:
        raise QualityGateFailed(
            f"{generator.name}: {FLOOR_METRIC} {found[c.VALUE]:.4f} [{found[c.LOW]:.4f},"
            f" {found[c.HIGH]:.4f}] is below {generator.floor:g} times popularity's {popular:.4f};"
            " nothing was written, its newest lists stay in use"
        )


def write_judgement(lake: Lake, day: date, key: str, judgement: Judgement | str | date) -> int:
    """Write metrics, held-out lists and ranks, or why there are none; return the test users."""
    if isinstance(judgement, Judgement):
        lake.write_day(HELDOUT_CANDIDATES, day, judgement.lists, key)
        lake.write_day(HELDOUT_RANKS, day, judgement.ranks, key)
        write_metrics(lake, day, key, judgement.metrics)
        return judgement.users
    if isinstance(judgement, str):
        write_nothing(lake, day, key, judgement, JUDGEMENTS)
        return 0
    for table in JUDGEMENTS:
        lake.supersede(table, day, judgement, key)
    return 0


def yardstick_lists(split: Split, settings: Settings) -> Lists:
    """Return the lists of the generator that all others are set beside."""
    return heldout_lists(fitted(YARDSTICK, split.known, settings), split)


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


def track_training(generator: Generator, options: Candidates) -> None:
    """Log the training's curves and the parent that it started from, if any."""
    for name, values in generator.curves().items():
        for epoch, value in enumerate(values, 1):
            tracking.metric(f"training/{name}", value, epoch)
    if parent := generator.parent_version(options):
        tracking.params({"parent": f"{model_name(generator.name)}/{parent}"})


def write_offer(lake: Lake, day: date, key: str, offer: Offer) -> dict[str, int]:
    """Write lists, embeddings and their index; return their row counts."""
    index, figures = measured(
        offer.items, offer.users, seed_of(lake.settings, ITEM_INDEX.name, key)
    )
    tracking.metrics({f"index/{name}": value for name, value in figures.items()})
    frames = {
        CANDIDATES: offer.lists,
        ITEM_EMBEDDINGS: offer.items,
        ITEM_INDEX: index,
        USER_EMBEDDINGS: offer.users,
    }
    return {table.name: lake.write_day(table, day, frame, key) for table, frame in frames.items()}


def supersede(lake: Lake, day: date) -> int:
    """Record of every part that the day does not train, and what does instead.

    Raises:
        QualityGateFailed: the day trains, but no generator wrote anything.
    """
    newer = superseded_by(lake, day)
    if newer is None or is_weekly(day):
        raise QualityGateFailed(f"no generator wrote candidates for {day}")
    lake.supersede(CANDIDATE_BLEND, day, newer)
    for table in PARTS:
        for key in lake.settings.candidates.generators:
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


def measure_together(lake: Lake, known: Known, settings: Settings, written: list[str]) -> None:
    """Write metrics of the yardsticks and of the generators together, and their blend."""
    split = split_of(lake, known, settings.candidates) if written else "nothing was fitted"
    if isinstance(split, str):
        lake.write_day(CANDIDATE_BLEND, known.through, CANDIDATE_BLEND.empty())
        return
    measure_union(lake, split, settings, known.through, written)
    measure_blend(lake, settings, known.through, written)


def measure_union(
    lake: Lake, split: Split, settings: Settings, day: date, written: list[str]
) -> None:
    """Write metrics of the generators' interleaved lists, and of the yardsticks beside them."""
    for name in BASELINES:
        lists = heldout_lists(fitted(name, split.known, settings), split)
        write_metrics(lake, day, name, judged(lists, split, settings))
    heldout = pl.concat([lake.read_day(HELDOUT_CANDIDATES, day, name) for name in written])
    shares = {name: share for name, share in settings.candidates.shares.items() if name in written}
    union = {TIME: interleaved(heldout, shares, max(CUTS))}
    only = Split(split.known, split.requests, split.protocols[:1])
    metrics = judged(union, only, settings, yardstick_lists(only, settings))
    write_metrics(lake, day, UNION, metrics)
    track(metrics)


def measure_blend(lake: Lake, settings: Settings, day: date, written: list[str]) -> None:
    """Choose quotas by marginal recall; write and log recall of each source and of the blend."""
    ranks = pl.concat([lake.read_day(HELDOUT_RANKS, day, name) for name in written])
    options, seed = settings.candidates, seed_of(settings, "candidate_blend")
    found = blend(ranks, written, options.bootstraps, seed)
    lake.write_day(CANDIDATE_BLEND, day, found)
    for budget, source, recall in found.select("budget", "source", "recall").iter_rows():
        tracking.metric(f"blend/{source}_recall_at_{budget}", recall)
    if tracking.run_id():
        tracking.figure("blend.png", blend_picture(found))


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
