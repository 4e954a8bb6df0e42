"""Where model versions live: the MLflow registry, or a folder when nothing is tracked.

A version is written once and says which day trained it and the last listing day it has seen. The
alias `serving` names the live one; `promote` and rollback alone move it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tasks import tracking
from tasks.registered import TRAINED_THROUGH, found, pinned
from tasks.settings import Settings
from tasks.tracking import ALIAS

if TYPE_CHECKING:
    import pandas as pd
    from catboost import CatBoost

EXPERIMENT = "retrain_ranker"
DAY = "day"
REQUIREMENTS = ("catboost", "mlflow", "numpy", "pandas")


@dataclass(frozen=True)
class Version:
    """A registered model: its number, the day that trained it, the last listing day it has seen."""

    number: str
    day: date
    trained_through: date


class Registry(Protocol):
    """What keeps the versions of one registered model."""

    def save(self, model: CatBoost, day: date, through: date, example: pd.DataFrame) -> str:
        """Store a model as the next version and return its number."""
        ...

    def load(self, number: str) -> CatBoost:
        """Return the model of a version."""
        ...

    def version(self, number: str) -> Version | None:
        """Return what is known of a version, None if there is no such one."""
        ...

    def serving(self) -> Version | None:
        """Return the live version, None before the first."""
        ...

    def serve(self, number: str) -> None:
        """Make a version the live one."""
        ...


def registry_of(settings: Settings) -> Registry:
    """Return the registry that the settings name."""
    if settings.tracking_url:
        return MLflowRegistry(settings)
    return FolderRegistry(settings.home / "models" / settings.ranker.model_name)


class FolderRegistry:
    """Versions as folders `1, 2, ...` with `model.cbm` and `version.json`; the alias is a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, model: CatBoost, day: date, through: date, example: pd.DataFrame) -> str:
        """Store a model as the next version and return its number."""
        self._folder.mkdir(parents=True, exist_ok=True)
        facts = {DAY: str(day), TRAINED_THROUGH: str(through), "features": list(example.columns)}
        with tempfile.TemporaryDirectory(dir=self._folder) as unfinished:
            path = Path(unfinished) / "version"
            path.mkdir()
            model.save_model(str(path / "model.cbm"), format="cbm")
            (path / "version.json").write_text(json.dumps(facts, indent=1))
            # Renamed whole, so that a kill leaves no half-written version.
            number = str(1 + max(self._numbers(), default=0))
            path.rename(self._folder / number)
        return number

    def load(self, number: str) -> CatBoost:
        """Return the model of a version."""
        from catboost import CatBoost

        return CatBoost().load_model(str(self._folder / number / "model.cbm"), format="cbm")

    def version(self, number: str) -> Version | None:
        """Return what is known of a version, None if there is no such one."""
        path = self._folder / number / "version.json"
        return _version(number, json.loads(path.read_text())) if path.exists() else None

    def serving(self) -> Version | None:
        """Return the live version, None before the first."""
        path = self._folder / ALIAS
        return self.version(path.read_text()) if path.exists() else None

    def serve(self, number: str) -> None:
        """Make a version the live one."""
        partial = self._folder / f"{ALIAS}.partial"
        partial.write_text(number)
        os.replace(partial, self._folder / ALIAS)

    def _numbers(self) -> Iterator[int]:
        return (int(path.name) for path in self._folder.iterdir() if path.name.isdigit())


class MLflowRegistry:
    """Versions in MLflow's registry, in CatBoost's own format."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = settings.ranker.model_name
        self._client = tracking.client(settings.tracking_url)

    def save(self, model: CatBoost, day: date, through: date, example: pd.DataFrame) -> str:
        """Store a model as the next version and return its number."""
        import mlflow
        from mlflow.models import infer_signature

        with self._run():
            info = mlflow.catboost.log_model(
                model,
                name=self._name,
                registered_model_name=self._name,
                signature=infer_signature(example, model.predict(example)),
                input_example=example,
                pip_requirements=pinned(REQUIREMENTS),
            )
        number = str(info.registered_model_version)
        for key, value in {DAY: day, TRAINED_THROUGH: through}.items():
            self._client.set_model_version_tag(self._name, number, key, str(value))
        return number

    @contextmanager
    def _run(self) -> Iterator[None]:
        """The task's run, or one of its own where no task is running."""
        with ExitStack() as stack:
            if tracking.run_id() is None:
                stack.enter_context(tracking.task_run(self._settings, EXPERIMENT, "model", {}))
            stack.enter_context(tracking.model_run(self._settings))
            yield

    def load(self, number: str) -> CatBoost:
        """Return the model of a version."""
        import mlflow

        return mlflow.catboost.load_model(f"models:/{self._name}/{number}")

    def version(self, number: str) -> Version | None:
        """Return what is known of a version, None if there is no such one."""
        return _known(found(lambda: self._client.get_model_version(self._name, number)))

    def serving(self) -> Version | None:
        """Return the live version, None before the first."""
        ask = self._client.get_model_version_by_alias
        return _known(found(lambda: ask(self._name, ALIAS)))

    def serve(self, number: str) -> None:
        """Make a version the live one."""
        self._client.set_registered_model_alias(self._name, ALIAS, number)


def _known(found: Any) -> Version | None:  # noqa: ANN401 (MLflow's version)
    # One whose registration broke off before it was described is none that may be served.
    if found is None or not {DAY, TRAINED_THROUGH} <= found.tags.keys():
        return None
    return _version(str(found.version), found.tags)


def _version(number: str, facts: dict[str, Any]) -> Version:
    days = {name: date.fromisoformat(facts[name]) for name in (DAY, TRAINED_THROUGH)}
    return Version(number, days[DAY], days[TRAINED_THROUGH])
