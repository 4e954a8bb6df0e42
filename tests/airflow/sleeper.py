"""A DAG for the tests: its task sleeps until somebody kills it, and is not tried again.

### If it fails
| Error | Meaning | Do |
| --- | --- | --- |
| `process killed` | a test did it | nothing |
"""

from __future__ import annotations

import time

import pendulum
from airflow.sdk import PartitionedAtRuntime, dag, task

from vitrina_airflow.defaults import DEFAULT_ARGS


@dag(
    schedule=PartitionedAtRuntime(),
    start_date=pendulum.datetime(2020, 1, 1, tz="UTC"),
    default_args=DEFAULT_ARGS | {"retries": 0},
    doc_md=__doc__,
)
def sleeper() -> None:
    """Order: one task."""

    @task
    def sleep() -> None:
        print("asleep")
        time.sleep(600)

    sleep()


sleeper()
