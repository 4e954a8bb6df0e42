"""How many tasks the machine takes at once, as slots of Airflow's default pool.

One slot is half a core and 2 GiB of memory; a heavy task takes two.
"""

from __future__ import annotations

import os

import psutil

SLOTS_PER_CORE = 2
SLOT_GIB = 2
HEAVIEST_TASK = 2


def pool_slots(cores: int | None = None, memory_gib: float | None = None) -> int:
    """Return the slots that cores and memory allow, at least those of the heaviest task.

    A pool smaller than a task would let it wait for ever, without a word.
    """
    cores = cores or os.cpu_count() or 1
    memory_gib = memory_gib or psutil.virtual_memory().total / 2**30
    return max(HEAVIEST_TASK, min(SLOTS_PER_CORE * cores, int(memory_gib // SLOT_GIB)))
