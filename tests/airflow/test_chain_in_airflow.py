"""The chain in a real Airflow: a day that fails and is mended, runs without a day, killed tasks."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import psutil
import pytest
import requests

from tasks.lake.contracts import Table
from tasks.lake.lake import Lake, Window
from tasks.lake.ledger import Record as Written
from tasks.lake.tables import (
    AUDIENCE_DECISIONS,
    AUDIENCES,
    CANDIDATES,
    CUSTOMERS,
    EVENTS,
    ITEM_FEATURES,
    LOOKALIKE_SCORES,
    RANKER_METRICS,
    THRESHOLD_CARDS,
    USER_FACETS,
)
from tasks.steps import CHAIN
from tests.airflow.conftest import LAST_DAY, Installation, answer, ended, eventually
from tests.rows import rows
from vitrina_airflow.rest import Record
from vitrina_airflow.watch import half_pending

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]
ROOT_DAG, FOLLOWERS = CHAIN[0], CHAIN[1:]
MAILED = LAST_DAY - timedelta(days=6)
OLD_DAYS = [LAST_DAY - timedelta(days=age) for age in (2, 1)]


def trigger(here: Installation, dag_id: str) -> Record:
    here.airflow.unpause(dag_id)
    run_id = here.airflow.trigger(dag_id, LAST_DAY)
    return eventually(lambda: here.run_of(dag_id, run_id), f"a run of {dag_id}")


def task_of(here: Installation, run: Record, task_id: str) -> Record:
    return next(task for task in here.airflow.tasks(run) if task["task_id"] == task_id)


def delivery(here: Installation) -> Path:
    return next((here.settings.landing / f"dt={LAST_DAY}").glob("events-*.parquet"))


def versions(here: Installation) -> dict[str, Written]:
    lake = Lake(here.settings)
    return {
        table.name: lake.ledger.written(table)[LAST_DAY, ""]
        for table in (EVENTS, ITEM_FEATURES, USER_FACETS)
    }


@pytest.fixture(scope="module")
def broken(installation: Installation) -> tuple[Record, bytes]:
    """A run of the root whose delivery was edited after its manifest, and the true bytes."""
    for dag in FOLLOWERS:
        installation.airflow.unpause(dag)
    path = delivery(installation)
    true = path.read_bytes()
    path.write_bytes(true + b"edited")
    run = trigger(installation, ROOT_DAG)
    return eventually(lambda: ended(installation, run), "the run to fail"), true


@pytest.fixture(scope="module")
def mended(
    installation: Installation, broken: tuple[Record, bytes]
) -> tuple[dict[str, Written], dict[str, Record]]:
    """What the ledger said before, and the runs of the chain once the delivery was mended."""
    before = versions(installation)
    delivery(installation).write_bytes(broken[1])
    installation.airflow.clear_failed(broken[0])

    def done() -> dict[str, Record] | None:
        runs = {run["dag_id"]: run for run in installation.airflow.runs(CHAIN, [LAST_DAY])}
        states = [run["state"] in ("success", "failed") for run in runs.values()]
        return runs if len(states) == len(CHAIN) and all(states) else None

    return before, eventually(done, "the five DAGs", seconds=600)


def test_a_broken_delivery_fails_at_once(
    installation: Installation, broken: tuple[Record, bytes]
) -> None:
    task = task_of(installation, broken[0], "ingest")
    assert (task["state"], task["try_number"]) == ("failed", 1)


def test_its_one_alert_says_what_and_where_and_what_to_do(
    installation: Installation, broken: tuple[Record, bytes]
) -> None:
    (alert,) = installation.alerts_of(ROOT_DAG)
    assert (alert["task"], alert["day"], alert["kind"]) == ("ingest", str(LAST_DAY), "manual")
    assert alert["error"] == "ContractViolation"
    assert delivery(installation).name in alert["line"]
    assert "corrected" in alert["action"]
    assert alert["log_url"].startswith(installation.airflow.url)
    assert alert["mlflow_url"].startswith(installation.family.mlflow_url)


def test_the_failed_task_links_to_its_mlflow_run(
    installation: Installation, broken: tuple[Record, bytes]
) -> None:
    run_id = requests.utils.quote(broken[0]["dag_run_id"], safe="")
    path = f"dags/{ROOT_DAG}/dagRuns/{run_id}/taskInstances/ingest/links"
    links = requests.get(f"{installation.airflow.url}/api/v2/{path}", timeout=60).json()
    url = links["extra_links"]["MLflow run"]
    found = requests.get(
        f"{installation.family.mlflow_url}/api/2.0/mlflow/runs/get",
        params={"run_id": url.rpartition("/")[2].partition("?")[0]},
        timeout=60,
    ).json()["run"]
    assert found["info"]["status"] == "FAILED"
    tags = {tag["key"]: tag["value"] for tag in found["data"]["tags"]}
    assert (tags["task"], tags["day"], tags["try"]) == ("ingest", str(LAST_DAY), "1")


def test_a_log_says_first_what_runs_and_last_what_broke(
    installation: Installation, broken: tuple[Record, bytes]
) -> None:
    task = task_of(installation, broken[0], "ingest")
    lines = installation.airflow.log_tail(task, 200)
    ours = [line for line in lines if line.startswith(f"{ROOT_DAG}.ingest {LAST_DAY}")]
    assert "try 1" in ours[0]
    assert "ContractViolation" in ours[-1]


def test_mended_and_cleared_the_day_runs_through_the_whole_chain(
    installation: Installation, mended: tuple[dict[str, Written], dict[str, Record]]
) -> None:
    states = {dag: run["state"] for dag, run in mended[1].items()}
    assert {states[dag] for dag in CHAIN if dag != "retrain_ranker"} == {"success"}
    failed = [
        task["task_id"]
        for task in installation.airflow.tasks(mended[1]["retrain_ranker"])
        if task["state"] == "failed"
    ]
    assert failed == ["promote"]


def test_a_refusal_by_the_gate_is_one_alert_and_success_is_none(
    installation: Installation, mended: tuple[dict[str, Written], dict[str, Record]]
) -> None:
    alerts = [
        (alert["task"], alert["error"]) for dag in CHAIN for alert in installation.alerts_of(dag)
    ]
    assert alerts == [("ingest", "ContractViolation"), ("promote", "QualityGateFailed")]
    (refusal,) = installation.alerts_of("retrain_ranker")
    assert refusal["line"].startswith("refused: ")
    assert "price of the top is " in refusal["line"]


def test_a_refusal_stands_in_the_note_of_its_run(
    installation: Installation, mended: tuple[dict[str, Written], dict[str, Record]]
) -> None:
    (refusal,) = installation.alerts_of("retrain_ranker")
    note = mended[1]["retrain_ranker"]["note"]
    assert note.startswith(f"Vitrina: {refusal['line']}"[:100])
    assert "The live model stays" in note


def test_a_refusal_lets_the_chain_go_on(
    installation: Installation, mended: tuple[dict[str, Written], dict[str, Record]]
) -> None:
    url = f"{installation.airflow.url}/api/v2/assets/events"
    told = {"source_dag_id": "retrain_ranker", "source_task_id": "train_ranker"}
    events = requests.get(url, params=told, timeout=60).json()["asset_events"]
    assert str(LAST_DAY) in {event["partition_key"] for event in events}


@pytest.fixture(scope="module")
def backfilled(
    installation: Installation, mended: tuple[dict[str, Written], dict[str, Record]]
) -> list[Record]:
    """The runs of the chain for two superseded days that one forced backfill of the root made."""
    conf = {"force_training": True}
    installation.airflow.backfill(ROOT_DAG, OLD_DAYS[0], OLD_DAYS[-1], 2, conf)

    def done() -> list[Record] | None:
        runs = installation.airflow.runs(CHAIN, OLD_DAYS)
        states = [run["state"] in ("success", "failed") for run in runs]
        return runs if len(states) == len(CHAIN) * len(OLD_DAYS) and all(states) else None

    return eventually(done, "two days of five DAGs", seconds=600)


def test_a_backfilled_root_wakes_its_followers_day_by_day(
    installation: Installation, backfilled: list[Record]
) -> None:
    kinds = {(run["dag_id"], run["run_type"]) for run in backfilled}
    assert kinds == {(ROOT_DAG, "backfill")} | {(dag, "asset_triggered") for dag in FOLLOWERS}
    failed = [
        task["task_id"]
        for run in backfilled
        for task in installation.airflow.tasks(run)
        if task["state"] == "failed"
    ]
    assert failed == ["promote"] * len(OLD_DAYS)


def test_a_forced_backfill_trains_every_day_of_it(
    installation: Installation, backfilled: list[Record]
) -> None:
    ledger = Lake(installation.settings).ledger
    for table in (LOOKALIKE_SCORES, CANDIDATES, RANKER_METRICS):
        assert set(OLD_DAYS) <= {day for day, _ in ledger.written(table)}


def test_a_backfill_s_refusals_are_one_alert_with_its_number(
    installation: Installation, backfilled: list[Record]
) -> None:
    alerts = [
        alert
        for day in OLD_DAYS
        for dag in CHAIN
        for alert in installation.alerts_of(dag, str(day))
    ]
    assert [(alert["task"], alert["kind"]) for alert in alerts] == [("promote", "backfill 1")]
    assert "is not sent again" in alerts[0]["text"]


def test_the_day_made_again_is_the_day_made_first(
    installation: Installation, mended: tuple[dict[str, Written], dict[str, Record]]
) -> None:
    for name, record in versions(installation).items():
        assert record.version > mended[0][name].version
        assert record.row_hash == mended[0][name].row_hash


def test_followers_have_the_root_s_day(
    mended: tuple[dict[str, Written], dict[str, Record]],
) -> None:
    kinds = {dag: run["run_type"] for dag, run in mended[1].items()}
    assert kinds == {ROOT_DAG: "manual"} | dict.fromkeys(FOLLOWERS, "asset_triggered")


@pytest.mark.parametrize(
    ("dag", "key"), [("train_candidates", "popular"), ("score_lookalikes", "bag_buyers")]
)
def test_mapped_tasks_are_named(
    installation: Installation,
    mended: tuple[dict[str, Written], dict[str, Record]],
    dag: str,
    key: str,
) -> None:
    tasks = installation.airflow.tasks(mended[1][dag])
    names = {task["rendered_map_index"] for task in tasks if task["map_index"] >= 0}
    assert key in names
    assert None not in names


def test_a_run_without_a_day_fails_and_says_what_to_type(installation: Installation) -> None:
    url = f"{installation.airflow.url}/api/v2/dags/score_lookalikes/dagRuns"
    installation.airflow.unpause("score_lookalikes")
    requests.post(url, json={"logical_date": None}, timeout=60).raise_for_status()
    (alert,) = eventually(lambda: installation.alerts_of("score_lookalikes", "no day"), "its alert")
    assert '"partition_key": "2026-01-31"' in alert["line"]


@dataclass(frozen=True)
class Mailing:
    """A run of send_audience."""

    here: Installation
    run: Record

    def state(self, task_id: str) -> str | None:
        state: str | None = task_of(self.here, self.run, task_id)["state"]
        return state

    def rows(self, table: Table) -> pl.DataFrame:
        found = Lake(self.here.settings).read_window(table, MAILED, Window(1, optional=True))
        return found.filter(pl.col("mailing") == self.run["conf"]["mailing"])

    def note(self) -> str:
        path = f"dags/send_audience/dagRuns/{requests.utils.quote(self.run['dag_run_id'], safe='')}"
        url = f"{self.here.airflow.url}/api/v2/{path}"
        done = eventually(lambda: _ended_with_note(url), "the end of the run")
        return str(done["note"])


def _ended_with_note(url: str) -> Record | None:
    run = requests.get(url, timeout=60).json()
    return run if run["state"] in ("success", "failed") else None


def mailing(here: Installation, name: str) -> Mailing:
    conf = {"segment": "bag_buyers", "mailing": name}
    run_id = here.airflow.trigger("send_audience", MAILED, conf)
    return Mailing(here, {"dag_id": "send_audience", "dag_run_id": run_id, "conf": conf})


@pytest.fixture(scope="module")
def unanswered(installation: Installation) -> Mailing:
    """A run that nobody answers, for a day whose card offers a threshold."""
    lake = Lake(installation.settings)
    willing = lake.read_day(CUSTOMERS, MAILED).filter("consent")["user_id"].sort().head(200)
    scores = [{"user_id": user, "probability": (n + 1) / 201} for n, user in enumerate(willing)]
    card = {"threshold": 0.5, "audience_size": 100, "verdict": "ok"}
    lake.write_day(LOOKALIKE_SCORES, MAILED, rows(LOOKALIKE_SCORES, *scores), "bag_buyers")
    lake.write_day(THRESHOLD_CARDS, MAILED, rows(THRESHOLD_CARDS, card), "bag_buyers")
    installation.airflow.unpause("send_audience")
    return mailing(installation, "silent")


@pytest.fixture(scope="module")
def sent(installation: Installation, unanswered: Mailing) -> tuple[Mailing, str]:
    """A run whose second answer is right, and the name of who gave it."""
    asked = mailing(installation, "spring")
    answer(installation.airflow.url, asked.run, threshold=1.7, audience_size=None)
    eventually(lambda: task_of(installation, asked.run, "choose")["try_number"] == 2, "its try")
    who = answer(installation.airflow.url, asked.run, threshold=0.5, audience_size=None)
    eventually(lambda: asked.state("export_audience") == "success", "the export")
    return asked, who


def test_an_answer_out_of_range_is_named_and_asked_for_again(
    installation: Installation, sent: tuple[Mailing, str]
) -> None:
    first = task_of(installation, sent[0].run, "choose") | {"try_number": 1}
    said = "WrongAnswer: threshold 1.7 is not from 0 to 1"
    assert any(said in line for line in installation.airflow.log_tail(first, 30))
    assert task_of(installation, sent[0].run, "choose")["try_number"] == 2
    assert installation.alerts_of("send_audience", str(MAILED)) == []


def test_an_answer_in_airflow_writes_the_audience_with_the_user_s_name(
    installation: Installation, sent: tuple[Mailing, str]
) -> None:
    asked, who = sent
    (decision,) = asked.rows(AUDIENCE_DECISIONS).iter_rows(named=True)
    assert (decision["chosen_by"], decision["threshold"]) == (who, 0.5)
    roles = asked.rows(AUDIENCES)["role"].value_counts()
    assert dict(roles.iter_rows()) == {name: decision[name] for name in ("sent", "control")}
    (exported,) = installation.settings.exports.glob("spring.*")
    assert exported.stat().st_mode & 0o777 == 0o600
    assert len(exported.read_text().splitlines()) == 1 + decision["sent"]
    assert f"{who} chose by threshold" in asked.note()


def test_a_second_run_of_a_mailing_asks_nobody_and_changes_nothing(
    installation: Installation, sent: tuple[Mailing, str]
) -> None:
    before = [sent[0].rows(table) for table in (AUDIENCE_DECISIONS, AUDIENCES)]
    again = mailing(installation, "spring")
    assert "decided before, nothing changed" in again.note()
    assert task_of(installation, again.run, "choose")["try_number"] == 1
    assert [
        again.rows(table).equals(one)
        for table, one in zip((AUDIENCE_DECISIONS, AUDIENCES), before, strict=True)
    ] == [True, True]


def test_unanswered_in_time_nothing_is_sent(unanswered: Mailing) -> None:
    assert "nothing was sent: nobody answered in" in unanswered.note()
    assert unanswered.state("write_audience") == unanswered.state("export_audience") == "skipped"
    assert unanswered.rows(AUDIENCE_DECISIONS).is_empty()
    assert unanswered.rows(AUDIENCES).is_empty()


def kill(here: Installation, run: Record, tries: int, with_supervisor: bool = False) -> None:
    """Kill the process of the run's one task in each of its tries."""
    killed: set[int] = set()
    while len(killed) < tries:
        pid = eventually(lambda: _asleep(here, run, killed), "the task to sleep")
        supervisor = psutil.Process(pid).ppid()
        for victim in [supervisor, pid] if with_supervisor else [pid]:
            os.kill(victim, signal.SIGKILL)
        killed.add(pid)


def _asleep(here: Installation, run: Record, but: set[int]) -> int | None:
    task = task_of(here, run, "sleep")
    if task["state"] != "running" or task["pid"] in but:
        return None
    return task["pid"] if "asleep" in here.airflow.log_tail(task, 50) else None


@pytest.mark.parametrize("with_supervisor", [False, True])
def test_a_killed_worker_is_alerted(installation: Installation, with_supervisor: bool) -> None:
    known = len(installation.alerts_of("sleeper"))
    run = trigger(installation, "sleeper")
    kill(installation, run, 1, with_supervisor)
    eventually(lambda: len(installation.alerts_of("sleeper")) > known, "its alert")
    alert = installation.alerts_of("sleeper")[-1]
    assert (alert["error"], alert["action"]) == ("process killed", "nothing")


def test_a_task_that_is_tried_again_gives_up_when_killed_twice(
    installation: Installation,
) -> None:
    run = trigger(installation, "restless")
    kill(installation, run, 2)
    (alert,) = eventually(lambda: installation.alerts_of("restless"), "its alert")
    assert (alert["error"], alert["action"]) == ("WorkerKilled", "nothing")
    assert task_of(installation, run, "sleep")["try_number"] == 3


def test_a_late_delivery_is_one_alert_of_the_watch(installation: Installation) -> None:
    installation.airflow.unpause("watch_chain")
    eventually(lambda: installation.alerts_of("watch_chain", "no day"), "its alert")
    url = f"{installation.airflow.url}/api/v2/dags/watch_chain/dagRuns"
    requests.post(url, json={"logical_date": None}, timeout=60).raise_for_status()

    def failed() -> bool:
        runs = requests.get(url, params={"state": "failed"}, timeout=60).json()["dag_runs"]
        return "manual" in {run["run_type"] for run in runs}

    eventually(failed, "the watch by hand")
    (alert,) = installation.alerts_of("watch_chain", "no day")
    assert alert["error"] == "ChainIncomplete"
    assert alert["line"].startswith("landing of ")


def test_a_day_whose_second_event_is_absent_is_half_pending(
    installation: Installation, mended: tuple[dict[str, Written], dict[str, Record]]
) -> None:
    url = f"{installation.airflow.url}/api/v2/assets/events"

    def events(dag_id: str) -> list[SimpleNamespace]:
        found = requests.get(url, params={"source_dag_id": dag_id}, timeout=60).json()
        events = [SimpleNamespace(**event) for event in found["asset_events"]]
        return [event for event in events if event.partition_key == str(LAST_DAY)]

    facets, candidates = events("compute_facet_weights"), events("train_candidates")
    assert half_pending({"facets": facets, "candidates": candidates}) == []
    alone = [SimpleNamespace(**vars(event) | {"created_dagruns": []}) for event in facets]
    (found,) = half_pending({"facets": alone, "candidates": []})
    assert (found.day, found.came, found.absent) == (str(LAST_DAY), ("facets",), ("candidates",))
    idle = [SimpleNamespace(**vars(event) | {"created_dagruns": []}) for event in candidates]
    (found,) = half_pending({"facets": alone, "candidates": idle})
    assert (found.came, found.absent) == (("facets", "candidates"), ())


def test_everything_listens_on_this_machine_only(installation: Installation) -> None:
    members = {process.pid for process in installation.family.members()}
    listening = {
        found.laddr.ip
        for found in psutil.net_connections("inet")
        if found.status == psutil.CONN_LISTEN and found.pid in members
    }
    assert listening == {"127.0.0.1"}


def test_an_asset_s_event_carries_what_the_run_was_told(
    installation: Installation, mended: tuple[dict[str, Written], dict[str, Record]]
) -> None:
    url = f"{installation.airflow.url}/api/v2/assets/events"
    found = requests.get(url, params={"source_dag_id": ROOT_DAG}, timeout=60).json()
    extras = [json.dumps(event["extra"]) for event in found["asset_events"]]
    assert any('"origin": "manual"' in extra for extra in extras)


def test_no_failure_was_alerted_twice(installation: Installation) -> None:
    # The dag-processor is the last to tell of one, and looks for callbacks every few seconds.
    time.sleep(10)
    tries = [(alert["log_url"], alert["error"]) for alert in installation.alerts]
    assert len(tries) == len(set(tries))
    assert len(installation.alerts_of("sleeper")) == 2


def test_a_killed_scheduler_is_begun_again_and_starts_what_is_triggered(
    installation: Installation,
) -> None:
    def schedulers() -> list[psutil.Process]:
        children = psutil.Process(installation.family.pid).children()
        return [child for child in children if "airflow scheduler" in child.cmdline()]

    (killed,) = schedulers()
    killed.kill()
    eventually(lambda: [one.pid for one in schedulers()] not in ([], [killed.pid]), "the next one")
    run = trigger(installation, "sleeper")
    assert eventually(lambda: _asleep(installation, run, set()), "its task to sleep")
