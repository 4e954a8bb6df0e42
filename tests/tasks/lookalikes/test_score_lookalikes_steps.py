from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from tasks import score_lookalikes
from tasks.errors import ContractViolation, InputNotReady
from tasks.lake.lake import Lake
from tasks.lake.tables import LOOKALIKE_FEATURES, LOOKALIKE_SCORES, THRESHOLD_CARDS
from tasks.lookalikes.registry import segments
from tasks.settings import Settings
from tests.conftest import SHOP_DAYS, SHOP_FIRST_DAY

LAST = SHOP_FIRST_DAY + timedelta(days=SHOP_DAYS - 1)


def test_every_segment_has_a_card_on_the_day_that_trains(loaded: Settings) -> None:
    lake = Lake(loaded)
    assert lake.parts(THRESHOLD_CARDS, LAST) == list(segments())
    assert lake.parts(LOOKALIKE_SCORES, LAST) == list(segments())
    # Twelve days reach no training anchor: the card says so.
    assert set(lake.read_day(THRESHOLD_CARDS, LAST)["verdict"]) == {"too few"}


def test_features_end_the_day_before(loaded: Settings) -> None:
    assert Lake(loaded).read_day(LOOKALIKE_FEATURES, LAST).height > 0
    first = score_lookalikes.write_features(SHOP_FIRST_DAY, loaded)
    assert first == 0


def test_a_superseded_day_lists_nothing_and_stays_green(loaded: Settings) -> None:
    day = LAST - timedelta(days=1)
    assert score_lookalikes.list_segments(day, loaded) == []
    assert score_lookalikes.publish_lookalikes(day, loaded) == {"segments": 0}


def test_an_unknown_segment_is_refused(loaded: Settings) -> None:
    with pytest.raises(ContractViolation, match="no look-alike segment"):
        score_lookalikes.score_segment(LAST, loaded, "nobody")


def test_a_missing_card_is_named(settings: Settings, shop: object) -> None:
    without = Settings(home=settings.home, landing_folder=shop, mlflow_url="", min_free_gb=0)
    with pytest.raises(InputNotReady, match=", ".join(segments())):
        score_lookalikes.publish_lookalikes(LAST, without)


def test_shares_of_an_attribute_sum_to_one(loaded: Settings) -> None:
    features = Lake(loaded).read_day(LOOKALIKE_FEATURES, LAST)
    single = features.filter(pl.col("attribute") == "category")
    sums = single.group_by("user_id").agg(pl.col("share").sum())["share"]
    assert sums.to_list() == pytest.approx([1.0] * len(sums))
