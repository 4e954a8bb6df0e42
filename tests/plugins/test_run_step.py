"""A step inside Airflow: what it is told by the run, and what it passes on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.errors import ContractViolation, InputNotReady
from tasks.settings import Settings
from vitrina_airflow.alert_book import AlertBook
from vitrina_airflow.run import WorkerKilled, run_step, with_conf

DAY = "2026-03-05"


class Store(dict[str, Any]):
    """Airflow's store of a task, which outlives its tries."""

    def set(self, key: str, value: object) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


class Ti(SimpleNamespace):
    def xcom_push(self, key: str, value: object) -> None:
        self.pushed[key] = value


def context(
    dag_id: str = "compute_facet_weights",
    task_id: str = "write_user_facets",
    key: str | None = DAY,
    **run: object,
) -> dict[str, Any]:
    """What Airflow gives a task, as far as a step reads it."""
    told: dict[str, object] = {
        "dag_id": dag_id,
        "run_id": "r1",
        "partition_key": key,
        "run_type": "manual",
        "conf": None,
        "consumed_asset_events": [],
    }
    ti = Ti(dag_id=dag_id, task_id=task_id, run_id="r1", try_number=1, pushed={})
    return {
        "ti": ti,
        "dag_run": SimpleNamespace(**told | run),
        "task_state_store": Store(),
        "outlets": ["asset"],
        "outlet_events": {"asset": SimpleNamespace(extra={})},
    }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VITRINA_HOME", str(tmp_path))
    monkeypatch.setenv("VITRINA_MLFLOW_URL", "")
    return tmp_path


@pytest.fixture
def on_shop(loaded_copy: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The variables that lead to a lake in which the chain has run."""
    monkeypatch.setenv("VITRINA_HOME", str(loaded_copy.home))
    monkeypatch.setenv("VITRINA_LANDING_FOLDER", str(loaded_copy.landing))
    monkeypatch.setenv("VITRINA_MLFLOW_URL", "")
    monkeypatch.setenv("VITRINA_MIN_FREE_GB", "0")
    return loaded_copy


def extra(found: dict[str, Any]) -> dict[str, Any]:
    return dict(found["outlet_events"]["asset"].extra)


def test_a_step_runs_the_function_of_its_name_for_the_run_s_day(on_shop: Settings) -> None:
    assert run_step(context()) > 0


def test_a_mapped_step_gets_its_key(on_shop: Settings) -> None:
    found = context("train_candidates", "train_generator", "2026-03-05")
    assert run_step(found, "popular")["candidates"] >= 0


def test_the_kind_of_run_travels_on(on_shop: Settings) -> None:
    AlertBook(on_shop.home).enter_backfill("compute_facet_weights", "backfill__1", 7)
    root = context(run_type="backfill", run_id="backfill__1")
    run_step(root)
    assert extra(root) == {"origin": "backfill 7"}
    event = SimpleNamespace(extra=extra(root))
    follower = context(run_type="asset_triggered", consumed_asset_events=[event])
    run_step(follower)
    assert extra(follower) == {"origin": "backfill 7"}


def test_forced_training_travels_on(on_shop: Settings) -> None:
    root = context(conf={"force_training": True})
    run_step(root)
    assert extra(root) == {"origin": "manual", "force_training": True}
    event = SimpleNamespace(extra=extra(root))
    follower = context(run_type="asset_triggered", consumed_asset_events=[event])
    run_step(follower)
    assert extra(follower)["force_training"] is True


def test_a_run_s_conf_changes_the_settings(settings: Settings) -> None:
    assert with_conf(settings, {"force_training": True}).training.force
    assert with_conf(settings, {"accept_reason": "sale"}).ranker.accept_reason == "sale"
    assert with_conf(settings, {"rollback_reason": "slow"}).ranker.rollback_reason == "slow"


def test_what_a_form_leaves_empty_changes_nothing(settings: Settings) -> None:
    assert with_conf(settings, {"force_training": False, "accept_reason": ""}) is settings
    assert with_conf(settings, {"rollback_reason": None}) is settings
    assert with_conf(settings, {"accept_reason": "  ", "rollback_reason": " \n"}) is settings


def test_a_reason_is_kept_without_the_blanks_around_it(settings: Settings) -> None:
    assert with_conf(settings, {"accept_reason": " sale "}).ranker.accept_reason == "sale"


def test_a_word_of_the_wrong_type_is_refused(settings: Settings) -> None:
    with pytest.raises(ContractViolation, match="accept_reason=5 is not allowed: it takes a str"):
        with_conf(settings, {"accept_reason": 5})


def test_a_superseded_day_lists_nothing_unless_forced(on_shop: Settings) -> None:
    # 2026-03-06 is neither the newest day nor one of the weekly ones.
    told = ("train_candidates", "list_generators", "2026-03-06")
    assert run_step(context(*told)) == []
    assert run_step(context(*told, conf={"force_training": True})) != []


@pytest.mark.parametrize("word", ["force_trainning", "accept_reason"])
def test_a_conf_that_nobody_reads_is_refused(home: Path, word: str) -> None:
    said = f"conf has {word}; known to compute_facet_weights: force_training"
    with pytest.raises(ContractViolation, match=said):
        run_step(context(conf={word: True}))


def test_a_reason_for_a_model_that_is_too_good_is_typed_with_the_run(home: Path) -> None:
    # It gets as far as the groups, which are absent.
    told = {"accept_reason": "a sale, checked by hand", "force_training": True}
    with pytest.raises(InputNotReady):
        run_step(context("retrain_ranker", "train_ranker", conf=told))


def test_the_live_ranker_goes_back_by_a_run_with_a_reason(home: Path) -> None:
    reason = {"rollback_reason": "sales fell"}
    with pytest.raises(ContractViolation, match="nothing to roll back to"):
        run_step(context("rollback_ranker", "roll_back", conf=reason))
    with pytest.raises(ContractViolation, match="say why"):
        run_step(context("rollback_ranker", "roll_back"))
    with pytest.raises(ContractViolation, match="say why"):
        run_step(context("rollback_ranker", "roll_back", conf={"rollback_reason": "   "}))


def test_a_run_without_a_day_does_nothing(home: Path) -> None:
    with pytest.raises(ContractViolation, match="no partition key"):
        run_step(context(key=None))


def test_an_error_of_the_step_surfaces_as_itself(home: Path) -> None:
    found = context()
    with pytest.raises(InputNotReady):
        run_step(found)
    assert found["task_state_store"] == {}
    assert extra(found) == {}


def test_a_step_killed_twice_is_not_tried_a_third_time(home: Path) -> None:
    found = context()
    found["task_state_store"]["unfinished_tries"] = 2
    with pytest.raises(WorkerKilled, match="killed in 2 tries"):
        run_step(found)
    # Cleared by a person it has its two tries again.
    with pytest.raises(InputNotReady):
        run_step(found)


def test_a_step_killed_once_is_tried_again(on_shop: Settings) -> None:
    found = context()
    found["task_state_store"]["unfinished_tries"] = 1
    assert run_step(found) > 0
    assert found["task_state_store"] == {}


def test_the_address_of_the_mlflow_run_is_there_although_the_step_failed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITRINA_MLFLOW_URL", f"sqlite:///{home}/mlflow.db")
    found = context()
    with pytest.raises(InputNotReady):
        run_step(found)
    assert str(found["ti"].pushed["mlflow_run_url"]).startswith("sqlite:///")
