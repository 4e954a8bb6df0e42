"""Generators in a real MLflow store: logged without pickle, loaded, asked."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tasks import columns as c
from tasks import tracking
from tasks.candidates.fitting import fitted
from tasks.candidates.generator import Known
from tasks.candidates.logged import log_model, requirements
from tasks.settings import Settings


def test_a_logged_generator_is_loaded_and_answers_those_who_came_later(
    small_shop: Known, small_settings: Settings, tmp_path: Path
) -> None:
    import mlflow
    import pandas as pd

    settings = small_settings.model_copy(
        update={"home": tmp_path, "mlflow_url": f"sqlite:///{tmp_path}/mlflow.db"}
    )
    generator = fitted("sasrec", small_shop, settings)
    with tracking.task_run(settings, "train_candidates", "a try", {"day": str(date(2026, 3, 28))}):
        log_model(settings, generator, small_shop, live=True)
        log_model(settings, generator, small_shop, live=False)
    folder = mlflow.artifacts.download_artifacts("models:/candidates_sasrec/1")
    assert not list(Path(folder).rglob("*.pkl"))
    assert list(Path(folder).rglob("arrays.safetensors"))
    # The second version is not live, so the alias stays with the first.
    client = mlflow.MlflowClient()
    assert client.get_model_version_by_alias("candidates_sasrec", "serving").version == 1
    model = mlflow.pyfunc.load_model("models:/candidates_sasrec@serving")
    assert model.metadata.signature is not None
    asked = pd.DataFrame({c.USER_ID: ["later"], c.CITY: ["north"], "items": [["i03", "i06"]]})
    answer = model.predict(asked, params={"k": 5})
    assert answer[c.RANK].tolist() == [1, 2, 3, 4, 5]
    assert not set(answer[c.ITEM_ID]) & {"i03", "i06"}


def test_nothing_is_logged_when_nothing_is_tracked(
    small_shop: Known, small_settings: Settings
) -> None:
    generator = fitted("popular", small_shop, small_settings)
    log_model(small_settings, generator, small_shop, live=True)


@pytest.mark.parametrize(("name", "own"), [("ease", "threadpoolctl"), ("sasrec", "torch")])
def test_requirements_are_pinned_and_hold_what_the_generator_needs(name: str, own: str) -> None:
    pinned = dict(line.split("==") for line in requirements(name))
    assert own in pinned
    assert all(pinned.values())
