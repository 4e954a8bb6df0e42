"""Choose who gets a mailing: the look-alikes of a segment, above a threshold that a person types.

- **Reads** lookalike_scores, threshold_cards, customers, contacts, audiences, audience_decisions.
- **Writes** audiences, audience_decisions, audience_exports; a file, and a webhook if one is chosen.
- **Users** whoever sends the letters; measure_mailing.
- **Runs** by hand only, for a day that score_lookalikes has scored. Normal: 1 minute, and the wait for an answer.

Tasks: **prepare** checks the card and writes the question, **choose** waits for a person's threshold or audience size,
**write_audience** draws the control group and writes down who chose what, **export_audience** hands over the rest,
less who opted out or lost consent since.

### If it fails
| Error | Meaning | Do |
| --- | --- | --- |
| `InputNotReady` | the segment has no scores of that day, or a delivery with opt-outs is not taken in | retries for 3 h by itself; meanwhile run what it names |
| `WrongAnswer` | a threshold or size was out of range, ten times | nothing was sent; the log of each try says what was wrong: trigger it again |
| `ContractViolation` | the card offers no threshold, or the run's words are wrong, or the webhook refuses | nothing was sent unless export_audience is red; the message says what to change; trigger again, or clear |
| `DiskFull` | too little room for the write; nothing was written | make room (the error names it), then clear |
| `process killed` | the machine is short of memory | clear once: what was decided stands, and nobody is written to twice |
| `timeout` | the lake or the webhook does not answer | clear; a receiver tells a repeated audience by its Idempotency-Key |
| `anything else` | a bug | page the owner with the log |

**Impact** a mailing waits. Nobody but the marketer is harmed: tell them.

### Run again
- **Send**: **Trigger**, choose **segment**, type the **mailing**, **Advanced Options**, **Partition Key** 2026-01-31; then
  **Required Actions** of the run: read the card, type one of the two, **Send**. Unanswered, nothing is sent.
- Safe to repeat: a decision of the same segment, day and mailing stands, and where it goes too. Another is another mailing.
- Never **mark as success** (the tick): nothing would be written or sent.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Mapping

import pendulum
from airflow.sdk import PartitionedAssetTimetable, dag, task

from vitrina_airflow.assets import BY_HAND
from vitrina_airflow.defaults import DEFAULT_ARGS, SAME_DAY
from vitrina_airflow.question import ANSWER_PARAMS, RUN_PARAMS, AskForAudience
from vitrina_airflow.run import run_step


@dag(
    description=__doc__.splitlines()[0],
    schedule=PartitionedAssetTimetable(assets=BY_HAND, default_partition_mapper=SAME_DAY),
    start_date=pendulum.datetime(2000, 1, 1, tz="UTC"),
    catchup=False,
    # Runs wait for days for an answer, and others must not wait for them.
    max_active_runs=100,
    is_paused_upon_creation=False,
    default_args=DEFAULT_ARGS,
    params=RUN_PARAMS,
    doc_md=__doc__,
    tags=["lookalikes", "impact/tier_3"],
)
def send_audience() -> None:
    """Order: question, answer, audience, export."""

    @task
    def prepare(**context: object) -> object:
        return run_step(context)

    # One at a time: two mailings at once would not see each other's letters.
    @task(max_active_tis_per_dag=1)
    def write_audience(answer: Mapping[str, object], **context: object) -> object:
        return run_step(context, answer=answer)

    # Two of one audience at once would both find it not handed over.
    @task(max_active_tis_per_dag=1)
    def export_audience(**context: object) -> object:
        return run_step(context)

    asked = AskForAudience(task_id="choose", params=ANSWER_PARAMS)
    prepare() >> asked
    write_audience(asked.output) >> export_audience()


send_audience()
