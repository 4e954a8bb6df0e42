from __future__ import annotations

import pytest

from tasks.simulator.parameters import world_named

FROZEN = {
    "default": ("default-2", "2f938039f98ed2d3"),
    "rough": ("default-2-rough", "9afb60ba779357a0"),
}
"""Figures are quoted by version: a changed number is a new version, told in CHANGELOG.md."""


@pytest.mark.parametrize("name", FROZEN)
def test_the_numbers_of_a_version_never_change(name: str) -> None:
    parameters = world_named(name)
    assert (parameters.version, parameters.digest) == FROZEN[name]
