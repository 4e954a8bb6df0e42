from __future__ import annotations

from datetime import timedelta

from tasks import columns as c
from tasks.lake.lake import Lake
from tasks.lake.tables import ITEMS, SEGMENT_SCORES
from tasks.settings import Settings
from tests.conftest import SHOP_DAYS, SHOP_FIRST_DAY


def test_scores_say_what_the_days_catalogue_has_in_stock(loaded: Settings) -> None:
    lake, day = Lake(loaded), SHOP_FIRST_DAY + timedelta(days=SHOP_DAYS - 1)
    stock = lake.read_day(ITEMS, day).select(c.ITEM_ID, c.IN_STOCK)
    scores = lake.read_day(SEGMENT_SCORES, day).join(stock, on=c.ITEM_ID, suffix="_of_item")
    assert set(scores[c.IN_STOCK]) == {True, False}
    assert scores[c.IN_STOCK].to_list() == scores[f"{c.IN_STOCK}_of_item"].to_list()
