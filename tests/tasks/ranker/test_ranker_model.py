from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import polars as pl
import pytest
from catboost import Pool

from tasks.ranker import model as ranker
from tasks.ranker.features import FEATURES, NAMES, NUMBERS, Default, candidate_feature
from tasks.ranker.measure import tie_breaks
from tasks.ranker.model import ABSENT
from tasks.settings import Settings
from tests.ranking import drawn_groups

SQL = Path(__file__).resolve().parents[3] / "sql"


def test_every_feature_is_named_once_and_none_is_the_position() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert not {"position", "label", "log_examination", "user_id", "item_id"} & set(NAMES)


def test_every_feature_has_an_owner_that_the_sql_names_a_default_and_a_rule_for_absence() -> None:
    headers = "".join(path.read_text(encoding="utf-8") for path in SQL.glob("*.sql"))
    owners = set(re.findall(r"^-- Owner: (\w+)$", headers, re.MULTILINE))
    for feature in FEATURES:
        assert feature.family, feature
        assert feature.owner in owners, feature
        assert feature.default in get_args(Default), feature
        assert feature.missing, feature


def test_a_null_is_taken_as_the_rule_says(groups: pl.DataFrame, quick: Settings) -> None:
    """NaN, which CatBoost takes as smaller than every number; of words the word `absent`."""
    nulls = [pl.lit(None, groups.schema[name]).alias(name) for name in NAMES]
    row = ranker.features(groups.head(1).with_columns(nulls)).row(0, named=True)
    taken = {name: str(value) for name, value in row.items()}
    for feature in FEATURES:
        assert ("`absent`" in feature.missing) == (taken[feature.name] == ABSENT), feature
        assert ("below every number" in feature.missing) == (taken[feature.name] == "nan"), feature
    model = ranker.fit(groups, quick.ranker, seed=5, threads=2)
    lowest = groups.with_columns(facet_brand=pl.lit(-1e9, pl.Float32))
    absent = groups.with_columns(facet_brand=pl.lit(None, pl.Float32))
    assert ranker.score(model, absent, 2).equals(ranker.score(model, lowest, 2))


def test_a_generator_brings_its_own_features() -> None:
    names = {feature.name for feature in FEATURES if feature.family == "candidates"}
    assert {candidate_feature("sasrec", what) for what in ("score", "rank", "product")} <= names


def test_rows_in_any_order_give_the_same_model(groups: pl.DataFrame, quick: Settings) -> None:
    straight = ranker.fit(groups, quick.ranker, seed=5, threads=2)
    shuffled = ranker.fit(groups.sample(fraction=1, shuffle=True, seed=9), quick.ranker, 5, 2)
    assert ranker.score(straight, groups, 2).equals(ranker.score(shuffled, groups, 2))


def test_rows_that_stay_on_disk_give_the_model_of_rows_in_memory(
    groups: pl.DataFrame, quick: Settings, tmp_path: Path
) -> None:
    """Also where they lie in several files, whose order is not that of their groups."""
    parts = groups.sample(fraction=1, shuffle=True, seed=9).iter_slices(1_000)
    for number, part in enumerate(parts):
        part.write_parquet(tmp_path / f"{number}.parquet")
    here = ranker.fit(groups, quick.ranker, seed=5, threads=2)
    there = ranker.fit(pl.scan_parquet(tmp_path / "*.parquet"), quick.ranker, seed=5, threads=2)
    assert ranker.score(here, groups, 2).equals(ranker.score(there, groups, 2))


def test_the_trainer_is_given_every_feature_as_scoring_gives_it_and_in_32_bits(
    groups: pl.DataFrame, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[pd.DataFrame] = []
    monkeypatch.setattr(ranker, "Pool", lambda *a, **k: given.append(a[0]) or Pool(*a, **k))
    views = pl.when(pl.col("label") == 0).then("item_views_7").alias("item_views_7")
    rows = groups.with_columns(views)
    ranker.fit(rows.sample(fraction=1, shuffle=True, seed=9), quick.ranker, seed=5, threads=2)
    told = ranker.features(ranker.in_order(rows))
    assert set(given[0][list(NUMBERS)].dtypes) == {np.dtype(np.float32)}
    as_scored = told.to_pandas().astype(given[0].dtypes)
    pd.testing.assert_frame_equal(given[0], as_scored, check_categorical=False)


def test_rows_have_no_weights(
    groups: pl.DataFrame, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss takes none, so the pool is given none."""
    pools: list[Pool] = []
    monkeypatch.setattr(ranker, "Pool", lambda *a, **k: pools.append(Pool(*a, **k)) or pools[-1])
    ranker.fit(groups, quick.ranker, seed=5, threads=2)
    assert [set(pool.get_weight()) for pool in pools] == [{1.0}]


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


@pytest.mark.parametrize("stock", ["in_stock", "in_stock_here"])
def test_what_is_in_stock_is_never_ranked_below_its_like_for_that(
    groups: pl.DataFrame, quick: Settings, stock: str
) -> None:
    # Carts that came from what is out of stock, as where stock is counted after the order.
    after = groups.with_columns((1 - pl.col("label").cast(pl.Int32)).alias(stock))
    model = ranker.fit(after, quick.ranker, seed=5, threads=2)
    there, gone, unknown = (
        ranker.score(model, after.with_columns(pl.lit(known, pl.Int32).alias(stock)), 2)
        for known in (1, 0, None)
    )
    assert (there >= gone).all()
    assert unknown.equals(there)


def test_newcomers_without_a_snapshot_are_not_learnt_as_sold_out(
    groups: pl.DataFrame, quick: Settings
) -> None:
    """Every cart is of a newcomer or of what is in stock, none of what is sold out."""
    third = pl.int_range(pl.len()) % 3
    known = pl.when(third == 0).then(None).otherwise(third - 1).cast(pl.Int32)
    rows = groups.with_columns(
        in_stock=known, label=pl.when(known == 0).then(0).otherwise("label").cast(pl.Int64)
    )
    model = ranker.fit(rows, quick.ranker, seed=5, threads=2)
    new, gone = (
        ranker.score(model, rows.with_columns(in_stock=pl.lit(known, pl.Int32)), 2).mean()
        for known in (None, 0)
    )
    assert new > gone + 0.1  # type: ignore[operator]


@pytest.mark.parametrize("loss", ["YetiRankPairwise", "QuerySoftMax", "StochasticRank:metric=NDCG"])
def test_other_losses_take_categories_of_several_values(
    groups: pl.DataFrame, quick: Settings, loss: str
) -> None:
    lists = pl.col("group_id").rle_id()
    platform = pl.when(lists % 2 == 0).then(pl.lit("web")).otherwise(pl.lit("ios"))
    rows = groups.with_columns(platform=platform)
    model = ranker.fit(rows, quick.ranker, seed=5, threads=2, loss=loss)
    assert ranker.score(model, rows, 2).n_unique() > 1


def test_a_model_made_before_a_feature_was_added_orders_and_explains_without_it(
    groups: pl.DataFrame, quick: Settings
) -> None:
    added = {"listing_hour", "platform", "in_stock"}
    before = [name for name in NAMES if name not in added]
    model = ranker.fit(groups, quick.ranker, seed=5, threads=2, names=before)
    other = groups.with_columns(
        listing_hour=pl.lit(3, pl.Float32), in_stock=pl.lit(1, pl.Float32), platform=pl.lit("ios")
    )
    assert ranker.score(model, groups, 2).n_unique() > 100
    assert ranker.score(model, groups, 2).equals(ranker.score(model, other, 2))
    found = ranker.shap_shares(ranker.shap_values(model, groups, 2))
    assert set(found["feature"]) == set(before)
    assert found["share"].sum() == pytest.approx(1.0)


def test_a_model_made_before_a_feature_was_taken_away_orders_and_explains_without_it(
    groups: pl.DataFrame, quick: Settings
) -> None:
    """The live model must not end the night because the rows have one column less."""
    with_more = groups.with_columns(pl.col("item_price").cast(pl.Float32).alias("gone"))
    old = ranker.fit(with_more, quick.ranker, seed=1, threads=2, names=[*NAMES, "gone"])
    absent = with_more.with_columns(pl.lit(None, pl.Float32).alias("gone"))
    assert ranker.score(old, groups, 2).equals(ranker.score(old, absent, 2))
    shares = ranker.shap_shares(ranker.shap_values(old, groups.head(50), 2))
    assert shares.filter(feature="gone")["family"].to_list() == [ranker.GONE]


def test_what_a_whole_list_has_alike_is_given_no_weight(quick: Settings) -> None:
    """Ten times as many carts in the evening order nothing, and so cannot look too good."""
    rows = drawn_groups(days=10, per_day=100)
    evening = pl.col("group_id").rle_id() % 2 == 0
    hours = pl.when(evening).then(20).otherwise(9).cast(pl.Float32)
    kept = evening | (pl.int_range(pl.len()) % 10 == 0)
    fewer = pl.when(kept).then("label").otherwise(0).cast(pl.Int64)
    found = shares(rows.with_columns(listing_hour=hours, label=fewer), quick)
    assert found["listing_hour"] < 0.05
    assert found["facet_brand"] + found["sf_pos"] > 0.5


def shares(rows: pl.DataFrame, settings: Settings) -> dict[str, float]:
    model = ranker.fit(rows, settings.ranker, seed=5, threads=2)
    found = ranker.shap_shares(ranker.shap_values(model, rows, 2))
    return dict(found.select("feature", "share").iter_rows())


def test_what_only_drives_the_position_is_not_learnt(quick: Settings) -> None:
    """Views place the items and move no cart: in no list does the score go with them."""
    rows = drawn_groups(days=10, per_day=100, steepness=1.0)
    rows = rows.with_columns(tie_breaks(rows))
    examined_alike = rows.with_columns(log_examination=pl.lit(0.0))
    corrected, naive = (
        rows.with_columns(ranker.score(ranker.fit(learnt, quick.ranker, 5, 2), rows, 2))
        for learnt in (rows, examined_alike)
    )
    assert ranker.rank_correlation(naive, "score", "item_views_7") > 0.4
    assert abs(ranker.rank_correlation(corrected, "score", "item_views_7")) < 0.05


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
