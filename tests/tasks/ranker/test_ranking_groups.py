from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from math import log
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest

from tasks.errors import InputNotReady
from tasks.lake.lake import Lake
from tasks.lake.tables import (
    CANDIDATES,
    EVENTS,
    ITEM_FEATURES,
    RANKING_DAYS,
    RANKING_GROUPS,
    SEGMENT_ITEM_FEATURES,
)
from tasks.landing.manifest import write_landing_day
from tasks.ranker import building
from tasks.ranker import groups as g
from tasks.ranker.building import build
from tasks.ranker.evaluation import shuffled_lists
from tasks.ranker.features import FEATURES, NUMBERS
from tasks.settings import Settings

LAST = date(2026, 3, 12)
HELD_OUT = LAST - timedelta(days=1)


def test_the_newest_candidates_are_those_made_before_the_listing() -> None:
    made = {date(2026, 3, 1), date(2026, 3, 5), date(2026, 3, 9)}
    assert g.newest_before(made, date(2026, 3, 9), 14) == date(2026, 3, 5)
    assert g.newest_before(made, date(2026, 3, 10), 14) == date(2026, 3, 9)
    assert g.newest_before(made, date(2026, 3, 1), 14) is None
    assert g.newest_before({date(2026, 3, 1)}, date(2026, 3, 15), 14) == date(2026, 3, 1)
    assert g.newest_before({date(2026, 3, 1)}, date(2026, 3, 16), 14) is None


def test_the_share_of_negatives_becomes_a_bound_on_four_hex_digits() -> None:
    assert g.hash_bound(0.2) == "3333"  # 0.2 x 16^4 = 13107.2, 13107 = 0x3333
    assert g.hash_bound(1.0) > "ffff"


def test_an_embedding_product_is_null_where_either_vector_is_absent() -> None:
    pairs = pl.DataFrame({"user_id": ["u", "u", "v"], "item_id": ["a", "b", "a"]})
    vectors = pl.List(pl.Float32)
    users = pl.DataFrame({"user_id": ["u"], "embedding": pl.Series([[1.0, 2.0]], dtype=vectors)})
    items = pl.DataFrame({"item_id": ["a"], "embedding": pl.Series([[3.0, 4.0]], dtype=vectors)})
    assert g.products(pairs, users, items).to_list() == [1 * 3 + 2 * 4, None, None]
    assert g.products(pairs, users.clear(), items).to_list() == [None, None, None]


def test_an_unknown_examination_counts_as_examined() -> None:
    row = {name: [None, None] for name in (*NUMBERS, *RANKING_GROUPS.columns)}
    row |= {"p_examined": [0.25, None], "facet_ppm": [750_000, None]}
    row |= {"is_held_out": [True, False], "is_trained": [True, False]}
    found = g.finished(pl.DataFrame(row))
    assert found["log_examination"].to_list() == pytest.approx([log(0.25), 0.0])
    assert found["facet_sum"].to_list() == [0.75, None]
    assert found["role"].to_list() == ["holdout", "spare"]


def test_a_day_says_what_it_gave_and_why_it_gave_nothing() -> None:
    first = date(2026, 3, 1)
    counted = pl.DataFrame(
        {
            "listing_day": [first + timedelta(days=n) for n in range(5)],
            "is_ready": [False, True, True, True, True],
            "listings": [9, 0, 7, 5, 5],
            "reason": ["the day before lacks items", None, None, None, None],
        },
        schema_overrides={"reason": pl.String},
    )
    made = pl.DataFrame(
        {
            "listing_day": [first + timedelta(days=n) for n in (3, 4, 4)],
            "group_id": ["g", "h", "i"],
            "role": ["train", "holdout", "holdout"],
            "is_trained": [True, False, False],
            "is_measured": [False, True, True],
            "label": [1, 1, 0],
        }
    )
    found = g.described(counted, g.kept_by_day(made))
    assert found["role"].to_list() == ["dropped", "empty", "empty", "train", "holdout"]
    assert found["reason"].to_list()[:3] == [
        "the day before lacks items",
        "nothing was shown",
        "no listing had a cart",
    ]
    assert found["train_groups"].to_list() == [0, 0, 0, 1, 0]
    assert found["measured_groups"].to_list() == [0, 0, 0, 0, 2]
    assert found["measured_groups_with_label"].to_list() == [0, 0, 0, 0, 1]


def land(settings: Settings, *days: date) -> Lake:
    for day in days:
        write_landing_day(settings.landing, day, {}, "test")
    return Lake(settings)


def test_days_before_history_are_dropped_and_an_absent_newest_day_waits(
    settings: Settings,
) -> None:
    days = [date(2026, 3, 1) + timedelta(days=n) for n in range(4)]
    lake = land(settings, *days)
    # On 2 March the newest listings are those of the first landing day: nothing is known before.
    listed = g.listing_days(lake, days[1])
    assert not listed["is_ready"].any()
    assert "history begins on 2026-03-01" in listed["reason"][-1]
    with pytest.raises(InputNotReady, match=r"2026-03-02 is absent.*backfill build_features"):
        g.listing_days(lake, days[3])
    for table in g.KNOWN_BEFORE:
        lake.write_day(table, days[1], table.empty())
    ready = g.listing_days(lake, days[3]).filter("is_ready")
    assert ready["listing_day"].to_list() == [days[2]]


def test_a_day_that_does_not_train_says_so_in_the_ledger_and_writes_nothing(
    loaded: Settings,
) -> None:
    lake = Lake(loaded)
    assert not lake.has_day(RANKING_GROUPS, HELD_OUT)
    assert lake.ledger.current(RANKING_GROUPS)[HELD_OUT, ""].superseded_by == LAST


@pytest.fixture(scope="module")
def built(loaded: Settings) -> pl.DataFrame:
    return Lake(loaded).read_day(RANKING_GROUPS, LAST)


def test_the_held_out_day_is_the_newest_whose_attribution_has_closed(built: pl.DataFrame) -> None:
    assert built.filter(pl.col("role") == "holdout")["listing_day"].unique().to_list() == [HELD_OUT]
    assert built["listing_day"].max() == HELD_OUT


def test_the_first_landing_day_has_no_day_before_it_and_is_dropped_and_counted(
    loaded: Settings, built: pl.DataFrame
) -> None:
    lake = Lake(loaded)
    days = lake.read_day(RANKING_DAYS, LAST).filter(pl.col("listing_day") == lake.first_day())
    assert days["role"].to_list() == ["dropped"]
    assert days["listings"][0] > 0
    assert built["listing_day"].min() > lake.first_day()


def test_labels_equal_a_walk_through_the_events_one_by_one(
    loaded: Settings, built: pl.DataFrame
) -> None:
    known = Lake(loaded).read_window(EVENTS, LAST, 11).sort("ts", "event_id")
    last_seen: dict[tuple[str, str, str], tuple[str | None, date]] = {}
    began: dict[str, date] = {}
    carted: dict[str, set[str]] = defaultdict(set)
    for event in known.iter_rows(named=True):
        where = (event["user_id"], event["session_id"], event["item_id"])
        if event["event_type"] == "impression":
            listing, day = event["listing_id"], event["ts"].date()
            if listing:
                began.setdefault(listing, day)
            last_seen[where] = (listing, began.get(listing, day))
        elif event["event_type"] == "cart" and where in last_seen:
            listing, day = last_seen[where]
            if listing and event["ts"].date() <= day + timedelta(days=1):
                carted[listing].add(event["item_id"])
    measured = built.filter("is_measured")
    positives = measured.filter(pl.col("label") == 1).select("group_id", "item_id")
    groups = set(measured["group_id"])
    expected = {(one, item) for one in groups for item in carted.get(one, ())}
    assert set(positives.iter_rows()) == expected
    assert expected


def test_measured_lists_are_whole_and_training_lists_keep_a_fifth_of_their_negatives(
    loaded: Settings, built: pl.DataFrame
) -> None:
    shown = (
        Lake(loaded)
        .read_window(EVENTS, LAST, 11)
        .filter(pl.col("event_type") == "impression")
        .group_by(group_id="listing_id")
        .agg(shown=pl.col("item_id").n_unique())
    )
    whole = built.filter("is_measured").group_by("group_id").len().join(shown, on="group_id")
    assert whole.filter(pl.col("len") != pl.col("shown")).is_empty()
    by_chance = shuffled_lists(built.lazy()).group_by("group_id").len().join(shown, on="group_id")
    assert by_chance.height > 0
    assert by_chance.filter(pl.col("len") != pl.col("shown")).is_empty()
    trained = built.filter("is_trained")
    sizes = (
        trained.group_by("group_id").agg(pl.len(), pl.col("label").sum()).join(shown, on="group_id")
    )
    assert sizes["label"].min() >= 1
    kept = (sizes["len"] - sizes["label"]).sum() / (sizes["shown"] - sizes["label"]).sum()
    assert kept == pytest.approx(0.2, abs=0.02)


def test_counters_are_those_of_the_day_before_each_listing(
    loaded: Settings, built: pl.DataFrame
) -> None:
    lake = Lake(loaded)
    for listed in (HELD_OUT, HELD_OUT - timedelta(days=2)):
        before = lake.read_day(ITEM_FEATURES, listed - timedelta(days=1))
        rows = built.filter(pl.col("listing_day") == listed).join(
            before.select("item_id", then="views_7"), on="item_id", how="left"
        )
        assert rows["item_views_7"].cast(pl.Int64).equals(rows["then"], check_names=False)


def test_the_hour_is_that_of_the_request_and_rates_are_smoothed_counters_of_the_day_before(
    loaded: Settings, built: pl.DataFrame
) -> None:
    assert built["listing_hour"].cast(pl.Int8).equals(built["listed_at"].dt.hour())
    weekday = built["listing_day"].dt.weekday()
    assert built["listing_weekday"].cast(pl.Int8).equals(weekday)
    before = Lake(loaded).read_day(SEGMENT_ITEM_FEATURES, HELD_OUT - timedelta(days=1))
    views, shown = pl.col("views_30"), pl.col("impressions_30")
    mean = views.sum().over("segment") / shown.sum().over("segment")
    rates = before.select("segment", "item_id", then=(views + 20 * mean) / (shown + 20))
    rows = built.filter(pl.col("listing_day") == HELD_OUT)
    rows = rows.join(rates, on=["segment", "item_id"], how="left")
    assert rows["then"].null_count() < rows.height
    assert rows["segment_view_rate_30"].to_list() == pytest.approx(rows["then"].to_list())


def rebuilt(lake: Lake, day: date) -> pl.DataFrame:
    with TemporaryDirectory() as folder:
        return pl.concat(build(lake, day, Path(folder)).frames())


def test_building_again_gives_the_same_rows(loaded: Settings, built: pl.DataFrame) -> None:
    again = rebuilt(Lake(loaded), LAST)
    assert again.equals(built.select(again.columns))


def test_groups_gathered_a_day_at_a_time_are_the_same_to_the_last_row(
    loaded: Settings, built: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "BATCH_ROWS", 1)
    monkeypatch.setattr(building, "RANGE_ROWS", 500)
    found = build(Lake(loaded), LAST, tmp_path)
    assert len(found.files) == built["listing_day"].n_unique() > 1
    frames = list(found.frames())
    largest = built.group_by("group_id").len()["len"].max()
    assert max(frame.height for frame in frames) < 500 + largest
    groups = [set(frame["group_id"]) for frame in frames]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert pl.concat(frames).equals(built.select(RANKING_GROUPS.schema.names()))
    days = Lake(loaded).read_day(RANKING_DAYS, LAST).drop("dt")
    assert found.days.select(days.columns).equals(days)


def test_nothing_of_the_building_is_left_on_disk(loaded: Settings) -> None:
    assert not [*loaded.home.glob("groups-*"), *loaded.home.glob("pieces-*")]


def test_listing_days_come_together_while_they_have_few_rows() -> None:
    sizes = pl.DataFrame({"day": [1, 2, 3, 4, 5], "rows": [4, 6, 11, 3, 1]})
    # Ends 4, 10, 21, 24, 25: tens end at 10, 20 and 30.
    found = building.together(sizes, 10).agg("day")["day"].to_list()
    assert found == [[1, 2], [3, 4, 5]]


def cart_of(lake: Lake, lists: pl.DataFrame) -> pl.DataFrame:
    """Return an event: a held-out item that nobody carted is put into the cart when shown."""
    groups = lists.filter(pl.col("label") == 0)
    events = lake.read_window(EVENTS, LAST, 11)
    shown = events.filter(
        pl.col("event_type") == "impression", pl.col("listing_id") == groups["group_id"][0],
        pl.col("item_id") == groups["item_id"][0],
    )  # fmt: skip
    return shown.head(1).select(
        *(name for name in EVENTS.columns if name not in {"event_id", "event_type"}),
        event_id=pl.lit("planted"),
        event_type=pl.lit("cart"),
    )


def plant(settings: Settings, lists: pl.DataFrame, known: date, received: date) -> None:
    """Write candidates and counters of 999 dated `known`, and a cart received on a day."""
    lake = Lake(settings.model_copy(update={"accept_row_counts": True}))
    pairs = lists.select("user_id", "item_id").unique().sort("user_id", "item_id")
    made = pairs.with_columns(score=pl.lit(999.0), rank=pl.int_range(1, pl.len() + 1))
    ranked = made.cast({"rank": pl.Int32}).with_columns(propensity=pl.lit(None, pl.Float64))
    lake.write_day(CANDIDATES, known, ranked, "ease")
    counted = lake.read_day(ITEM_FEATURES, known).with_columns(views_7=pl.lit(999, pl.Int64))
    lake.write_day(ITEM_FEATURES, known, counted.select(*ITEM_FEATURES.columns))
    there = lake.has_day(EVENTS, received)
    before = lake.read_day(EVENTS, received) if there else EVENTS.empty()
    cart = cart_of(lake, lists).select(*EVENTS.columns)
    lake.write_day(EVENTS, received, pl.concat([before.select(*EVENTS.columns), cart]))


def test_groups_refuse_candidates_counters_and_a_cart_that_came_too_late(
    loaded_copy: Settings, built: pl.DataFrame
) -> None:
    """The same planted a day earlier is seen, all three."""
    keys, columns = ["group_id", "item_id"], list(RANKING_GROUPS.columns)
    lists = built.filter("is_measured", pl.col("role") == "holdout")
    plant(loaded_copy, lists, known=HELD_OUT, received=LAST + timedelta(days=1))
    rows = rebuilt(Lake(loaded_copy), LAST)
    assert rows.select(columns).sort(keys).equals(built.select(columns).sort(keys))
    plant(loaded_copy, lists, known=HELD_OUT - timedelta(days=1), received=LAST)
    seen = rebuilt(Lake(loaded_copy), LAST)
    held_out = seen.filter("is_measured", pl.col("role") == "holdout")
    assert held_out["label"].sum() == lists["label"].sum() + 1
    assert set(held_out["ease_score"]) == {999.0}
    assert set(held_out["item_views_7"].drop_nulls()) == {999.0}


def test_the_default_of_a_feature_is_what_a_row_of_nobody_and_nothing_has(
    loaded: Settings,
) -> None:
    lake = Lake(loaded)
    listed = g.listing_days(lake, LAST).tail(1)
    made = g.candidate_days(lake, listed["listing_day"].to_list())
    chosen = pl.concat(g.listed_rows(lake, LAST, listed))
    listing = chosen.filter(pl.col("group_id") == chosen["group_id"][0])
    unknown = listing.head(1).with_columns(user_id=pl.lit("nobody"), item_id=pl.lit("nothing"))
    known = g.with_known(lake, LAST, pl.concat([listing, unknown]), [HELD_OUT])
    found = g.finished(g.with_candidates(lake, known, made))
    row = found.filter(pl.col("user_id") == "nobody").row(0, named=True)
    other = found.filter(pl.col("user_id") != "nobody").row(0, named=True)
    for feature in FEATURES:
        expected = None if feature.default == "null" else other[feature.name]
        assert row[feature.name] == expected, feature
    assert other["platform"] is not None
    assert other["ease_age_days"] is not None


def test_groups_do_not_know_what_was_received_after_the_day(
    loaded: Settings, tmp_path: Path
) -> None:
    """Groups of the day before, built while a later day lies in the lake, read nothing of it."""
    lake = Lake(loaded)
    rows = rebuilt(lake, HELD_OUT)
    newest = {max(days) for name, days in lake._inputs.items() if days}
    assert max(newest) == str(HELD_OUT)
    assert rows["listing_day"].max() == HELD_OUT - timedelta(days=1)
