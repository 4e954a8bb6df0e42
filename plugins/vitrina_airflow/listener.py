"""The scheduler's listener: a run's note, and alerts of failed tasks that no callback told of.

A task whose process was killed is set to failed by its supervisor, and one that could not start by
the scheduler; for neither Airflow calls a task callback. Here is known, too, and written down, what
no task is told: the backfill that a run belongs to.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from airflow.listeners import hookimpl

from tasks.settings import Settings
from vitrina_airflow.alert_book import AlertBook
from vitrina_airflow.alerts import kind_of, raise_alert
from vitrina_airflow.failure import Failure
from vitrina_airflow.links import MLFLOW_RUN
from vitrina_airflow.note import write_note
from vitrina_airflow.runbook import KILLED, action_for

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FailedRun:
    """What an alert needs of a run, read while the scheduler's session holds it."""

    dag_id: str
    run_id: str
    day: str
    kind: str
    docstring: str | None


@hookimpl
def on_dag_run_running(dag_run: Any, msg: str) -> None:  # noqa: ANN401 (Airflow's record)
    """Write down which backfill the run belongs to: its tasks cannot ask."""
    if dag_run.backfill_id is not None:
        book = AlertBook(Settings().home)
        book.enter_backfill(dag_run.dag_id, dag_run.run_id, dag_run.backfill_id)


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:  # noqa: ANN401 (Airflow's record)
    """Write into the run's note what its tasks have to say."""
    write_note(dag_run)


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:  # noqa: ANN401 (Airflow's record)
    """Write the run's note, and alert its failed tasks that are not in the book yet.

    A run that a person set to failed alerts nobody.
    """
    write_note(dag_run)
    if "manually set" in msg:
        return
    failed = FailedRun(
        dag_id=dag_run.dag_id,
        run_id=dag_run.run_id,
        day=dag_run.partition_key or "no day",
        kind=kind_of(dag_run, Settings()),
        docstring=dag_run.dag.doc_md,
    )
    # In a thread of its own: sessions are per thread, and closing one here would take the
    # scheduler's records from under it. Nor does the scheduler wait for a webhook.
    threading.Thread(target=alert_unknown, args=(failed,), name="alert").start()


def alert_unknown(failed: FailedRun) -> None:
    """Alert the failed tasks of the run, as far as no callback did."""
    for failure in _failures(failed):
        raise_alert(failure, Settings())


def _failures(failed: FailedRun) -> Iterator[Failure]:
    for ti in _failed_tasks(failed):
        yield Failure(
            dag_id=ti.dag_id,
            task_id=ti.task_id,
            run_id=ti.run_id,
            try_number=ti.try_number,
            map_index=ti.map_index,
            map_key=ti.rendered_map_index or "",
            day=failed.day,
            kind=failed.kind,
            error=KILLED,
            line="the task's process ended without a word (out of memory, or a restart)",
            action=action_for(failed.docstring, KILLED),
            log_url=ti.log_url,
            mlflow_url=MLFLOW_RUN.get_link(None, ti_key=ti.key),
        )


def _failed_tasks(failed: FailedRun) -> list[Any]:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(
            select(TaskInstance).where(
                TaskInstance.dag_id == failed.dag_id,
                TaskInstance.run_id == failed.run_id,
                TaskInstance.state == "failed",
            )
        ).all()
        session.expunge_all()
    return list(found)
