"""Registers Vitrina's parts with Airflow; what they do is in the package `vitrina_airflow`."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from vitrina_airflow import listener
from vitrina_airflow.guard import refuse_open_login
from vitrina_airflow.links import MLFLOW_RUN


class VitrinaPlugin(AirflowPlugin):
    """The link from a task to its MLflow run, the listener for silent failures, the guard."""

    name = "vitrina"
    listeners = (listener,)
    global_operator_extra_links = (MLFLOW_RUN,)

    @classmethod
    def on_load(cls, *args: object, **kwargs: object) -> None:
        """Refuse to run open to the network without a login."""
        refuse_open_login()
