from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from tasks.__main__ import main
from tasks.errors import InputNotReady
from tasks.lake.lake import Lake
from tasks.lake.tables import RANKING_GROUPS
from tasks.landing.manifest import write_landing_day
from tasks.ranker.search import SPACE, Searched, draws, judging_day, searched
from tasks.settings import Settings
from tests.ranking import LAST, drawn_groups

DAY = date(2026, 3, 10)
NEWEST = pl.col("listing_day") == LAST


@pytest.fixture(scope="module")
def two_days() -> pl.DataFrame:
    """Groups of which two days have whole lists."""
    is_late = pl.col("listing_day") >= LAST - timedelta(days=1)
    groups = drawn_groups(days=6, per_day=80)
    return groups.with_columns(is_measured=is_late, is_trained=pl.col("listing_day") < LAST)


def test_the_gates_own_day_is_never_looked_at(two_days: pl.DataFrame, quick: Settings) -> None:
    assert judging_day(two_days.lazy(), quick.ranker) == LAST - timedelta(days=1)
    spoilt = two_days.with_columns(
        label=pl.when(NEWEST).then(1 - pl.col("label")).otherwise("label").cast(pl.Int64)
    )
    found = [searched(rows.lazy(), quick, tries=1, minutes=5).tries for rows in (two_days, spoilt)]
    assert found[0].drop("seconds").equals(found[1].drop("seconds"))


def test_one_day_alone_is_the_gates(groups: pl.DataFrame, quick: Settings) -> None:
    with pytest.raises(InputNotReady, match="1 listing days have whole lists"):
        searched(groups.lazy().with_columns(is_measured=NEWEST), quick, tries=1, minutes=1)


@pytest.mark.parametrize(
    ("emptied", "told"),
    [
        (pl.col("listing_day") == LAST - timedelta(days=1), "no whole list of 2026-03-08"),
        (pl.col("listing_day") < LAST - timedelta(days=1), "no training listing before 2026-03-08"),
    ],
)
def test_without_a_cart_to_learn_from_or_to_judge_by_there_is_no_search(
    two_days: pl.DataFrame, quick: Settings, emptied: pl.Expr, told: str
) -> None:
    label = pl.when(emptied).then(0).otherwise("label").cast(pl.Int64)
    with pytest.raises(InputNotReady, match=told):
        searched(two_days.lazy().with_columns(label=label), quick, tries=1, minutes=1)


def test_draws_lie_within_the_space_and_repeat(quick: Settings) -> None:
    drawn = [tuple(getattr(one, name) for name in SPACE) for one in draws(quick, 200)]
    assert drawn == [tuple(getattr(one, name) for name in SPACE) for one in draws(quick, 200)]
    for values, (low, high) in zip(zip(*drawn, strict=True), SPACE.values(), strict=True):
        assert low <= min(values) < max(values) <= high
        assert len(set(values)) > 3


def test_a_model_that_hardly_learns_is_surely_bettered(
    two_days: pl.DataFrame, quick: Settings
) -> None:
    weak = quick.ranker.model_copy(update={"iterations": 1, "learning_rate": 0.001, "depth": 1})
    found = searched(two_days.lazy(), quick.model_copy(update={"ranker": weak}), tries=2, minutes=5)
    assert found.tries["name"].to_list() == ["0", "1", "2"]
    assert found.better is not None
    assert found.better["iterations"] > 1
    ahead = found.tries.filter(pl.col("gain_low") > 0)
    assert ahead["ndcg"].min() > found.tries["ndcg"][0]


def test_without_a_sure_gain_the_present_settings_stay() -> None:
    same = pl.DataFrame([SPACE, SPACE])
    tries = same.with_columns(ndcg=pl.Series([0.5, 0.6]), gain_low=pl.Series([0.0, -0.1]))
    assert Searched(DAY, tries).better is None


def test_no_try_starts_after_the_budget(two_days: pl.DataFrame, quick: Settings) -> None:
    found = searched(two_days.lazy(), quick, tries=5, minutes=0)
    assert found.tries["name"].to_list() == ["0"]


def test_the_command_prints_every_try(
    two_days: pl.DataFrame, quick: Settings, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    write_landing_day(quick.landing, DAY, {}, "test")
    Lake(quick).write_day(RANKING_GROUPS, DAY, two_days)
    variables = {"HOME": str(quick.home), "MLFLOW_URL": "", "MIN_FREE_GB": "0"}
    for name, value in variables.items():
        monkeypatch.setenv(f"VITRINA_{name}", value)
    assert main(["tune-ranker", "--day", str(DAY), "--tries", "1"]) == 0
    said = capsys.readouterr().out
    assert f"Judged on the lists of {LAST - timedelta(days=1)}" in said
    assert "permutations" in said
    assert main(["tune-ranker", "--day", "2026-03-01"]) == 1
