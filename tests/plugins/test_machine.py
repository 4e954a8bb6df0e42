from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitrina_airflow.machine import HEAVIEST_TASK, pool_slots


@pytest.mark.parametrize(
    ("cores", "memory_gib", "slots"),
    [
        (2, 24, 4),  # two slots a core
        (2, 6, 3),  # 6 GiB / 2
        (16, 128, 32),
        (1, 1, 2),  # the heaviest task must fit, or it waits for ever
    ],
)
def test_slots_follow_cores_and_memory(cores: int, memory_gib: float, slots: int) -> None:
    assert pool_slots(cores, memory_gib) == slots


@given(cores=st.integers(1, 256), memory=st.floats(0.5, 4096))
def test_every_task_fits_into_the_pool(cores: int, memory: float) -> None:
    assert pool_slots(cores, memory) >= HEAVIEST_TASK


def test_this_machine_has_slots() -> None:
    assert pool_slots() >= HEAVIEST_TASK
