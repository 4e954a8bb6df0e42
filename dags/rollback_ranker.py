"""Make the ranker live again that was live before the present one.

- **Reads** alias_moves, the registry of models.
- **Writes** alias_moves.
- **Users** the ranking service, which serves the version under the alias serving.
- **Runs** by hand only. Normal: 10 seconds.

Task: **roll_back** moves the alias one version back and writes down why. Nothing trains, and nothing else moves: the
version that was left is no incumbent any more, and the next model that passes the gate goes live.

### If it fails
| Error | Meaning | Do |
| --- | --- | --- |
| `ContractViolation` | no reason is given, nothing was live before, or another version went live meanwhile | trigger it again with **rollback_reason**; where nothing was live before, page the owner |
| `DiskFull` | too little room to write down the move, so it was not made | make room on the lake's disk (the error names it and how much is left), then clear |
| `process killed` | the machine is short of memory | the page of the model in MLflow says whether the alias moved; trigger it again if it has not |
| `timeout` | the registry does not answer | look at the MLflow server, then as above |
| `anything else` | a bug | page the owner with the log |

**Impact** a ranker that harms the shop stays live: page the owner when this fails.

### Run again
- **Roll back**: **Trigger**, type why into **rollback_reason**, **Advanced Options**, **Partition Key** today's date.
- **It was a mistake**: the version that was left does not come back, cleared or not. Trigger retrain_ranker for its day with
  **force_training**: the gate judges it anew.
- Not safe to repeat: each run goes one version further back. Never **mark as success** (the tick): it moves nothing.
"""  # noqa: E501

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import Param, PartitionedAssetTimetable, dag, task

from vitrina_airflow.assets import BY_HAND
from vitrina_airflow.defaults import DEFAULT_ARGS, SAME_DAY
from vitrina_airflow.run import run_step


@dag(
    description=__doc__.splitlines()[0],
    schedule=PartitionedAssetTimetable(assets=BY_HAND, default_partition_mapper=SAME_DAY),
    start_date=pendulum.datetime(2000, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    # By hand only: at night nobody should have to unpause it first.
    is_paused_upon_creation=False,
    # A second try after a half-done first one would go back two versions.
    default_args=DEFAULT_ARGS | {"retries": 0, "execution_timeout": timedelta(minutes=10)},
    params={
        "rollback_reason": Param(
            None,
            type=["null", "string"],
            minLength=3,
            description="Why the live model goes back; recorded.",
        )
    },
    doc_md=__doc__,
    tags=["ranker", "impact/tier_1"],
)
def rollback_ranker() -> None:
    """Order: one task."""

    @task
    def roll_back(**context: object) -> object:
        return run_step(context)

    roll_back()


rollback_ranker()
