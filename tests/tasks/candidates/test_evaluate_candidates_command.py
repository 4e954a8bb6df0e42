"""Generators judged on files that are not of the lake."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tasks import columns as c
from tasks.__main__ import main
from tasks.candidates.outside import (
    Naming,
    catalogue_of,
    interactions_of,
    known_of,
    leave_one_out,
)
from tasks.errors import ContractViolation


def ordered(text: dict[str, str]) -> pl.DataFrame:
    rows = [(user, item, place) for user, items in text.items() for place, item in enumerate(items)]
    return pl.DataFrame(rows, schema=[c.USER_ID, c.ITEM_ID, "pos"], orient="row")


def split_by_order(text: dict[str, str], learn_penultimate: bool) -> tuple[list, list, list]:  # type: ignore[type-arg]
    table = interactions_of(ordered(text), Naming(order="pos"))
    split = leave_one_out(known_of(table, catalogue_of(table, None)), learn_penultimate)
    pair = (c.USER_ID, c.ITEM_ID)
    learned = split.known.interactions.select(pair).rows()
    histories = split.requests.histories.select(pair).rows()
    return learned, histories, split.protocols[0].truth.rows()


def test_leave_one_out_holds_out_the_last_item_and_the_one_before() -> None:
    learned, histories, truth = split_by_order({"u": "abcd", "v": "ba", "w": "a"}, False)
    assert learned == [("u", "a"), ("u", "b")]
    assert histories == [("u", "a"), ("u", "b"), ("u", "c"), ("v", "b")]
    assert truth == [("u", "d"), ("v", "a")]


def test_leave_one_out_may_learn_the_item_before_the_last() -> None:
    learned, histories, truth = split_by_order({"u": "abcd", "v": "ba", "w": "a"}, True)
    assert learned == histories == [("u", "a"), ("u", "b"), ("u", "c"), ("v", "b")]
    assert truth == [("u", "d"), ("v", "a")]


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
    names = [line.split()[:2] for line in printed[2:]]
    # Everybody touched every item before, so nothing is left for the protocol `time_new`.
    assert names == [[name, "time"] for name in ("popular", "sasrec", "popular_7d", "own_repeats")]


def test_leave_one_out_prints_a_row_a_generator(
    clicks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(clicks, "--protocol", "loo", "--generators", "ease") == 0
    names = [line.split()[:2] for line in capsys.readouterr().out.splitlines()[2:]]
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
