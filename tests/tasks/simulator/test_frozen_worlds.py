from __future__ import annotations

import pytest

from tasks.simulator.parameters import world_named

FROZEN = {
    "default": ("default-2", "0b15d4b8276379c9"),
    "lively": ("default-2-lively", "fd82422a1fd5d122"),
    "rough": ("default-2-rough", "8871099b253a0b8b"),
}
"""Figures are quoted by version: a changed number is a new version, told in CHANGELOG.md."""


@pytest.mark.parametrize("name", FROZEN)
def test_the_numbers_of_a_version_never_change(name: str) -> None:
    parameters = world_named(name)
    assert (parameters.version, parameters.digest) == FROZEN[name]
