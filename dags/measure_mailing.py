"""Measure what mailings brought: who got the letter against the control group that did not.

- **Reads** audience_decisions, audiences, events, items, item_attributes, customers.
- **Writes** mailing_effects; pictures in MLflow.
- **Users** marketers: the result page, the note of the run.
- **Runs** after build_features, for the same day; there is work where a segment's horizon has passed. Normal: 10 seconds.

Task: **measure** compares the two arms of each audience once, on the days of its segment's horizon, which begins after
its own day and the day it was chosen on, whichever is later: share who did the seed thing, buyers, orders, revenue,
each with its 95% interval, and over the probability. Everybody counts in the arm that they were drawn into, whether the
letter was opened or not.

### If it fails
| Error | Meaning | Do |
| --- | --- | --- |
| `InputNotReady` | a day of a horizon is absent; the other mailings are measured | retries for 3 h by itself; then backfill `build_features` for the days it names |
| `ContractViolation` | a segment's file is wrong; or it is gone, 60 days after a mailing's audience was chosen | the other mailings are measured; mend the file that the message names, or put it back, then clear. If it went for good, leave it red: no later night is, and the log names the mailing as never measured |
| `DiskFull` | too little room for the write; nothing was written | make room on the lake's disk (the error names it and how much is left), then clear |
| `process killed` | the machine is short of memory | clear once; what was measured stands |
| `timeout` | the lake does not answer | look at the lake's store, then clear |
| `anything else` | a bug | page the owner with the log |

**Impact** none for a week: a marketer waits for a figure.

### Run again
- **One day**: **Trigger**, **Advanced Options**, **Partition Key** 2026-01-31: it measures all that is due by that day.
- Safe to repeat: a mailing is measured once, and comes to the same whenever. Never **mark as success** (the tick): the
  mailing would wait for the next day.
"""  # noqa: E501

from __future__ import annotations

import pendulum
from airflow.sdk import PartitionedAssetTimetable, dag, task

from vitrina_airflow.assets import FEATURES
from vitrina_airflow.defaults import DEFAULT_ARGS, SAME_DAY
from vitrina_airflow.run import run_step


@dag(
    description=__doc__.splitlines()[0],
    schedule=PartitionedAssetTimetable(assets=FEATURES, default_partition_mapper=SAME_DAY),
    start_date=pendulum.datetime(2000, 1, 1, tz="UTC"),
    catchup=False,
    # Two at once would both find a mailing unmeasured.
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["lookalikes", "impact/tier_3"],
)
def measure_mailing() -> None:
    """Order: one task."""

    @task
    def measure(**context: object) -> object:
        return run_step(context)

    measure()


measure_mailing()
