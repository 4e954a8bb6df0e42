from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SECRETS = re.compile(r"PASSWORD|SECRET_KEY|JWT_SECRET|FERNET")
VARIABLE = re.compile(r"\$\{(\w+)(:?[-?][^}]*)?\}")


def variables() -> dict[str, str | None]:
    """Each variable of the compose file with what follows its name, nothing if it is passed on."""
    named = dict(VARIABLE.findall((DOCKER / "compose.yaml").read_text()))
    return dict.fromkeys(name for name, value in COMPOSE["x-lake"].items() if value is None) | named


def example() -> dict[str, str]:
    lines = (DOCKER / ".env.example").read_text().splitlines()
    pairs = [line.lstrip("#") for line in lines if re.match(r"#?[A-Z_]+=", line)]
    return dict(pair.split("=", 1) for pair in pairs)


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_every_port_is_published_on_this_host_only(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service.get("network_mode") != "host"
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))


def test_some_port_is_published() -> None:
    assert sum(len(service.get("ports", [])) for service in COMPOSE["services"].values()) >= 3


def test_no_secret_has_a_default() -> None:
    secrets = {name: rest or "" for name, rest in variables().items() if SECRETS.search(name)}
    assert {"POSTGRES_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET"} <= set(secrets)
    assert all(rest.startswith(":?") for rest in secrets.values())


def test_no_secret_is_written_out() -> None:
    for service in COMPOSE["services"].values():
        for name, value in service.get("environment", {}).items():
            if SECRETS.search(name) and not name.endswith("_FILE"):
                assert VARIABLE.fullmatch(value), name


def test_the_example_names_every_variable_and_gives_no_secret() -> None:
    given = example()
    required = {name for name, rest in variables().items() if rest and rest.startswith(":?")}
    assert required <= set(given)
    assert set(given) <= set(variables())
    assert all(given[name] == "" for name in required)


def test_every_airflow_component_runs_with_the_same_keys() -> None:
    components = [one for name, one in COMPOSE["services"].items() if name.startswith("airflow-")]
    assert len(components) == 5
    keys = (
        "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW__API_AUTH__JWT_SECRET",
        "AIRFLOW__API__SECRET_KEY",
    )
    for key in keys:
        assert len({one["environment"][key] for one in components}) == 1


def test_airflow_and_spark_s_workers_find_a_lake_in_a_bucket() -> None:
    services = COMPOSE["services"]
    assert {"VITRINA_LAKE_URL", "AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL"} <= set(COMPOSE["x-lake"])
    for name in (*(name for name in services if name.startswith("airflow-")), "spark-worker"):
        assert COMPOSE["x-lake"].items() <= services[name]["environment"].items()


def test_the_cluster_has_a_master_and_two_workers() -> None:
    services = COMPOSE["services"]
    assert "deploy.master.Master" in services["spark-master"]["command"][-1]
    assert services["spark-worker"]["deploy"]["replicas"] == 2


def test_vitrina_variables_of_the_compose_file_are_settings() -> None:
    from tasks.settings import variables as known

    named = {
        name
        for service in COMPOSE["services"].values()
        for name in service.get("environment", {})
        if name.startswith("VITRINA_")
    }
    assert named
    assert named <= set(known())


def test_the_image_copies_what_exists_and_pins_airflow_as_the_lock_does() -> None:
    dockerfile = (DOCKER / "Dockerfile").read_text()
    sources = re.findall(r"^COPY --chown=\S+ (\S+) ", dockerfile, re.MULTILINE)
    assert sources == ["requirements.lock", "dags", "plugins", "tasks", "sql"]
    assert all((ROOT / source).exists() for source in sources)
    locked = re.search(r"^apache-airflow==(\S+)", (ROOT / "requirements.lock").read_text(), re.M)
    assert locked
    assert f"apache/airflow:{locked[1]}-python3.11" in dockerfile


def test_the_image_takes_uv_in_the_version_that_make_takes() -> None:
    version = re.search(r"^UV_VERSION := (\S+)", (ROOT / "Makefile").read_text(), re.M)
    assert version
    assert f"uv=={version[1]}" in (DOCKER / "Dockerfile").read_text()
