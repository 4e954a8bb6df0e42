from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks import columns as c
from tasks import score_lookalikes, tracking
from tasks.__main__ import REFUSED
from tasks.errors import ContractViolation, PartsMissing
from tasks.lake.lake import Lake
from tasks.lake.tables import (
    CUSTOMERS,
    EVENTS,
    ITEM_ATTRIBUTES,
    ITEMS,
    LOOKALIKE_FEATURES,
    LOOKALIKE_SCORES,
    THRESHOLD_CARDS,
)
from tasks.landing.manifest import write_landing_day
from tasks.lookalikes.registry import segment_of, segments
from tasks.settings import Lookalikes, Settings
from tests.airflow_environment import ROOT
from tests.conftest import SHOP_DAYS, SHOP_FIRST_DAY
from tests.rows import rows

SHOP_LAST_DAY = SHOP_FIRST_DAY + timedelta(days=SHOP_DAYS - 1)
FIRST, DAYS, CUSTOMERS_COUNT = date(2026, 3, 1), 30, 400
LAST = FIRST + timedelta(days=DAYS - 1)
CATEGORIES = ("bags", "belts", "hats", "rugs")


def events_of(day: date, generator: np.random.Generator) -> pl.DataFrame:
    """Every third customer looks at bags mostly; one look in thirty ends in an order."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    found = []
    for number in np.flatnonzero(generator.random(CUSTOMERS_COUNT) < 0.5):
        share = [0.7, 0.1, 0.1, 0.1] if number % 3 == 0 else [0.04, 0.32, 0.32, 0.32]
        for item in generator.choice(40, 3, p=np.repeat(share, 10) / 10):
            kinds = (c.VIEW, c.ORDER) if generator.random() < 1 / 30 else (c.VIEW,)
            found += [(f"u{number:03d}", f"i{item:02d}", kind) for kind in kinds]
    given = [
        {c.EVENT_ID: f"{day}-{place}", c.USER_ID: u, c.ITEM_ID: i, c.EVENT_TYPE: kind, c.TS: noon}
        for place, (u, i, kind) in enumerate(found)
    ]
    return rows(EVENTS, *given)


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A lake of thirty days in which taste for bags shows."""
    home = tmp_path_factory.mktemp("month")
    settings = Settings(
        home=home, mlflow_url="", min_free_gb=0, lookalikes=Lookalikes(min_seeds=10)
    )
    lake, generator = Lake(settings), np.random.default_rng(2)
    ids = [(f"i{item:02d}", CATEGORIES[item // 10], f"b{item % 10}") for item in range(40)]
    items = rows(
        ITEMS, *({c.ITEM_ID: i, c.CATEGORY_GROUP: "g", c.CATEGORY: kind} for i, kind, _ in ids)
    )
    pairs = [
        (i, *pair) for i, kind, brand in ids for pair in (("category", kind), ("brand", brand))
    ]
    attributes = rows(
        ITEM_ATTRIBUTES, *({c.ITEM_ID: i, c.ATTRIBUTE: name, c.VALUE: v} for i, name, v in pairs)
    )
    people = rows(CUSTOMERS, *({c.USER_ID: f"u{number:03d}"} for number in range(CUSTOMERS_COUNT)))
    for day in (FIRST + timedelta(days=number) for number in range(DAYS)):
        write_landing_day(settings.landing, day, {}, "test")
        lake.write_day(EVENTS, day, events_of(day, generator))
        for table, frame in ((ITEMS, items), (ITEM_ATTRIBUTES, attributes), (CUSTOMERS, people)):
            lake.write_day(table, day, frame)
    return settings


def test_a_segment_is_listed_scored_and_published(month: Settings) -> None:
    assert score_lookalikes.list_segments(LAST, month) == list(segments())
    for name in segments():
        score_lookalikes.score_segment(LAST, month, name)
    assert score_lookalikes.publish_lookalikes(LAST, month) == {
        "segments": len(segments()),
        "offered": 2,
        "refused": len(segments()) - 2,
    }
    lake = Lake(month)
    cards = lake.read_day(THRESHOLD_CARDS, LAST)
    offered = cards.filter(verdict="ok")[c.LOOKALIKE_SEGMENT].unique()
    # Who does not look at bags looks at belts; who wins a draw nobody can tell.
    assert set(offered) == {"bag_buyers", "belt_buyers"}
    assert set(cards.filter(lookalike_segment="prize_draw")["verdict"]) == {"no signal"}
    page = month.reports / f"audience-bag_buyers-{LAST}.html"
    assert "looked at category bags" in page.read_text()
    card = lake.read_day(THRESHOLD_CARDS, LAST, "bag_buyers")
    assert set(card["verdict"]) == {"ok"}
    scores = lake.read_day(LOOKALIKE_SCORES, LAST, "bag_buyers")
    lovers = pl.col(c.USER_ID).str.slice(1).cast(pl.Int64) % 3 == 0
    assert (
        scores.filter(lovers)[c.PROBABILITY].mean()
        > 2 * scores.filter(~lovers)[c.PROBABILITY].mean()
    )
    assert scores.height == card["audience_size"].max()


def test_scoring_again_gives_equal_hashes(month: Settings) -> None:
    lake = Lake(month)
    key = (LAST, "bag_buyers")
    before = [lake.ledger.written(table)[key] for table in (LOOKALIKE_SCORES, THRESHOLD_CARDS)]
    score_lookalikes.score_segment(LAST, month, "bag_buyers")
    lake = Lake(month)
    after = [lake.ledger.written(table)[key] for table in (LOOKALIKE_SCORES, THRESHOLD_CARDS)]
    assert [record.row_hash for record in after] == [record.row_hash for record in before]
    assert [record.version for record in after] == [record.version + 1 for record in before]


def test_a_segment_that_was_mended_is_published_beside_the_others(month: Settings) -> None:
    for name in score_lookalikes.list_segments(LAST, month):
        score_lookalikes.score_segment(LAST, month, name)
    mended = month.model_copy(update={"code_version": "mended", "min_free_gb": 0.001})
    score_lookalikes.score_segment(LAST, mended, "belt_buyers")
    assert score_lookalikes.publish_lookalikes(LAST, mended)["segments"] == len(segments())


def test_a_card_of_events_that_were_replaced_is_not_published(
    month: Settings, tmp_path: Path
) -> None:
    settings = month.model_copy(update={"home": shutil.copytree(month.home, tmp_path / "home")})
    for name in score_lookalikes.list_segments(LAST, settings):
        score_lookalikes.score_segment(LAST, settings, name)
    lake = Lake(settings)
    lake.write_day(EVENTS, LAST, lake.read_day(EVENTS, LAST).drop("dt")[1:])
    score_lookalikes.score_segment(LAST, settings, "bag_buyers")
    others = [name for name in segments() if name != "bag_buyers"]
    with pytest.raises(PartsMissing, match=f"no card of {', '.join(others)}; mend"):
        score_lookalikes.publish_lookalikes(LAST, settings)


def test_what_has_left_the_catalogue_was_a_seed_thing_all_the_same(
    month: Settings, tmp_path: Path
) -> None:
    settings = month.model_copy(update={"home": shutil.copytree(month.home, tmp_path / "home")})
    score_lookalikes.list_segments(LAST, settings)
    plan = score_lookalikes.anchors_of(Lake(settings), LAST, segment_of("bag_buyers"))
    before = score_lookalikes.evidence_of(Lake(settings), plan).seeds
    for day in (LAST - timedelta(days=age) for age in range(9)):
        items = Lake(settings).read_day(ITEMS, day).drop("dt")
        Lake(settings).write_day(ITEMS, day, items.filter(pl.col(c.ITEM_ID) >= "i05"))
    after = score_lookalikes.evidence_of(Lake(settings), plan).seeds
    assert before.height > 100
    assert after.equals(before)


def feature_versions(settings: Settings) -> dict[date, int]:
    written = Lake(settings).ledger.written(LOOKALIKE_FEATURES)
    return {day: record.version for (day, _), record in written.items()}


def test_only_absent_and_stale_features_are_written_again(month: Settings) -> None:
    score_lookalikes.list_segments(LAST, month)
    before = feature_versions(month)
    anchor, *_, newest = sorted(set(before) - {LAST})
    lake = Lake(month)
    changed = lake.read_day(EVENTS, newest - timedelta(days=1)).drop("dt")[1:]
    lake.write_day(EVENTS, newest - timedelta(days=1), changed)
    score_lookalikes.list_segments(LAST, month)
    after = feature_versions(month)
    assert after[anchor] == before[anchor]
    assert after[newest] == before[newest] + 1
    wider = month.lookalikes.model_copy(update={"window_days": 15})
    score_lookalikes.list_segments(LAST, month.model_copy(update={"lookalikes": wider}))
    assert feature_versions(month)[anchor] == before[anchor] + 1


def test_the_alias_names_the_newest_day_that_nothing_supersedes(month: Settings) -> None:
    import mlflow

    forced = month.training.model_copy(update={"force": True})
    tracked = month.model_copy(update={"mlflow_url": None})

    def scored(day: date, settings: Settings) -> dict[str, str]:
        with tracking.task_run(settings, "score_lookalikes", "a try", {}):
            score_lookalikes.score_segment(day, settings, "bag_buyers")
        registered = mlflow.MlflowClient().get_registered_model("lookalike_bag_buyers")
        return {alias: str(number) for alias, number in registered.aliases.items()}

    before = LAST - timedelta(days=1)
    score_lookalikes.list_segments(before, month.model_copy(update={"training": forced}))
    score_lookalikes.list_segments(LAST, month)
    assert scored(before, tracked) == {}
    assert scored(LAST, tracked) == {"serving": "2"}
    assert scored(before, tracked.model_copy(update={"training": forced})) == {"serving": "2"}


def test_a_card_of_a_short_history_refuses(loaded: Settings) -> None:
    lake = Lake(loaded)
    assert lake.parts(THRESHOLD_CARDS, SHOP_LAST_DAY) == list(segments())
    assert set(lake.read_day(THRESHOLD_CARDS, SHOP_LAST_DAY)["verdict"]) == {"too few"}


def test_features_end_the_day_before(loaded_copy: Settings) -> None:
    assert Lake(loaded_copy).read_day(LOOKALIKE_FEATURES, SHOP_LAST_DAY).height > 0
    assert score_lookalikes.write_features(SHOP_FIRST_DAY, loaded_copy) == 0


def test_the_shares_of_an_attribute_leave_room_for_five_views_of_nothing(
    loaded: Settings,
) -> None:
    lake, last = Lake(loaded), SHOP_LAST_DAY - timedelta(days=1)
    single = pl.col(c.ATTRIBUTE) == "category"
    shares = lake.read_day(LOOKALIKE_FEATURES, SHOP_LAST_DAY).filter(single)
    sums = shares.group_by(c.USER_ID).agg(pl.col("share").sum())
    days = loaded.lookalikes.window_days
    happened = pl.col(c.TS).dt.date().is_between(last - timedelta(days=days - 1), last)
    events = lake.read_window(EVENTS, last, days).filter(pl.col(c.EVENT_TYPE) == c.VIEW, happened)
    counted = sums.join(events.group_by(c.USER_ID).len("views"), on=c.USER_ID)
    assert counted.height == sums.height > 0
    views = counted["views"]
    assert counted["share"].to_list() == pytest.approx((views / (views + 5)).to_list())


def test_a_superseded_day_lists_nothing_and_stays_green(loaded_copy: Settings) -> None:
    day = SHOP_LAST_DAY - timedelta(days=1)
    assert score_lookalikes.list_segments(day, loaded_copy) == []
    assert score_lookalikes.publish_lookalikes(day, loaded_copy) == {"segments": 0}


def test_an_unknown_segment_is_refused(month: Settings) -> None:
    with pytest.raises(ContractViolation, match="no look-alike segment"):
        score_lookalikes.score_segment(LAST, month, "nobody")


def test_a_missing_card_is_named(settings: Settings, tmp_path: Path) -> None:
    write_landing_day(tmp_path / "landing", LAST, {}, "test")
    with pytest.raises(PartsMissing, match=", ".join(segments())):
        score_lookalikes.publish_lookalikes(LAST, settings)


def a_project_with(folder: Path, texts: dict[str, str]) -> Path:
    """Copy `tasks` and `sql`, with these segments and bag buyers instead of ours."""
    for name in ("tasks", "sql"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (folder / "sql" / "lookalike_seeds").glob("*.sql"):
        if path.stem != "bag_buyers":
            path.unlink()
    for name, text in texts.items():
        (folder / "sql" / "lookalike_seeds" / f"{name}.sql").write_text(text)
    return folder


def declared(name: str, statement: str) -> str:
    return (
        f"-- name: {name}\n-- owner: tests\n-- seed: did it\n-- rule: none\n-- window_days: 14\n"
        f"-- gap_days: 1\n-- horizon_days: 7\n-- lasting_trait: no\n{statement}\n"
    )


def test_segments_that_fail_leave_the_others_unharmed(month: Settings, tmp_path: Path) -> None:
    seeds = "SELECT DISTINCT user_id, CAST(ts AS DATE) AS day FROM events WHERE"
    texts = {
        "headless": "SELECT 1\n",
        "of_no_column": declared("of_no_column", f"{seeds} colour = 'red'"),
        "of_other_columns": declared("of_other_columns", "SELECT user_id FROM events"),
        "of_nobody": declared("of_nobody", f"{seeds} user_id = 'nobody'"),
        "of_three": declared("of_three", f"{seeds} event_type = 'order' AND user_id < 'u003'"),
    }
    project = a_project_with(tmp_path / "project", texts)
    home = shutil.copytree(month.home, tmp_path / "home")
    done = subprocess.run(
        [sys.executable, "-m", "tasks", "run", "score_lookalikes", "--day", str(LAST)],
        cwd=project,
        env=os.environ
        | {
            "PYTHONPATH": str(project),
            "VITRINA_HOME": str(home),
            "VITRINA_MLFLOW_URL": "",
            "VITRINA_MIN_FREE_GB": "0",
            "VITRINA_LOOKALIKES__MIN_SEEDS": "10",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == REFUSED, said
    for words in (
        "headless.sql: the header lacks '-- gap_days: ...'",
        'of_no_column.sql is refused: Binder Error: Referenced column "colour" not found',
        "of_other_columns.sql selects user_id String; wanted: user_id String, day Date",
        f"PartsMissing: {LAST}: no card of headless, of_no_column, of_other_columns; mend",
    ):
        assert words in said
    lake = Lake(month.model_copy(update={"home": home}))
    verdicts = lake.read_day(THRESHOLD_CARDS, LAST)[[c.LOOKALIKE_SEGMENT, "verdict"]].unique()
    verdict_of = dict(verdicts.iter_rows())
    assert [verdict_of[name] for name in ("bag_buyers", "of_nobody", "of_three")] == [
        "ok",
        "too few",
        "too few",
    ]
    assert "headless" not in verdict_of
    page = home / "lake" / "reports" / f"audience-bag_buyers-{LAST}.html"
    assert "looked at category bags" in page.read_text()
