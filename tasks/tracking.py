"""MLflow, light: one run per task try, opened before the work so that a failure has its address.

Against a server the record goes over its REST interface, without importing mlflow (4.5 CPU seconds
a process); against a sqlite URL through MLflow's own client. The functions below act on the task
run that is open in this context and do nothing when there is none.
"""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from tasks.settings import Settings, without_login

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.store.artifact.artifact_repo import ArtifactRepository
    from mlflow.tracking import MlflowClient

    from tasks.lake.ledger import Record

log = logging.getLogger(__name__)

# Set before anybody imports mlflow: nothing is sent out, and no thread of it races with ours.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Its bars draw over the lines of a log.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

BATCH = 100
PARAM_LENGTH = 500
TAG_LENGTH = 1000
ALIAS = "serving"
"""What the registry calls a model's live version."""


class Backend(Protocol):
    """Where runs go."""

    def create(self, experiment: str, name: str, tags: dict[str, str]) -> str: ...  # noqa: D102
    def batch(self, run: str, metrics: list[dict[str, Any]], params: dict[str, str]) -> None: ...  # noqa: D102
    def artifact(self, run: str, name: str, content: bytes) -> None: ...  # noqa: D102
    def tag(self, run: str, key: str, value: str) -> None: ...  # noqa: D102
    def finish(self, run: str, status: str) -> None: ...  # noqa: D102
    def address(self, run: str) -> str: ...  # noqa: D102


@dataclass
class TaskRun:
    """The open run; `run_id` is MLflow's."""

    backend: Backend
    run_id: str
    metrics: list[dict[str, Any]] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where a person reads the run."""
        return self.backend.address(self.run_id)

    def flush(self) -> None:
        """Send what has gathered."""
        for start in range(0, max(len(self.metrics), len(self.params)), BATCH):
            chunk = dict(list(self.params.items())[start : start + BATCH])
            self.backend.batch(self.run_id, self.metrics[start : start + BATCH], chunk)
        self.metrics.clear()
        self.params.clear()


_current: ContextVar[TaskRun | None] = ContextVar("current_task_run", default=None)


@contextmanager
def task_run(
    settings: Settings, experiment: str, name: str, tags: dict[str, str]
) -> Iterator[TaskRun | None]:
    """Open the run of one task try; yields None when nothing is tracked.

    The run ends FAILED when the body raises, with the error's first line as the tag `error`.
    """
    if not settings.tracking_url:
        yield None
        return
    backend = _backend(settings.tracking_url)
    run = TaskRun(backend, backend.create(experiment, name, tags))
    token = _current.set(run)
    started = time.monotonic()
    status = "FAILED"
    try:
        params(settings.logged())
        yield run
        status = "FINISHED"
    except Exception as error:
        backend.tag(run.run_id, "error", str(error).partition("\n")[0])
        raise
    finally:
        metric("seconds", time.monotonic() - started)
        _current.reset(token)
        run.flush()
        backend.finish(run.run_id, status)


def run_id() -> str | None:
    """Return the open run's id, None when nothing is tracked."""
    run = _current.get()
    return run.run_id if run else None


def metric(name: str, value: float, step: int | None = None) -> None:
    """Log one number; with `step` it is a point of a curve."""
    if run := _current.get():
        row = {
            "key": name,
            "value": float(value),
            "timestamp": int(time.time() * 1000),
            "step": step or 0,
        }
        run.metrics.append(row)


def metrics(values: dict[str, float]) -> None:
    """Log several numbers."""
    for name, value in values.items():
        metric(name, value)


def params(values: Mapping[str, object]) -> None:
    """Log settings of the run, once per name."""
    if run := _current.get():
        run.params |= {name: str(value)[:PARAM_LENGTH] for name, value in values.items()}


def figure(name: str, picture: Figure) -> None:
    """Log a picture, e.g. `weights.png`."""
    if run := _current.get():
        content = io.BytesIO()
        picture.savefig(content, format="png", dpi=100, bbox_inches="tight")
        run.backend.artifact(run.run_id, name, content.getvalue())


def text(name: str, content: str) -> None:
    """Log a text, e.g. `card.md`."""
    if run := _current.get():
        run.backend.artifact(run.run_id, name, content.encode())


def read(name: str, days: Mapping[str, int]) -> None:
    """Log the newest version read of a table: at once, so that a task that fails has it too."""
    params({f"read/{name}": _span(days)})


def written(name: str, record: Record) -> None:
    """Log a write: rows and version."""
    metric(f"rows/{name}", record.rows)
    params({f"written/{name}": f"{record.dt} v{record.version}"})


def _span(days: Mapping[str, int]) -> str:
    first, last = min(days), max(days)
    return f"{last} v{days[last]}" + (f", {len(days)} days from {first}" if first != last else "")


@contextmanager
def model_run(settings: Settings) -> Iterator[bool]:
    """Make the open task run MLflow's active one, for `log_model`; yields whether there is one."""
    run = _current.get()
    if run is None:
        yield False
        return
    import mlflow

    client(settings.tracking_url)
    with mlflow.start_run(run_id=run.run_id):
        yield True


def _backend(url: str) -> Backend:
    return Rest(url) if url.startswith("http") else Local(url)


class Rest:
    """An MLflow server, over its REST interface."""

    def __init__(self, url: str) -> None:
        import requests

        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._experiments: dict[str, str] = {}
        self._runs: dict[str, str] = {}

    def create(self, experiment: str, name: str, tags: dict[str, str]) -> str:
        """Open a run and return its id."""
        number = self._experiment(experiment)
        body = {
            "experiment_id": number,
            "run_name": name,
            "start_time": int(time.time() * 1000),
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        run: str = self._post("runs/create", body)["run"]["info"]["run_id"]
        self._runs[run] = number
        return run

    def batch(self, run: str, metrics: list[dict[str, Any]], params: dict[str, str]) -> None:
        """Log numbers and settings."""
        pairs = [{"key": key, "value": value} for key, value in params.items()]
        self._post("runs/log-batch", {"run_id": run, "metrics": metrics, "params": pairs})

    def artifact(self, run: str, name: str, content: bytes) -> None:
        """Upload a file through the server's artifact proxy."""
        path = f"{self._runs[run]}/{run}/artifacts/{name}"
        url = f"{self._url}/api/2.0/mlflow-artifacts/artifacts/{path}"
        self._session.put(url, data=content, timeout=60).raise_for_status()

    def tag(self, run: str, key: str, value: str) -> None:
        """Set one tag."""
        self._post("runs/set-tag", {"run_id": run, "key": key, "value": value[:TAG_LENGTH]})

    def finish(self, run: str, status: str) -> None:
        """Close the run."""
        self._post(
            "runs/update", {"run_id": run, "status": status, "end_time": int(time.time() * 1000)}
        )

    def address(self, run: str) -> str:
        """Where a person reads the run."""
        path = f"experiments/{self._runs[run]}/runs/{run}"
        # Else a browser that never saw MLflow opens it among prompts and traces.
        return f"{without_login(self._url)}/#/{path}?workflowType=machine_learning"

    def _experiment(self, name: str) -> str:
        if name not in self._experiments:
            self._experiments[name] = self._find(name) or self._make(name)
        return self._experiments[name]

    def _find(self, name: str) -> str | None:
        url = f"{self._url}/api/2.0/mlflow/experiments/get-by-name"
        answer = self._session.get(url, params={"experiment_name": name}, timeout=60)
        if answer.status_code == 404:  # noqa: PLR2004 (the protocol's own number)
            return None
        answer.raise_for_status()
        return str(answer.json()["experiment"]["experiment_id"])

    def _make(self, name: str) -> str:
        import requests

        try:
            return str(self._post("experiments/create", {"name": name})["experiment_id"])
        except requests.HTTPError:
            # Another task made it between our look and our call.
            found = self._find(name)
            if found is None:
                raise
            return found

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._session.post(f"{self._url}/api/2.0/mlflow/{path}", json=body, timeout=60)
        answer.raise_for_status()
        parsed: dict[str, Any] = answer.json()
        return parsed


def client(url: str) -> MlflowClient:
    """Return MLflow's client of a server or a sqlite file, in this process the one that is meant.

    With a file, what a server once stored is read beside it: that server need not run.
    """
    import mlflow

    mlflow.set_tracking_uri(url)
    mlflow.set_registry_uri(url)
    if not url.startswith("http"):
        _read_without_server()
    return mlflow.MlflowClient()


def artifacts_beside(url: str) -> Path:
    """Return the folder of artefacts that belongs to a sqlite file."""
    return Path(url.removeprefix("sqlite:///")).resolve().parent / "mlartifacts"


def _read_without_server() -> None:
    """Let `mlflow-artifacts:` addresses, which a server hands out, mean files beside a sqlite file.

    Asked through a server they stay what they are.
    """
    import mlflow
    from mlflow.store.artifact import artifact_repository_registry as known
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
    from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

    def found(
        uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> ArtifactRepository:
        url = tracking_uri or mlflow.get_tracking_uri()
        if url.startswith("http"):
            return MlflowArtifactsRepository(uri, tracking_uri, registry_uri)
        path = artifacts_beside(url) / urlsplit(uri).path.lstrip("/")
        return LocalArtifactRepository(path.as_uri())

    known._artifact_repository_registry.register("mlflow-artifacts", found)


class Local:
    """A sqlite store, through MLflow's own client; for work without a server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = client(url)

    def create(self, experiment: str, name: str, tags: dict[str, str]) -> str:
        """Open a run and return its id."""
        found = self._client.get_experiment_by_name(experiment)
        folder = artifacts_beside(self._url).as_uri()
        number = (
            found.experiment_id if found else self._client.create_experiment(experiment, folder)
        )
        return str(self._client.create_run(number, run_name=name, tags=tags).info.run_id)

    def batch(self, run: str, metrics: list[dict[str, Any]], params: dict[str, str]) -> None:
        """Log numbers and settings."""
        from mlflow.entities import Metric, Param

        numbers = [Metric(**row) for row in metrics]
        self._client.log_batch(run, numbers, [Param(key, value) for key, value in params.items()])

    def artifact(self, run: str, name: str, content: bytes) -> None:
        """Store a file."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(content)
            self._client.log_artifact(run, str(path))

    def tag(self, run: str, key: str, value: str) -> None:
        """Set one tag."""
        self._client.set_tag(run, key, value[:TAG_LENGTH])

    def finish(self, run: str, status: str) -> None:
        """Close the run."""
        self._client.set_terminated(run, status)

    def address(self, run: str) -> str:
        """What names the run to a person."""
        return f"{self._url}#{run}"
