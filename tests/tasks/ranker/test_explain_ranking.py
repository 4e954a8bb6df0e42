from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from catboost import CatBoost

from tasks.__main__ import main
from tasks.errors import WrongCall
from tasks.lake.lake import Lake
from tasks.lake.tables import RANKING_GROUPS
from tasks.landing.manifest import write_landing_day
from tasks.ranker import model as ranker
from tasks.ranker.explanation import Explanation, explanation, whole_list
from tasks.ranker.page import ranking_page
from tasks.ranker.registry import FolderRegistry, Version, registry_of
from tasks.report.page import html, text
from tasks.settings import Settings
from tests.ranking import LAST

DAY = date(2026, 3, 10)
VERSION = Version("3", DAY, date(2026, 3, 8))


@pytest.fixture
def model(groups: pl.DataFrame, quick: Settings) -> CatBoost:
    return ranker.fit(groups, quick.ranker, seed=5, threads=2)


@pytest.fixture
def carted(groups: pl.DataFrame) -> pl.DataFrame:
    """The rows of a held-out list with a cart."""
    positives = groups.filter((pl.col("label") == 1) & (pl.col("listing_day") == LAST))
    return groups.filter(pl.col("group_id") == positives["group_id"][0])


@pytest.fixture
def explained(carted: pl.DataFrame, model: CatBoost) -> Explanation:
    return explanation(DAY, carted, model, cutoff=60, threads=2)


def test_the_list_is_in_the_order_of_the_models_scores(
    explained: Explanation, carted: pl.DataFrame, model: CatBoost
) -> None:
    scores = ranker.score(model, carted, 2)
    best_first = carted["item_id"].gather(scores.arg_sort(descending=True))
    assert explained.rows["item_id"].to_list() == best_first.to_list()
    assert explained.rows["rank"].to_list() == list(range(1, carted.height + 1))
    assert explained.rows["rank_before"].to_list() == explained.rows["position"].to_list()


def test_the_parts_of_an_item_sum_to_its_score_above_the_lists_mean(
    explained: Explanation,
) -> None:
    sums = explained.parts.group_by("item_id").agg(pl.col("adds").sum())
    rows = explained.rows.join(sums, on="item_id")
    above = rows["score"] - rows["score"].mean()
    assert rows["adds"].to_list() == pytest.approx(above.to_list(), abs=1e-9)


def test_what_all_items_share_moves_none_of_them(explained: Explanation) -> None:
    same = explained.parts.filter(pl.col("feature") == "user_days_since_event")
    assert same["adds"].abs().max() == pytest.approx(0, abs=1e-12)


def test_without_positions_the_order_before_is_the_segments(
    carted: pl.DataFrame, model: CatBoost
) -> None:
    unplaced = carted.with_columns(position=pl.lit(None, pl.Int32))
    found = explanation(DAY, unplaced, model, cutoff=60, threads=2)
    best_first = unplaced.sort("sf_pos", descending=True)["item_id"].to_list()
    assert found.before == "sf_pos"
    assert found.rows.sort("rank_before")["item_id"].to_list() == best_first


@pytest.mark.parametrize(
    ("user", "listing", "told"),
    [
        ("nobody", None, "no whole list of nobody; there are 360, such as g00000 of u00"),
        ("u07", "g00000", "no whole list g00000 of u07; there are 5, such as g00007 of u07"),
    ],
)
def test_a_list_that_is_not_there_names_one_that_is(
    groups: pl.DataFrame, user: str, listing: str | None, told: str
) -> None:
    with pytest.raises(WrongCall, match=f"^{told}$"):
        whole_list(groups, user, listing)


def test_a_sampled_list_is_not_explained_as_if_it_were_whole(groups: pl.DataFrame) -> None:
    sampled = groups.with_columns(is_measured=pl.lit(False))
    with pytest.raises(WrongCall, match="the day has no whole list at all"):
        whole_list(sampled, "u00", None)


def test_the_page_says_what_was_carted_and_whether_the_model_has_seen_the_list(
    explained: Explanation,
) -> None:
    cart = explained.rows.filter(pl.col("label") == 1).row(0, named=True)
    told = text(ranking_page(explained, VERSION))
    assert f"{cart['item_id']} (rank {cart['rank']}, before {cart['rank_before']})" in told
    assert "Version 3, trained through 2026-03-08: it has not seen this list." in told
    assert "facet_brand" in told.partition("What moves this list")[2]
    later = Version("4", DAY, LAST)
    assert "it may have learnt from this list" in text(ranking_page(explained, later))


def test_a_list_without_a_cart_judges_no_order(carted: pl.DataFrame, model: CatBoost) -> None:
    nothing = carted.with_columns(label=pl.lit(0, pl.Int64))
    found = explanation(DAY, nothing, model, cutoff=60, threads=2)
    assert found.ndcg == {}
    assert "neither order is better" in html(ranking_page(found, VERSION))


def test_the_command_explains_the_live_model_on_a_page_that_only_its_owner_may_read(
    groups: pl.DataFrame,
    carted: pl.DataFrame,
    model: CatBoost,
    quick: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("VITRINA_HOME", str(quick.home))
    monkeypatch.setenv("VITRINA_MLFLOW_URL", "")
    write_landing_day(quick.landing, DAY, {}, source="test")
    Lake(quick).write_day(RANKING_GROUPS, DAY, groups)
    user, listing = carted["user_id"][0], carted["group_id"][0]
    words = ["explain-ranking", "--user", user, "--listing", listing, "--day", str(DAY)]
    assert main(words) == 2
    assert "no model is live" in capsys.readouterr().err
    registry = registry_of(quick)
    assert isinstance(registry, FolderRegistry)
    registry.serve(registry.save(model, DAY, LAST, ranker.features(groups).head(1).to_pandas()))
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert f"List {listing} of {user}" in printed
    page = Path(printed.rpartition("The same as a page: ")[2].strip())
    assert page.stat().st_mode & 0o777 == 0o600
    assert user not in page.name
    assert main([*words, "--version", "9"]) == 2
    assert "the registry has no version 9" in capsys.readouterr().err
