"""Log a fitted generator to MLflow: its own files, pinned requirements, signature and example."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from tasks import columns as c
from tasks import tracking
from tasks.candidates.generator import Generator, Known
from tasks.candidates.stored import save
from tasks.settings import Settings
from tasks.tracking import ALIAS

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
            number = _register(generator, folder, known)
            if live:
                _serve(generator.name, number)


def _serve(name: str, number: int) -> None:
    import mlflow

    mlflow.MlflowClient().set_registered_model_alias(_registered(name), ALIAS, str(number))


def _registered(name: str) -> str:
    return f"candidates_{name}"


def _register(generator: Generator, folder: str, known: Known) -> int:
    import mlflow

    from tasks.candidates.served import K, answered

    example = input_example(known)
    answer = answered(generator, example, k=2)
    info = mlflow.pyfunc.log_model(
        name=generator.name,
        python_model=str(Path(__file__).with_name("served.py")),
        artifacts={"generator": folder},
        pip_requirements=requirements(generator.name),
        signature=mlflow.models.infer_signature(example.to_pandas(), answer, {"k": K}),
        input_example=example.to_pandas(),
        registered_model_name=_registered(generator.name),
        metadata={"trained_through": str(known.through)},
    )
    return int(info.registered_model_version)


def requirements(name: str) -> list[str]:
    """Return what the generator needs, at the versions that fitted it."""
    names = (*_REQUIREMENTS, *_OWN_REQUIREMENTS.get(name, ()))
    return [f"{package}=={version(package)}" for package in sorted(names)]


def input_example(known: Known) -> pl.DataFrame:
    """Return one made-up request: nobody's history goes into a model's folder."""
    items = known.item_ids().head(_EXAMPLE_ITEMS).to_list()
    return pl.DataFrame({c.USER_ID: ["somebody"], c.CITY: [""], "items": [items]})
