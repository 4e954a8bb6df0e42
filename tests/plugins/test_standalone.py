"""How the local installation is configured, before anything is started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.settings import Settings
from vitrina_airflow import standalone


@pytest.fixture
def variables(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("AIRFLOW__API__HOST", "0.0.0.0")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "SequentialExecutor")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("VITRINA_SEED", "11")
    return standalone.environment(settings, 8081, 5001)


def test_everything_is_bound_to_this_machine(variables: dict[str, str]) -> None:
    assert variables["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert variables["VITRINA_MLFLOW_URL"] == "http://127.0.0.1:5001"


def test_the_port_is_told_to_everybody_who_calls_it(variables: dict[str, str]) -> None:
    assert variables["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:8081"
    assert variables["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].startswith("http://127.0.0.1:8081/")


def test_airflow_is_configured_in_one_place(variables: dict[str, str]) -> None:
    assert variables["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"


def test_settings_reach_the_tasks(variables: dict[str, str]) -> None:
    assert variables["VITRINA_SEED"] == "11"


def test_compiled_modules_are_kept(variables: dict[str, str]) -> None:
    assert "PYTHONDONTWRITEBYTECODE" not in variables


def test_secrets_are_made_once_and_for_their_owner_only(settings: Settings) -> None:
    first, second = (standalone.environment(settings, 1, 2) for _ in range(2))
    assert first["AIRFLOW__API_AUTH__JWT_SECRET"] == second["AIRFLOW__API_AUTH__JWT_SECRET"]
    assert first["AIRFLOW__API_AUTH__JWT_SECRET"] != first["AIRFLOW__API__SECRET_KEY"]
    files = [settings.home / "airflow" / name for name in ("jwt_secret", "secret_key")]
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600, 0o600]


def test_an_installation_that_ends_at_once_names_its_logs(settings: Settings) -> None:
    family = standalone.start(settings, {"PYTHONPATH": ""})
    with pytest.raises(standalone.StartFailed, match=r"did not become healthy; read .*\.log"):
        standalone.wait_until_healthy(settings, family)
    assert standalone.stop(settings) == 0


def test_a_taken_port_is_left_to_its_owner() -> None:
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        taken = owner.getsockname()[1]
        assert standalone._free_port(taken) != taken


def test_stopping_what_does_not_run_is_nothing(settings: Settings) -> None:
    assert standalone.stop(settings) == 0


def test_what_is_shared_can_be_imported() -> None:
    import importlib.util

    names = (*standalone.SHARED_BY_COMPONENTS, *standalone.SHARED_BY_TASKS)
    assert all(importlib.util.find_spec(name) for name in names)


KEPT = """
import os, signal, sys, time
from pathlib import Path
from vitrina_airflow import standalone

folder, standalone.YOUNG_SECONDS = Path(sys.argv[1]), float(sys.argv[2])

def lives() -> None:
    (folder / f"{time.time_ns()}-{os.getpid()}").touch()
    time.sleep(60)

components = standalone.Components()
signal.signal(signal.SIGTERM, components.end)
components.begin("scheduler", lives)
sys.exit(components.keep())
"""


def kept(folder: Path, young_seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", KEPT, str(folder), str(young_seconds)]
    paths = {"PYTHONPATH": os.pathsep.join([str(standalone.ROOT), f"{standalone.ROOT}/plugins"])}
    return subprocess.Popen(command, env=os.environ | paths, stdout=subprocess.PIPE, text=True)


def births(folder: Path, count: int) -> list[int]:
    """Return the process numbers of those that were begun, once there are so many."""
    deadline = time.monotonic() + 60
    while len(paths := sorted(folder.iterdir())) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return [int(path.name.partition("-")[2]) for path in paths]


def test_a_component_that_dies_is_begun_again_until_it_is_asked_to_end(tmp_path: Path) -> None:
    parent = kept(tmp_path, young_seconds=0)
    os.kill(births(tmp_path, 1)[0], signal.SIGKILL)
    assert len(births(tmp_path, 2)) == 2
    parent.terminate()
    said, _ = parent.communicate(timeout=60)
    assert parent.returncode == 0
    assert "scheduler ended after 0 s with -9" in said


def test_a_component_that_cannot_stay_alive_ends_the_installation(tmp_path: Path) -> None:
    parent = kept(tmp_path, young_seconds=60)
    os.kill(births(tmp_path, 1)[0], signal.SIGKILL)
    parent.communicate(timeout=60)
    assert parent.returncode == 1
    assert len(births(tmp_path, 1)) == 1
