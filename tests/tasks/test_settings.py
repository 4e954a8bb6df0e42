from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.settings import Settings, SettingsError


def test_a_variable_overrides_a_default_also_in_a_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINA_SEED", "11")
    monkeypatch.setenv("VITRINA_TRAINING__LAST_DAYS", "3")
    settings = Settings()
    assert (settings.seed, settings.training.last_days) == (11, 3)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("VITRINA_SEED", "many", "valid integer"),
        ("VITRINA_ENGINE", "pandas", "'duckdb' or 'spark'"),
        ("VITRINA_TRAINING__LAST_DAYS", "0", "greater than or equal to 1"),
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
    assert value in message
    assert allowed in message


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


def test_paths_lie_below_home_unless_told() -> None:
    settings = Settings(home=Path("/shop"), lake_url="s3://bucket/lake/")
    assert settings.landing == Path("/shop/landing")
    assert settings.lake == "s3://bucket/lake"
