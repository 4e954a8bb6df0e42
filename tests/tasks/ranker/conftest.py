from __future__ import annotations

import polars as pl
import pytest

from tasks.settings import Ranker, Settings
from tests.ranking import drawn_groups


@pytest.fixture(scope="session")
def groups() -> pl.DataFrame:
    return drawn_groups()


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """A small model, a short bootstrap."""
    options = Ranker(iterations=40, learning_rate=0.1, bootstraps=200, refit_correlation=0.8)
    return settings.model_copy(update={"ranker": options})
