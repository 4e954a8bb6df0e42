"""Derived history: what the days before the first Airflow run must hold, made by the same steps.

A day's features need its events; a ranker of day D reads, for each of its listing days, features
and facets of the day before and candidates fitted earlier still (one day in seven fits them).
Deliveries need only landing files, and the rest of a day only deliveries: within each of the two
phases days are independent, and two processes share them.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import date, timedelta
from multiprocessing import get_context

from tasks.lake.contracts import Table
from tasks.lake.lake import Lake
from tasks.lake.ledger import days_between
from tasks.lake.tables import CANDIDATES, EVENTS, SEGMENT_SCORES, USER_FACETS
from tasks.settings import Settings
from tasks.steps import run_dag
from tasks.training import WEEK, is_weekly

log = logging.getLogger(__name__)

WORKERS = 2


@dataclass(frozen=True)
class Piece:
    """Steps of one DAG for one day, in order (none: all of them), and the table they end with."""

    dag: str
    day: date
    steps: tuple[str, ...]
    ends_with: Table

    @property
    def title(self) -> str:
        """What the progress line calls it."""
        return f"{self.day} {self.steps[0] if len(self.steps) == 1 else self.dag}"


def load_history(first: date, last: date, listing_days: int, settings: Settings) -> int:
    """Run every piece that the lake lacks; return how many there were.

    Deliveries of all days are taken in; the rest is derived for the last `listing_days`. A ranker
    drops, and counts, listings of days before those.
    """
    # History is not tracked: its runs would bury those that people look for.
    quiet = settings.model_copy(update={"mlflow_url": ""})
    lake = Lake(quiet)
    phases = [
        [piece for piece in phase if not lake.has_day(piece.ends_with, piece.day)]
        for phase in (deliveries(first, last), derived(first, last, listing_days))
    ]
    total, done, started = sum(map(len, phases)), 0, time.monotonic()
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        for phase in phases:
            running = {pool.submit(run_piece, piece, quiet): piece for piece in phase}
            for finished in as_completed(running):
                finished.result()
                done += 1
                told = running[finished].title
                log.warning("history %s: %s", told, _pace(done, total, started))
    return total


def run_piece(piece: Piece, settings: Settings) -> None:
    """Run the piece's steps in this process."""
    for step in piece.steps or (None,):
        run_dag(piece.dag, piece.day, settings, step)


def deliveries(first: date, last: date) -> list[Piece]:
    """Return what takes in every day's delivery."""
    days = days_between(first, last)
    return [Piece("build_features", day, ("ingest",), EVENTS) for day in days]


def derived(first: date, last: date, listing_days: int) -> list[Piece]:
    """Return what the listings of the last days have read.

    Candidates come first, since they take longest.
    """
    preferred = max(first, last - timedelta(days=listing_days))
    proposed = max(first, preferred - timedelta(days=WEEK))
    fits = [
        Piece("train_candidates", day, (), CANDIDATES)
        for day in days_between(proposed, last)
        if is_weekly(day)
    ]
    counted = ("count_interactions", "rank_segments")
    days = days_between(preferred, last)
    features = [Piece("build_features", day, counted, SEGMENT_SCORES) for day in days]
    facets = ("write_user_facets",)
    return [
        *fits,
        *features,
        *(Piece("compute_facet_weights", day, facets, USER_FACETS) for day in days),
    ]


def _pace(done: int, total: int, started: float) -> str:
    left = (time.monotonic() - started) / done * (total - done)
    return f"{100 * done // total}%, {left:.0f} s to go"
