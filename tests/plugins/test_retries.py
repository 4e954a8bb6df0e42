from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import AirflowTaskTimeout

from tasks.errors import ContractViolation, InputNotReady, QualityGateFailed
from tasks.watch_chain import ChainIncomplete
from vitrina_airflow.defaults import RETRY_BY_ERROR
from vitrina_airflow.run import WorkerKilled


def decide(exception: BaseException, context: Any = None, number: int = 1) -> Any:  # noqa: ANN401
    return RETRY_BY_ERROR.evaluate(exception, number, 9, context)


def task(dag_id: str, running: int) -> dict[str, Any]:
    """A task of the DAG, while so many tasks of the root run."""
    counts = {"build_features": running}
    ti = SimpleNamespace(dag_id=dag_id, get_ti_count=lambda dag_id, states: counts[dag_id])
    return {"ti": ti}


def test_an_absent_input_is_awaited_for_twenty_minutes_at_a_time() -> None:
    found = decide(InputNotReady("events: 1 day is absent"))
    assert (found.action, found.retry_delay) == (RetryAction.RETRY, timedelta(minutes=20))


@pytest.mark.parametrize(
    ("dag_id", "running", "wait"),
    [
        ("build_features", 1, timedelta(minutes=20)),  # only itself
        ("build_features", 2, timedelta(minutes=1)),
        ("train_candidates", 0, timedelta(minutes=20)),
        ("train_candidates", 1, timedelta(minutes=1)),
    ],
)
def test_the_wait_is_short_while_the_root_makes_another_day(
    dag_id: str, running: int, wait: timedelta
) -> None:
    assert decide(InputNotReady("absent"), task(dag_id, running)).retry_delay == wait


def test_after_three_short_waits_the_long_ones_begin() -> None:
    busy = task("train_candidates", 1)
    waits = [decide(InputNotReady("absent"), busy, number).retry_delay for number in (3, 4)]
    assert waits == [timedelta(minutes=1), timedelta(minutes=20)]


@pytest.mark.parametrize(
    "error",
    [
        ContractViolation("broken"),
        QualityGateFailed("weaker"),
        WorkerKilled("twice"),
        ZeroDivisionError(),
        KeyError("a bug"),
        AirflowTaskTimeout(),
    ],
)
def test_what_waiting_cannot_mend_fails_at_once(error: BaseException) -> None:
    assert decide(error).action == RetryAction.FAIL


def test_a_late_chain_is_an_input_that_is_not_ready() -> None:
    assert isinstance(ChainIncomplete("late", "events"), InputNotReady)


def test_a_server_that_does_not_answer_is_asked_again_soon() -> None:
    found = decide(ConnectionError())
    assert (found.action, found.retry_delay) == (RetryAction.RETRY, timedelta(minutes=1))
