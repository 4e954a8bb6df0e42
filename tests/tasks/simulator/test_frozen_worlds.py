"""Figures are quoted by version: whatever changes one is a new version, told in CHANGELOG.md."""

from __future__ import annotations

from datetime import date
from hashlib import sha256

import pytest

from tasks.simulator.parameters import world_named
from tasks.simulator.shop import Shop

FROZEN = {
    "default": ("default-4", "5ed9ac63719157f0", "7f7a8723088cef0c"),
    "lively": ("default-4-lively", "89b0df7eee695629", "0ab64b8e618059d7"),
    "rough": ("default-4-rough", "53ce595c6710bbfc", "99d094c5362f72fc"),
}
DAYS = 17
"""Long enough for letters, returns, newcomers, the quiet night, and fashion to turn."""


@pytest.mark.parametrize("name", FROZEN)
def test_the_numbers_of_a_version_never_change(name: str) -> None:
    parameters = world_named(name)
    assert (parameters.version, parameters.digest) == FROZEN[name][:2]


@pytest.mark.parametrize("name", FROZEN)
def test_what_happens_in_a_version_never_changes(name: str) -> None:
    shop = Shop.opened(1, date(2026, 3, 2), customers=300, items=200, parameters=world_named(name))
    happened = sha256()
    for _ in range(DAYS):
        frames, truth = shop.simulate_day(shop.next_day)
        for frame in (*frames.values(), truth.select("listing_id", "position", "item_id")):
            happened.update(frame.write_csv().encode())
    assert happened.hexdigest()[:16] == FROZEN[name][2]
