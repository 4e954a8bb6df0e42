"""The SQL on a Spark standalone cluster, a master and two workers as plain processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks.lake.contracts import Table
from tasks.lake.lake import Lake
from tasks.lake.tables import (
    DEMAND_LAGS,
    ITEM_FEATURES,
    USER_FEATURES,
    USER_ITEM_FEATURES,
    USER_SEQUENCES,
)
from tasks.settings import Settings
from tests.cluster.servers import HOST, answers, end, free_port, tasks, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

DAY = date(2026, 3, 2)
COUNTED = (ITEM_FEATURES, USER_FEATURES, USER_ITEM_FEATURES, USER_SEQUENCES, DEMAND_LAGS)


@dataclass(frozen=True)
class Cluster:
    url: str
    web_port: int

    def state(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://{HOST}:{self.web_port}/json/", timeout=10) as answer:
            state: dict[str, Any] = json.load(answer)
        return state

    def has_two_workers(self) -> bool:
        try:
            return bool(self.state()["aliveworkers"] == 2)
        except OSError:  # the page is not there yet
            return False


@pytest.fixture(scope="module")
def cluster(spark_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("spark")
    port, web_port = free_port(), free_port()
    known = Cluster(f"spark://{HOST}:{port}", web_port)
    environment = {**os.environ, "SPARK_LOCAL_IP": HOST, "SPARK_WORKER_DIR": str(folder)}
    started: list[subprocess.Popen[bytes]] = []

    def launch(role: str, *words: str) -> subprocess.Popen[bytes]:
        program = [str(spark_home / "bin" / "spark-class"), f"org.apache.spark.deploy.{role}"]
        log = (folder / f"{len(started)}.log").open("wb")
        server = subprocess.Popen(
            [*program, "--host", HOST, *words], env=environment, stdout=log, stderr=log
        )
        started.append(server)
        return server

    try:
        own = ("--port", str(port), "--webui-port", str(web_port))
        wait_for(lambda: answers(port), "the Spark master", launch("master.Master", *own))
        worker = ("--webui-port", "0", "-c", "1", "-m", "1g", known.url)
        servers = [launch("worker.Worker", *worker) for _ in range(2)]
        wait_for(known.has_two_workers, "the second Spark worker", servers[-1])
        yield known
    finally:
        for server in reversed(started):
            end(server)


@pytest.fixture(scope="module")
def on_spark(
    cluster: Cluster,
    small_home: Path,
    python_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The same lake, its counters written again by the cluster."""
    home = tmp_path_factory.mktemp("cluster") / "home"
    shutil.copytree(small_home, home)
    engine = {"VITRINA_ENGINE": "spark", "VITRINA_SPARK_MASTER": cluster.url}
    memory = {"VITRINA_MEMORY_GB": "1", "VITRINA_HOME": str(home)}
    words = ["run", "build_features.count_interactions", "--day", str(DAY)]
    tasks(words, python_environment | engine | memory)
    return home


def read(home: Path, table: Table) -> pl.DataFrame:
    lake = Lake(Settings(home=home, mlflow_url=""))
    return lake.read_day(table, DAY).sort(table.key)


@pytest.mark.parametrize("table", COUNTED, ids=lambda table: table.name)
def test_the_cluster_counts_what_duckdb_counts(
    table: Table, small_home: Path, on_spark: Path
) -> None:
    ours, theirs = read(small_home, table), read(on_spark, table)
    assert ours.height > 0
    assert_frame_equal(ours, theirs, rel_tol=1e-12, abs_tol=0)


def test_the_cluster_did_the_work_with_both_workers(cluster: Cluster, on_spark: Path) -> None:
    done = cluster.state()["completedapps"]
    assert [app["name"] for app in done] == ["vitrina"]
    assert done[0]["cores"] == 2


def test_the_ledger_says_that_the_day_was_written_twice(on_spark: Path) -> None:
    ledger = Lake(Settings(home=on_spark, mlflow_url="")).ledger
    assert ledger.written(ITEM_FEATURES)[DAY, ""].version == 2
