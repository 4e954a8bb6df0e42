"""The MLflow model of any segment; MLflow runs this file to load one, nothing is pickled.

Input, one row a person and attribute value: `user_id, attribute, value, share`, as in
`lookalike_features`; values that the model does not know count nothing, so that a person without
features is a row of such a one. Output, one row a person in the order of the input: `user_id,
probability`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow

# Not for types alone: MLflow reads the hints of `predict` when it runs this file.
import pandas as pd
import polars as pl

from tasks import columns as c
from tasks.lookalikes.model import Calibrated
from tasks.lookalikes.stored import load
from tasks.registered import STATE


class Served(mlflow.pyfunc.PythonModel):
    """A segment's calibrated model that answers frames."""

    def load_context(self, context: Any) -> None:  # noqa: ANN401 (MLflow's own class)
        """Read the state beside this file."""
        self.model = load(Path(context.artifacts[STATE]))

    def predict(
        self,
        context: Any,  # noqa: ANN401 (MLflow's own class)
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return the probabilities of the people of the input."""
        return answered(self.model, pl.from_pandas(model_input)).to_pandas()


def answered(model: Calibrated, asked: pl.DataFrame) -> pl.DataFrame:
    """Return `user_id, probability` of everybody who is asked for."""
    people = asked.select(pl.col(c.USER_ID).unique(maintain_order=True))
    probability = model.probability(people, asked)
    return people.with_columns(pl.Series(c.PROBABILITY, probability))


mlflow.models.set_model(Served())
