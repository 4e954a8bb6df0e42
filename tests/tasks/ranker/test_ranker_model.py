from __future__ import annotations

import polars as pl
import pytest

from tasks.ranker import model as ranker
from tasks.ranker.features import FEATURES, NAMES, candidate_feature
from tasks.ranker.measure import tie_breaks
from tasks.settings import Settings
from tests.ranking import drawn_groups


def test_every_feature_is_named_once_and_none_is_the_position() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert not {"position", "label", "log_examination", "user_id", "item_id"} & set(NAMES)


def test_a_generator_brings_its_own_features() -> None:
    names = {feature.name for feature in FEATURES if feature.family == "candidates"}
    assert {candidate_feature("sasrec", what) for what in ("score", "rank", "product")} <= names


def test_rows_in_any_order_give_the_same_model(groups: pl.DataFrame, quick: Settings) -> None:
    straight = ranker.fit(groups, quick.ranker, seed=5, threads=2)
    shuffled = ranker.fit(groups.sample(fraction=1, shuffle=True, seed=9), quick.ranker, 5, 2)
    assert ranker.score(straight, groups, 2).equals(ranker.score(shuffled, groups, 2))


def test_one_thread_and_two_give_the_same_model(groups: pl.DataFrame, quick: Settings) -> None:
    one = ranker.fit(groups, quick.ranker, seed=5, threads=1)
    two = ranker.fit(groups, quick.ranker, seed=5, threads=2)
    assert ranker.score(one, groups, 1).equals(ranker.score(two, groups, 1))


def test_scoring_looks_at_features_only(groups: pl.DataFrame, quick: Settings) -> None:
    model = ranker.fit(groups, quick.ranker, seed=5, threads=2)
    moved = groups.with_columns(
        position=pl.lit(1, pl.Int32), log_examination=pl.lit(0.0), label=pl.lit(0, pl.Int64)
    )
    assert ranker.score(model, groups, 2).equals(ranker.score(model, moved, 2))


def shares(rows: pl.DataFrame, settings: Settings) -> dict[str, float]:
    model = ranker.fit(rows, settings.ranker, seed=5, threads=2)
    found = ranker.shap_shares(ranker.shap_values(model, rows, 2))
    return dict(found.select("feature", "share").iter_rows())


def test_what_only_drives_the_position_is_not_learnt(quick: Settings) -> None:
    rows = drawn_groups(days=10, per_day=100, steepness=1.0)
    corrected = shares(rows, quick)
    naive = shares(rows.with_columns(log_examination=pl.lit(0.0)), quick)
    assert naive["item_views_7"] > 0.5 * naive["facet_brand"]
    assert corrected["item_views_7"] < 0.25 * corrected["facet_brand"]


def test_shap_shares_sum_to_one_and_name_families(groups: pl.DataFrame, quick: Settings) -> None:
    model = ranker.fit(groups, quick.ranker, seed=5, threads=2)
    found = ranker.shap_shares(ranker.shap_values(model, groups, 2))
    assert found["share"].sum() == pytest.approx(1.0)
    assert dict(found.select("feature", "family").iter_rows())["facet_brand"] == "facets"


def test_rank_correlation_is_spearmans_averaged_over_groups() -> None:
    frame = pl.DataFrame(
        {
            "group_id": ["g"] * 3 + ["h"] * 3 + ["alone"],
            "item_id": ["a", "b", "c"] * 2 + ["a"],
            "one": [3.0, 2.0, 1.0, 3.0, 2.0, 1.0, 1.0],
            "other": [30.0, 20.0, 10.0, 3.0, 1.0, 2.0, 1.0],
        }
    )
    # g: same order, 1. h: ranks 1 2 3 against 1 3 2: 1 - 6 x (0 + 1 + 1) / (3 x 8) = 0.5.
    found = ranker.rank_correlation(frame.with_columns(tie_breaks(frame)), "one", "other")
    assert found == pytest.approx((1 + 0.5) / 2)
