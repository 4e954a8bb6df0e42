"""Segments' models in a real MLflow store: logged without pickle, loaded, asked."""

from __future__ import annotations

import warnings
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks import columns as c
from tasks import tracking
from tasks.lookalikes.calibration import Calibrator
from tasks.lookalikes.classifier import Classifier
from tasks.lookalikes.logged import log_model
from tasks.lookalikes.model import Calibrated, Model
from tasks.lookalikes.stored import load, save
from tasks.settings import Settings

DAY = date(2026, 3, 10)
COLUMNS = pl.DataFrame(
    {"column": [0, 1], c.ATTRIBUTE: ["brand", "colour"], c.VALUE: ["acme", "red"]},
    schema_overrides={"column": pl.UInt32},
)
MODEL = Calibrated(
    Model(
        COLUMNS,
        seed=Classifier(-1 / 3, np.array([0.1, -2.0])),
        buyer=Classifier(0.7, np.array([1.0, 1 / 7])),
    ),
    Calibrator(a=1.1, b=0.9, intercept=-0.05),
)
FEATURES = pl.DataFrame(
    [
        ("b", "colour", "red", 0.25),
        ("a", "brand", "acme", 1 / 3),
        ("b", "brand", "acme", 0.75),
        ("nobody", "brand", "unheard of", 1.0),
    ],
    schema=[c.USER_ID, c.ATTRIBUTE, c.VALUE, "share"],
    orient="row",
)


def probability() -> dict[str, float]:
    """The model's own answer, without any store between."""
    people = pl.DataFrame({c.USER_ID: ["b", "a", "nobody"]})
    return dict(zip(people[c.USER_ID], MODEL.probability(people, FEATURES), strict=True))


@pytest.fixture
def tracked(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, mlflow_url=f"sqlite:///{tmp_path}/mlflow.db")


def test_a_person_without_known_values_has_the_intercepts_probability() -> None:
    seed, buyer = 1 / (1 + np.exp(1 / 3)), 1 / (1 + np.exp(-0.7))
    p = seed * buyer
    odds = 1.1 * np.log(p) - 0.9 * np.log(1 - p) - 0.05
    assert probability()["nobody"] == pytest.approx(1 / (1 + np.exp(-odds)))


def test_a_stored_model_comes_back_to_the_bit(tmp_path: Path) -> None:
    save(MODEL, tmp_path)
    again = load(tmp_path)
    assert again.model.columns.equals(COLUMNS)
    people = pl.DataFrame({c.USER_ID: list(probability())})
    assert again.probability(people, FEATURES).tolist() == list(probability().values())


def test_a_logged_model_is_loaded_and_gives_the_same_probabilities(tracked: Settings) -> None:
    import mlflow
    import mlflow.pyfunc

    with (
        tracking.task_run(tracked, "score_lookalikes", "a try", {"day": str(DAY)}),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error", UserWarning)
        log_model(tracked, "bag_buyers", MODEL, DAY, live=True)
    folder = Path(mlflow.artifacts.download_artifacts("models:/lookalike_bag_buyers@serving"))
    assert not list(folder.rglob("*.pkl"))
    assert (folder / "input_example.json").exists()
    model = mlflow.pyfunc.load_model("models:/lookalike_bag_buyers@serving")
    assert model.metadata.signature.outputs.input_names() == [c.USER_ID, c.PROBABILITY]
    answer = model.predict(FEATURES.to_pandas())
    assert dict(zip(answer[c.USER_ID], answer[c.PROBABILITY], strict=True)) == probability()


def test_nothing_is_logged_when_no_run_is_open(tracked: Settings, tmp_path: Path) -> None:
    log_model(tracked, "bag_buyers", MODEL, DAY, live=True)
    assert list(tmp_path.iterdir()) == []
