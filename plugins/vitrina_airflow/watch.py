"""The hourly look at the chain from inside Airflow: what is late, which days are half pending."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tasks.settings import Settings
from tasks.steps import CHAIN
from tasks.watch_chain import HalfPending, find_missing
from vitrina_airflow.alerts import send_due

REMEMBERED = timedelta(days=30)
WAITING_DAG = CHAIN[-1]
"""The one DAG that waits for two assets."""


def watch(context: Mapping[str, Any]) -> int:
    """Judge the chain as it is now; return how many tables were judged.

    Once an hour it also sends the alerts that the webhook did not take.
    """
    now = datetime.now(UTC)
    events = {
        asset.name: context["inlet_events"][asset].after((now - REMEMBERED).isoformat())
        for asset in context["inlets"]
    }
    settings = Settings()
    send_due(settings)
    return find_missing(now, half_pending(events), settings)


def half_pending(events: Mapping[str, Iterable[Any]]) -> list[HalfPending]:
    """Return the days for which assets have an event that woke nobody.

    Mostly others have none yet. Where every asset has one, Airflow took two events of one moment
    for two runs, of which each waits for the other's (apache/airflow#71070, open in 3.3).

    Args:
        events: by asset, Airflow's events with `partition_key`, `timestamp`, `created_dagruns`.
    """
    idle = {
        name: {
            event.partition_key: event.timestamp
            for event in found
            if event.partition_key and not event.created_dagruns
        }
        for name, found in events.items()
    }
    days = sorted({day for found in idle.values() for day in found})
    return [_pending(day, idle) for day in days]


def _pending(day: str, idle: Mapping[str, Mapping[str, datetime]]) -> HalfPending:
    came = tuple(name for name, found in idle.items() if day in found)
    return HalfPending(
        dag=WAITING_DAG,
        day=day,
        came=came,
        absent=tuple(name for name in idle if name not in came),
        since=max(idle[name][day] for name in came),
    )
