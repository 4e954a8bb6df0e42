"""What the tests of larger installations share: a small shop, and programs that must be found."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cluster.servers import BUCKET, ROOT, Store, tasks

if TYPE_CHECKING:
    from playwright.sync_api import Browser

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def python_environment() -> dict[str, str]:
    """What a `python -m tasks` of these tests runs with; no setting of the caller leaks in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VITRINA_")}
    path = os.pathsep.join([str(ROOT), str(ROOT / "plugins")])
    return {**kept, "PYTHONPATH": path, "VITRINA_MLFLOW_URL": ""}


@pytest.fixture(scope="session")
def small_home(
    tmp_path_factory: pytest.TempPathFactory, python_environment: dict[str, str]
) -> Path:
    """Three days of a small shop, their features built on DuckDB."""
    home = tmp_path_factory.mktemp("small")
    environment = python_environment | {"VITRINA_HOME": str(home)}
    size = ["--days", "3", "--last-day", "2026-03-02", "--size", "2500", "--items", "200"]
    tasks(["simulate", *size, "--world", "lively"], environment)
    for step in ("ingest", "count_interactions"):
        for day in ("2026-02-28", "2026-03-01", "2026-03-02"):
            tasks(["run", f"build_features.{step}", "--day", day], environment)
    return home


@pytest.fixture(scope="session")
def versitygw() -> Path:
    """The S3 server's program, built once and kept in `.cache`; skips where Go is not there."""
    folder = ROOT / ".cache" / "versitygw"
    program = folder / "versitygw"
    if program.exists():
        return program
    if shutil.which("go") is None:
        pytest.skip("no versitygw in .cache and no Go to build it: apt-get install golang-go")
    folder.mkdir(parents=True, exist_ok=True)
    module = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
    built = subprocess.run(
        ["go", "install", "-trimpath", "-ldflags=-s -w", module],
        env={**os.environ, "CGO_ENABLED": "0", "GOBIN": str(folder)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if built.returncode:
        pytest.skip(f"versitygw could not be built: {built.stderr[-500:]}")
    return program


@pytest.fixture(scope="module")
def store(versitygw: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A running S3 server with one empty bucket, `BUCKET`."""
    folder = tmp_path_factory.mktemp("buckets")
    (folder / BUCKET).mkdir()
    server = Store(versitygw, folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def spark_home() -> Path:
    """Where the pip package keeps Spark."""
    import pyspark

    if shutil.which("java") is None:
        pytest.skip("no Java: apt-get install openjdk-17-jre-headless")
    return Path(pyspark.__file__).parent


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program; installed from Debian where we may."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium"]
        for command in (["apt-get", "update", "-q"], install):
            subprocess.run(command, check=False, capture_output=True, timeout=300)
        found = shutil.which("chromium")
    if found is None:
        pytest.skip("no Chromium: apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield started
        started.close()
