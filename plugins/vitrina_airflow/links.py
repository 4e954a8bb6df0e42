"""The link from a task in the UI to its MLflow run, there from before the work began."""

from __future__ import annotations

from airflow.serialization.definitions.operatorlink import XComOperatorLink

MLFLOW_RUN_KEY = "mlflow_run_url"
MLFLOW_RUN = XComOperatorLink(name="MLflow run", xcom_key=MLFLOW_RUN_KEY)
