from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from tasks.ranker import model as ranker
from tasks.ranker.registry import MLflowRegistry, Registry, Version, registry_of
from tasks.settings import Settings

DAY, THROUGH = date(2026, 3, 10), date(2026, 3, 9)


@pytest.fixture(params=["folder", "mlflow"])
def registry(request: pytest.FixtureRequest, quick: Settings, tmp_path: Path) -> Registry:
    url = "" if request.param == "folder" else f"sqlite:///{tmp_path}/mlflow.db"
    return registry_of(quick.model_copy(update={"mlflow_url": url}))


def test_a_registry_keeps_versions_and_one_alias(
    registry: Registry, groups: pl.DataFrame, quick: Settings
) -> None:
    assert registry.serving() is None
    assert registry.version("1") is None
    model = ranker.fit(groups, quick.ranker, seed=1, threads=2)
    example = ranker.features(groups.head(3)).to_pandas()
    first = registry.save(model, DAY, THROUGH, example)
    second = registry.save(model, DAY, DAY, example)
    assert (first, second) == ("1", "2")
    assert registry.version(first) == Version(first, DAY, THROUGH)
    assert registry.serving() is None
    registry.serve(second)
    assert registry.serving() == registry.version(second)
    again = ranker.score(registry.load(first), groups, 2)
    assert again.equals(ranker.score(model, groups, 2))
    if isinstance(registry, MLflowRegistry):
        assert_is_usable_elsewhere(registry, first)


def assert_is_usable_elsewhere(registry: MLflowRegistry, number: str) -> None:
    """CatBoost's own format, a signature, an example, and what to install, pinned."""
    import mlflow
    from mlflow.models import get_model_info

    uri = f"models:/ranker/{number}"
    info = get_model_info(uri)
    assert info.flavors["catboost"]["data"] == "model.cb"
    assert info.signature is not None
    assert info.signature.inputs.input_names() == list(ranker.NAMES)
    folder = Path(mlflow.artifacts.download_artifacts(uri))
    assert (folder / "input_example.json").exists()
    pinned = (folder / "requirements.txt").read_text().split()
    assert any(line.startswith("catboost==") for line in pinned)
