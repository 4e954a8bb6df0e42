from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from tasks.lake.lake import Lake
from tasks.lake.tables import CUSTOMERS, ITEMS
from tasks.settings import ItemColumn, Settings, SettingsError, UserColumn


def test_a_variable_overrides_a_default_also_in_a_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINA_SEED", "11")
    monkeypatch.setenv("VITRINA_TRAINING__LAST_DAYS", "3")
    settings = Settings()
    assert (settings.seed, settings.training.last_days) == (11, 3)


def test_a_reason_of_blanks_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINA_RANKER__ACCEPT_REASON", "  ")
    monkeypatch.setenv("VITRINA_RANKER__ROLLBACK_REASON", " sales fell\n")
    options = Settings().ranker
    assert (options.accept_reason, options.rollback_reason) == ("", "sales fell")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("VITRINA_SEED", "many", "valid integer"),
        ("VITRINA_ENGINE", "pandas", "'duckdb' or 'spark'"),
        ("VITRINA_TRAINING__LAST_DAYS", "0", "greater than or equal to 1"),
        ("VITRINA_CANDIDATES__REPEATABLE", "beauty", 'JSON, such as ["beauty"]'),
        ("VITRINA_CANDIDATES__ITEM_FEATURES", '["color"]', "'colour'"),
        ("VITRINA_CANDIDATES__USER_FEATURES", '["town"]', "'city'"),
    ],
)
def test_a_wrong_variable_names_itself_its_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        Settings()
    message = str(raised.value)
    assert name in message
    assert value.strip('[]"') in message
    assert allowed in message


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        (
            "VITRINA_CANDIDATES__SASREC__HEADS",
            "3",
            "VITRINA_CANDIDATES__SASREC__*: width 32 is not a multiple of heads 3",
        ),
        (
            "VITRINA_LOOKALIKES__HISTORY_DAYS",
            "15",
            "VITRINA_LOOKALIKES__*: history_days 15 is more than window_days 14",
        ),
        (
            "VITRINA_CANDIDATES__UNION_SHARES",
            "[0.9, 0.1]",
            "VITRINA_CANDIDATES__*: union_shares [0.9, 0.1] are not one above 0 for each of"
            " popular, ease, lightfm, sasrec",
        ),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, complaint: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        Settings()
    assert str(raised.value) == complaint


def test_the_columns_that_generators_may_use_are_columns_of_their_tables() -> None:
    assert set(get_args(ItemColumn)) <= set(ITEMS.columns)
    assert set(get_args(UserColumn)) <= set(CUSTOMERS.columns)


def test_a_misspelt_variable_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VITRINA_TRAINNING__LAST_DAYS", "2")
    with pytest.raises(SettingsError, match="did you mean VITRINA_TRAINING__LAST_DAYS"):
        Settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().seed = 3  # type: ignore[misc]


def test_secrets_are_neither_logged_nor_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINA_ALERT_WEBHOOK", "https://hooks.example/secret-token")
    settings = Settings()
    assert "secret-token" not in repr(settings)
    assert "secret-token" not in str(settings.logged())


def test_logins_in_addresses_are_not_logged() -> None:
    settings = Settings(
        mlflow_url="https://anna:pa55@mlflow.example:5000/x", lake_url="s3://key:pa55@bucket/lake"
    )
    logged = settings.logged()
    assert logged["mlflow_url"] == "https://mlflow.example:5000/x"
    assert logged["lake_url"] == "s3://bucket/lake"
    assert "pa55" not in str(logged)


@pytest.mark.parametrize(
    ("lake", "reports"),
    [
        (None, "/shop/lake/reports"),
        ("/elsewhere/lake", "/elsewhere/lake/reports"),
        ("s3://bucket/lake", "/shop/lake/reports"),
    ],
)
def test_pages_lie_beside_a_local_lake(lake: str | None, reports: str) -> None:
    assert Settings(home=Path("/shop"), lake_url=lake).reports == Path(reports)


@pytest.mark.parametrize("name", ["landing_folder", "lake_url", "alert_webhook", "real_data"])
def test_an_empty_variable_of_an_optional_setting_means_none(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"VITRINA_{name.upper()}", "")
    assert getattr(Settings(), name) is None


def test_an_empty_address_of_mlflow_means_that_nothing_is_tracked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VITRINA_MLFLOW_URL", "")
    assert Settings().tracking_url == ""


def test_paths_lie_below_home_unless_told() -> None:
    settings = Settings(home=Path("/shop"), lake_url="s3://bucket/lake/")
    assert settings.landing == Path("/shop/landing")
    assert settings.lake == "s3://bucket/lake"


def test_a_search_engines_login_is_never_told_and_its_address_changes_no_result(
    settings: Settings, tmp_path: Path
) -> None:
    search = {"url": "http://who:secret@127.0.0.1:9200", "login": "who:secret"}
    told = Settings(home=tmp_path, mlflow_url="", min_free_gb=0, search=search)
    assert told.logged()["search.url"] == "http://127.0.0.1:9200"
    assert "secret" not in str(told.logged())
    assert Lake(told).settings_hash == Lake(settings).settings_hash
