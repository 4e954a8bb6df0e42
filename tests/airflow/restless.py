"""A DAG for the tests: its task sleeps until somebody kills it, and is tried again.

### If it fails
| Error | Meaning | Do |
| --- | --- | --- |
| `process killed` | a test did it, twice | nothing |
"""

from __future__ import annotations

import time

import pendulum
from airflow.sdk import PartitionedAtRuntime, dag, task

from vitrina_airflow.defaults import DEFAULT_ARGS
from vitrina_airflow.run import count_unfinished


@dag(
    schedule=PartitionedAtRuntime(),
    start_date=pendulum.datetime(2020, 1, 1, tz="UTC"),
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
)
def restless() -> None:
    """Order: one task."""

    @task
    def sleep(**context: object) -> None:
        count_unfinished(context["task_state_store"])
        print("asleep")
        time.sleep(600)

    sleep()


restless()
