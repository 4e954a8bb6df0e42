"""Read what the lake holds of a day and make its result page of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl

from tasks import status
from tasks.candidates.sources import degraded
from tasks.lake.contracts import Table
from tasks.lake.lake import Lake, Window
from tasks.lake.ledger import days_between
from tasks.lake.tables import (
    CANDIDATE_METRICS,
    DATA_CHECKS,
    EVENTS,
    FACET_WEIGHTS,
    GATE_DECISIONS,
    RANKER_METRICS,
    RANKING_DAYS,
    SET_ASIDE_EVENTS,
    THRESHOLD_CARDS,
)
from tasks.landing.importers import IMPORTERS
from tasks.landing.manifest import landing_days, read_manifest
from tasks.ranker.history import all_moves
from tasks.report.candidates import candidates_headline, candidates_section
from tasks.report.days import days_headline, days_section
from tasks.report.facets import facets_headline, facets_section
from tasks.report.gaps import Gap, Rows
from tasks.report.lookalikes import lookalike_sections, lookalikes_headline
from tasks.report.mailings import mailing_sections, recent_mailings
from tasks.report.page import Page, Section
from tasks.report.ranker import (
    gate_headline,
    gate_section,
    live_section,
    ranker_headline,
    ranker_sections,
)
from tasks.report.received import (
    by_day_section,
    checks_section,
    received_section,
    source_section,
    volume_section,
)
from tasks.report.runs import airflow_runs, runs_section, writes_section
from tasks.settings import Settings

READ = (
    EVENTS,
    SET_ASIDE_EVENTS,
    DATA_CHECKS,
    FACET_WEIGHTS,
    THRESHOLD_CARDS,
    CANDIDATE_METRICS,
    RANKER_METRICS,
    RANKING_DAYS,
    GATE_DECISIONS,
)
DAYS = 7


def build(
    day: date,
    settings: Settings,
    runs: Sequence[Mapping[str, Any]] | None = None,
    days: int | None = None,
) -> Page:
    """Return the page of `day`.

    Args:
        day: the logical day whose results are shown.
        settings: where the lake is.
        runs: `dag_runs` of Airflow's REST API; without them the ledger tells what was written.
        days: the tables of this many days, `day` the last, are judged; by default those that
            the runs were for, or a week.
    """
    days = days or _asked_for(day, runs or ()) or DAYS
    lake = Lake(settings)
    found = status.statuses(lake, days_between(day - timedelta(days=days - 1), day))
    rows = {table.name: rows_of(lake, table, day) for table in READ}
    lacking = degraded(lake, day)
    counts = lake.read_window(DATA_CHECKS, day, Window(days, optional=True))
    sections = (
        runs_section(airflow_runs(runs)) if runs else writes_section(found.filter(day=day)),
        *_results(rows, rows_of(lake, THRESHOLD_CARDS, day - timedelta(days=1)), lacking),
        live_section(all_moves(lake)),
        *mailing_sections(*recent_mailings(lake, day)),
        *_received(day, rows, counts, settings),
        volume_section(found),
        days_section(found),
    )
    return Page(day, (*lacking, *_headline(rows, found)), sections)


def _asked_for(day: date, runs: Sequence[Mapping[str, Any]]) -> int:
    keys = [date.fromisoformat(run["partition_key"]) for run in runs if run.get("partition_key")]
    return (day - min(keys, default=day)).days + 1 if keys else 0


def rows_of(lake: Lake, table: Table, day: date) -> Rows:
    """Return the day's rows of a table, or why there are none."""
    if lake.has_day(table, day):
        return lake.read_day(table, day)
    by = {
        record.superseded_by
        for (written, _), record in lake.ledger.current(table).items()
        if written == day and record.superseded_by
    }
    if by:
        return Gap(f"Not trained: {day} is superseded by {max(by)}.")
    return Gap(f"{table.name} has no rows for {day}: {status.dag_of(table)} has not written it.")


def _headline(rows: Mapping[str, Rows], found: pl.DataFrame) -> tuple[str, ...]:
    said = (
        ranker_headline(rows[RANKER_METRICS.name]),
        gate_headline(rows[GATE_DECISIONS.name]),
        candidates_headline(rows[CANDIDATE_METRICS.name]),
        facets_headline(rows[FACET_WEIGHTS.name]),
        lookalikes_headline(rows[THRESHOLD_CARDS.name]),
        days_headline(found),
    )
    return tuple(line for line in said if line)


def _results(
    rows: Mapping[str, Rows], cards_before: Rows, lacking: tuple[str, ...]
) -> tuple[Section, ...]:
    return (
        facets_section(rows[FACET_WEIGHTS.name]),
        *lookalike_sections(rows[THRESHOLD_CARDS.name], cards_before),
        candidates_section(rows[CANDIDATE_METRICS.name], lacking),
        *ranker_sections(rows[RANKER_METRICS.name], rows[RANKING_DAYS.name]),
        gate_section(rows[GATE_DECISIONS.name]),
    )


def _received(
    day: date, rows: Mapping[str, Rows], counts: pl.DataFrame, settings: Settings
) -> tuple[Section, ...]:
    events = rows[EVENTS.name]
    found = (
        received_section(events, rows[SET_ASIDE_EVENTS.name], day),
        by_day_section(counts),
        checks_section(rows[DATA_CHECKS.name]),
        source_section(events, *_source(day, settings)),
    )
    return tuple(section for section in found if section)


def _source(day: date, settings: Settings) -> tuple[str, tuple[str, ...]]:
    """Return where the day's delivery came from, and what its importer says of that source."""
    if day not in landing_days(settings.landing):
        return "unknown, the delivery is gone", ()
    source = read_manifest(settings.landing, day).source
    importer = IMPORTERS.get(source)
    return source, importer.mapping.notes if importer and importer.mapping else ()
