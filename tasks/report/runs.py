"""Section: each DAG's runs and how long they took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from tasks.report import figures
from tasks.report.gaps import Gap, Rows, gap_section
from tasks.report.page import Section

TITLE = "Runs and durations"
RUN_COLUMNS = {
    "dag_id": pl.String,
    "day": pl.String,
    "kind": pl.String,
    "state": pl.String,
    "seconds": pl.Float64,
}


def airflow_runs(answer: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return one row per run from the `dag_runs` of Airflow's REST API.

    Args:
        answer: objects with `dag_id`, `partition_key`, `run_type`, `state`, `start_date` and
            `end_date`.
    """
    rows = [
        {
            "dag_id": run["dag_id"],
            "day": run.get("partition_key"),
            "kind": run.get("run_type"),
            "state": run.get("state"),
            "seconds": _seconds(run.get("start_date"), run.get("end_date")),
        }
        for run in answer
    ]
    return pl.DataFrame(rows, schema=RUN_COLUMNS).sort("day", "dag_id", nulls_last=True)


def _seconds(start: str | None, end: str | None) -> float | None:
    if not start or not end:
        return None
    return round((_moment(end) - _moment(start)).total_seconds(), 1)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def runs_section(runs: Rows) -> Section:
    """Return the section of RUN_COLUMNS rows."""
    if isinstance(runs, Gap):
        return gap_section(TITLE, runs)
    timed = runs.drop_nulls("seconds")
    figure = figures.durations(timed) if timed.height else None
    return Section(TITLE, runs, figure, tuple(_remarks(runs)))


def writes_section(found: pl.DataFrame) -> Section:
    """Return the section for a day whose runs are not known: what each DAG wrote, by the ledger.

    Args:
        found: STATUS_SCHEMA rows of the day.
    """
    wrote = found.filter(pl.col("version").is_not_null())
    table = wrote.group_by("dag", maintain_order=True).agg(
        pl.col("table").n_unique().alias("tables"),
        pl.len().alias("parts"),
        pl.col("rows").sum(),
        pl.col("version").max().alias("written at most, times"),
    )
    said = (
        "Durations are not known: no list of Airflow's runs was given. This is what the ledger has."
    )
    return Section(TITLE, table if table.height else None, notes=(said,))


def _remarks(runs: pl.DataFrame) -> list[str]:
    states = runs.group_by("state").len().sort("state")
    counted = ", ".join(f"{count} {state or 'unknown'}" for state, count in states.iter_rows())
    return [f"{runs.height} runs: {counted}."] if runs.height else ["No run is known for this day."]
