"""The generator that a training starts from, out of MLflow's registry."""

from __future__ import annotations

from pathlib import Path

from tasks import tracking
from tasks.candidates.generator import Generator
from tasks.candidates.stored import load
from tasks.errors import ContractViolation
from tasks.settings import Settings
from tasks.stored import FACTS


def model_name(name: str) -> str:
    """Return what the registry calls a generator's model."""
    return f"candidates_{name}"


def parent_of(kind: type[Generator], settings: Settings) -> Generator | None:
    """Return the registered version that the settings name as the parent, if they name one.

    Raises:
        ContractViolation: there is no such version.
    """
    version = kind.parent_version(settings.candidates)
    if not version:
        return None
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    tracking.client(settings.tracking_url)
    try:
        folder = download_artifacts(f"models:/{model_name(kind.name)}/{version}")
    except MlflowException as error:
        told = f"no version {version} of {model_name(kind.name)} to start from: {error}"
        raise ContractViolation(told) from error
    return load(next(Path(folder).rglob(FACTS)).parent)
