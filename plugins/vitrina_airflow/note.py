"""A run's note in Airflow: the words that its tasks have for people, such as the gate's decision.

A task can read the note of its run and not write it: neither the Task SDK nor the execution API
has a way, and the public API would need an account. So the task leaves its words as an XCom, and
the scheduler's listener, which holds the run, writes them when the run ends.
"""

from __future__ import annotations

from typing import Any

NOTE_KEY = "note"
MARK = "Vitrina: "
LONGEST = 1000
"""What Airflow's database takes."""


def noted(before: str | None, words: list[str]) -> str:
    """Return the note with these words in place of our earlier ones; what people wrote stays."""
    lines = [line for line in (before or "").splitlines() if not line.startswith(MARK)]
    ours = [MARK + " ".join(told.split()) for told in words]
    return "\n".join([*lines, *ours])[:LONGEST]


def write_note(dag_run: Any) -> None:  # noqa: ANN401 (Airflow's record)
    """Write what the run's tasks left into its note, in the session that holds the run."""
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is None:
        return
    # What the scheduler has changed so far is its own to flush.
    with session.no_autoflush:
        if words := _left_by_tasks(dag_run, session):
            dag_run.note = noted(dag_run.note, words)


def _left_by_tasks(dag_run: Any, session: Any) -> list[str]:  # noqa: ANN401 (Airflow's records)
    from airflow.models.xcom import XComModel
    from sqlalchemy import select

    found = session.scalars(
        select(XComModel.value)
        .where(
            XComModel.dag_id == dag_run.dag_id,
            XComModel.run_id == dag_run.run_id,
            XComModel.key == NOTE_KEY,
        )
        .order_by(XComModel.task_id, XComModel.map_index)
    )
    return [str(told) for told in found]
