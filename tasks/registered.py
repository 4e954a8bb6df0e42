"""Models in MLflow's registry: logged without pickle, pinned, with signature and example.

The alias `serving` goes to the newest live version: one that was trained through an earlier day
than the version that has it, such as a day fitted again, does not take it back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.tracking import ALIAS

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature

ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
TRAINED_THROUGH = "trained_through"
STATE = "state"
"""What a served model calls its folder among MLflow's artifacts."""


@dataclass(frozen=True)
class Served:
    """A model as MLflow keeps it.

    Attributes:
        name: under which it is registered.
        code: the file that MLflow runs to load it.
        state: folder of what it was fitted to.
        packages: what it needs, at the versions that fitted it.
        signature: columns and types of requests and answers.
        example: a request; made up, so that nobody's history goes into a model's folder.
        through: the last day that it has seen.
    """

    name: str
    code: Path
    state: Path
    packages: tuple[str, ...]
    signature: ModelSignature
    example: pd.DataFrame
    through: date


def register(model: Served, *, live: bool) -> None:
    """Log the model to MLflow's active run as a new version; the alias follows where it is live."""
    number = _logged(model)
    _client().set_model_version_tag(model.name, number, TRAINED_THROUGH, str(model.through))
    if live and not _is_newer(_serving(model.name), model.through):
        _client().set_registered_model_alias(model.name, ALIAS, number)


def _logged(model: Served) -> str:
    import mlflow

    info = mlflow.pyfunc.log_model(
        name=model.name,
        python_model=str(model.code),
        artifacts={STATE: str(model.state)},
        pip_requirements=pinned(model.packages),
        signature=model.signature,
        input_example=model.example,
        registered_model_name=model.name,
        metadata={TRAINED_THROUGH: str(model.through)},
    )
    return str(info.registered_model_version)


def _serving(name: str) -> Any:  # noqa: ANN401 (MLflow's version)
    return found(lambda: _client().get_model_version_by_alias(name, ALIAS))


def _is_newer(serving: Any, through: date) -> bool:  # noqa: ANN401 (MLflow's version)
    told = serving.tags.get(TRAINED_THROUGH) if serving else None
    return told is not None and date.fromisoformat(told) > through


def _client() -> Any:  # noqa: ANN401 (MLflow's client)
    from mlflow import MlflowClient

    return MlflowClient()


def found(ask: Callable[[], Any]) -> Any:  # noqa: ANN401 (what MLflow returns)
    """Return what is asked of the registry, None where there is no such thing."""
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise


def pinned(packages: tuple[str, ...]) -> list[str]:
    """Return the packages at the versions that are installed."""
    return [f"{package}=={version(package)}" for package in sorted(packages)]
