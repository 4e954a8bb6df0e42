"""What an alert says, and that one failure is one alert, by whichever way it was noticed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from tasks.errors import ContractViolation, InputNotReady, QualityGateFailed
from tasks.settings import Settings
from vitrina_airflow import alert_book, listener
from vitrina_airflow.alert_book import AlertBook
from vitrina_airflow.alerts import alert_failure, failure_of, kind_of, raise_alert, send_due
from vitrina_airflow.failure import Failure
from vitrina_airflow.watch import watch

RUNBOOK = """| Error | Meaning | Do |
| --- | --- | --- |
| `ContractViolation` | bad data | fix the source |
| `process killed` | out of memory | clear once |
| `anything else` | a bug | page the owner |
"""
MLFLOW = "http://127.0.0.1:5000/#/experiments/1/runs/abc"
LOG = "http://127.0.0.1:8080/dags/build_features/runs/r1/tasks/ingest?try_number=1"
FAILURE = Failure(
    dag_id="build_features",
    task_id="ingest",
    run_id="scheduled__1",
    try_number=1,
    day="2026-03-05",
    kind="scheduled",
    error="ContractViolation",
    line="events: 'price >= 0' broken by 3 rows",
    action="fix the source",
    log_url=LOG,
    mlflow_url=MLFLOW,
)


def event(**extra: str) -> SimpleNamespace:
    return SimpleNamespace(extra=extra or None)


def run_of(
    run_type: str, events: tuple[Any, ...] = (), key: str | None = "2026-03-05"
) -> SimpleNamespace:
    return SimpleNamespace(
        dag_id="build_features",
        run_id="r1",
        run_type=run_type,
        partition_key=key,
        consumed_asset_events=events,
    )


def context(
    exception: object = None,
    run_type: str = "scheduled",
    key: str | None = "2026-03-05",
    events: tuple[Any, ...] = (),
) -> dict[str, Any]:
    """The parts of Airflow's callback context that an alert reads."""
    ti = SimpleNamespace(
        dag_id="build_features",
        task_id="ingest",
        run_id="r1",
        try_number=1,
        map_index=-1,
        rendered_map_index=None,
        log_url=LOG,
        xcom_pull=lambda **asked: MLFLOW,
    )
    run = run_of(run_type, events, key)
    found = {"ti": ti, "dag_run": run, "dag": SimpleNamespace(doc_md=RUNBOOK)}
    return found | ({"exception": exception} if exception else {})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VITRINA_HOME", str(tmp_path))
    return tmp_path


class Webhook:
    """A real server that keeps what was posted to it."""

    def __init__(self, status: int = 200) -> None:
        self.posted: list[dict[str, str]] = []
        posted = self.posted

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posted.append(json.loads(body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/secret-path"


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    yield hook
    hook.server.shutdown()


@pytest.fixture
def broken_webhook() -> Iterator[Webhook]:
    """A server that says no to whatever it gets."""
    hook = Webhook(status=500)
    yield hook
    hook.server.shutdown()


@pytest.mark.parametrize(
    ("run_type", "events", "kind"),
    [
        ("scheduled", (), "scheduled"),
        ("backfill", (), "backfill"),
        ("manual", (), "manual"),
        ("asset_triggered", (event(origin="backfill 7"),), "backfill 7"),
        ("asset_triggered", (event(origin="scheduled"), event(origin="scheduled")), "scheduled"),
        ("asset_triggered", (event(),), "asset_triggered"),
    ],
)
def test_a_follower_has_the_kind_of_the_run_that_woke_it(
    run_type: str, events: tuple[Any, ...], kind: str, settings: Settings
) -> None:
    assert kind_of(run_of(run_type, events), settings) == kind


def test_a_run_of_a_backfill_carries_its_number(home: Path) -> None:
    run = SimpleNamespace(dag_id="build_features", run_id="r1", backfill_id=7)
    listener.on_dag_run_running(run, "started")
    listener.on_dag_run_running(SimpleNamespace(**vars(run) | {"backfill_id": None}), "started")
    assert kind_of(run_of("backfill"), Settings()) == "backfill 7"
    found = failure_of(context(ContractViolation("broken"), "backfill"))
    assert found.text().splitlines()[0] == (
        "build_features.ingest failed for 2026-03-05 (backfill 7 run, try 1); the same error on"
        " other days of backfill 7 is not sent again: see the grid of build_features, or"
        " `python -m tasks status` for the range"
    )


@pytest.mark.parametrize("run_type", ["scheduled", "manual", "backfill"])
def test_an_alert_says_what_broke_where_and_what_to_do(home: Path, run_type: str) -> None:
    error = ContractViolation("events: 'price >= 0' broken by 3 rows\nExamples: ...")
    text = failure_of(context(error, run_type)).text()
    assert f"build_features.ingest failed for 2026-03-05 ({run_type} run, try 1)" in text
    assert "ContractViolation: events: 'price >= 0' broken by 3 rows" in text
    assert "Examples" not in text
    assert "Do: fix the source" in text
    assert LOG in text
    assert MLFLOW in text


def test_a_callback_without_an_exception_means_that_the_process_is_gone(home: Path) -> None:
    found = failure_of(context())
    assert found.error == "process killed"
    assert found.action == "clear once"


def test_a_run_without_a_day_says_so(home: Path) -> None:
    assert failure_of(context(ContractViolation("no key"), key=None)).day == "no day"


def test_an_alert_goes_out_without_its_mlflow_link_when_that_cannot_be_had(home: Path) -> None:
    def broken(**asked: object) -> str:
        raise ConnectionError

    found = context(InputNotReady("events: 1 of 30 days are absent"))
    found["ti"].xcom_pull = broken
    assert "MLflow: the run was not opened" in failure_of(found).text()


def test_a_mapped_task_is_named_by_its_key() -> None:
    found = replace(FAILURE, dag_id="train_candidates", task_id="train_generator", map_key="ease")
    assert found.text().startswith("train_candidates.train_generator[ease] failed")


def test_a_failure_is_alerted_once_whichever_way_tells_of_it(settings: Settings) -> None:
    as_seen_by_scheduler = replace(FAILURE, error="process killed")
    assert [raise_alert(found, settings) for found in (FAILURE, FAILURE, as_seen_by_scheduler)] == [
        True,
        False,
        False,
    ]


def test_a_cleared_task_that_fails_again_is_alerted_again(settings: Settings) -> None:
    assert raise_alert(FAILURE, settings)
    assert raise_alert(replace(FAILURE, try_number=2), settings)


def test_mapped_tasks_that_fail_alike_in_a_run_are_one_alert(settings: Settings) -> None:
    found = [replace(FAILURE, task_id="train_generator", map_index=index) for index in range(4)]
    assert [raise_alert(one, settings) for one in found] == [True, False, False, False]


def test_mapped_tasks_that_fail_differently_are_an_alert_each(settings: Settings) -> None:
    other = replace(FAILURE, map_index=1, error=QualityGateFailed.__name__)
    assert raise_alert(FAILURE, settings)
    assert raise_alert(other, settings)


def test_the_same_error_on_two_scheduled_days_is_two_alerts(settings: Settings) -> None:
    assert raise_alert(FAILURE, settings)
    assert raise_alert(replace(FAILURE, run_id="scheduled__2", day="2026-03-06"), settings)


def backfilled(number: int, day: int) -> Failure:
    run_id = f"backfill__{number}_{day}"
    return replace(FAILURE, kind=f"backfill {number}", run_id=run_id, day=f"2026-03-{day:02}")


def test_the_failures_of_a_backfill_are_one_alert_that_counts_the_days(settings: Settings) -> None:
    days = [backfilled(7, day) for day in range(1, 18)]
    assert [raise_alert(one, settings) for one in days] == [True] + [False] * 16
    assert len(AlertBook(settings.home).days_of_group(days[0])) == 17


def test_each_backfill_has_its_alert_however_soon_it_follows(settings: Settings) -> None:
    assert [raise_alert(backfilled(number, 5), settings) for number in (7, 8)] == [True, True]


def test_failures_of_a_backfill_that_nobody_knows_are_an_alert_each(settings: Settings) -> None:
    runs = [replace(FAILURE, kind="backfill", run_id=run_id) for run_id in ("b1", "b2")]
    assert [raise_alert(one, settings) for one in runs] == [True, True]


def test_one_late_table_is_one_alert_however_many_hours_it_is_late(settings: Settings) -> None:
    hours = [
        replace(FAILURE, dag_id="watch_chain", run_id=f"hour{hour}", link="events 2026-03-05")
        for hour in range(5)
    ]
    assert [raise_alert(one, settings) for one in hours] == [True] + [False] * 4
    assert raise_alert(replace(hours[0], run_id="hour5", link="items 2026-03-05"), settings)


def test_processes_that_tell_of_one_failure_at_once_send_one_alert(settings: Settings) -> None:
    sent: list[bool] = []
    threads = [
        threading.Thread(target=lambda: sent.append(raise_alert(FAILURE, settings)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sent) == [False] * 7 + [True]


def test_the_webhook_gets_the_alert_as_json(settings: Settings, webhook: Webhook) -> None:
    raise_alert(FAILURE, to(settings, webhook))
    (posted,) = webhook.posted
    assert posted["text"] == FAILURE.text()
    assert (posted["dag"], posted["task"], posted["day"]) == (
        "build_features",
        "ingest",
        "2026-03-05",
    )
    assert posted["mlflow_url"] == MLFLOW


def to(settings: Settings, hook: Webhook) -> Settings:
    return settings.model_copy(update={"alert_webhook": SecretStr(hook.url)})


def test_a_webhook_that_fails_loses_no_task_and_betrays_no_address(
    settings: Settings, broken_webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    raise_alert(FAILURE, to(settings, broken_webhook))
    assert "did not take it" in caplog.text
    assert "secret-path" not in caplog.text


def test_an_alert_that_the_webhook_did_not_take_is_sent_with_the_next_one(
    settings: Settings, broken_webhook: Webhook, webhook: Webhook
) -> None:
    raise_alert(FAILURE, to(settings, broken_webhook))
    assert AlertBook(settings.home).alerted() == []
    raise_alert(replace(FAILURE, run_id="scheduled__2"), to(settings, webhook))
    raise_alert(replace(FAILURE, run_id="scheduled__3"), to(settings, webhook))
    assert len(webhook.posted) == 3
    assert len(AlertBook(settings.home).alerted()) == 3


def test_a_webhook_that_takes_nothing_is_asked_once_a_call(
    settings: Settings, broken_webhook: Webhook
) -> None:
    for number in range(3):
        told = replace(FAILURE, run_id=f"scheduled__{number}")
        raise_alert(told, to(settings, broken_webhook))
    assert len(broken_webhook.posted) == 3


def test_the_hourly_watch_sends_what_is_due(
    home: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    AlertBook(home).enter(FAILURE)
    monkeypatch.setenv("VITRINA_ALERT_WEBHOOK", webhook.url)
    watch({"inlets": [], "inlet_events": {}})
    assert [posted["text"] for posted in webhook.posted] == [FAILURE.text()]


def test_a_sender_that_was_killed_loses_its_claim(
    settings: Settings, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = AlertBook(settings.home)
    book.enter(FAILURE)
    assert [book.claim(), book.claim()] == [[FAILURE], []]
    monkeypatch.setattr(alert_book, "CLAIM_SECONDS", -1)
    send_due(to(settings, webhook))
    assert len(webhook.posted) == 1


def test_the_callback_reads_its_home_from_the_settings(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alert_failure(context(ContractViolation("broken")))
    (alerted,) = AlertBook(home).alerted()
    assert (alerted["dag_id"], alerted["error"]) == ("build_features", "ContractViolation")
    assert "ALERT build_features.ingest failed" in caplog.text


def test_the_book_knows_the_error_of_a_task_as_the_api_names_it(settings: Settings) -> None:
    raise_alert(FAILURE, settings)
    task = {
        "dag_id": "build_features", "dag_run_id": "scheduled__1", "task_id": "ingest",
        "map_index": -1, "try_number": 1,
    }  # fmt: skip
    book = AlertBook(settings.home)
    assert book.error_of(task) == "ContractViolation"
    assert book.error_of(task | {"try_number": 2}) is None
