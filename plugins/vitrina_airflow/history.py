"""Derived history: what the days before the first Airflow run must hold, made by the same steps.

A day's features need its events; a ranker of day D reads, for each of its listing days, features
and facets of the day before and candidates fitted earlier still (one day in seven fits them).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import date, timedelta

from tasks.lake.contracts import Table
from tasks.lake.lake import Lake
from tasks.lake.ledger import days_between
from tasks.lake.tables import CANDIDATES, EVENTS, SEGMENT_SCORES, USER_FACETS
from tasks.settings import Settings
from tasks.steps import run_dag
from tasks.training import WEEK, is_weekly

log = logging.getLogger(__name__)

Piece = tuple[str, str | None, date]
"""A DAG, one step of it or all, and the day."""


def load_history(first: date, last: date, settings: Settings) -> int:
    """Run every piece that the lake lacks, day by day; return how many there were."""
    # History is not tracked: its runs would bury those that people look for.
    quiet = settings.model_copy(update={"mlflow_url": ""})
    todo = [piece for piece in pieces(first, last, settings) if not _is_done(piece, quiet)]
    started = time.monotonic()
    for count, (dag, step, day) in enumerate(todo, start=1):
        run_dag(dag, day, quiet, step)
        pace = (time.monotonic() - started) / count
        percent, left = 100 * count // len(todo), pace * (len(todo) - count)
        log.warning("history %s %s: %d%%, %.0f s to go", day, step or dag, percent, left)
    return len(todo)


def pieces(first: date, last: date, settings: Settings) -> Iterator[Piece]:
    """Yield what a history of `first` to `last` holds, in an order in which it can run."""
    listings = max(settings.ranker.listing_days, settings.facets.fit_days)
    preferred = last - timedelta(days=listings + 1)
    proposed = preferred - timedelta(days=WEEK)
    for day in days_between(first, last):
        yield "build_features", None if day >= preferred else "ingest", day
        if day >= preferred:
            yield "compute_facet_weights", "write_user_facets", day
        if day >= proposed and is_weekly(day):
            yield "train_candidates", None, day


def _is_done(piece: Piece, settings: Settings) -> bool:
    dag, step, day = piece
    last_table: dict[tuple[str, str | None], Table] = {
        ("build_features", "ingest"): EVENTS,
        ("build_features", None): SEGMENT_SCORES,
        ("compute_facet_weights", "write_user_facets"): USER_FACETS,
        ("train_candidates", None): CANDIDATES,
    }
    return Lake(settings).has_day(last_table[dag, step], day)
