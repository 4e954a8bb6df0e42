"""Where public data are, which the project never holds itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.settings import Settings


def real(settings: Settings, name: str) -> Path:
    """Return the folder of one source; without it the test is skipped with the reason."""
    if settings.real_data is None:
        pytest.skip(f"{name}: VITRINA_REAL_DATA names no folder of public data")
    folder = settings.real_data / name
    if not folder.exists():
        pytest.skip(
            f"{name}: no such folder in {settings.real_data}, which VITRINA_REAL_DATA names"
        )
    return folder
