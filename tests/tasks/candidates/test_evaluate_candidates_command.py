"""Generators judged on files that are not of the lake."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tasks import columns as c
from tasks.__main__ import main
from tasks.candidates.command import for_protocol
from tasks.candidates.outside import (
    Naming,
    catalogue_of,
    interactions_of,
    known_of,
    leave_one_out,
    read_table,
)
from tasks.errors import ContractViolation
from tasks.settings import SASRecOptions


def ordered(text: dict[str, str]) -> pl.DataFrame:
    rows = [(user, item, place) for user, items in text.items() for place, item in enumerate(items)]
    return pl.DataFrame(rows, schema=[c.USER_ID, c.ITEM_ID, "pos"], orient="row")


def split_by_order(text: dict[str, str], users: int | None) -> tuple[list, list, list, list]:  # type: ignore[type-arg]
    table = interactions_of(ordered(text), Naming(order="pos"))
    split = leave_one_out(known_of(table, catalogue_of(table, None)), users)
    pair = (c.USER_ID, c.ITEM_ID)
    learned = split.known.interactions.select(pair).rows()
    histories = split.requests.histories.select(pair).rows()
    assert split.known.later is not None
    later = split.known.later.select(pair).rows()
    return learned, later, histories, split.protocols[0].truth.rows()


def test_leave_one_out_holds_out_the_last_item_and_validates_on_the_one_before() -> None:
    learned, later, histories, truth = split_by_order({"u": "abcd", "v": "ba", "w": "a"}, None)
    assert learned == [("u", "a"), ("u", "b")]
    assert later == [("u", "c"), ("v", "b")]
    assert histories == [("u", "a"), ("u", "b"), ("u", "c"), ("v", "b")]
    assert truth == [("u", "d"), ("v", "a")]


def test_leave_one_out_may_learn_the_item_before_the_last() -> None:
    learned, later, histories, truth = split_by_order({"u": "abcd", "v": "ba", "w": "a"}, 0)
    assert learned == histories == [("u", "a"), ("u", "b"), ("u", "c"), ("v", "b")]
    assert later == []
    assert truth == [("u", "d"), ("v", "a")]


def test_leave_one_out_may_validate_on_some_users_and_learn_from_the_others() -> None:
    learned, later, _, _ = split_by_order({"u": "abcd", "v": "bacd"}, 1)
    (validated,) = {user for user, _ in later}
    assert later == [(validated, "c")]
    other = "v" if validated == "u" else "u"
    assert [item for user, item in learned if user == other][-1] == "c"


def test_leave_one_out_asks_sasrec_for_the_next_item_unless_somebody_said_otherwise() -> None:
    found = for_protocol(SASRecOptions(width=64), "loo")
    assert (found.horizon, found.width, found.length) == (1, 64, 100)
    assert for_protocol(SASRecOptions(), "time") == SASRecOptions()


@pytest.mark.parametrize(
    "times",
    [
        [datetime(2026, 3, 2, 10), datetime(2026, 3, 1, 10)],
        ["2026-03-02 10:00:00", "2026-03-01 10:00:00"],
        [1772445600, 1772359200],
        [1772445600000, 1772359200000],
    ],
)
def test_times_are_read_from_timestamps_text_and_epoch_seconds(times: list[object]) -> None:
    table = pl.DataFrame({c.USER_ID: [1, 1], c.ITEM_ID: [7, 8], "when": times})
    rows = interactions_of(table, Naming(time="when"))
    assert rows[c.ITEM_ID].to_list() == ["8", "7"]
    assert rows[c.TS].to_list()[0] == datetime(2026, 3, 1, 10, tzinfo=UTC)


def test_equal_times_keep_the_order_that_is_named_or_the_file_s() -> None:
    table = pl.DataFrame({c.USER_ID: [1] * 3, c.ITEM_ID: [3, 1, 2], "t": [5] * 3, "pos": [2, 0, 1]})
    assert interactions_of(table, Naming(time="t"))[c.ITEM_ID].to_list() == ["3", "1", "2"]
    named = interactions_of(table, Naming(time="t", order="pos"))
    assert named[c.ITEM_ID].to_list() == ["1", "2", "3"]


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(
        ContractViolation, match="no column 'when'; there are user_id, item_id, pos"
    ):
        interactions_of(ordered({"u": "ab"}), Naming(time="when"))


@pytest.fixture
def clicks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve days, every user walks through the items in order; two users come back at the end."""
    rows = [
        (f"u{user}", f"i{(user + step) % 9}", f"2026-03-{1 + step:02d} 10:00:00")
        for user in range(30)
        for step in range(12)
    ]
    path = tmp_path / "clicks.csv"
    pl.DataFrame(rows, schema=["who", "what", "when"], orient="row").write_csv(path)
    monkeypatch.setenv("VITRINA_HOME", str(tmp_path))
    monkeypatch.setenv("VITRINA_CANDIDATES__SASREC__WIDTH", "8")
    monkeypatch.setenv("VITRINA_CANDIDATES__SASREC__MIN_STEPS", "1")
    return path


def call(path: Path, *more: str) -> int:
    columns = ["--user", "who", "--item", "what", "--time", "when"]
    return main(["evaluate-candidates", "--data", str(path), *columns, *more])


def test_a_time_split_prints_generators_beside_yardsticks_with_seconds(
    clicks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--protocol", "time", "--generators", "popular,sasrec", "--epochs", "1")
    assert call(clicks, *words, "--holdout-days", "2") == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("300 interactions learned, 9 items, 30 test users, 30 of them")
    names = [line.split()[:2] for line in printed[3:-1]]
    # Everybody touched every item before, so nothing is left for the protocol `time_new`.
    assert names == [[name, "time"] for name in ("popular", "sasrec", "popular_7d", "own_repeats")]


def test_leave_one_out_prints_a_row_a_generator(
    clicks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(clicks, "--protocol", "loo", "--generators", "ease") == 0
    names = [line.split()[:2] for line in capsys.readouterr().out.splitlines()[3:-1]]
    assert names == [["ease", "loo"], ["popular_7d", "loo"], ["own_repeats", "loo"]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--protocol", "loo", "--generators", "magic"), "no generator 'magic'; there are popular"),
        (("--protocol", "loo", "--items", "nowhere.csv"), "no file nowhere.csv"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    clicks: Path, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(clicks, *words) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_metrics_can_be_computed_again_from_what_is_saved(
    clicks: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    some = read_table(clicks).filter(pl.col("when") < "2026-03-06")
    some.write_csv(clicks)
    file = tmp_path / "saved" / f"lists.{suffix}"
    words = ("--generators", "ease,popular", "--save-lists", str(file))
    assert call(clicks, "--protocol", "loo", *words) == 0
    assert f"ranked lists: {file}" in capsys.readouterr().out
    lists, truth = read_table(file), read_table(file.with_name(f"truth-lists.{suffix}"))
    table = read_table(tmp_path / "evaluations" / "clicks-loo.csv").filter(pl.col(c.SLICE) == "all")
    for name in ("ease", "popular", "popular_7d", "own_repeats"):
        hits = lists.filter(pl.col(c.GENERATOR) == name).join(truth, on=[c.USER_ID, c.ITEM_ID])
        expected = {
            "recall@10": hits.filter(pl.col(c.RANK) <= 10).height / truth.height,
            "mrr@10": (1 / hits.filter(pl.col(c.RANK) <= 10)[c.RANK]).sum() / truth.height,
        }
        assert hits.height or name == "own_repeats"
        saved = dict(table.filter(pl.col(c.GENERATOR) == name)[c.METRIC, c.VALUE].iter_rows())
        assert {metric: saved[metric] for metric in expected} == pytest.approx(expected)


def test_what_a_generator_takes_is_saved_beside_its_metrics(clicks: Path, tmp_path: Path) -> None:
    assert call(clicks, "--protocol", "loo", "--generators", "popular") == 0
    table = read_table(tmp_path / "evaluations" / "clicks-loo.csv")
    assert {"fit_seconds", "list_seconds", "peak_gb"} < set(table.columns)
    assert table["peak_gb"].min() > 0
    assert set(table[c.SLICE]) == {"all", "warm", "history 5-19"}
