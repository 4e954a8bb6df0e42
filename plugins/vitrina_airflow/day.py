"""The logical day of a run: its partition key, never a guess."""

from __future__ import annotations

from datetime import date

from tasks.errors import ContractViolation

EXAMPLE = "2026-01-31"


def logical_day(partition_key: str | None, dag_id: str) -> date:
    """Return the day that a run was started for.

    Raises:
        ContractViolation: no key, or one that is no day; says what to type instead.
    """
    if not partition_key:
        raise ContractViolation(f"this run has no partition key, so no day. {_advice(dag_id)}")
    try:
        day = date.fromisoformat(partition_key)
    except ValueError:
        day = None
    if day is None or day.isoformat() != partition_key:
        raise ContractViolation(f"partition key {partition_key!r} is no day. {_advice(dag_id)}")
    return day


def _advice(dag_id: str) -> str:
    body = f'{{"logical_date": null, "partition_key": "{EXAMPLE}"}}'
    return (
        f"Trigger {dag_id} again with a partition key such as {EXAMPLE} "
        "(in the UI: Trigger, Advanced Options, Partition Key; or "
        f"POST /api/v2/dags/{dag_id}/dagRuns {body})"
    )
