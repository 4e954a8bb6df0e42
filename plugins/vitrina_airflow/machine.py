"""How many tasks the machine takes at once, as slots of Airflow's default pool.

One slot is one core's worth of work and 2 GiB of memory; a heavy task takes two.
"""

from __future__ import annotations

import os

import psutil

SLOT_GIB = 2
HEAVIEST_TASK = 2


def pool_slots(cores: int | None = None, memory_gib: float | None = None) -> int:
    """Return the slots: one more than the cores, less where memory is short, and at least a task's.

    One more, because a task waits for Airflow's API and for the disk about a third of its time.
    """
    cores = cores or os.cpu_count() or 1
    memory_gib = memory_gib or psutil.virtual_memory().total / 2**30
    return max(HEAVIEST_TASK, min(cores + 1, int(memory_gib // SLOT_GIB)))
