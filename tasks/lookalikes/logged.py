"""Log a segment's calibrated model to MLflow: its own files, signature and example."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c
from tasks import tracking
from tasks.lookalikes.model import Calibrated
from tasks.lookalikes.stored import save
from tasks.registered import Served, register
from tasks.settings import Settings

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

REQUIREMENTS = (
    "mlflow",
    "numpy",
    "pandas",
    "polars",
    "pydantic-settings",
    "safetensors",
    "scipy",
)
_EXAMPLE_VALUES = 3


def log_model(
    settings: Settings, segment: str, model: Calibrated, day: date, *, live: bool
) -> None:
    """Register the segment's model in the open task run; nothing when nothing is tracked.

    Args:
        settings: where runs are tracked.
        segment: whose model it is.
        model: what was fitted.
        day: whose people it was fitted for.
        live: whether its card offers thresholds and no newer day trains instead, so that the alias
            `serving` may name it.
    """
    with tracking.model_run(settings) as tracked, TemporaryDirectory() as folder:
        if tracked:
            save(model, Path(folder))
            register(_served(segment, model, Path(folder), day), live=live)


def _served(segment: str, model: Calibrated, folder: Path, day: date) -> Served:
    return Served(
        name=f"lookalike_{segment}",
        code=Path(__file__).with_name("served.py"),
        state=folder,
        packages=REQUIREMENTS,
        signature=signature(),
        example=input_example(model.model.columns).to_pandas(),
        through=day,
    )


def signature() -> ModelSignature:
    """Return the columns of requests and answers."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    texts = [ColSpec("string", name) for name in (c.USER_ID, c.ATTRIBUTE, c.VALUE)]
    return ModelSignature(
        inputs=Schema([*texts, ColSpec("double", "share")]),
        outputs=Schema([ColSpec("string", c.USER_ID), ColSpec("double", c.PROBABILITY)]),
    )


def input_example(columns: pl.DataFrame) -> pl.DataFrame:
    """Return one made-up request: a person with a few known values, another with none."""
    known = columns.head(_EXAMPLE_VALUES).select(
        pl.lit("somebody").alias(c.USER_ID),
        c.ATTRIBUTE,
        c.VALUE,
        (pl.lit(1.0) / pl.len()).alias("share"),
    )
    without = {c.USER_ID: ["without features"], c.ATTRIBUTE: [""], c.VALUE: [""], "share": [0.0]}
    return pl.concat([known, pl.DataFrame(without)])
