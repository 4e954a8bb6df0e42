"""Score how alike every eligible customer is to those who did the seed thing, one segment at a time.

- **Reads** events, items, item_attributes, customers; audience_decisions and mailing_effects for the pages.
- **Writes** lookalike_features, lookalike_scores, threshold_cards, audience_profiles, audience_overlaps; a model per segment.
- **Users** marketers, who choose a threshold from the card.
- **Runs** after build_features, for the same day. Normal: 4 minutes.

Tasks: **list_segments** writes features and lists the segments that train today (none: superseded), **score_segment**
trains and scores one segment, **publish_lookalikes** writes the pages of those that have a card.

### If it fails
| Error | Meaning | Do |
| --- | --- | --- |
| `InputNotReady` | an anchor day is absent | retries for 3 h by itself; then backfill `build_features` for the days it names |
| `ContractViolation` | a segment's header or SELECT is wrong, or its scores or card break a rule; the other segments are done | clearing alone does not help: mend `sql/lookalike_seeds/<name>.sql` as the message says, then clear |
| `QualityGateFailed` | scores are degenerate (too few distinct values) or too good to be true (a counter knows the answer) | do not clear; look at the seeds in the segment's SQL and at what the message names; yesterday's scores stay in use |
| `PartsMissing` | segments failed; the others are published | mend each as its own mail says, then clear its **score_segment** |
| `DiskFull` | too little room for the write; nothing was written | make room on the lake's disk (the error names it and how much is left), or lower `VITRINA_MIN_FREE_GB`, then clear |
| `process killed` | most often out of memory | clear once; if it returns, raise the task's `pool_slots` |
| `timeout` | ran past its `execution_timeout` | clear once; if it returns, page the owner |
| `anything else` | a bug | page the owner with the log; other segments are not harmed |

**Impact** none for 3 days: marketers use the newest card. After that, tell marketing.

### Run again
- **Clear a failed task**: click its red square in the grid, then the round arrow (shift+c), leave **Downstream**
  chosen, **Confirm**. It runs again, then the tasks after it.
- **One day**: **Trigger**, **Advanced Options**, **Partition Key** 2026-01-31.
- **Many days**: backfill build_features; this DAG follows by itself, day by day.
- **Train superseded days too**: switch **force_training** on, in that backfill or here.
- Safe to repeat: a day is replaced, never appended. Never **mark as success** (the tick): the chain would stop there.
"""  # noqa: E501

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import PartitionedAssetTimetable, dag, task

from vitrina_airflow.assets import FEATURES, LOOKALIKES
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
    tags=["lookalikes", "impact/tier_3"],
)
def score_lookalikes() -> None:
    """Order: segments, one task each, then the day as a whole."""

    @task
    def list_segments(**context: object) -> object:
        return run_step(context)

    @task(
        pool_slots=2,
        map_index_template="{{ task.op_kwargs['segment'] }}",
        execution_timeout=timedelta(hours=2),
    )
    def score_segment(segment: str, **context: object) -> object:
        return run_step(context, segment)

    # A segment that failed, and a day with nothing to map over, leave the others to be published.
    @task(trigger_rule="all_done", outlets=[LOOKALIKES])
    def publish_lookalikes(**context: object) -> object:
        return run_step(context)

    score_segment.expand(segment=list_segments()) >> publish_lookalikes()


score_lookalikes()
