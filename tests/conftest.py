"""What every test may ask for: settings over an empty home, and one small simulated shop."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.lake import engines
from tasks.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SERVER_MARKS = ("airflow", "spark", "cluster")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--servers-required",
        action="store_true",
        help="a server test that would be skipped fails instead; for CI",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Iterator[None]:
    report = yield
    required = item.config.getoption("--servers-required")
    if required and report.skipped and any(item.get_closest_marker(m) for m in SERVER_MARKS):
        report.outcome = "failed"
        report.longrepr = f"a server test may not be skipped here: {report.longrepr}"
    return report


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings over an empty home, untracked."""
    return Settings(home=tmp_path, mlflow_url="", min_free_gb=0)


DAY = date(2026, 3, 10)


@pytest.fixture
def day() -> date:
    return DAY


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one Spark session of the test run; engines find it by asking for theirs."""
    home = tmp_path_factory.mktemp("spark")
    session = engines.spark_session(Settings(home=home, engine="spark", mlflow_url="", memory_gb=1))
    yield session
    session.stop()
