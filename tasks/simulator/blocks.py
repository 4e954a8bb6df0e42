"""Blocks of customers: what bounds the memory of a day, and what is lived side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from tasks.simulator.draws import Ints

BLOCK = 16_384
AT_A_TIME = 2
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def blocks(customers: int) -> list[Ints]:
    """Return the indices of all customers, `BLOCK` at a time."""
    return [np.arange(start, min(start + BLOCK, customers)) for start in range(0, customers, BLOCK)]


def side_by_side(make: Callable[[_Given], _Made], given: Iterable[_Given]) -> Iterator[_Made]:
    """Yield what `make` returns for each of `given`, in their order, a few of them made ahead."""
    pool, waiting = ThreadPoolExecutor(AT_A_TIME), deque[Future[_Made]]()
    try:
        for one in given:
            if len(waiting) == AT_A_TIME:
                yield waiting.popleft().result()
            waiting.append(pool.submit(make, one))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
