"""The SQL on a Spark standalone cluster, a master and two workers as plain processes.

The same days are built by the cluster twice: over the tables of a folder, and over those of a
bucket, into which it takes them in too. Their rows equal those that DuckDB gives.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks.features.daily import DAILY
from tasks.lake.contracts import Table
from tasks.lake.lake import Lake
from tasks.lake.tables import (
    DEMAND_LAGS,
    EXAMINATION,
    FACET_WEIGHTS,
    ITEM_FEATURES,
    RANKING_DAYS,
    RANKING_GROUPS,
    SEGMENT_ITEM_FEATURES,
    SEGMENT_SCORES,
    USER_FACETS,
    USER_FEATURES,
    USER_ITEM_FEATURES,
    USER_SEGMENTS,
    USER_SEQUENCES,
)
from tasks.settings import Settings
from tests.cluster.servers import BUCKET, Cluster, Store, spark_cluster, tasks

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

FIRST, BEFORE, DAY = date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2)
COUNTED = (
    ITEM_FEATURES,
    USER_FEATURES,
    USER_ITEM_FEATURES,
    USER_SEQUENCES,
    DEMAND_LAGS,
    USER_SEGMENTS,
    SEGMENT_ITEM_FEATURES,
    EXAMINATION,
    SEGMENT_SCORES,
    USER_FACETS,
)
INGEST, COUNT = "build_features.ingest", "build_features.count_interactions"
# Listings of BEFORE are fitted with what these two knew on FIRST.
KNOWN = ("build_features.rank_segments", "compute_facet_weights.write_user_facets")
DERIVED = (COUNT, *KNOWN, "compute_facet_weights.fit_facet_weights")
# In the folder alone: its many questions take minutes each way.
GROUPS = "retrain_ranker.build_groups"
FEW = {"VITRINA_FACETS__MIN_CARTS": "10", "VITRINA_FACETS__BOOTSTRAPS": "20"}


@pytest.fixture(scope="module")
def cluster(
    spark_home: Path, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    assert (spark_home / "bin" / "spark-class").exists()
    with spark_cluster(tmp_path_factory.mktemp("spark"), store.environment()) as known:
        yield known


@pytest.fixture(scope="module")
def known_home(
    small_home: Path, python_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The small shop, with what the first day knew."""
    home = tmp_path_factory.mktemp("known") / "home"
    shutil.copytree(small_home, home)
    for step in KNOWN:
        run(step, FIRST, python_environment | {"VITRINA_HOME": str(home)})
    return home


def run(step: str, day: date, environment: dict[str, str]) -> None:
    tasks(["run", step, "--day", str(day)], environment | FEW)


@pytest.fixture(scope="module")
def on_duckdb(
    known_home: Path, python_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Lake:
    home = tmp_path_factory.mktemp("duckdb") / "home"
    shutil.copytree(known_home, home)
    for step in (*DERIVED, GROUPS):
        run(step, DAY, python_environment | {"VITRINA_HOME": str(home)})
    return Lake(Settings(home=home, mlflow_url=""))


@pytest.fixture(scope="module")
def engine(cluster: Cluster, python_environment: dict[str, str]) -> dict[str, str]:
    asked = {"VITRINA_ENGINE": "spark", "VITRINA_SPARK_MASTER": cluster.url}
    return python_environment | asked | {"VITRINA_MEMORY_GB": "1"}


@pytest.fixture(scope="module")
def in_folder(
    known_home: Path, engine: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Lake:
    """The same lake, its tables written again by the cluster."""
    home = tmp_path_factory.mktemp("cluster") / "home"
    shutil.copytree(known_home, home)
    for step in (INGEST, *DERIVED, GROUPS):
        run(step, DAY, engine | {"VITRINA_HOME": str(home)})
    return Lake(Settings(home=home, mlflow_url=""))


@pytest.fixture(scope="module")
def in_bucket(
    small_home: Path,
    engine: dict[str, str],
    python_environment: dict[str, str],
    store: Store,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lake]:
    """A lake in a bucket, made of the same landing files; all but its first day by the cluster."""
    home, url = tmp_path_factory.mktemp("bucket"), f"s3://{BUCKET}/shop"
    landing = small_home / "landing"
    own = {"VITRINA_LANDING_FOLDER": str(landing), "VITRINA_LAKE_URL": url}
    reached = store.environment() | own | {"VITRINA_HOME": str(home)}
    for step in (INGEST, COUNT, *KNOWN):
        run(step, FIRST, python_environment | reached)
    for step, day in ((INGEST, BEFORE), (INGEST, DAY), *((step, DAY) for step in DERIVED)):
        run(step, day, engine | reached)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in store.environment().items():
            patch.setenv(name, value)
        yield Lake(Settings(home=home, landing_folder=landing, lake_url=url, mlflow_url=""))


def read(lake: Lake, table: Table) -> pl.DataFrame:
    return lake.read_day(table, DAY).sort(table.key)


@pytest.mark.parametrize("table", [*DAILY, *COUNTED], ids=lambda table: table.name)
def test_the_cluster_counts_what_duckdb_counts(
    table: Table, on_duckdb: Lake, in_folder: Lake
) -> None:
    ours, theirs = read(on_duckdb, table), read(in_folder, table)
    assert ours.height > 0
    assert_frame_equal(ours, theirs, rel_tol=1e-12, abs_tol=0)


@pytest.mark.parametrize("table", [*DAILY, *COUNTED], ids=lambda table: table.name)
def test_the_cluster_counts_in_a_bucket_what_duckdb_counts_in_a_folder(
    table: Table, on_duckdb: Lake, in_bucket: Lake
) -> None:
    ours, theirs = read(on_duckdb, table), read(in_bucket, table)
    assert ours.height > 0
    assert_frame_equal(ours, theirs, rel_tol=1e-12, abs_tol=0)


@pytest.mark.parametrize("table", [RANKING_DAYS, RANKING_GROUPS], ids=lambda table: table.name)
def test_ranking_groups_that_the_cluster_gathers_are_those_of_duckdb(
    table: Table, on_duckdb: Lake, in_folder: Lake
) -> None:
    """Listings of BEFORE with what FIRST knew: draws, labels, counters; nobody has candidates."""
    ours, theirs = read(on_duckdb, table), read(in_folder, table)
    assert ours["listing_day"].max() == BEFORE
    assert_frame_equal(ours, theirs, rel_tol=1e-6, abs_tol=0)


def test_ranking_groups_of_the_cluster_hold_what_there_is_to_know(in_folder: Lake) -> None:
    rows = read(in_folder, RANKING_GROUPS)
    assert rows["label"].sum() > 0
    for feature in ("item_views_7", "user_views_30", "pair_views_30", "sf_pos", "facet_sum"):
        assert rows[feature].drop_nulls().len() > 0, feature


@pytest.mark.parametrize("place", ["in_folder", "in_bucket"])
def test_weights_of_rows_that_the_cluster_gathers_are_those_of_duckdbs(
    place: str, on_duckdb: Lake, request: pytest.FixtureRequest
) -> None:
    ours = read(on_duckdb, FACET_WEIGHTS)
    assert ours["coefficient"].drop_nulls().len() > 0
    theirs = read(request.getfixturevalue(place), FACET_WEIGHTS)
    assert_frame_equal(ours, theirs, rel_tol=1e-9, abs_tol=1e-12)


def test_the_cluster_did_the_work_with_both_workers(cluster: Cluster, in_folder: Lake) -> None:
    done = cluster.state()["completedapps"]
    assert len(done) >= len(DERIVED)
    assert {(app["name"], app["cores"]) for app in done} == {("vitrina", 2)}


def test_the_ledger_says_that_the_day_was_written_twice(in_folder: Lake) -> None:
    assert in_folder.ledger.written(ITEM_FEATURES)[DAY, ""].version == 2
