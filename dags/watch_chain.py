"""Watch the chain: alert when a table is not there by its hour, naming the first missing link.

- **Reads** the ledger of days, landing manifests, asset events.
- **Writes** nothing.
- **Users** whoever is on call: nothing happening is what hurts most, and nothing else tells of it.
- **Runs** every hour, outside the chain. Normal: 10 seconds.

Task: **find_missing** judges the last two days, and the days for which retrain_ranker has one of the two events it
waits for. The same lateness is one alert, however many hours it lasts.

### If it fails
| Error | Meaning | Do |
| --- | --- | --- |
| `ChainIncomplete` | a table or delivery is late, or a day is half pending | look at the DAG it names; its runbook says what to do; a half pending day: trigger the DAG by hand with that partition key |
| `process killed` | the machine is short of memory | look at the machine; the next hour tries again |
| `timeout` | the lake does not answer | look at the lake's store; the next hour tries again |
| `anything else` | a bug | page the owner; until then look at `python -m tasks status` by hand |

**Impact** none by itself, but while it is red nobody is told of a chain that stands still.

### Run again
- Runs every hour by itself; **Trigger** starts it at once. It needs no partition key.
- Safe to repeat: it changes nothing. In the chain never **mark as success** (the tick): it sends no event, and the
  chain stops there.
"""  # noqa: E501

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import dag, task

from vitrina_airflow.assets import CANDIDATES, FACETS
from vitrina_airflow.defaults import DEFAULT_ARGS
from vitrina_airflow.watch import watch


@dag(
    description=__doc__.splitlines()[0],
    schedule="0 * * * *",
    start_date=pendulum.datetime(2000, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS | {"retries": 0, "execution_timeout": timedelta(minutes=10)},
    doc_md=__doc__,
    tags=["watch", "impact/tier_1"],
)
def watch_chain() -> None:
    """Order: one task."""

    @task(inlets=[FACETS, CANDIDATES])
    def find_missing(**context: object) -> int:
        return watch(context)

    find_missing()


watch_chain()
