"""Registers Vitrina's parts with Airflow; what they do is in the package `vitrina_airflow`."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from vitrina_airflow import listener
from vitrina_airflow.links import MLFLOW_RUN


class VitrinaPlugin(AirflowPlugin):
    """The link from a task to its MLflow run, and the listener that catches silent failures."""

    name = "vitrina"
    listeners = (listener,)
    global_operator_extra_links = (MLFLOW_RUN,)
