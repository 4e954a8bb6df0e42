from __future__ import annotations

import numpy as np
import pytest

from tasks import columns as c
from tasks.facets.design import Array, Design, around_listing, item_means
from tasks.facets.identified import MAX_INFLATION, identified

CUSTOMERS, LISTED = 60, 6


def design(columns: dict[str, Array]) -> Design:
    """One listing of six items a customer, who carts the first."""
    place = np.arange(CUSTOMERS * LISTED)
    return Design(
        names=tuple(columns),
        x=np.column_stack(list(columns.values())),
        y=(place % LISTED == 0).astype(np.float64),
        offset=np.zeros(len(place)),
        listing=place // LISTED,
        item=place % LISTED,
        block=place // LISTED,
        users=CUSTOMERS,
    )


def told(columns: dict[str, Array]) -> tuple[list[str], dict[str, str]]:
    table = design(columns)
    kept, reasons = identified(table, around_listing(table))
    assert kept.x.shape == (table.rows, len(kept.names))
    return list(kept.names), reasons


def noise(seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=CUSTOMERS * LISTED)


def test_attributes_that_go_their_own_ways_are_all_kept() -> None:
    assert told({"brand": noise(1), "colour": noise(2), c.SF_POS: noise(3)}) == (
        ["brand", "colour", c.SF_POS],
        {},
    )


def test_what_a_whole_listing_has_alike_says_nothing() -> None:
    alike = np.repeat(np.arange(CUSTOMERS) * 1.0, LISTED)
    kept, reasons = told({"brand": noise(1), "season": alike})
    assert kept == ["brand"]
    assert "differ among what was shown" in reasons["season"]


@pytest.mark.parametrize(("owners", "kept"), [(19, False), (20, True)])
def test_an_attribute_needs_twenty_customers_who_prefer_it(owners: int, kept: bool) -> None:
    rare = np.where(np.arange(CUSTOMERS * LISTED) < owners * LISTED, noise(2), 0.0)
    assert ("rare" in told({"brand": noise(1), "rare": rare})[0]) is kept


def test_an_attribute_that_only_carted_items_have_is_separated() -> None:
    # Each cart lies above what was shown, so the likelihood rises with the coefficient for ever.
    place = np.arange(CUSTOMERS * LISTED)
    kept, reasons = told({"brand": noise(1), "sure": (place % LISTED == 0) * 1.0})
    assert kept == ["brand"]
    assert reasons["sure"] == "separated: all but 0 of 60 carts lie on one side of what was shown"


def test_of_a_brand_that_is_nearly_a_category_the_better_told_one_stands_for_both() -> None:
    # Carted items have the brand; the category is the brand with a little noise of its own.
    brand = noise(1) + 0.8 * (np.arange(CUSTOMERS * LISTED) % LISTED == 0)
    category = brand + 0.1 * noise(2) - 0.3 * (np.arange(CUSTOMERS * LISTED) % LISTED == 0)
    kept, reasons = told({"brand": brand, "category": category, "colour": noise(3)})
    assert kept == ["brand", "colour"]
    assert reasons == {"category": "cannot be told from brand, which stands for both"}


def test_the_base_score_stays_whatever_it_goes_with() -> None:
    score = noise(1)
    kept, reasons = told({"brand": score + 0.01 * noise(2), c.SF_POS: score})
    assert kept == [c.SF_POS]
    assert reasons == {"brand": "cannot be told from sf_pos, which stands for both"}


def test_twins_to_the_bit_leave_one() -> None:
    twin = noise(1)
    kept, _ = told({"one": twin, "two": twin, "colour": noise(2)})
    assert len(kept) == 2


@pytest.mark.parametrize("explained", [0.8, 0.95])
def test_nine_tenths_explained_by_the_others_is_the_bound(explained: float) -> None:
    # R^2 = explained; 1 / (1 - R^2) is 5 and 20, on either side of the bound.
    parts = noise(1), noise(2)
    mixed = np.sqrt(explained / 2) * (parts[0] + parts[1]) + np.sqrt(1 - explained) * noise(3)
    kept, _ = told({"one": parts[0], "two": parts[1], "sum": mixed})
    assert (len(kept) == 3) is (1 / (1 - explained) < MAX_INFLATION)


def test_what_an_item_has_for_everybody_is_the_mean_of_its_rows() -> None:
    table = design({"brand": np.arange(CUSTOMERS * LISTED) * 1.0})
    # Item 0 stands at rows 0, 6, 12 ... 354, whose mean is 177.
    assert item_means(table)[:2, 0] == pytest.approx([177, 178])
