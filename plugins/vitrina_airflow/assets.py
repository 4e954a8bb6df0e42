"""Assets: the events by which one DAG wakes the next, each carrying the day as partition key."""

from __future__ import annotations

from airflow.sdk import Asset

FEATURES = Asset("features")
FACETS = Asset("facets")
LOOKALIKES = Asset("lookalikes")
CANDIDATES = Asset("candidates")
RANKER = Asset("ranker")
