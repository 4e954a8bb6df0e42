"""The MLflow model of any generator; MLflow runs this file to load one, nothing is pickled.

Input, one row a user: `user_id, items` (touched, oldest first) and, where known, `city` and other
traits, and of each item `actions` (view, favorite, cart or order) and `seconds` (when, since 1970),
which SASRec hears where it was trained to. Output: `user_id, item_id, score, rank`, at most `k`
rows a user; items that the request names are left out.
"""

from __future__ import annotations

from datetime import date
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
from tasks.errors import ContractViolation
from tasks.registered import STATE

K = 100
ITEMS, ACTIONS, SECONDS = "items", "actions", "seconds"


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
    """Return requests as of a nominal day before all times that may be told: nothing has aged."""
    day = date(1970, 1, 1)
    known = (
        asked
        if c.CITY in asked.columns
        else asked.with_columns(pl.lit(None, pl.String).alias(c.CITY))
    )
    told = [name for name in (ITEMS, ACTIONS, SECONDS) if name in asked.columns]
    refuse_ragged(asked, told)
    users = known.drop(told).unique(c.USER_ID).sort(c.USER_ID)
    histories = (
        asked.select(c.USER_ID, *told)
        .explode(told)
        .rename({ITEMS: c.ITEM_ID, ACTIONS: c.EVENT_TYPE}, strict=False)
        .drop_nulls(c.ITEM_ID)
        .sort(c.USER_ID, maintain_order=True)
        .with_columns(
            moment(told).alias(c.TS),
            *(pl.lit(1, pl.Int64).alias(name) for name in (c.TIMES, c.WEIGHT)),
        )
        .drop(SECONDS, strict=False)
    )
    return Requests(day, users, histories)


def refuse_ragged(asked: pl.DataFrame, told: list[str]) -> None:
    """Refuse users of whom something is not said of each of their items.

    Raises:
        ContractViolation: naming the column, the first such user and how many there are.
    """
    for name in told:
        items, these = (pl.col(of).list.len().fill_null(0) for of in (ITEMS, name))
        wrong = asked.filter(items != these)
        if wrong.height:
            raise ContractViolation(
                f"{name!r} has to say something of each of 'items': {wrong.height} users have"
                f" fewer or more, such as {wrong[c.USER_ID][0]}"
            )


def moment(told: list[str]) -> pl.Expr:
    """Return when each item was touched: as told, or all at once."""
    seconds = pl.col(SECONDS).fill_null(0) if SECONDS in told else pl.lit(0)
    return pl.from_epoch(seconds, "s").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


mlflow.models.set_model(Served())
