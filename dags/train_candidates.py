"""Train the candidate generators and write the items that each proposes to each active customer.

- **Reads** events up to the day, items, item_attributes, user_sequences, item_features; examination where the settings ask for what was passed over.
- **Writes** candidates, heldout_candidates, heldout_ranks, candidate_metrics, candidate_blend, item_embeddings, item_index, user_embeddings; a model version per generator.
- **Users** retrain_ranker, the ranking service, the release.
- **Runs** after build_features, for the same day. Normal: 6 minutes.

Tasks: **list_generators** lists those that train today (none: superseded), **train_generator** trains and measures one,
**publish_candidates** checks what was written, chooses the blend's quotas and wakes retrain_ranker, also when single generators failed.

### If it fails
| Error | Meaning | Do |
| --- | --- | --- |
| `InputNotReady` | a day of events or features is absent | retries for 3 h by itself; then backfill `build_features` for the days it names |
| `ContractViolation` | candidates or metrics break a rule | the message names the rule; clearing alone does not help: fix the source, then clear |
| `QualityGateFailed` | of a generator: it fell below its floor against popularity and wrote nothing, the page says degraded; of publish_candidates: fewer than `VITRINA_CANDIDATES__MIN_SOURCES` have candidates, and the chain stops | look at its metrics in MLflow, clear when the cause is gone; until then its newest candidates stay in use |
| `DiskFull` | too little room for the write; nothing was written | make room on the lake's disk (the error names it and how much is left), or lower `VITRINA_MIN_FREE_GB`, then clear |
| `process killed` | most often out of memory | clear once; if it returns, raise the task's `pool_slots` |
| `timeout` | ran past its `execution_timeout` | lower the generator's epochs in the settings, then clear |
| `anything else` | a bug | page the owner with the log; the newest candidates stay in use |

**Impact** small for 14 days: readers take the newest candidates (`VITRINA_CANDIDATES__MAX_AGE_DAYS`), but `retrain_ranker`
waits for this day. After 24 h, page the owner.

### Run again
- **Clear a failed task**: click its red square in the grid, then the round arrow (shift+c), leave **Downstream**
  chosen, **Confirm**. It runs again, then the tasks after it, at last retrain_ranker.
- **One day**: **Trigger**, **Advanced Options**, **Partition Key** 2026-01-31.
- **Many days**: backfill build_features; this DAG follows by itself, day by day.
- **Train superseded days too**: switch **force_training** on, in that backfill or here.
- Safe to repeat: a day is replaced, never appended. Never **mark as success** (the tick): the chain would stop there.
"""  # noqa: E501

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import PartitionedAssetTimetable, dag, task

from vitrina_airflow.assets import CANDIDATES, FEATURES
from vitrina_airflow.defaults import DEFAULT_ARGS, PARAMS, SAME_DAY
from vitrina_airflow.run import run_step


@dag(
    description=__doc__.splitlines()[0],
    schedule=PartitionedAssetTimetable(assets=FEATURES, default_partition_mapper=SAME_DAY),
    start_date=pendulum.datetime(2000, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=2,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    doc_md=__doc__,
    tags=["candidates", "impact/tier_2"],
)
def train_candidates() -> None:
    """Order: generators, one task each, then the day as a whole."""

    @task
    def list_generators(**context: object) -> object:
        return run_step(context)

    @task(
        pool_slots=2,
        map_index_template="{{ task.op_kwargs['generator'] }}",
        execution_timeout=timedelta(hours=3),
    )
    def train_generator(generator: str, **context: object) -> object:
        return run_step(context, generator)

    # Tasks above may be skipped (nothing to map over) or fail; the event must still go out.
    @task(trigger_rule="all_done", outlets=[CANDIDATES])
    def publish_candidates(**context: object) -> object:
        return run_step(context)

    train_generator.expand(generator=list_generators()) >> publish_candidates()


train_candidates()
