"""One machine's installation: every component of Airflow and MLflow's server, on 127.0.0.1.

`python -m vitrina_airflow.standalone start | stop | status`. Airflow is imported once, by a parent
that forks its components: five imports of 4 CPU seconds become one, and the workers that the
scheduler forks in turn find the tasks' libraries loaded.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import FrameType

from tasks.errors import VitrinaError
from tasks.settings import Settings
from vitrina_airflow import processes
from vitrina_airflow.machine import pool_slots

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
AIRFLOW_PORT = 8080
MLFLOW_PORT = 5000
START_SECONDS = 180
YOUNG_SECONDS = 30

# No log servers: on one machine the API server reads the files, and those servers bind 0.0.0.0.
SCHEDULER = "scheduler"
COMPONENTS = {
    SCHEDULER: ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "api-server": ["api-server"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}


SHARED_BY_COMPONENTS = (
    "airflow.api_fastapi.app",
    "airflow.cli.cli_parser",
    "airflow.dag_processing.dagbag",
    "airflow.jobs.scheduler_job_runner",
    "airflow.sdk.execution_time.task_runner",
    "tasks.steps",
)
# What most tasks use, so that the scheduler's workers need not import it task after task. Libraries
# only, none of which starts a thread on import; Vitrina's own modules stay out, so that an edited
# one counts from the next task on.
SHARED_BY_TASKS = (
    "deltalake",
    "duckdb",
    "matplotlib.figure",
    "mlflow.pyfunc",
    "mlflow.tracking",
    "pandas",
    "polars",
    "scipy.sparse",
    "sklearn.linear_model",
)


class StartFailed(VitrinaError):
    """The installation did not come up; the message names the log to read."""


FIXED = {
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    "AIRFLOW__CORE__FERNET_KEY": "",
    "AIRFLOW__API__HOST": HOST,
    # A busy machine answers late: with the default of 5 s tasks fail for no other reason.
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
    # A killed scheduler's tasks are taken up again by the next one within a minute.
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
    # Seven processes for scheduled evaluations of language models, which nobody here asks for.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    # It phones home, and its thread once broke a training by a variable gone missing.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")]),
}


def environment(settings: Settings, airflow_port: int, mlflow_port: int) -> dict[str, str]:
    """Return the variables of every process: the one place where Airflow is configured.

    The login is off, which is why the address is fixed to this machine's own.
    """
    home = settings.home.resolve()
    url = f"http://{HOST}:{airflow_port}"
    # Compiled modules are kept: without them every import costs twice the time.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {name: value for name, value in kept.items() if not name.startswith("AIRFLOW")} | {
        **FIXED,
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__PARALLELISM": str(pool_slots()),
        "AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT": str(pool_slots()),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__API__PORT": str(airflow_port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__SECRET_KEY": _secret(home / "airflow" / "secret_key"),
        "AIRFLOW__API_AUTH__JWT_SECRET": _secret(home / "airflow" / "jwt_secret"),
        # On a busy machine a click in a page waits longer for its turn to write than sqlite's 5 s.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow/airflow.db?timeout=60",
        "VITRINA_HOME": str(home),
        "VITRINA_MLFLOW_URL": f"http://{HOST}:{mlflow_port}",
    }


def start(settings: Settings, variables: Mapping[str, str] | None = None) -> processes.Family:
    """Start everything, unless it runs, and return without waiting for it.

    Args:
        settings: where its home is.
        variables: further ones of the environment, which win over ours.
    """
    family = processes.recall(_pid_file(settings))
    if family is not None and family.is_alive():
        return family
    stop(settings)
    airflow_port, mlflow_port = _free_port(AIRFLOW_PORT), _free_port(MLFLOW_PORT)
    leader = processes.start_family(
        [sys.executable, "-m", "vitrina_airflow.standalone", "serve"],
        environment(settings, airflow_port, mlflow_port) | dict(variables or {}),
        ROOT,
        _log(settings, "standalone"),
    )
    addresses = (f"http://{HOST}:{airflow_port}", f"http://{HOST}:{mlflow_port}")
    return _remember(settings, leader.pid, *addresses)


def stop(settings: Settings) -> int:
    """Stop everything that `start` started; return how many processes that were."""
    family = processes.recall(_pid_file(settings))
    ended = processes.end(family) if family else 0
    _pid_file(settings).unlink(missing_ok=True)
    return ended


def wait_until_healthy(settings: Settings, family: processes.Family) -> None:
    """Return when every component says that it is healthy.

    Raises:
        StartFailed: not within three minutes, or the leader ended.
    """
    deadline = time.monotonic() + START_SECONDS
    while missing := unhealthy(family):
        if not family.is_alive() or time.monotonic() > deadline:
            logs = _log(settings, "*")
            raise StartFailed(f"{', '.join(missing)} did not become healthy; read {logs}")
        time.sleep(1)


def unhealthy(family: processes.Family) -> list[str]:
    """Return the components that are not healthy."""
    states = _health(family)
    missing = [name for name, state in states.items() if state["status"] != "healthy"]
    return missing + ([] if _mlflow_answers(family) else ["mlflow"])


def _health(family: processes.Family) -> dict[str, dict[str, str]]:
    import requests

    try:
        answer = requests.get(f"{family.airflow_url}/api/v2/monitor/health", timeout=10)
        states: dict[str, dict[str, str]] = answer.json()
    except (requests.RequestException, ValueError):
        return {"api-server": {"status": "silent"}}
    return states


def _mlflow_answers(family: processes.Family) -> bool:
    import requests

    try:
        return bool(requests.get(f"{family.mlflow_url}/health", timeout=10).ok)
    except requests.RequestException:
        return False


def serve() -> int:
    """Be the parent: migrate, fork the components, keep them alive; end them all on SIGTERM."""
    settings = Settings()
    # Here as well as in `start`, which may be interrupted before it has written the file.
    _remember(settings, os.getpid(), os.environ["AIRFLOW__API__BASE_URL"], settings.tracking_url)
    components = Components()
    signal.signal(signal.SIGTERM, components.end)
    _import_all(SHARED_BY_COMPONENTS)
    if _exit_code(os.waitpid(_forked(_migrate), 0)[1]) != 0:
        return 1
    for name in COMPONENTS:
        if name != SCHEDULER:
            components.begin(name, _component(name))
    _import_all(SHARED_BY_TASKS)
    components.begin(SCHEDULER, _component(SCHEDULER))
    components.begin("mlflow", _mlflow)
    return components.keep()


class Components:
    """Forked children by name. One that ends by itself is begun again, unless it is young.

    Whatever ended it, nobody is there at night to start a scheduler, and a day would wait for ever.
    What ends within seconds of its start is broken.
    """

    def __init__(self) -> None:
        self._living: dict[int, tuple[str, Callable[[], None], float]] = {}
        self._is_ending = False

    def begin(self, name: str, work: Callable[[], None]) -> None:
        """Fork a child that does the work, unless all were asked to end."""
        if not self._is_ending:
            self._living[_forked(work)] = (name, work, time.monotonic())

    def keep(self) -> int:
        """Return when all have ended: 0 if they were asked to, 1 if one could not stay alive."""
        code = 0
        while self._living:
            pid, status = os.wait()
            if pid not in self._living:
                continue
            name, work, since = self._living.pop(pid)
            if self._is_ending:
                continue
            age = time.monotonic() - since
            print(f"{name} ended after {age:.0f} s with {_exit_code(status)}", flush=True)
            if age < YOUNG_SECONDS:
                code = 1
                self.end()
            else:
                self.begin(name, work)
        return code

    def end(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        """Ask all to end."""
        self._is_ending = True
        for pid in self._living:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def _forked(work: Callable[[], None]) -> int:
    """Return the number of a child that does the work and ends."""
    pid = os.fork()
    if pid:
        return pid
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    code = 1
    try:
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except Exception:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _exit_code(status: int) -> int:
    return os.waitstatus_to_exitcode(status)


def _component(name: str) -> Callable[[], None]:
    def run() -> None:
        from airflow.__main__ import main
        from setproctitle import setproctitle

        _redirect_output(_log(Settings(), name))
        setproctitle(f"airflow {name}")
        sys.argv = ["airflow", *COMPONENTS[name]]
        main()

    return run


def _migrate() -> None:
    from airflow.models.pool import Pool
    from airflow.utils.db import initdb

    _redirect_output(_log(Settings(), "migrate"))
    initdb()
    Pool.create_or_update_pool(
        "default_pool", pool_slots(), "One slot: half a core and 2 GiB", include_deferred=False
    )


def _import_all(names: Iterable[str]) -> None:
    for name in names:
        import_module(name)


def _mlflow() -> None:
    from mlflow.cli import cli
    from setproctitle import setproctitle

    setproctitle("mlflow server")
    settings = Settings()
    home = settings.home.resolve()
    _redirect_output(_log(settings, "mlflow"))
    words = ["server", "--host", HOST, "--port", settings.tracking_url.rpartition(":")[2]]
    words += ["--workers", "1", "--serve-artifacts"]
    words += ["--backend-store-uri", f"sqlite:///{home}/mlflow.db"]
    words += ["--artifacts-destination", (home / "mlartifacts").as_uri()]
    cli(words)


def _redirect_output(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


def _secret(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text()


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StartFailed(f"no free port on {HOST}")


def _remember(settings: Settings, pid: int, airflow_url: str, mlflow_url: str) -> processes.Family:
    return processes.remember(_pid_file(settings), pid, airflow_url, mlflow_url)


def _pid_file(settings: Settings) -> Path:
    return settings.home / "airflow" / "processes.json"


def _log(settings: Settings, name: str) -> Path:
    return settings.home.resolve() / "airflow" / "logs" / f"{name}.log"


def _start_and_wait(settings: Settings) -> int:
    family = start(settings)
    wait_until_healthy(settings, family)
    print(f"Airflow {family.airflow_url}, MLflow {family.mlflow_url}")
    return 0


def _stop_and_say(settings: Settings) -> int:
    print(f"stopped {stop(settings)} processes")
    return 0


def _status(settings: Settings) -> int:
    family = processes.recall(_pid_file(settings))
    if family is None or not family.is_alive():
        print("not running")
        return 1
    missing = unhealthy(family)
    print(f"Airflow {family.airflow_url}, MLflow {family.mlflow_url}")
    print(f"not healthy: {', '.join(missing)}" if missing else "every component is healthy")
    return 1 if missing else 0


def main() -> int:
    """Run one command."""
    commands = {"start": _start_and_wait, "stop": _stop_and_say, "status": _status}
    parser = argparse.ArgumentParser(prog="python -m vitrina_airflow.standalone")
    parser.add_argument("command", choices=[*commands, "serve"])
    command = parser.parse_args().command
    try:
        return serve() if command == "serve" else commands[command](Settings())
    except VitrinaError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
