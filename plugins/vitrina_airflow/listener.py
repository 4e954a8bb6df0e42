"""The scheduler's listener: a failed task that no callback told of is alerted when its run ends.

A task whose process was killed is set to failed by its supervisor, and one that could not start by
the scheduler; for neither Airflow calls a task callback.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from airflow.listeners import hookimpl

from tasks.settings import Settings
from vitrina_airflow.alerts import kind_of, raise_alert
from vitrina_airflow.failure import Failure
from vitrina_airflow.links import MLFLOW_RUN
from vitrina_airflow.runbook import KILLED, action_for

log = logging.getLogger(__name__)


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:  # noqa: ANN401 (Airflow's record)
    """Alert the failed tasks of a run that are not in the book yet.

    A run that a person set to failed alerts nobody.
    """
    if "manually set" not in msg:
        for failure in _failures(dag_run):
            raise_alert(failure, Settings())


def _failures(run: Any) -> Iterator[Failure]:  # noqa: ANN401 (Airflow's record)
    for ti in run.get_task_instances(state=["failed"]):
        yield Failure(
            dag_id=ti.dag_id,
            task_id=ti.task_id,
            run_id=ti.run_id,
            try_number=ti.try_number,
            map_index=ti.map_index,
            map_key=ti.rendered_map_index or "",
            day=run.partition_key or "no day",
            kind=kind_of(run.run_type, run.consumed_asset_events),
            error=KILLED,
            line="the task's process ended without a word (out of memory, or a restart)",
            action=action_for(run.dag.doc_md, KILLED),
            log_url=ti.log_url,
            mlflow_url=MLFLOW_RUN.get_link(None, ti_key=ti.key),
        )
