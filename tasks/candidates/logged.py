"""Log a fitted generator to MLflow: its own files, pinned requirements, signature and example."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c
from tasks import tracking
from tasks.candidates.generator import Generator, Known
from tasks.candidates.registered import model_name
from tasks.candidates.stored import save
from tasks.registered import Served, register
from tasks.settings import Settings

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

_REQUIREMENTS = ("mlflow", "numpy", "pandas", "polars", "pydantic-settings", "safetensors", "scipy")
_OWN_REQUIREMENTS = {"ease": ("threadpoolctl",), "sasrec": ("torch",)}
_EXAMPLE_ITEMS = 3


def log_model(settings: Settings, generator: Generator, known: Known, *, live: bool) -> None:
    """Register the generator's model in the open task run; nothing when nothing is tracked.

    Args:
        settings: where runs are tracked.
        generator: what was fitted.
        known: what it was fitted to.
        live: whether its lists are the newest, so that the alias `serving` names it.
    """
    with tracking.model_run(settings) as tracked, TemporaryDirectory() as folder:
        if tracked:
            save(generator, Path(folder))
            register(_served(generator, Path(folder), known), live=live)


def _served(generator: Generator, folder: Path, known: Known) -> Served:
    return Served(
        name=model_name(generator.name),
        code=Path(__file__).with_name("served.py"),
        state=folder,
        packages=requirements(generator.name),
        signature=signature(),
        example=input_example(known).to_pandas(),
        through=known.through,
    )


def requirements(name: str) -> tuple[str, ...]:
    """Return the packages that the generator needs."""
    return (*_REQUIREMENTS, *_OWN_REQUIREMENTS.get(name, ()))


def signature() -> ModelSignature:
    """Return the columns of requests and answers."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array

    from tasks.candidates.served import ACTIONS, ITEMS, SECONDS, K

    texts = [ColSpec("string", name) for name in (c.USER_ID, c.CITY)]
    of_items = [
        ColSpec(Array(DataType.string), ITEMS),
        ColSpec(Array(DataType.string), ACTIONS, required=False),
        ColSpec(Array(DataType.long), SECONDS, required=False),
    ]
    answer = {c.USER_ID: "string", c.ITEM_ID: "string", c.SCORE: "double", c.RANK: "integer"}
    return ModelSignature(
        inputs=Schema([*texts, *of_items]),
        outputs=Schema([ColSpec(dtype, name) for name, dtype in answer.items()]),
        params=ParamSchema([ParamSpec("k", DataType.long, K)]),
    )


def input_example(known: Known) -> pl.DataFrame:
    """Return one made-up request: nobody's history goes into a model's folder."""
    items = known.item_ids().head(_EXAMPLE_ITEMS).to_list()
    return pl.DataFrame({c.USER_ID: ["somebody"], c.CITY: [""], "items": [items]})
