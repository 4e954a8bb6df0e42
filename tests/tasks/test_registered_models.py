"""Which version of a registered model is the live one."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from tasks import tracking
from tasks.registered import Served, pinned, register
from tasks.settings import Settings

DAY = date(2026, 3, 10)
CODE = """
import mlflow

class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[str]) -> list[str]:
        return model_input

mlflow.models.set_model(Echo())
"""


def test_the_alias_follows_the_newest_live_day(tmp_path: Path) -> None:
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    settings = Settings(home=tmp_path, mlflow_url=f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / "state").mkdir()
    code = tmp_path / "echo.py"
    code.write_text(CODE)
    text = Schema([ColSpec("string")])
    signature = ModelSignature(text, text)

    def registered(through: date, live: bool) -> str | None:
        packages = ("mlflow",)
        model = Served("echo", code, tmp_path / "state", packages, signature, ["a"], through)
        with tracking.task_run(settings, "x", "a try", {}), tracking.model_run(settings):
            register(model, live=live)
        aliases = mlflow.MlflowClient().get_registered_model("echo").aliases
        return str(aliases["serving"]) if aliases else None

    assert registered(DAY, live=False) is None
    assert registered(DAY, live=True) == "2"
    # An earlier day that is forced, and a superseded later one, leave it where it is.
    assert registered(DAY - timedelta(days=1), live=True) == "2"
    assert registered(DAY + timedelta(days=1), live=False) == "2"
    # The same day again, and a later one, take it.
    assert registered(DAY, live=True) == "5"
    assert registered(DAY + timedelta(days=1), live=True) == "6"


def test_packages_are_pinned_to_what_is_installed() -> None:
    import polars

    assert pinned(("polars",)) == [f"polars=={polars.__version__}"]


def test_a_package_that_is_not_there_is_told() -> None:
    with pytest.raises(ModuleNotFoundError, match="no-such-package"):
        pinned(("no-such-package",))
