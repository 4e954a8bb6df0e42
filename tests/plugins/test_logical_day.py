from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import ContractViolation
from vitrina_airflow.day import logical_day


@given(day=st.dates())
def test_a_key_is_the_day_it_names(day: date) -> None:
    assert logical_day(day.isoformat(), "retrain_ranker") == day


@pytest.mark.parametrize("key", [None, ""])
def test_a_run_without_a_key_says_what_to_type(key: str | None) -> None:
    with pytest.raises(ContractViolation, match="no partition key") as found:
        logical_day(key, "retrain_ranker")
    assert '{"logical_date": null, "partition_key": "2026-01-31"}' in str(found.value)
    assert "/api/v2/dags/retrain_ranker/dagRuns" in str(found.value)


@pytest.mark.parametrize(
    "key",
    ["20260131", "2026-W05-6", "2026-02-30", "2026-01-31T00:00:00", " 2026-01-31", "../2026-01-31"],
)
def test_a_key_that_is_no_day_is_refused_before_it_touches_a_path(key: str) -> None:
    with pytest.raises(ContractViolation, match="is no day"):
        logical_day(key, "build_features")
