"""Airflow's REST API, as far as a script that starts, watches and mends runs needs it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from os.path import commonprefix
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

TIMEOUT_SECONDS = 60
CONFLICT = 409
NOTHING_TO_DO = 422

Record = dict[str, Any]


class Airflow:
    """The installation at an address that asks for no login."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._api = f"{url}/api/v2"
        self._session = requests.Session()
        # A busy machine answers late or with its database locked; to ask again does no harm.
        patience = Retry(total=5, backoff_factor=1, status_forcelist=[500, 503])
        self._session.mount("http://", HTTPAdapter(max_retries=patience))

    def dag(self, dag_id: str) -> Record | None:
        """Return the DAG, None while it is unknown."""
        answer = self._session.get(f"{self._api}/dags/{dag_id}", timeout=TIMEOUT_SECONDS)
        return self._record(answer) if answer.ok else None

    def unpause(self, dag_id: str) -> None:
        """Let the DAG run."""
        self._send("PATCH", f"dags/{dag_id}", {"is_paused": False})

    def backfill(
        self,
        dag_id: str,
        first: date,
        last: date,
        max_active_runs: int,
        conf: Record | None = None,
    ) -> None:
        """Backfill the days that have no run yet, unless a backfill of the DAG is active."""
        body = {
            "dag_id": dag_id,
            "from_date": f"{first}T00:00:00Z",
            "to_date": f"{last}T00:00:00Z",
            "max_active_runs": max_active_runs,
            "dag_run_conf": conf or {},
        }
        answer = self._session.post(f"{self._api}/backfills", json=body, timeout=TIMEOUT_SECONDS)
        if answer.status_code not in (CONFLICT, NOTHING_TO_DO):
            answer.raise_for_status()

    def trigger(self, dag_id: str, day: date, conf: Record | None = None) -> str:
        """Start a run for a day by hand; return its id."""
        body = {"logical_date": None, "partition_key": str(day), "conf": conf or {}}
        return str(self._send("POST", f"dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def runs(self, dag_ids: Iterable[str], days: Iterable[date]) -> list[Record]:
        """Return the newest run of each DAG and day, among the newest hundred of those days."""
        wanted, keys = set(dag_ids), {str(day) for day in days}
        found = self._get(
            "dags/~/dagRuns",
            limit=100,
            order_by="-id",
            partition_key_prefix_pattern=commonprefix(list(keys)),  # noqa: RUF071 (no paths)
        )["dag_runs"]
        newest = {
            (run["dag_id"], run["partition_key"]): run
            for run in reversed(found)
            if run["dag_id"] in wanted and run["partition_key"] in keys
        }
        return list(newest.values())

    def tasks(self, run: Record) -> list[Record]:
        """Return the task instances of a run."""
        found: list[Record] = self._get(f"{_path(run)}/taskInstances", limit=100)["task_instances"]
        return found

    def tasks_in(self, states: list[str]) -> list[Record]:
        """Return the task instances of every run that are in one of the states."""
        found: list[Record] = self._get("dags/~/dagRuns/~/taskInstances", state=states)[
            "task_instances"
        ]
        return found

    def clear_failed(self, run: Record) -> None:
        """Run the failed tasks of a run again, and those after them."""
        body = {"dag_run_id": run["dag_run_id"], "dry_run": False, "only_failed": True}
        self._send("POST", f"dags/{run['dag_id']}/clearTaskInstances", body)

    def log_tail(self, task: Record, lines: int) -> list[str]:
        """Return the last lines of a task try's log."""
        path = f"{_path(task)}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
        content = self._get(path, map_index=task["map_index"], full_content=True)["content"]
        return [text for event in content for text in _texts(event)][-lines:]

    def _get(self, path: str, **params: object) -> Record:
        answer = self._session.get(
            f"{self._api}/{path}",
            params={name: _words(value) for name, value in params.items()},
            headers={"Accept": "application/json"},
            timeout=TIMEOUT_SECONDS,
        )
        answer.raise_for_status()
        return self._record(answer)

    def _send(self, method: str, path: str, body: Record | None = None) -> Record:
        answer = self._session.request(
            method, f"{self._api}/{path}", json=body, timeout=TIMEOUT_SECONDS
        )
        answer.raise_for_status()
        return self._record(answer) if answer.content else {}

    @staticmethod
    def _record(answer: requests.Response) -> Record:
        found = answer.json()
        return found if isinstance(found, dict) else {}


def _words(value: object) -> str | list[str]:
    return [str(one) for one in value] if isinstance(value, list) else str(value)


def _path(record: Record) -> str:
    return f"dags/{record['dag_id']}/dagRuns/{quote(record['dag_run_id'], safe='')}"


def _texts(event: Record | str) -> list[str]:
    if isinstance(event, str):
        return [event]
    details = event.get("error_detail") or []
    errors = [f"{found.get('exc_type')}: {found.get('exc_value')}" for found in details]
    return [str(event.get("event", "")), *errors]
