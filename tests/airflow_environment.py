"""Airflow's variables for tests that import it: a home of their own, set before any import."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def set_airflow_environment() -> None:
    """Point Airflow at this repository and at an empty home; the first caller's home holds."""
    if "AIRFLOW_HOME" in os.environ and "VITRINA_TESTS" in os.environ.get("AIRFLOW_HOME", ""):
        return
    home = tempfile.mkdtemp(prefix="VITRINA_TESTS_")
    os.environ |= {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
    }
