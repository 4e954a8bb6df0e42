"""Retrain the ranker, measure it against the live one, and promote it where the gate allows.

- **Reads** events, features, facets, segment scores and candidates of the last listing days.
- **Writes** ranking_groups, ranking_days, ranker_metrics, gate_decisions, alias_moves; a model version.
- **Users** the ranking service, which serves the version under the alias serving.
- **Runs** when compute_facet_weights and train_candidates have done the day. Normal: 8 minutes.

Tasks: **build_groups** writes the training set, **train_ranker** fits, measures and records the gate's decision,
**promote** moves the alias or, on a refusal, fails on purpose: the live model stays.

### If it fails
| Error | Meaning | Do |
| --- | --- | --- |
| `InputNotReady` | a listing day, its features or its labels are absent | retries for 3 h by itself; then backfill `build_features` for the days it names |
| `ContractViolation` | groups or metrics break a rule | the message names the rule; clearing alone does not help: fix the source, then clear; where `promote` says that another version went live meanwhile, clear it |
| `QualityGateFailed` | the gate refused: weaker than the live model, or too good to be true | nothing at night, the live model stays; in the morning read the sentence after the error. Too good: look for a leak, and if there is none, trigger the day again with why in **accept_reason** |
| `DiskFull` | too little room for the write; nothing was written | make room on the lake's disk (the error names it and how much is left), or lower `VITRINA_MIN_FREE_GB`, then clear |
| `process killed` | most often out of memory | clear once; if it returns, raise the task's `pool_slots` |
| `timeout` | ran past its `execution_timeout` | lower `VITRINA_RANKER__LISTING_DAYS`, then clear |
| `anything else` | a bug | page the owner with the log; the live model stays |

**Impact** small for 7 days: the live model goes on ranking. After that, page the owner.

### Run again
- **Clear a failed task**: click its red square in the grid, then the round arrow (shift+c), leave **Downstream**
  chosen, **Confirm**. It runs again, then the tasks after it.
- **One day**: **Trigger**, **Advanced Options**, **Partition Key** 2026-01-31.
- **Many days**: backfill build_features; this DAG follows by itself, day by day.
- **Train superseded days too**: switch **force_training** on, in that backfill or here.
- **Accept a model that is too good**: trigger its day and type why into **accept_reason**, which is recorded; where a
  newer day has landed since, also switch **force_training** on. `VITRINA_RANKER__ACCEPT_REASON` is for one run by hand
  only: never leave it set, it would let every suspicion pass.
- **Roll back**: trigger rollback_ranker.
- Safe to repeat: a day is replaced, never appended. Never **mark as success** (the tick): the chain would stop there.
"""  # noqa: E501

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import PartitionedAssetTimetable, dag, task

from vitrina_airflow.assets import CANDIDATES, FACETS, RANKER
from vitrina_airflow.defaults import DEFAULT_ARGS, RANKER_PARAMS
from vitrina_airflow.run import run_step


@dag(
    description=__doc__.splitlines()[0],
    schedule=PartitionedAssetTimetable(assets=FACETS & CANDIDATES),
    start_date=pendulum.datetime(2000, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=RANKER_PARAMS,
    doc_md=__doc__,
    tags=["ranker", "impact/tier_1"],
)
def retrain_ranker() -> None:
    """Order: training set, model and decision, promotion."""

    @task(pool_slots=2)
    def build_groups(**context: object) -> object:
        return run_step(context)

    @task(pool_slots=2, execution_timeout=timedelta(hours=3), outlets=[RANKER])
    def train_ranker(**context: object) -> object:
        return run_step(context)

    @task
    def promote(**context: object) -> object:
        return run_step(context)

    build_groups() >> train_ranker() >> promote()


retrain_ranker()
