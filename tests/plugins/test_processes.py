"""A family of real processes is found and ended, however its members behave."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from vitrina_airflow import processes

SLEEP = "import time; time.sleep(300)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
PARENT = """
import subprocess, sys, time
for _ in range(2):
    subprocess.Popen([sys.executable, "-c", %r], {options})
time.sleep(300)
"""


def started(tmp_path: Path, script: str) -> processes.Family:
    command = [sys.executable, "-c", script]
    leader = processes.start_family(command, os.environ, tmp_path, tmp_path / "logs" / "out.log")
    return processes.remember(tmp_path / "processes.json", leader.pid, "http://a", "http://m")


def eventually(met: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if met():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("options", ["", "process_group=0", "start_new_session=True"])
def test_members_are_found_in_whatever_group_they_are(tmp_path: Path, options: str) -> None:
    family = started(tmp_path, PARENT.format(options=options) % SLEEP)
    assert eventually(lambda: len(family.members()) == 3)
    assert processes.end(family, grace_seconds=0.5) == 3
    assert family.members() == []


def test_members_that_do_not_listen_are_killed(tmp_path: Path) -> None:
    family = started(tmp_path, PARENT.format(options="") % DEAF)
    assert eventually(lambda: len(family.members()) == 3)
    processes.end(family, grace_seconds=0.5)
    assert family.members() == []


def test_a_dead_leader_s_children_are_still_found(tmp_path: Path) -> None:
    family = started(tmp_path, PARENT.format(options="process_group=0") % SLEEP)
    assert eventually(lambda: len(family.members()) == 3)
    psutil.Process(family.pid).kill()
    assert eventually(lambda: not family.is_alive())
    assert len(family.members()) == 2
    processes.end(family, grace_seconds=0.5)
    assert family.members() == []


def test_a_family_is_recalled_by_its_file(tmp_path: Path) -> None:
    family = started(tmp_path, SLEEP)
    try:
        assert processes.recall(tmp_path / "processes.json") == family
        assert family.is_alive()
    finally:
        processes.end(family, grace_seconds=0.5)
    assert not family.is_alive()


def test_without_a_file_there_is_no_family(tmp_path: Path) -> None:
    assert processes.recall(tmp_path / "processes.json") is None


def test_a_later_process_of_the_same_number_is_left_alone() -> None:
    stranger = processes.Family(os.getpid(), started=0.0, airflow_url="", mlflow_url="")
    assert not stranger.is_alive()
    assert stranger.members() == []
