"""Alerts: one for each failure, to the log and to the webhook of the settings.

Three ways lead here, and the book of failures lets each task try through once:
the task's callback in its own process; the same callback in the dag-processor, when a worker
vanished; and the scheduler's listener, when neither ran.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from tasks.settings import Settings
from vitrina_airflow.alert_book import AlertBook
from vitrina_airflow.failure import BACKFILL, Failure
from vitrina_airflow.links import MLFLOW_RUN_KEY
from vitrina_airflow.runbook import KILLED, action_for

log = logging.getLogger(__name__)

ORIGIN = "origin"
WEBHOOK_SECONDS = 5


def alert_failure(context: Mapping[str, Any]) -> None:
    """Alert the failure of a task; the `on_failure_callback` of every task."""
    raise_alert(failure_of(context), Settings())


def raise_alert(failure: Failure, settings: Settings) -> bool:
    """Enter the failure and send what is due; return whether it made an alert of its own due."""
    book = AlertBook(settings.home)
    if is_due := book.enter(failure):
        log.error("ALERT %s", failure.text())
    else:
        days = ", ".join(book.days_of_group(failure))
        log.info("%s: already alerted with its group; days so far: %s", failure.task, days)
    send_due(settings)
    return is_due


def send_due(settings: Settings) -> None:
    """Send every alert that is due: a new one, and those that the webhook did not take before.

    The log has had each of them, which is all where no webhook is set.
    """
    book, is_taking = AlertBook(settings.home), True
    for failure in book.claim():
        is_taking = is_taking and _post(failure, settings)
        book.settle(failure, is_taking)


def failure_of(context: Mapping[str, Any]) -> Failure:
    """Return the failure that a callback's context tells of.

    Without an exception the callback runs outside the task: its process is gone.
    """
    ti, run = context["ti"], context["dag_run"]
    exception = context.get("exception")
    error, line = _named(exception)
    return Failure(
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        try_number=ti.try_number,
        map_index=ti.map_index if ti.map_index is not None else -1,
        map_key=getattr(ti, "rendered_map_index", None) or "",
        day=run.partition_key or "no day",
        kind=kind_of(run, Settings()),
        error=error,
        line=line,
        action=action_for(context["dag"].doc_md, error),
        log_url=ti.log_url,
        mlflow_url=_mlflow_url(ti),
        link=getattr(exception, "link", ""),
    )


def kind_of(run: Any, settings: Settings) -> str:  # noqa: ANN401 (Airflow's run)
    """Return the kind of the root run, a backfill with its number: events carry it to followers."""
    extras = [event.extra or {} for event in run.consumed_asset_events]
    if origins := sorted(str(extra[ORIGIN]) for extra in extras if ORIGIN in extra):
        return origins[0]
    kind = str(getattr(run.run_type, "value", run.run_type))
    number = AlertBook(settings.home).backfill_of(run.dag_id, run.run_id)
    return kind if number is None else f"{BACKFILL}{number}"


def _named(exception: BaseException | str | None) -> tuple[str, str]:
    if exception is None:
        return KILLED, "the worker's process ended without a word (out of memory, or a restart)"
    if isinstance(exception, str):
        return "Error", _first_line(exception)
    return type(exception).__name__, _first_line(str(exception))


def _first_line(message: str) -> str:
    return next((line.strip() for line in message.splitlines() if line.strip()), "no message")


def _mlflow_url(ti: Any) -> str:  # noqa: ANN401 (Airflow's task instance)
    try:
        found = ti.xcom_pull(key=MLFLOW_RUN_KEY, task_ids=ti.task_id, map_indexes=ti.map_index)
    except Exception:
        # An alert without this link is better than none.
        log.exception("%s.%s: no link to its MLflow run", ti.dag_id, ti.task_id)
        return ""
    return str(found or "")


def _post(failure: Failure, settings: Settings) -> bool:
    if settings.alert_webhook is None:
        return True
    import requests

    url = settings.alert_webhook.get_secret_value()
    try:
        requests.post(url, json=failure.payload(), timeout=WEBHOOK_SECONDS).raise_for_status()
    except requests.RequestException as error:
        # The address is a secret and would be part of the error's text.
        log.error("the alert's webhook did not take it: %s", type(error).__name__)
        return False
    return True
