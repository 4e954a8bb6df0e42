"""The record of a task try, against a real MLflow server and against a sqlite store."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
import requests

from tasks import tracking
from tasks.errors import ContractViolation
from tasks.lake.lake import Lake
from tasks.lake.tables import USER_SEGMENTS
from tasks.landing.manifest import write_landing_day
from tasks.settings import Settings
from tasks.steps import Try, execute, opened, run_dag
from tests.conftest import SHOP_DAYS, SHOP_FIRST_DAY
from tests.rows import rows

ATTEMPT = Try("score_lookalikes", "score_segment", date(2026, 3, 10), "rare", "run_1", 2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "mlartifacts"), "--serve-artifacts"]
    # Its seven processes for scheduled evaluations are of no use here.
    alone = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env=alone, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(url, process, folder / "log")
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(480):
        assert process.poll() is None, log.read_text()
        try:
            if requests.get(f"{url}/health", timeout=5).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.5)
    raise TimeoutError(log.read_text())


@pytest.fixture(params=["server", "sqlite"])
def tracked(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = request.getfixturevalue("server") if request.param == "server" else None
    return Settings(home=tmp_path, mlflow_url=url, min_free_gb=0)


def test_a_try_is_one_run_with_tags_settings_numbers_and_texts(tracked: Settings) -> None:
    from mlflow.tracking import MlflowClient

    with opened(ATTEMPT, tracked) as run:
        assert run is not None
        assert tracking.run_id() == run.run_id
        tracking.metrics({"auc": 0.75})
        for step in range(3):
            tracking.metric("loss", 1.0 / (step + 1), step)
        tracking.text("card.md", "two suggestions")
    client = MlflowClient(tracked.tracking_url)
    stored = client.get_run(run.run_id)
    assert stored.info.status == "FINISHED"
    wanted = {"day": "2026-03-10", "task": "score_segment", "map_key": "rare", "try": "2"}
    assert wanted.items() <= stored.data.tags.items()
    assert stored.data.metrics["auc"] == 0.75
    assert stored.data.metrics["seconds"] >= 0
    assert stored.data.params["seed"] == str(tracked.seed)
    assert [m.value for m in client.get_metric_history(run.run_id, "loss")] == [1.0, 0.5, 1.0 / 3]
    assert [file.path for file in client.list_artifacts(run.run_id)] == ["card.md"]
    assert client.get_experiment(stored.info.experiment_id).name == "score_lookalikes"


def test_a_failed_try_keeps_its_address_and_ends_failed(tracked: Settings) -> None:
    from mlflow.tracking import MlflowClient

    addresses = []

    def broken(day: date, settings: Settings, key: str) -> None:
        addresses.append(tracking.run_id())
        raise ContractViolation("scores: 'one row per user_id' broken by 2 rows")

    with pytest.raises(ContractViolation):
        execute(ATTEMPT, broken, tracked)
    stored = MlflowClient(tracked.tracking_url).get_run(addresses[0])
    assert stored.info.status == "FAILED"
    assert "one row per user_id" in stored.data.tags["error"]
    assert tracking.run_id() is None


def test_a_try_has_its_code_version_and_the_versions_and_rows_of_its_tables(
    tracked: Settings,
) -> None:
    from mlflow.tracking import MlflowClient

    settings = tracked.model_copy(update={"code_version": "v1.2-3-gabc"})
    write_landing_day(settings.landing, ATTEMPT.day, {}, "test")
    before = rows(USER_SEGMENTS, {"user_id": "a"}, {"user_id": "b"})
    runs = []

    def copy_segments(day: date, settings: Settings, key: str) -> None:
        runs.append(tracking.run_id())
        lake = Lake(settings)
        lake.write_day(USER_SEGMENTS, day, lake.read_day(USER_SEGMENTS, day).drop("dt"))

    def fail_before_writing(day: date, settings: Settings, key: str) -> None:
        runs.append(tracking.run_id())
        Lake(settings).read_day(USER_SEGMENTS, day)
        raise ContractViolation("too late to write")

    Lake(settings).write_day(USER_SEGMENTS, ATTEMPT.day, before)
    execute(ATTEMPT, copy_segments, settings)
    with pytest.raises(ContractViolation):
        execute(ATTEMPT, fail_before_writing, settings)
    client = MlflowClient(settings.tracking_url)
    copied, failed = (client.get_run(run).data for run in runs)
    assert copied.params["code_version"] == failed.params["code_version"] == "v1.2-3-gabc"
    assert copied.params["read/user_segments"] == "2026-03-10 v1"
    assert copied.params["written/user_segments"] == "2026-03-10 v2"
    assert copied.metrics["rows/user_segments"] == 2
    assert failed.params["read/user_segments"] == "2026-03-10 v2"


def test_nothing_is_tracked_when_the_address_is_empty(settings: Settings) -> None:
    with opened(ATTEMPT, settings) as run:
        tracking.metric("auc", 0.5)
        assert run is None
        assert tracking.run_id() is None


def test_a_days_pictures_reach_its_runs(loaded_copy: Settings) -> None:
    day = SHOP_FIRST_DAY + timedelta(days=SHOP_DAYS - 1)
    tracked = loaded_copy.model_copy(update={"mlflow_url": None})
    run_dag("build_features", day, tracked, "count_interactions")
    run_dag("compute_facet_weights", day, tracked, "fit_facet_weights")
    client = tracking.client(tracked.tracking_url)
    names = [experiment.experiment_id for experiment in client.search_experiments()]
    stored, metrics = set[str](), set[str]()
    for run in client.search_runs(names):
        stored |= {file.path for file in client.list_artifacts(run.info.run_id)}
        metrics |= set(run.data.metrics)
    assert {"data_checks.png", "logistic.png"} <= stored
    assert any(name.startswith("check/events/") for name in metrics)
    assert any(name.startswith("steadiness") for name in metrics)


WITHOUT_SERVER = """
import sys
from pathlib import Path
from tasks import tracking
client = tracking.client(sys.argv[1])
print(Path(client.download_artifacts(sys.argv[2], "told.txt")).read_text())
client.log_text(sys.argv[2], "more", "more.txt")
"""


def test_what_a_server_stored_is_read_without_it(
    server: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    served = tracking.client(server)
    run = served.create_run(served.create_experiment("served")).info
    served.log_text(run.run_id, "told", "told.txt")
    assert run.artifact_uri.startswith("mlflow-artifacts:/")
    folder = next(tmp_path_factory.getbasetemp().glob("mlflow*"))
    # A process of its own, since MLflow keeps the way to a run's files once it was found.
    command = [sys.executable, "-c", WITHOUT_SERVER, f"sqlite:///{folder}/mlflow.db", run.run_id]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told == "told\n"
    assert {file.path for file in served.list_artifacts(run.run_id)} == {"told.txt", "more.txt"}


def test_a_data_task_does_not_import_mlflow(server: str, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from datetime import date\n"
        "from tasks.settings import Settings; from tasks.steps import Try, opened\n"
        "from tasks import tracking\n"
        f"settings = Settings(home=Path({str(tmp_path)!r}), mlflow_url={server!r})\n"
        "with opened(Try('build_features', 'ingest', date(2026, 3, 10)), settings):\n"
        "    tracking.metric('rows', 3)\n"
        "assert 'mlflow' not in sys.modules\n"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
