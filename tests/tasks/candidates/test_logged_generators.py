"""Generators in a real MLflow store: logged without pickle, loaded, asked."""

from __future__ import annotations

import warnings
from datetime import date
from pathlib import Path

import pytest

from tasks import columns as c
from tasks import tracking
from tasks.candidates.fitting import fitted
from tasks.candidates.generator import Known
from tasks.candidates.logged import log_model, requirements, signature
from tasks.candidates.sasrec import SASRec
from tasks.errors import ContractViolation
from tasks.settings import Settings


def test_a_logged_generator_is_loaded_and_answers_those_who_came_later(
    small_shop: Known, small_settings: Settings, tmp_path: Path
) -> None:
    import mlflow
    import mlflow.pyfunc
    import pandas as pd

    settings = small_settings.model_copy(
        update={"home": tmp_path, "mlflow_url": f"sqlite:///{tmp_path}/mlflow.db"}
    )
    generator = fitted("sasrec", small_shop, settings)
    with (
        tracking.task_run(settings, "train_candidates", "a try", {"day": str(date(2026, 3, 28))}),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error", UserWarning)
        log_model(settings, generator, small_shop, live=True)
        log_model(settings, generator, small_shop, live=False)
    folder = mlflow.artifacts.download_artifacts("models:/candidates_sasrec/1")
    assert not list(Path(folder).rglob("*.pkl"))
    assert list(Path(folder).rglob("arrays.safetensors"))
    # The second version is not live, so the alias stays with the first.
    client = mlflow.MlflowClient()
    assert client.get_model_version_by_alias("candidates_sasrec", "serving").version == 1
    model = mlflow.pyfunc.load_model("models:/candidates_sasrec@serving")
    assert model.metadata.signature == signature()
    asked = pd.DataFrame({c.USER_ID: ["later"], c.CITY: ["north"], "items": [["i03", "i06"]]})
    answer = model.predict(asked, params={"k": 5})
    assert answer[c.RANK].tolist() == [1, 2, 3, 4, 5]
    told = {one.name: one.type.to_numpy() for one in model.metadata.signature.outputs}
    assert answer.dtypes[[c.SCORE, c.RANK]].to_dict() == {n: told[n] for n in (c.SCORE, c.RANK)}
    assert list(answer.columns) == list(told)
    assert not set(answer[c.ITEM_ID]) & {"i03", "i06"}

    told = asked.assign(actions=[[c.VIEW, c.CART]], seconds=[[1_774_000_000, 1_774_000_060]])
    assert len(model.predict(told, params={"k": 5})) == 5

    child = fitted("sasrec", small_shop, starting_from(settings, "1"))
    assert isinstance(child, SASRec)
    assert child.facts["parent"] == "1"
    fresh = fitted("sasrec", small_shop, settings)
    assert fresh.item_vectors().tolist() == generator.item_vectors().tolist()
    assert child.item_vectors().tolist() != generator.item_vectors().tolist()
    with pytest.raises(ContractViolation, match="no version 99 of candidates_sasrec to start from"):
        fitted("sasrec", small_shop, starting_from(settings, "99"))


def starting_from(settings: Settings, version: str) -> Settings:
    sasrec = settings.candidates.sasrec.model_copy(update={"parent": version})
    return settings.model_copy(
        update={"candidates": settings.candidates.model_copy(update={"sasrec": sasrec})}
    )


def test_nothing_is_logged_when_nothing_is_tracked(
    small_shop: Known, small_settings: Settings
) -> None:
    generator = fitted("popular", small_shop, small_settings)
    log_model(small_settings, generator, small_shop, live=True)
    assert not list(small_settings.home.iterdir())


@pytest.mark.parametrize(("name", "own"), [("ease", "threadpoolctl"), ("sasrec", "torch")])
def test_requirements_hold_what_the_generator_needs(name: str, own: str) -> None:
    assert own in requirements(name)
