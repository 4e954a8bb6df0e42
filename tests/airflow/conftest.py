"""One real Airflow for the whole run, over a small shop whose history is loaded."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tasks.settings import Settings
from tests.conftest import SHOP_DAYS, SHOP_FIRST_DAY
from vitrina_airflow import standalone
from vitrina_airflow.processes import Family
from vitrina_airflow.rest import Airflow, Record

LAST_DAY = SHOP_FIRST_DAY + timedelta(days=SHOP_DAYS - 1)
HERE = Path(__file__).parent
Alert = dict[str, str]
REFUSING = {
    "VITRINA_RANKER__MIN_CUSTOMERS": "1",
    "VITRINA_RANKER__PRICE_LOW": "1",
    "VITRINA_RANKER__PRICE_HIGH": "1",
}
"""A gate that refuses every model, since no top costs exactly what the base order's does."""


@dataclass
class Installation:
    """The running Airflow, its settings, and the alerts that its webhook got."""

    airflow: Airflow
    family: Family
    settings: Settings
    alerts: list[Alert]

    def run_of(self, dag_id: str, run_id: str) -> Record:
        runs = self.airflow.runs([dag_id], [LAST_DAY])
        return next(run for run in runs if run["dag_run_id"] == run_id)

    def unfinished(self, dag_ids: Iterable[str], days: Iterable[date]) -> str:
        """What every run of the days is at, what components are down, and the scheduler's end."""
        lines = [f"down: {standalone.unhealthy(self.family)}"]
        for run in self.airflow.runs(dag_ids, days):
            lines.append(f"{run['dag_id']} {run['partition_key']} {run['state']}")
            lines += [
                f"  {task['task_id']}[{task['map_index']}] {task['state']} try {task['try_number']}"
                f" since {task['start_date']} pid {task['pid']}"
                for task in self.airflow.tasks(run)
                if task["state"] not in ("success", "skipped")
            ]
        for log in ("scheduler", "standalone"):
            path = self.settings.home / "airflow" / "logs" / f"{log}.log"
            lines += [f"{log}:", *path.read_text(errors="replace").splitlines()[-40:]]
        return "\n".join(lines)

    def alerts_of(self, dag_id: str, day: str = str(LAST_DAY)) -> list[Alert]:
        # Not those of the newest real day, which the schedule runs without a delivery.
        return [alert for alert in self.alerts if (alert["dag"], alert["day"]) == (dag_id, day)]


def eventually(
    found: Callable[[], Any],
    what: str,
    seconds: float = 240,
    instead: Callable[[], object] = lambda: "nothing more is known",
) -> Any:  # noqa: ANN401
    """Return what is found within the seconds, asked for twice a second; else tell `instead`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.5)
    pytest.fail(f"waited {seconds:.0f} s for {what}; {instead()}")


@pytest.fixture(scope="session")
def webhook() -> Iterator[tuple[str, list[Alert]]]:
    """The address of a server, and what is posted to it."""
    posted: list[Alert] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/alerts", posted
    server.shutdown()


@pytest.fixture(scope="session")
def installation(
    loaded: Settings,
    webhook: tuple[str, list[Alert]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installation]:
    """A started Airflow whose lake holds the shop's history, the last day included."""
    home = tmp_path_factory.mktemp("installation")
    shutil.copytree(loaded.home / "lake", home / "lake")
    shutil.copytree(loaded.landing, home / "landing")
    settings = Settings(home=home, min_free_gb=0)
    family = standalone.start(
        settings,
        {
            "AIRFLOW__CORE__DAGS_FOLDER": str(_dags_with_sleepers(home)),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "VITRINA_ALERT_WEBHOOK": webhook[0],
            "VITRINA_MIN_FREE_GB": "0",
            "VITRINA_RETRIES__SHORT_SECONDS": "2",
            "VITRINA_MAILINGS__ANSWER_HOURS": "0.03",
            **REFUSING,
        },
    )
    try:
        standalone.wait_until_healthy(settings, family)
        airflow = Airflow(family.airflow_url)
        eventually(lambda: airflow.dag("sleeper") and airflow.dag("retrain_ranker"), "the DAGs")
        yield Installation(airflow, family, settings, webhook[1])
    finally:
        standalone.stop(settings)
    assert family.members() == []


def _dags_with_sleepers(home: Path) -> Path:
    folder = home / "dags"
    shutil.copytree(standalone.ROOT / "dags", folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("sleeper.py", "restless.py"):
        shutil.copy(HERE / name, folder)
    return folder


def answer(url: str, run: Record, option: str = "Send", **typed: object) -> str:
    """Answer what the run's `choose` asks, through the API, and return the name of who did.

    A moment after it has asked: Airflow loses an answer that meets the end of the process that
    asked, and then asks again.
    """
    api = f"{url}/api/v2/dags/{run['dag_id']}/dagRuns/{quote(run['dag_run_id'], safe='')}"
    task = f"{api}/taskInstances/choose"

    def waits() -> bool:
        return requests.get(task, timeout=60).json()["state"] == "awaiting_input"

    eventually(waits, "the question")
    time.sleep(10)
    told = {"chosen_options": [option], "params_input": typed}
    found = requests.patch(f"{task}/-1/hitlDetails", json=told, timeout=60)
    found.raise_for_status()
    name: str = found.json()["responded_by"]["name"]
    return name


def ended(installation: Installation, run: Record) -> Any:  # noqa: ANN401
    """Return the run when it is done, None before."""
    found = installation.run_of(run["dag_id"], run["dag_run_id"])
    return found if found["state"] in ("success", "failed") else None
