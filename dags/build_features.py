"""Take in the day's delivery and build features, sequences, segments and segment scores from it.

- **Reads** the landing files of the day, events and their daily counts of the last 30 days, acts of the last 90.
- **Writes** events, set_aside_events, items, item_attributes, customers, contacts, daily_acts, daily_item_counts, daily_user_counts,
  item_features, user_features, user_item_features, segment_item_features, demand_lags, user_sequences, user_segments, examination, segment_scores, data_checks.
- **Users** every other DAG of the chain; the search engine's base relevance.
- **Runs** every day at 00:00 UTC for the day before, and whenever it is backfilled. Normal: 5 minutes.

Tasks: **ingest** takes in the delivery and counts it by itself, **count_interactions** checks the day and counts it by
item, user, pair and city, **rank_segments** scores items for each segment and wakes the chain.

### If it fails
| Error | Meaning | Do |
| --- | --- | --- |
| `InputNotReady` | the day's manifest, or an earlier day, is absent or was refused by its own checks | retries for 3 h by itself; then ask the shop's export, or mend and backfill the days it names |
| `ContractViolation` | delivery or tables break a rule | the message names the rule; clearing alone does not help: have the delivery corrected (a new manifest version), then clear `ingest`. Where it is the usual rows and the delivery is right all the same: start Airflow with `VITRINA_ACCEPT_ROW_COUNTS=true` for about four nights, and clear |
| `DataCheckFailed` | the day is unlike any usual one: volume, nulls, prices, or what its weekday had; nothing was counted | the message names check, value and band; the picture is in the try's MLflow run, what earlier days had in `data_checks`. Have the delivery corrected and clear `ingest`; where it is right all the same: start Airflow with `VITRINA_ACCEPT_DATA_CHECKS=true`, for about a week after a lasting change, and clear |
| `DiskFull` | too little room for the write; nothing was written | make room on the lake's disk (the error names it and how much is left), or lower `VITRINA_MIN_FREE_GB`, then clear |
| `process killed` | most often out of memory | clear once; if it returns, raise the task's `pool_slots` |
| `timeout` | ran past its `execution_timeout` | look for a delivery of unusual size, then clear |
| `anything else` | a bug | page the owner with the log; the day before stays in use |

**Impact** none for 24 h: readers keep the newest day they have. After that nothing new trains or
is released: page the owner.

### Run again
- **Clear a failed task**: click its red square in the grid, then the round arrow (shift+c), leave **Downstream**
  chosen, **Confirm**. It runs again, then the tasks after it, at last the four DAGs that follow.
- **One day**: **Trigger**, **Advanced Options**, **Partition Key** 2026-01-31.
- **Many days**: **Trigger**, **Backfill**, the range, **Max Active Runs** 2, **All Runs** for days that ran; the rest follows.
- **Train superseded days too**: switch **force_training** on; in a backfill also tick **Override parameters on existing
  runs**, or Airflow leaves the switch out.
- Safe to repeat: a day is replaced, never appended. Never **mark as success** (the tick): the chain would stop there.
"""  # noqa: E501

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import CronPartitionTimetable, dag, task

from vitrina_airflow.assets import FEATURES
from vitrina_airflow.defaults import DEFAULT_ARGS, PARAMS
from vitrina_airflow.run import run_step


@dag(
    description=__doc__.splitlines()[0],
    schedule=CronPartitionTimetable(
        "0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"
    ),
    start_date=pendulum.datetime(2000, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=2,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    doc_md=__doc__,
    tags=["features", "impact/tier_1"],
)
def build_features() -> None:
    """Order: ingest, counters, segment scores."""

    # One at a time, so that days backfilled side by side are taken in in order.
    @task(max_active_tis_per_dag=1)
    def ingest(**context: object) -> object:
        return run_step(context)

    @task(pool_slots=2, execution_timeout=timedelta(hours=2))
    def count_interactions(**context: object) -> object:
        return run_step(context)

    @task(pool_slots=2, outlets=[FEATURES])
    def rank_segments(**context: object) -> object:
        return run_step(context)

    ingest() >> count_interactions() >> rank_segments()


build_features()
