"""A family of processes that can be found and ended by a file, and leaves nothing behind.

The first process leads a session of its own, so that whatever its descendants do with process
groups, the session's number finds them all.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class Family:
    """The leader of a session, told from a later process of the same number by its start."""

    pid: int
    started: float
    airflow_url: str
    mlflow_url: str

    def members(self) -> list[psutil.Process]:
        """Return the living processes of the session and their descendants."""
        if not self._is_ours():
            return []
        found = {process.pid: process for process in psutil.process_iter() if self._holds(process)}
        for process in list(found.values()):
            found |= {child.pid: child for child in _descendants(process)}
        return [process for process in found.values() if _is_alive(process)]

    def is_alive(self) -> bool:
        """Return whether the leader lives."""
        return self._is_ours() and psutil.pid_exists(self.pid) and _is_alive(_process(self.pid))

    def _holds(self, process: psutil.Process) -> bool:
        try:
            return os.getsid(process.pid) == self.pid
        except ProcessLookupError:
            return False

    def _is_ours(self) -> bool:
        # A dead leader's session lives on with its members; a young one is somebody else's.
        leader = _process(self.pid)
        return leader is None or abs(leader.create_time() - self.started) < 1


def start_family(
    command: list[str], environment: Mapping[str, str], folder: Path, log: Path
) -> subprocess.Popen[bytes]:
    """Start the leader in a session of its own; its output goes to the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def remember(path: Path, pid: int, airflow_url: str, mlflow_url: str) -> Family:
    """Write the file by which the family is found again."""
    family = Family(pid, psutil.Process(pid).create_time(), airflow_url, mlflow_url)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(family)))
    return family


def recall(path: Path) -> Family | None:
    """Return the family of the file, None if there is no file."""
    return Family(**json.loads(path.read_text())) if path.exists() else None


def end(family: Family, grace_seconds: float = GRACE_SECONDS) -> int:
    """End every member, politely first; return how many there were."""
    members = family.members()
    _signal(members[:1] if family.is_alive() else members, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while family.members() and time.monotonic() < deadline:
        time.sleep(0.2)
    while left := family.members():
        _signal(left, signal.SIGKILL)
        psutil.wait_procs(left, timeout=1)
    return len(members)


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _is_alive(process: psutil.Process | None) -> bool:
    try:
        return process is not None and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
