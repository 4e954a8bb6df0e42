from __future__ import annotations

import subprocess
import sys
from datetime import date
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import tasks
from tasks.__main__ import main
from tasks.errors import InputNotReady, PartsMissing, QualityGateFailed, VitrinaError
from tasks.lake.lake import Lake
from tasks.lake.tables import GATE_DECISIONS
from tasks.landing.manifest import write_landing_day
from tasks.settings import Settings
from tasks.steps import CHAIN, Step, Try, dags, execute, run_dag, steps_of
from tests.rows import rows

ROOT = Path(__file__).resolve().parents[2]
DAY = date(2026, 3, 10)


@pytest.mark.parametrize("dag", CHAIN)
def test_steps_come_after_what_they_wait_for(dag: str) -> None:
    steps = steps_of(dag)
    seen: set[object] = set()
    for step in steps:
        waits = {*step.after, *([step.mapped_over] if step.mapped_over else [])}
        assert waits <= seen, step.name
        seen.add(step.run)
    TopologicalSorter({s.name: [f.__name__ for f in s.after] for s in steps}).prepare()


@pytest.mark.parametrize("dag", CHAIN)
def test_every_step_says_what_it_does(dag: str) -> None:
    assert all((step.run.__doc__ or "").strip() for step in steps_of(dag))


def test_a_dag_has_at_most_three_unmapped_tasks() -> None:
    # Five DAGs times a few seconds of Airflow a task: the chain's day has to stay short.
    assert sum(not step.mapped_over for dag in CHAIN for step in steps_of(dag)) <= 12


def test_a_step_gets_its_day_settings_and_key(settings: Settings) -> None:
    seen = []

    def step(day: date, settings: Settings, key: str) -> dict[str, int]:
        seen.append((day, settings.seed, key))
        return {"rows": 1}

    assert execute(Try("dag", "step", DAY, "ease"), step, settings) == {"rows": 1}
    assert seen == [(DAY, settings.seed, "ease")]


def test_what_comes_after_failed_keys_runs_and_the_dag_says_what_failed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []

    def keys(day: date, settings: Settings) -> list[str]:
        return ["a", "b", "c"]

    def mapped(day: date, settings: Settings, key: str) -> None:
        if key == "b":
            raise QualityGateFailed("b is weak")
        ran.append(key)

    def last(day: date, settings: Settings) -> None:
        ran.append("last")

    steps = (Step(keys), Step(mapped, after=(keys,), mapped_over=keys), Step(last, after=(mapped,)))
    monkeypatch.setattr(import_module("tasks.train_candidates"), "STEPS", steps)
    with pytest.raises(PartsMissing, match="b is weak"):
        run_dag("train_candidates", DAY, settings)
    assert ran == ["a", "c", "last"]
    with pytest.raises(QualityGateFailed, match="b is weak"):
        run_dag("train_candidates", DAY, settings, "mapped")


def test_the_log_opens_with_the_day_and_ends_with_the_broken_rule(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    def step(day: date, settings: Settings) -> None:
        raise InputNotReady("events: 1 of 30 days are absent")

    with caplog.at_level("INFO"), pytest.raises(InputNotReady):
        execute(Try("dag", "step", DAY), step, settings)
    assert "dag.step 2026-03-10: try 1, writes no table in" in caplog.messages[0]
    assert caplog.messages[-1].endswith("InputNotReady: events: 1 of 30 days are absent")


def test_the_log_opens_with_the_tables_and_ends_with_what_was_written(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    write_landing_day(settings.landing, DAY, {}, "test")
    with caplog.at_level("INFO"):
        run_dag("build_features", DAY, settings, only="ingest")
    assert caplog.messages[0] == (
        "build_features.ingest 2026-03-10: try 1, writes events, set_aside_events, items,"
        f" item_attributes, customers, contacts, daily_acts, daily_item_counts, daily_user_counts,"
        f" data_checks in {settings.lake}"
    )
    assert "build_features.ingest 2026-03-10: done in" in caplog.messages[-1]
    assert "'events': 0" in caplog.messages[-1]


def test_an_unknown_dag_or_step_is_named(settings: Settings) -> None:
    with pytest.raises(VitrinaError, match="there is no DAG 'train_everything'"):
        run_dag("train_everything", DAY, settings)
    with pytest.raises(VitrinaError, match="build_features has no step 'count'; it has ingest"):
        run_dag("build_features", DAY, settings, only="count")


def test_the_command_line_lists_every_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    scheduled = {path.stem for path in (ROOT / "dags").glob("*.py")}
    assert scheduled | {"rollback_ranker"} == set(dags())
    for dag in dags():
        for step in steps_of(dag):
            assert f"{dag}.{step.name}" in printed


def test_a_missing_library_is_not_taken_for_a_missing_dag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needy.py").write_text("import no_such_library")
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        steps_of("needy")


@pytest.fixture
def at_home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The same settings for the command line."""
    monkeypatch.setenv("VITRINA_HOME", str(settings.home))
    monkeypatch.setenv("VITRINA_MLFLOW_URL", "")
    return settings


@pytest.mark.parametrize(
    "call",
    [
        "run build_features --day 2026-02-02 --to 2026-01-01",
        "status --from 2026-02-02 --to 2026-01-01",
        "run train_everything --day 2026-02-02",
        "run build_features.count --day 2026-02-02",
    ],
)
def test_a_wrong_call_has_exit_code_2(
    call: str, at_home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(call.split()) == 2
    assert capsys.readouterr().err.startswith("WrongCall: ")


@pytest.mark.parametrize("call", ["run build_features --day yesterday", "run build_features"])
def test_an_unreadable_call_has_exit_code_2(call: str) -> None:
    with pytest.raises(SystemExit) as raised:
        main(call.split())
    assert raised.value.code == 2


def test_the_chain_is_judged_by_hand_for_a_day(
    at_home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    write_landing_day(at_home.landing, DAY, {}, "test")
    assert main(["run", "watch_chain", "--day", str(DAY)]) == 1
    assert "events of 2026-03-10 was due at 2026-03-11 03:00" in capsys.readouterr().err


def test_a_refusal_stops_no_other_day_and_has_exit_code_3(
    at_home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    days = [date(2026, 3, 10), date(2026, 3, 11)]
    for day in days:
        write_landing_day(at_home.landing, day, {}, "test")
        refused: dict[str, object] = {"decision": "refused", "reason": f"too weak on {day}"}
        Lake(at_home).append_day(GATE_DECISIONS, day, rows(GATE_DECISIONS, refused))
    call = ["run", "retrain_ranker.promote", "--day", "2026-03-10", "--to", "2026-03-11", "--force"]
    assert main(call) == 3
    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if "too weak on" in line] == told
    assert len(told) == len(days)


def test_a_known_error_is_one_line_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITRINA_HOME", str(settings.home))
    monkeypatch.setenv("VITRINA_MLFLOW_URL", "")
    assert main(["run", "build_features", "--day", "2026-03-10"]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("InputNotReady: ")
    assert "Traceback" not in "".join(lines)


def test_a_full_disk_is_one_line_and_exit_code_1(
    at_home: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITRINA_MIN_FREE_GB", "4096")
    write_landing_day(at_home.landing, DAY, {}, "test")
    assert main(["run", "build_features.ingest", "--day", str(DAY)]) == 1
    told = capsys.readouterr().err
    assert told.strip().splitlines()[-1].startswith("DiskFull: ")
    assert "Traceback" not in told


def test_a_step_is_named_after_its_function() -> None:
    assert Step(run_dag).name == "run_dag"


def test_a_reader_that_stops_early_is_no_error() -> None:
    # More lines than a pipe holds, so that the command does write into a closed one.
    many = "from tasks import __main__ as m; m.main = lambda: print('line\\n' * 100_000) or 0;"
    command = f'"{sys.executable}" -c "{many} import sys; sys.exit(m.piped())" | head -1'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "line\n", "")
