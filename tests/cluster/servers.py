"""Start, wait for and end servers as direct children on free ports; run the command line."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
STARTS_SECONDS = 180


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def wait_for(ready: Callable[[], bool], what: str, server: subprocess.Popen[bytes]) -> None:
    """Return when `ready`; fail with the server's own words when it ended or takes too long."""
    deadline = time.monotonic() + STARTS_SECONDS
    while not ready():
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{what} did not start (exit code {server.poll()})")
        time.sleep(0.2)


def end(server: subprocess.Popen[Any], how: signal.Signals = signal.SIGTERM) -> None:
    """Stop a server that we started, by its id."""
    if server.poll() is not None:
        return
    server.send_signal(how)
    try:
        server.wait(timeout=20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def tasks(words: Sequence[str], environment: dict[str, str]) -> None:
    """Run `python -m tasks` and fail with its last lines."""
    done = subprocess.run(
        [sys.executable, "-m", "tasks", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"tasks {' '.join(words)}: {done.returncode}\n{done.stderr[-3000:]}")
