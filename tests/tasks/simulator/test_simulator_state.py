from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tasks.simulator import state as states


def test_new_values_push_the_oldest_out_of_their_own_row() -> None:
    ring = np.array([[1, 2, 3], [4, 5, 6], [-1, -1, 7]])
    states.append(ring, np.array([0, 2, 0]), np.array([8, 9, 10]))
    assert ring.tolist() == [[3, 8, 10], [4, 5, 6], [-1, 7, 9]]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 99)), max_size=30))
def test_a_row_holds_the_last_values_of_its_customer(moves: list[tuple[int, int]]) -> None:
    ring = np.full((4, 5), -1)
    who = np.array([customer for customer, _ in moves], dtype=np.int64)
    values = np.array([value for _, value in moves], dtype=np.int64)
    states.append(ring, who, values)
    for customer in range(4):
        own = [value for mover, value in moves if mover == customer][-5:]
        assert ring[customer].tolist() == [-1] * (5 - len(own)) + own


def test_a_saved_state_is_read_back_equal_and_older_days_are_removed(tmp_path: Path) -> None:
    state = states.opening_state(np.array([0.1, 2.0]), customers=3, memory=2, axes=0)
    frame = pl.DataFrame({"at": [1, 2]})
    states.save(tmp_path, state, {"scheduled": frame}, date(2026, 1, 1))
    state.popularity[0] = 0.7
    states.save(tmp_path, state, {"scheduled": frame.head(1)}, date(2026, 1, 2))
    read, frames = states.load(tmp_path, ("scheduled",))
    assert states.last_day(tmp_path) == date(2026, 1, 2)
    assert read.popularity.tolist() == [0.7, 2.0]
    assert frames["scheduled"].rows() == [(1,)]
    assert not list(tmp_path.glob("2026-01-01*"))
