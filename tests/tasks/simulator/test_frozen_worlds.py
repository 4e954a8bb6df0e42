from __future__ import annotations

import pytest

from tasks.simulator.parameters import world_named

FROZEN = {
    "default": ("default-3", "6c38d84dcf33429c"),
    "lively": ("default-3-lively", "f9a58f8272df385e"),
    "rough": ("default-3-rough", "bc0e5594580c07fe"),
}
"""Figures are quoted by version: a changed number is a new version, told in CHANGELOG.md."""


@pytest.mark.parametrize("name", FROZEN)
def test_the_numbers_of_a_version_never_change(name: str) -> None:
    parameters = world_named(name)
    assert (parameters.version, parameters.digest) == FROZEN[name]
