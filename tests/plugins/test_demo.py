"""What the demo asks of Airflow and makes of its answers; the answers are recorded ones."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tasks.landing.manifest import write_landing_day
from tasks.settings import Settings
from tasks.steps import CHAIN
from vitrina_airflow import demo
from vitrina_airflow.alert_book import AlertBook
from vitrina_airflow.failure import Failure
from vitrina_airflow.processes import Family
from vitrina_airflow.rest import Record

DAYS = [date(2026, 3, day) for day in (10, 11, 12)]
NOBODY = "http://127.0.0.1:1"
FAMILY = Family(pid=0, started=0.0, airflow_url=NOBODY, mlflow_url=NOBODY)
LEAF = {name: "promote" if name == "retrain_ranker" else "last" for name in CHAIN}


@dataclass
class Answers:
    """Airflow as it answered; it writes down what it was told to do."""

    found: list[Record]
    url: str = NOBODY
    told: list[tuple[Any, ...]] = field(default_factory=list)

    def dag(self, dag_id: str) -> Record:
        return {"dag_id": dag_id}

    def runs(self, dag_ids: Iterable[str], days: Iterable[date]) -> list[Record]:
        wanted, keys = set(dag_ids), {str(day) for day in days}
        return [r for r in self.found if r["dag_id"] in wanted and r["partition_key"] in keys]

    def tasks(self, run: Record) -> list[Record]:
        task = {name: run[name] for name in ("dag_id", "dag_run_id", "state")}
        names = {"task_id": LEAF[run["dag_id"]], "map_index": -1, "try_number": 1}
        return [task | names, task | names | {"task_id": "first", "state": "success"}]

    def tasks_in(self, states: list[str]) -> list[Record]:
        return [task for run in self.found for task in self.tasks(run) if task["state"] in states]

    def log_tail(self, task: Record, lines: int) -> list[str]:
        return ["a line before", f"ContractViolation: in {task['task_id']}"][-lines:]

    def clear_failed(self, run: Record) -> None:
        self.told.append(("clear", run["dag_id"], run["partition_key"]))

    def backfill(self, dag_id: str, first: date, last: date, max_active_runs: int) -> None:
        self.told.append(("backfill", dag_id, first, last, max_active_runs))

    def unpause(self, dag_id: str) -> None:
        self.told.append(("unpause", dag_id))

    def trigger(self, dag_id: str, day: date) -> str:
        self.told.append(("trigger", dag_id, day))
        return "manual__1"


UNPAUSED = [("unpause", dag) for dag in CHAIN]


def run(dag_id: str, day: date, state: str = "success") -> Record:
    key = str(day)
    return {
        "dag_id": dag_id, "dag_run_id": f"{dag_id} {key}", "partition_key": key, "state": state
    }  # fmt: skip


def all_done(but: dict[str, str] | None = None) -> Answers:
    """Every run of the days succeeded, but those of some DAGs on the last day."""
    states = {(dag, DAYS[-1]): state for dag, state in (but or {}).items()}
    return Answers(
        [run(dag, day, states.get((dag, day), "success")) for dag in CHAIN for day in DAYS]
    )


def refused(settings: Settings) -> None:
    """Enter the gate's refusal into the book, as its alert does."""
    names = run("retrain_ranker", DAYS[-1])
    AlertBook(settings.home).enter(
        Failure(
            dag_id="retrain_ranker",
            task_id="promote",
            run_id=names["dag_run_id"],
            try_number=1,
            day=str(DAYS[-1]),
            kind="manual",
            error="QualityGateFailed",
            line="refused: weaker",
            action="nothing at night",
            log_url="",
        )
    )


def test_the_first_time_every_day_is_backfilled(settings: Settings) -> None:
    airflow = Answers([])
    demo.begin(airflow, DAYS, settings)
    assert airflow.told == [("backfill", "build_features", DAYS[0], DAYS[-1], 2), *UNPAUSED]


def test_what_is_done_is_not_done_again(settings: Settings) -> None:
    airflow = all_done()
    demo.begin(airflow, DAYS, settings)
    assert airflow.told == UNPAUSED


def test_run_again_the_demo_clears_what_failed(settings: Settings) -> None:
    airflow = all_done({"train_candidates": "failed"})
    demo.begin(airflow, DAYS, settings)
    assert airflow.told == [("clear", "train_candidates", str(DAYS[-1])), *UNPAUSED]


def test_a_refusal_is_not_cleared(settings: Settings) -> None:
    airflow = all_done({"retrain_ranker": "failed"})
    refused(settings)
    demo.begin(airflow, DAYS, settings)
    assert airflow.told == UNPAUSED


def test_yesterday_is_left_to_the_schedule_and_triggered_where_that_does_not_run_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "SCHEDULE_SECONDS", 0)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    days = [yesterday - timedelta(days=age) for age in (2, 1, 0)]
    airflow = Answers([])
    demo.begin(airflow, days, settings)
    backfill = ("backfill", "build_features", days[0], days[1], 2)
    assert airflow.told == [backfill, *UNPAUSED, ("trigger", "build_features", yesterday)]


def test_done_runs_are_returned(settings: Settings) -> None:
    assert demo.watch(all_done(), DAYS, settings, FAMILY) == all_done().found


def test_only_the_failed_tasks_of_a_failed_run_are_broken(settings: Settings) -> None:
    airflow = all_done({"train_candidates": "failed"})
    failed, fine = run("train_candidates", DAYS[-1], "failed"), run("train_candidates", DAYS[0])
    assert [task["task_id"] for task in demo.broken_tasks(airflow, failed, settings)] == ["last"]
    assert demo.broken_tasks(airflow, fine, settings) == []


def test_progress_names_what_runs_and_what_waits(settings: Settings) -> None:
    airflow = all_done({"train_candidates": "running", "retrain_ranker": "up_for_retry"})
    assert demo.progress(airflow, airflow.found, 13) == (
        "13 of 15 runs done; train_candidates.last 2026-03-12,"
        " retrain_ranker.promote 2026-03-12 (waits for its next try)"
    )


def test_standing_still_for_a_moment_is_nothing() -> None:
    demo.refuse_standstill(demo.STILL_SECONDS, "scheduling", FAMILY)


@pytest.mark.parametrize("seconds", [demo.STILL_SECONDS + 1, demo.WAIT_MINUTES * 60 + 1])
def test_standing_still_with_a_component_down_names_it(seconds: float) -> None:
    with pytest.raises(demo.RunFailed, match=r"\(scheduling\); down: api-server, mlflow"):
        demo.refuse_standstill(seconds, "scheduling", FAMILY)


class TestExitCode:
    """What `make demo` ends with, from the moment when the history is there."""

    @pytest.fixture(autouse=True)
    def called(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VITRINA_HOME", str(settings.home))
        monkeypatch.setattr(sys, "argv", ["demo"])

    def ended_with(self, airflow: Answers, monkeypatch: pytest.MonkeyPatch) -> int:
        def show(args: object, settings: Settings) -> None:
            demo.watch(airflow, DAYS, settings, FAMILY)

        monkeypatch.setattr(demo, "show", show)
        return demo.main()

    def test_is_0_when_all_is_done(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.ended_with(all_done(), monkeypatch) == 0

    def test_is_0_when_the_gate_refused(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refused(settings)
        assert self.ended_with(all_done({"retrain_ranker": "failed"}), monkeypatch) == 0

    def test_is_1_with_the_end_of_the_log_when_a_task_failed(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.ended_with(all_done({"train_candidates": "failed"}), monkeypatch) == 1
        assert capsys.readouterr().err.splitlines() == [
            "RunFailed: train_candidates.last of 2026-03-12 failed. The end of its log:",
            "    a line before",
            "    ContractViolation: in last",
            f"See {NOBODY}",
        ]

    def test_is_1_when_the_home_holds_another_shop(
        self, settings: Settings, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_landing_day(settings.landing, DAYS[0], {}, source="online_retail")
        assert demo.main() == 1
        assert "holds days from online_retail" in capsys.readouterr().err

    def test_is_130_after_ctrl_c(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        airflow = all_done({"train_candidates": "running"})

        def sleep(seconds: float) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(demo.time, "sleep", sleep)
        assert self.ended_with(airflow, monkeypatch) == 130
        assert "`make demo` goes on from here" in capsys.readouterr().out
