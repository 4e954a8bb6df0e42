"""Where public data are, which the project never holds itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.settings import Settings


def real(settings: Settings, name: str) -> Path:
    """Return the folder of one source; without it the test is skipped with the reason."""
    folder = settings.real_data / name
    if not folder.exists():
        pytest.skip(f"real data are not in {folder.resolve()}; VITRINA_REAL_DATA names the folder")
    return folder
