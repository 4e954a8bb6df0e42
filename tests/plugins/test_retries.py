from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
import requests
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import AirflowTaskTimeout

from tasks.errors import ContractViolation, InputNotReady, QualityGateFailed
from tasks.watch_chain import ChainIncomplete
from tests.airflow_environment import ROOT
from vitrina_airflow.defaults import RETRY_BY_ERROR
from vitrina_airflow.outage import PAUSES
from vitrina_airflow.run import WorkerKilled

NOBODY = "http://127.0.0.1:1"


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
        FileNotFoundError("a bug"),
        AirflowTaskTimeout(),
    ],
)
def test_what_waiting_cannot_mend_fails_at_once(error: BaseException) -> None:
    assert decide(error).action == RetryAction.FAIL


def test_a_late_chain_is_an_input_that_is_not_ready() -> None:
    assert isinstance(ChainIncomplete("late", "events"), InputNotReady)


def error_of(call: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as found:  # noqa: PT011 (which one it is, is the question)
        call()
    return found.value


def read_lake() -> object:
    from deltalake import DeltaTable

    options = {"aws_endpoint_url": NOBODY, "aws_region": "us-east-1", "aws_allow_http": "true"}
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "max_retries": "0"}
    return DeltaTable("s3://lake/events", storage_options=options | keys)


def read_file() -> object:
    import polars as pl

    options = {"aws_endpoint_url": NOBODY, "aws_region": "us-east-1", "aws_allow_http": "true"}
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "max_retries": 0}
    return pl.scan_parquet("s3://lake/events/a.parquet", storage_options=options | keys).collect()


def ask_mlflow() -> object:
    from mlflow.tracking import MlflowClient

    return MlflowClient(NOBODY).get_experiment("1")


@pytest.mark.parametrize(
    "call",
    [
        read_lake,
        read_file,
        ask_mlflow,
        lambda: requests.get(NOBODY, timeout=5),
        lambda: socket.create_connection(("127.0.0.1", 1)),
    ],
)
def test_a_server_that_does_not_answer_is_asked_again_soon(
    call: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    found = decide(error_of(call))
    assert (found.action, found.retry_delay) == (RetryAction.RETRY, timedelta(minutes=1))


@pytest.fixture
def answers() -> Iterator[Callable[[int], str]]:
    """Gives the address of a server that answers everything with a status."""
    servers = []

    def serve(status: int) -> str:
        handler = type("Handler", (BaseHTTPRequestHandler,), {"do_GET": _answer(status)})
        servers.append(HTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield serve
    for server in servers:
        server.shutdown()


def _answer(status: int) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


@pytest.mark.parametrize(
    ("status", "action"),
    [
        (400, RetryAction.FAIL),
        (404, RetryAction.FAIL),
        (429, RetryAction.RETRY),
        (502, RetryAction.RETRY),
        (503, RetryAction.RETRY),
    ],
)
def test_what_a_server_cannot_do_now_is_asked_again_and_what_it_refuses_is_not(
    answers: Callable[[int], str],
    status: int,
    action: RetryAction,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    url = answers(status)
    by_hand = error_of(lambda: requests.get(url, timeout=5).raise_for_status())
    by_client = error_of(lambda: MlflowClient(url).get_experiment("1"))
    assert [decide(error).action for error in (by_hand, by_client)] == [action, action]


def test_a_slow_answer_is_awaited_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert decide(error_of(lambda: requests.get(url, timeout=0.1))).action == RetryAction.RETRY


def test_names_of_errors_are_those_of_real_ones() -> None:
    from py4j.protocol import Py4JNetworkError

    for kind in (duckdb.HTTPException, Py4JNetworkError, requests.exceptions.ChunkedEncodingError):
        assert f"{kind.__module__}.{kind.__qualname__}" in PAUSES


def test_parsing_a_dag_imports_none_of_the_libraries() -> None:
    lines = "import sys, vitrina_airflow.defaults; print('mlflow' in sys.modules)"
    paths = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/plugins"}
    told = subprocess.check_output([sys.executable, "-c", lines], env=paths, text=True)
    assert told.endswith("False\n")
