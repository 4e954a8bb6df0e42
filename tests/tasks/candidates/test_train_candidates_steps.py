"""The steps of `train_candidates` over a lake with a small simulated shop in it."""

from __future__ import annotations

from argparse import Namespace
from datetime import date, timedelta
from itertools import product
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks import build_features, train_candidates
from tasks import columns as c
from tasks.candidates import BASELINES, embeddings_command
from tasks.candidates.interactions import known_earlier, known_on
from tasks.candidates.nearest import exactly_highest, recall, restored
from tasks.candidates.passed_over import passed_over
from tasks.candidates.similar import as_matrix
from tasks.candidates.sources import degraded, newest_lists
from tasks.errors import ContractViolation, QualityGateFailed, WrongCall
from tasks.lake.lake import Lake
from tasks.lake.tables import (
    CANDIDATE_BLEND,
    CANDIDATE_METRICS,
    CANDIDATES,
    EXAMINATION,
    HELDOUT_CANDIDATES,
    HELDOUT_RANKS,
    ITEM_EMBEDDINGS,
    ITEM_INDEX,
    ITEMS,
    USER_EMBEDDINGS,
)
from tasks.report.build import build
from tasks.settings import Candidates, PassedOver, Settings

FIRST = date(2026, 3, 2)
LAST = FIRST + timedelta(days=7)
LANDED = FIRST + timedelta(days=11)
NIGHTLY = Candidates().generators


def told(settings: Settings, **options: object) -> Settings:
    return settings.model_copy(
        update={"candidates": settings.candidates.model_copy(update=options)}
    )


@pytest.fixture(scope="module")
def ingested(
    shop: Path, small_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """Eight days in the lake; twelve have landed, and all of those count as last ones."""
    home = tmp_path_factory.mktemp("candidates")
    places = {"home": home, "landing_folder": shop, "min_free_gb": 0}
    training = small_settings.training.model_copy(update={"last_days": 12})
    settings = small_settings.model_copy(update={**places, "training": training})
    for number in range((LAST - FIRST).days + 1):
        build_features.ingest(FIRST + timedelta(days=number), settings)
    return settings


@pytest.fixture(scope="module")
def trained(ingested: Settings) -> Lake:
    for key in train_candidates.list_generators(LAST, ingested):
        train_candidates.train_generator(LAST, ingested, key)
    train_candidates.publish_candidates(LAST, ingested)
    return Lake(ingested)


def test_every_generator_writes_its_part_of_candidates(trained: Lake) -> None:
    assert trained.parts(CANDIDATES, LAST) == sorted(NIGHTLY)
    rows = trained.read_day(CANDIDATES, LAST)
    assert rows[c.GENERATOR].unique().sort().to_list() == sorted(NIGHTLY)
    assert rows[c.RANK].max() == 20


def test_no_candidate_is_out_of_stock(trained: Lake) -> None:
    sold_out = trained.read_day(ITEMS, LAST).filter(~pl.col(c.IN_STOCK))
    assert trained.read_day(CANDIDATES, LAST).join(sold_out, on=c.ITEM_ID).is_empty()


def test_metrics_stand_beside_yardsticks_and_the_union(trained: Lake) -> None:
    metrics = trained.read_day(CANDIDATE_METRICS, LAST)
    found = metrics[c.GENERATOR].unique().sort().to_list()
    assert found == sorted([*NIGHTLY, *BASELINES, "union"])
    users = metrics.filter(
        (pl.col("protocol") == "time") & (pl.col(c.METRIC) == "users") & (pl.col(c.SLICE) == "all")
    )
    assert users[c.VALUE].n_unique() == 1
    ndcg = metrics.filter(pl.col(c.METRIC) == "ndcg@10")
    assert ndcg.filter(~pl.col(c.VALUE).is_between(pl.col(c.LOW), pl.col(c.HIGH))).is_empty()


def test_what_interests_and_chance_publish_is_measured_beside_the_plain_lists(
    ingested: Settings,
) -> None:
    lake, found = Lake(ingested), {}
    known = known_on(lake, LAST, ingested.candidates)
    for name, options in {
        "plain": {},
        "drawn": {"sampled_share": 0.4, "sampled_depth": 60},
        "turns": {"interests": 3},
    }.items():
        judgement = train_candidates.judged_on(lake, known, told(ingested, **options), "popular")
        assert isinstance(judgement, train_candidates.Judgement)
        found[name] = dict(judgement.metrics.partition_by("protocol", as_dict=True))
    plain = found["plain"]
    assert list(plain) == [("time",), ("time_new",)]
    for name, is_alike in {"drawn": False, "turns": True}.items():
        assert [*found[name]] == [*plain, ("time_published",), ("time_new_published",)]
        assert all(found[name][protocol].equals(plain[protocol]) for protocol in plain)
        mine, usual = (
            rows.filter((pl.col(c.METRIC) == "ndcg@10") & (pl.col(c.SLICE) == "all"))[c.VALUE][0]
            for rows in (found[name][("time_published",)], plain[("time",)])
        )
        # What is popular is the same for every interest; chance draws from ranks 13 to 60.
        assert (mine == usual) == is_alike


def test_heldout_lists_are_made_before_the_holdout_for_those_who_came_back(trained: Lake) -> None:
    rows = trained.read_day(HELDOUT_CANDIDATES, LAST, "popular")
    metrics = trained.read_day(CANDIDATE_METRICS, LAST, "popular")
    tested = metrics.filter(
        (pl.col("protocol") == "time") & (pl.col(c.METRIC) == "users") & (pl.col(c.SLICE) == "all")
    )
    assert rows[c.USER_ID].n_unique() == tested[c.VALUE][0]


def test_embeddings_are_there_where_the_generator_has_them(trained: Lake) -> None:
    for table in (ITEM_EMBEDDINGS, USER_EMBEDDINGS):
        rows = trained.read_day(table, LAST)
        assert rows[c.GENERATOR].unique().sort().to_list() == ["lightfm", "sasrec"]
        assert rows.group_by(c.GENERATOR).agg(pl.col(c.EMBEDDING).list.len().n_unique())[
            c.EMBEDDING
        ].to_list() == [1, 1]


def test_an_index_lies_beside_the_embeddings_and_serves_no_others(trained: Lake) -> None:
    of = {name: trained.read_day(ITEM_EMBEDDINGS, LAST, name) for name in ("lightfm", "sasrec")}
    for name, rows in of.items():
        index = restored(trained.read_day(ITEM_INDEX, LAST, name), rows)
        users = as_matrix(trained.read_day(USER_EMBEDDINGS, LAST, name))
        found, _ = index.highest(users, 10)
        exact, _ = exactly_highest(as_matrix(rows), users, 10)
        assert recall(found, exact) > 0.99
    with pytest.raises(ContractViolation, match="other embeddings of width 9 than"):
        restored(trained.read_day(ITEM_INDEX, LAST, "lightfm"), of["sasrec"])
    with pytest.raises(ContractViolation, match="no index was built"):
        restored(trained.read_day(ITEM_INDEX, LAST, "popular"), of["sasrec"])


def test_a_rerun_gives_the_same_rows_to_the_bit(trained: Lake, ingested: Settings) -> None:
    tables = train_candidates.PARTS
    before = {table: trained.ledger.written(table)[LAST, "sasrec"].row_hash for table in tables}
    train_candidates.train_generator(LAST, ingested, "sasrec")
    again = Lake(ingested).ledger
    assert before == {table: again.written(table)[LAST, "sasrec"].row_hash for table in tables}


def test_a_first_day_is_fitted_but_not_measured(
    ingested: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    counts = train_candidates.train_generator(FIRST, ingested, "popular")
    assert counts["candidates"] > 0
    told = "0 days before the holdout, 3 are needed"
    row = Lake(ingested).read_day(CANDIDATE_METRICS, FIRST, "popular").row(0, named=True)
    assert (row[c.METRIC], row[c.VALUE], row[c.REASON]) == ("users", 0.0, told)
    assert f"no metrics: {told}" in caplog.text


def test_too_few_interactions_give_empty_parts_and_pass(
    ingested: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    day, demanding = FIRST + timedelta(days=1), told(ingested, min_interactions=10**6)
    counts = train_candidates.train_generator(day, demanding, "lightfm")
    # The one row of metrics says why there are none.
    assert {name for name, rows in counts.items() if rows} == {CANDIDATE_METRICS.name}
    assert "1000000 are needed; empty parts are written" in caplog.text
    assert train_candidates.publish_candidates(day, demanding) == 0


def test_the_blend_says_what_each_source_brings_and_how_deep_it_is_read(trained: Lake) -> None:
    rows = trained.read_day(CANDIDATE_BLEND, LAST)
    assert set(rows["budget"]) == {300, 1000}
    assert set(rows["source"]) == {*NIGHTLY, "union", "equal", "blend"}
    at = {row["source"]: row for row in rows.filter(budget=300).to_dicts()}
    assert at["blend"]["quota"] == sum(at[name]["quota"] for name in NIGHTLY) <= 300
    assert max(at[name]["recall"] for name in NIGHTLY) <= at["union"]["recall"]
    assert 0 < at["blend"]["recall"] <= at["union"]["recall"]


def test_every_generator_ranks_the_same_later_items(trained: Lake) -> None:
    rows = trained.read_day(HELDOUT_RANKS, LAST)
    each = rows.group_by(c.GENERATOR).len()
    assert set(each[c.GENERATOR]) == set(NIGHTLY)
    assert each["len"].n_unique() == 1
    assert rows["first_day"].min() > LAST - timedelta(days=3)


def weak(ingested: Settings) -> Settings:
    """LightFM that learns nothing: its lists are random."""
    lightfm = ingested.candidates.lightfm.model_copy(update={"epochs": 1, "learning_rate": 1e-9})
    return told(ingested, lightfm=lightfm, bootstraps=200)


def test_a_generator_below_its_floor_writes_nothing_and_its_newest_lists_stay_in_use(
    trained: Lake, ingested: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    day = FIRST + timedelta(days=5)
    for name in ("popular", "ease", "sasrec"):
        train_candidates.train_generator(day, ingested, name)
    before = [trained.parts(table, day) for table in train_candidates.PARTS]
    with pytest.raises(QualityGateFailed, match=r"lightfm: ndcg@10 .* is below 0\.5 times pop"):
        train_candidates.train_generator(day, weak(ingested), "lightfm")
    assert [trained.parts(table, day) for table in train_candidates.PARTS] == before
    young = told(ingested, max_age_days=1)
    train_candidates.publish_candidates(day, young)
    none = "Degraded: lightfm wrote nothing for 2026-03-07; no lists of it are young enough"
    assert none in caplog.text
    earlier = day - timedelta(days=2)
    trained.write_day(CANDIDATES, earlier, CANDIDATES.empty(), "lightfm")
    assert newest_lists(Lake(ingested), day)["lightfm"] == earlier
    assert newest_lists(Lake(young), day)["lightfm"] is None
    (line,) = degraded(Lake(ingested), day)
    assert line.endswith("readers take its lists of 2026-03-05, 2 days older.")
    assert build(day, ingested).headline[0] == line


def test_a_day_on_which_all_wrote_is_not_degraded(trained: Lake) -> None:
    assert degraded(trained, LAST) == ()


def test_a_day_with_too_few_sources_is_refused(ingested: Settings) -> None:
    day = FIRST + timedelta(days=2)
    train_candidates.train_generator(day, ingested, "popular")
    with pytest.raises(QualityGateFailed, match=r"1 generators have candidates \(popular\), 2"):
        train_candidates.publish_candidates(day, ingested)


def test_a_day_that_trains_but_wrote_nothing_is_refused(ingested: Settings) -> None:
    with pytest.raises(QualityGateFailed, match="no generator wrote candidates for 2026-03-06"):
        train_candidates.publish_candidates(date(2026, 3, 6), ingested)


def test_a_generator_that_nobody_wrote_is_refused_by_name(ingested: Settings) -> None:
    with pytest.raises(ContractViolation, match="no generator magic; there are popular, ease"):
        train_candidates.list_generators(LAST, told(ingested, generators=("popular", "magic")))


def test_a_superseded_day_lists_no_generator_and_says_what_supersedes_it(
    ingested: Settings,
) -> None:
    day = FIRST + timedelta(days=6)
    one = ingested.training.model_copy(update={"last_days": 1})
    settings = ingested.model_copy(update={"training": one})
    assert train_candidates.list_generators(day, settings) == []
    assert train_candidates.publish_candidates(day, settings) == 0
    lake = Lake(settings)
    assert not lake.has_day(CANDIDATES, day)
    assert train_candidates.list_generators(LANDED, settings) == list(NIGHTLY)


def test_days_divisible_by_seven_train_although_superseded(ingested: Settings) -> None:
    one = ingested.training.model_copy(update={"last_days": 1})
    settings = ingested.model_copy(update={"training": one})
    assert (date(2026, 3, 5) - date(1970, 1, 1)).days % 7 == 0
    assert train_candidates.list_generators(date(2026, 3, 5), settings) == list(NIGHTLY)


def test_a_superseded_week_day_is_listed_but_not_judged(ingested: Settings) -> None:
    thursday = date(2026, 3, 5)
    training = ingested.training.model_copy(update={"last_days": 1})
    settings = ingested.model_copy(update={"training": training})
    assert train_candidates.train_generator(thursday, settings, "popular")["candidates"] > 0
    ledger = Lake(settings).ledger
    assert ledger.written(CANDIDATES)[thursday, "popular"].rows > 0
    for table in (CANDIDATE_METRICS, HELDOUT_CANDIDATES):
        record = ledger.current(table)[thursday, "popular"]
        assert record.superseded_by == LANDED - timedelta(days=1)


def test_what_is_shown_tomorrow_was_not_passed_over_today(ingested: Settings) -> None:
    lake, asked = Lake(ingested), PassedOver(share=0.2, days=3)
    options = told(ingested, passed_over=asked, holdout_days=2).candidates
    places = product(c.PLATFORMS, c.SURFACES)
    flat = pl.DataFrame(
        [(*place, 1, 0.5, "explored", 1, 0) for place in places],
        schema=list(EXAMINATION.columns),
        orient="row",
    )
    for age in range(7):
        lake.write_day(EXAMINATION, LAST - timedelta(days=age), flat.cast(EXAMINATION.schema))
    known = known_on(lake, LAST, options, with_shown=True)
    then = LAST - timedelta(days=2)
    earlier, direct = (
        known_earlier(lake, known, then),
        known_on(lake, then, options, with_shown=True),
    )
    found = passed_over(earlier, asked)
    assert found.height
    assert_frame_equal(found, passed_over(direct, asked))
    # Some of it was shown again later, or touched then.
    assert not found.equals(passed_over(known, asked))


def test_embeddings_of_the_lake_are_looked_at_by_a_command(
    trained: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    told = Namespace(day=LAST + timedelta(days=1), generator="sasrec", item=None)
    embeddings_command.run(told, trained.settings)
    printed = capsys.readouterr().out
    assert "similarity" in printed
    assert "nobody's embeddings are 14 days old" in printed
    file = trained.settings.home / "embeddings" / f"items-sasrec-{LAST}.png"
    assert file.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(WrongCall, match="popular has written no embeddings up to"):
        embeddings_command.run(
            Namespace(day=LAST, generator="popular", item=None), trained.settings
        )
