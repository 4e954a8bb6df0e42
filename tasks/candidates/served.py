"""The MLflow model of any generator; MLflow runs this file to load one, nothing is pickled.

Input, one row a user: `user_id, items` (touched, oldest first) and, where known, `city` and other
traits. Output: `user_id, item_id, score, rank`, at most `k` rows a user; items that the request
names are left out.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import mlflow

# Not for types alone: MLflow reads the hints of `predict` when it runs this file.
import pandas as pd
import polars as pl

from tasks import columns as c
from tasks.candidates.generator import Generator, Requests
from tasks.candidates.serving import recommend, seen
from tasks.candidates.stored import load
from tasks.registered import STATE

K = 100
ITEMS = "items"


class Served(mlflow.pyfunc.PythonModel):
    """A generator that answers frames."""

    def load_context(self, context: Any) -> None:  # noqa: ANN401 (MLflow's own class)
        """Read the state beside this file."""
        self.generator = load(Path(context.artifacts[STATE]))

    def predict(
        self,
        context: Any,  # noqa: ANN401 (MLflow's own class)
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return lists for the users of the input."""
        return answered(self.generator, pl.from_pandas(model_input), (params or {}).get("k", K))


def answered(generator: Generator, asked: pl.DataFrame, k: int) -> pd.DataFrame:
    """Return the lists of users whose histories come with the request."""
    requests = read(asked)
    shelf = pl.DataFrame({c.ITEM_ID: generator.item_ids}).with_columns(
        pl.lit(True).alias(c.IN_STOCK), pl.lit(None, pl.String).alias(c.STOCK_CITIES)
    )
    return recommend(generator, requests, k, shelf, seen(requests.histories)).to_pandas()


def read(asked: pl.DataFrame) -> Requests:
    """Return requests as of a nominal day: the order of `items` is all that is told of time."""
    day = date(1970, 1, 1)
    known = (
        asked
        if c.CITY in asked.columns
        else asked.with_columns(pl.lit(None, pl.String).alias(c.CITY))
    )
    users = known.drop(ITEMS).unique(c.USER_ID).sort(c.USER_ID)
    histories = (
        asked.select(c.USER_ID, pl.col(ITEMS).alias(c.ITEM_ID))
        .explode(c.ITEM_ID)
        .drop_nulls(c.ITEM_ID)
        .sort(c.USER_ID, maintain_order=True)
        .with_columns(
            pl.lit(datetime(day.year, day.month, day.day, tzinfo=UTC)).alias(c.TS),
            *(pl.lit(1, pl.Int64).alias(name) for name in (c.TIMES, c.WEIGHT)),
        )
    )
    return Requests(day, users, histories)


mlflow.models.set_model(Served())
