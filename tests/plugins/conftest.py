from __future__ import annotations

from tests.airflow_environment import set_airflow_environment

set_airflow_environment()
