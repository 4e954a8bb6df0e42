"""Start, wait for and end servers as direct children on free ports; run the command line."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "lake"
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


@dataclass
class Store:
    """An S3 server over a folder, which may be killed and started again."""

    program: Path
    folder: Path
    port: int = field(default_factory=free_port)
    access: str = "vitrina"
    secret: str = field(default_factory=lambda: secrets.token_hex(16))
    server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        keys = ["--access", self.access, "--secret", self.secret, "--quiet"]
        address = ["--port", f"{HOST}:{self.port}"]
        command = [str(self.program), *address, *keys, "posix", str(self.folder)]
        self.server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for(lambda: answers(self.port), "versitygw", self.server)

    def kill(self) -> None:
        assert self.server is not None
        end(self.server, signal.SIGKILL)

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://{HOST}:{self.port}",
            "AWS_ACCESS_KEY_ID": self.access,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
            "AWS_CONDITIONAL_PUT": "etag",
        }


@dataclass(frozen=True)
class Cluster:
    url: str
    web_port: int

    def state(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://{HOST}:{self.web_port}/json/", timeout=10) as answer:
            state: dict[str, Any] = json.load(answer)
        return state

    def has_two_workers(self) -> bool:
        try:
            return bool(self.state()["aliveworkers"] == 2)
        except OSError:  # the page is not there yet
            return False


@contextmanager
def spark_cluster(folder: Path, more: dict[str, str]) -> Iterator[Cluster]:
    """The cluster that `docker/spark-cluster.sh` starts; `more` is its environment too."""
    port, web_port = free_port(), free_port()
    known = Cluster(f"spark://{HOST}:{port}", web_port)
    own = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "SPARK_PORT": str(port),
        "SPARK_WEB_PORT": str(web_port),
        "SPARK_WORKER_MEMORY": "1g",
        "SPARK_WORKER_DIR": str(folder),
    }
    with (folder / "log").open("wb") as log:
        script = subprocess.Popen(
            [str(ROOT / "docker" / "spark-cluster.sh")],
            env={**os.environ, **own, **more},
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(known.has_two_workers, "the Spark cluster", script)
        yield known
    finally:
        end(script)
