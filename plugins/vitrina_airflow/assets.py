"""Assets: the events by which one DAG wakes the next, each carrying the day as partition key."""

from __future__ import annotations

from airflow.sdk import Asset

FEATURES = Asset("features")
FACETS = Asset("facets")
LOOKALIKES = Asset("lookalikes")
CANDIDATES = Asset("candidates")
RANKER = Asset("ranker")

BY_HAND = Asset("by_hand")
"""Nothing sends this event: what waits for it runs when triggered, and its form asks for the day.

The form of a DAG with `PartitionedAtRuntime` has no field for a partition key.
"""
