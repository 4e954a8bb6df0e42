"""What long steps say while they run."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tasks.build_features import selected
from tasks.candidates.ease import inverted
from tasks.lake.tables import DEMAND_LAGS, USER_SEGMENTS
from tasks.lookalikes.classifier import FOLDS, RIDGES, chosen_ridge


@pytest.fixture(autouse=True)
def _listening(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


def test_each_select_is_told_with_its_rows_and_the_rest_of_the_way(
    caplog: pytest.LogCaptureFixture,
) -> None:
    frames = {DEMAND_LAGS: pl.DataFrame({"x": range(1234)}), USER_SEGMENTS: pl.DataFrame()}
    found = selected({table: frame.clone for table, frame in frames.items()})
    assert [rows.height for rows in found.values()] == [1234, 0]
    first, second = caplog.messages
    assert first.startswith("select: 1 of 2 (50%), demand_lags: 1,234 rows; ")
    assert second.startswith("select: 2 of 2 (100%), user_segments: 0 rows; ")
    assert second.endswith("so far, 0 s to go")


def test_the_choice_of_a_ridge_tells_every_fit(caplog: pytest.LogCaptureFixture) -> None:
    chance = np.random.default_rng(1)
    x, y = chance.random((60, 2)), (chance.random(60) < 0.5) * 1.0
    assert chosen_ridge(x, y, np.arange(60)) in RIDGES
    fits = [message for message in caplog.messages if message.startswith("look-alike: ridge: ")]
    assert len(fits) == len(RIDGES) * FOLDS
    assert fits[0].startswith("look-alike: ridge: 1 of 12 (8%), 100 without fold 1, 20 rows left")


def test_an_inversion_tells_its_size_before_and_its_seconds_after(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inverse = inverted(np.diag([2.0, 4.0]))
    assert inverse.tolist() == [[0.5, 0.0], [0.0, 0.25]]
    before, after = caplog.messages
    assert before.startswith("ease: inverting 2 x 2 items, ")
    assert after.startswith("ease: inverted 2 x 2 items in ")
