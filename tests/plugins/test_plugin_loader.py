"""What Airflow's own loader makes of the plugins folder: it executes what it finds there."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.airflow_environment import ROOT

PROBE = """
import json, sys
from airflow import plugins_manager
plugins, errors = plugins_manager._get_plugins()
ours = [p for p in plugins if p.name == "vitrina"]
links, _ = plugins_manager._get_extra_operators_links_plugins()
print(json.dumps({
    "errors": errors,
    "plugins": [str(p.source) for p in ours],
    "listeners": [m.__name__ for p in ours for m in p.listeners],
    "links": [link.name for link in links],
    "bare": sorted(set(sys.modules) & set(%r)),
}))
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, list[str]]:
    stems = [path.stem for path in (ROOT / "plugins" / "vitrina_airflow").glob("*.py")]
    stems.remove("__init__")
    answer = subprocess.check_output(
        [sys.executable, "-c", PROBE % stems], cwd=ROOT, env=_environment(), text=True
    )
    return dict(json.loads(answer.splitlines()[-1]))


def _environment(**more: str) -> dict[str, str]:
    return dict(os.environ) | {"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"} | more


def test_nothing_fails_to_load(loaded: dict[str, list[str]]) -> None:
    assert not loaded["errors"]


def test_only_the_plugin_file_is_executed(loaded: dict[str, list[str]]) -> None:
    assert [source.rpartition("/")[2] for source in loaded["plugins"]] == ["vitrina_plugin.py"]
    assert loaded["bare"] == []


def test_the_listener_is_registered_once(loaded: dict[str, list[str]]) -> None:
    assert loaded["listeners"] == ["vitrina_airflow.listener"]


def test_every_task_gets_the_link_to_its_mlflow_run(loaded: dict[str, list[str]]) -> None:
    assert loaded["links"].count("MLflow run") == 1


@pytest.mark.parametrize(("host", "refused"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_without_a_login_nothing_starts_on_an_open_address(host: str, refused: bool) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", "from airflow import plugins_manager as p; p._get_plugins()"],
        cwd=ROOT,
        env=_environment(
            AIRFLOW__API__HOST=host, AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True"
        ),
        text=True,
        capture_output=True,
        check=False,
    )
    assert (answer.returncode != 0) == refused
    assert ("lets others in: refused" in answer.stderr) == refused
