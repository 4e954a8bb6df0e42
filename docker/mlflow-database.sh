#!/bin/bash
# Runs once, when PostgreSQL's folder is empty: a database and a user of their own for MLflow.
set -euo pipefail
psql --set ON_ERROR_STOP=1 --set password="$MLFLOW_DB_PASSWORD" --username "$POSTGRES_USER" <<'SQL'
CREATE USER mlflow PASSWORD :'password';
CREATE DATABASE mlflow OWNER mlflow;
SQL
