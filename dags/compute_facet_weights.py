"""Compute how much each customer prefers each facet value, and how much each facet counts.

- **Reads** events of the last 30 days, items, item_attributes, user_facets, segment_scores of the day before.
- **Writes** user_facets, facet_weights.
- **Users** search boosts, retrain_ranker (features), the release.
- **Runs** after build_features, for the same day. Normal: 2 minutes.

Tasks: **write_user_facets** sums and decays preferences, **fit_facet_weights** fits the weights, on every
day, superseded or not, and wakes retrain_ranker.

### If it fails
| Error | Meaning | Do |
| --- | --- | --- |
| `InputNotReady` | a day of events or features is absent | retries for 3 h by itself; then backfill `build_features` for the days it names |
| `ContractViolation` | preferences or weights break a rule | the message names the rule; clearing alone does not help: fix the source, then clear |
| `DiskFull` | too little room for the write; nothing was written | make room on the lake's disk (the error names it and how much is left), or lower `VITRINA_MIN_FREE_GB`, then clear |
| `process killed` | most often out of memory | clear once; if it returns, raise the task's `pool_slots` |
| `timeout` | ran past its `execution_timeout` | lower `VITRINA_FACETS__BOOTSTRAPS`, then clear |
| `anything else` | a bug | page the owner with the log; yesterday's weights stay in use |

**Impact** none for 24 h: yesterday's weights stay in use, but `retrain_ranker` waits for this day.
After that, page the owner.

### Run again
- **Clear a failed task**: click its red square in the grid, then the round arrow (shift+c), leave **Downstream**
  chosen, **Confirm**. It runs again, then the tasks after it, at last retrain_ranker.
- **One day**: **Trigger**, **Advanced Options**, **Partition Key** 2026-01-31.
- **Many days**: backfill build_features; this DAG follows by itself, day by day.
- **force_training** changes nothing here; it is sent on to retrain_ranker.
- Safe to repeat: a day is replaced, never appended. Never **mark as success** (the tick): the chain would stop there.
"""  # noqa: E501

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import PartitionedAssetTimetable, dag, task

from vitrina_airflow.assets import FACETS, FEATURES
from vitrina_airflow.defaults import DEFAULT_ARGS, PARAMS, SAME_DAY
from vitrina_airflow.run import run_step


@dag(
    description=__doc__.splitlines()[0],
    schedule=PartitionedAssetTimetable(assets=FEATURES, default_partition_mapper=SAME_DAY),
    start_date=pendulum.datetime(2000, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    doc_md=__doc__,
    tags=["facets", "impact/tier_2"],
)
def compute_facet_weights() -> None:
    """Order: preferences, then weights."""

    @task(execution_timeout=timedelta(minutes=30))
    def write_user_facets(**context: object) -> object:
        return run_step(context)

    @task(pool_slots=2, outlets=[FACETS])
    def fit_facet_weights(**context: object) -> object:
        return run_step(context)

    write_user_facets() >> fit_facet_weights()


compute_facet_weights()
