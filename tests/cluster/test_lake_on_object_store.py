"""The lake on a real S3 server, also when two writers meet or the server dies."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from tasks.lake.lake import Lake
from tasks.lake.tables import DATA_CHECKS, ITEM_FEATURES, USER_FACETS
from tasks.landing.manifest import write_landing_day
from tasks.settings import Settings
from tests.cluster.servers import BUCKET, ROOT, Store, tasks
from tests.rows import rows

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

DAY = date(2026, 3, 1)


@pytest.fixture
def settings(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Settings:
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)
    url = f"s3://{BUCKET}/{request.node.name}"
    made = Settings(home=tmp_path, lake_url=url, mlflow_url="")
    write_landing_day(made.landing, DAY, {}, "test")
    return made


def facets(*users: str) -> pl.DataFrame:
    return rows(USER_FACETS, *({"user_id": user} for user in users))


def users(settings: Settings) -> list[str]:
    return Lake(settings).read_day(USER_FACETS, DAY)["user_id"].to_list()


def test_a_day_written_to_the_store_is_read_back(settings: Settings) -> None:
    assert Lake(settings).write_day(USER_FACETS, DAY, facets("b", "a")) == 2
    assert users(settings) == ["a", "b"]


def test_a_day_written_again_replaces_the_first(settings: Settings) -> None:
    Lake(settings).write_day(USER_FACETS, DAY, facets("a"))
    Lake(settings).write_day(USER_FACETS, DAY, facets("c"))
    assert users(settings) == ["c"]
    assert Lake(settings).ledger.written(USER_FACETS)[DAY, ""].version == 2


def test_historical_rows_join_those_before(settings: Settings) -> None:
    for name in ("first", "second"):
        check = {"check": name, "value": 1.0, "version": 1, "verdict": "counted"}
        Lake(settings).append_day(DATA_CHECKS, DAY, rows(DATA_CHECKS, check))
    checks = Lake(settings).read_day(DATA_CHECKS, DAY)["check"]
    assert sorted(checks) == ["first", "second"]


def test_features_built_on_the_store_equal_those_built_in_a_folder(
    store: Store, small_home: Path, tmp_path: Path, python_environment: dict[str, str]
) -> None:
    last = date(2026, 3, 2)
    own = {
        "VITRINA_HOME": str(tmp_path),
        "VITRINA_LANDING_FOLDER": str(small_home / "landing"),
        "VITRINA_LAKE_URL": f"s3://{BUCKET}/shop",
    }
    days = [last - timedelta(days=age) for age in (2, 1, 0)]
    for step, day in (*(("ingest", day) for day in days), ("count_interactions", last)):
        words = ["run", f"build_features.{step}", "--day", str(day)]
        tasks(words, python_environment | store.environment() | own)
    in_folder = Lake(Settings(home=small_home, mlflow_url="")).ledger.written(ITEM_FEATURES)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in store.environment().items():
            patch.setenv(name, value)
        on_store = Lake(Settings(home=tmp_path, lake_url=own["VITRINA_LAKE_URL"]))
        assert on_store.ledger.written(ITEM_FEATURES)[last, ""].rows > 0
        hashes = on_store.ledger.written(ITEM_FEATURES)[last, ""].row_hash
    assert hashes == in_folder[last, ""].row_hash


WRITER = """
import sys
from datetime import date
from tasks.lake.lake import Lake
from tasks.lake.tables import USER_FACETS
from tasks.settings import Settings
from tests.rows import rows
for attempt in range(5):
    frame = rows(USER_FACETS, *({"user_id": f"{sys.argv[1]}{n}"} for n in range(20)))
    Lake(Settings()).write_day(USER_FACETS, date(2026, 3, 1), frame)
    print(attempt, flush=True)
"""


def writer(name: str, settings: Settings, store: Store) -> subprocess.Popen[str]:
    own = {"VITRINA_HOME": str(settings.home), "VITRINA_LAKE_URL": settings.lake}
    environment = {**os.environ, **store.environment(), **own, "VITRINA_MLFLOW_URL": ""}
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, name],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_writers_of_one_day_leave_the_whole_day_of_one(
    settings: Settings, store: Store
) -> None:
    Lake(settings).write_day(USER_FACETS, DAY, facets("first"))
    both = [writer(name, settings, store) for name in ("a", "b")]
    errors = [process.communicate(timeout=200)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    left = users(settings)
    assert len(left) == 20
    assert len({user[0] for user in left}) == 1


def test_what_was_acknowledged_survives_the_death_of_the_server(
    settings: Settings, store: Store
) -> None:
    Lake(settings).write_day(USER_FACETS, DAY, facets("a", "b"))
    store.kill()
    store.start()
    assert users(settings) == ["a", "b"]
    assert Lake(settings).ledger.written(USER_FACETS)[DAY, ""].rows == 2
