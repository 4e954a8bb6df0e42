from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import columns as c
from tasks.errors import ContractViolation
from tasks.lake import engines
from tasks.lake.tables import CUSTOMERS, EVENTS, ITEM_ATTRIBUTES, ITEMS
from tasks.lookalikes.people import IS_BUYER, IS_POSITIVE, eligible_people, training_people
from tasks.lookalikes.registry import (
    Rule,
    Segment,
    seed_acts,
    segment_names,
    segment_of,
    segments,
)
from tasks.lookalikes.windows import plan_of
from tasks.settings import Settings

SEGMENT = Segment(
    "s", "me", "did it", window_days=5, gap_days=2, horizon_days=3, lasting_trait=False
)
DAY = date(2026, 3, 31)
HEADER = """\
-- name: fresh
-- Owner: me
-- seed: did it
-- rule: category bags | belts
-- window_days: 14
-- gap_days: 1
-- horizon_days: 7
-- lasting_trait: no
SELECT 1
"""


def test_segments_are_found() -> None:
    assert len(segments()) >= 6


@pytest.mark.parametrize("name", segment_names())
class TestEverySegment:
    def test_its_header_says_who_asks_for_whom(self, name: str) -> None:
        segment = segment_of(name)
        assert segment.name == name
        assert segment.owner
        assert segment.seed
        assert segment.gap_days >= 1

    def test_its_seed_names_no_rate_which_another_shop_would_not_have(self, name: str) -> None:
        assert not re.search(r"\d|%|\bone\b.* in ", segment_of(name).seed)

    def test_its_select_gives_customers_and_days(self, name: str, settings: Settings) -> None:
        tables = (EVENTS, ITEMS, ITEM_ATTRIBUTES, CUSTOMERS)
        empty = {table.name: pl.DataFrame(schema=table.stored_schema) for table in tables}
        text = engines.sql_text(segment_of(name).sql)
        found = engines.select(text, empty, {"day": DAY}, settings)
        assert seed_acts(segment_of(name), found).is_empty()


def test_a_new_file_is_a_new_segment(tmp_path: Path) -> None:
    (tmp_path / "fresh.sql").write_text(HEADER)
    rule = Rule("category", ("bags", "belts"))
    declared = Segment("fresh", "me", "did it", 14, 1, 7, False, rule)
    assert segments(tmp_path) == {"fresh": declared}


@pytest.mark.parametrize(
    ("line", "instead", "complaint"),
    [
        ("-- Owner: me\n", "", "fresh.sql: the header lacks '-- owner: ...'"),
        ("-- name: fresh", "-- name: stale", "the header's name is 'stale'"),
        ("-- gap_days: 1", "-- gap_days: 0", "gap_days is '0', not a number from 1 to 30"),
        ("-- horizon_days: 7", "-- horizon_days: week", "horizon_days is 'week'"),
        ("-- window_days: 14", "-- window_days: 380", r"3 \* horizon_days is 401, and .* 400 days"),
        ("-- rule: category bags | belts", "-- rule: bags", "rule is 'bags', not '<attribute>"),
        ("-- lasting_trait: no", "-- lasting_trait: maybe", "lasting_trait is yes or no"),
    ],
)
def test_a_wrong_header_is_named(tmp_path: Path, line: str, instead: str, complaint: str) -> None:
    (tmp_path / "fresh.sql").write_text(HEADER.replace(line, instead))
    with pytest.raises(ContractViolation, match=complaint):
        segment_of("fresh", tmp_path)
    assert segments(tmp_path) == {}


@pytest.mark.parametrize("name", ["../item_features", "BAG_BUYERS", "", "nobody"])
def test_a_name_that_no_file_has_touches_no_path(name: str) -> None:
    with pytest.raises(ContractViolation, match="no look-alike segment"):
        segment_of(name)


def test_other_columns_of_a_select_are_named() -> None:
    rows = pl.DataFrame({"user": ["u"], "day": [DAY]})
    with pytest.raises(ContractViolation, match="selects user String, day Date; wanted: user_id"):
        seed_acts(SEGMENT, rows)


def test_nobody_cannot_be_a_seed() -> None:
    rows = pl.DataFrame(
        {c.USER_ID: ["u", None], "day": [DAY, DAY]}, schema_overrides={"day": pl.Date}
    )
    with pytest.raises(ContractViolation, match="1 rows hold a null"):
        seed_acts(SEGMENT, rows)


def test_anchors_lie_a_horizon_apart_and_train_before_they_are_judged() -> None:
    plan = plan_of(SEGMENT, DAY, date(2026, 3, 1), history_days=4, training_anchors=2)
    assert plan.card == date(2026, 3, 28)
    assert plan.calibration == date(2026, 3, 25)
    assert plan.training == (date(2026, 3, 22), date(2026, 3, 19))
    # A gap of 2: the anchor of the 22nd reads days up to the 20th, the partition of the 21st.
    assert plan.feature_day(date(2026, 3, 22)) == date(2026, 3, 21)
    assert plan.first_seed_day == date(2026, 3, 15)


def test_an_anchor_without_enough_history_does_not_train() -> None:
    # The anchor of the 22nd reads 4 days up to the 20th: history must begin by the 17th.
    enough, short = date(2026, 3, 17), date(2026, 3, 18)
    assert plan_of(SEGMENT, DAY, enough, 4, 4).training == (date(2026, 3, 22),)
    assert plan_of(SEGMENT, DAY, short, 4, 4).training == ()


def test_an_anchor_whose_seeds_are_no_longer_kept_does_not_train() -> None:
    # Of 400 days a window of 365 leaves 35: an anchor of 28 days ago, and of 35, but not of 42.
    year = replace(SEGMENT, window_days=365, horizon_days=7)
    plan = plan_of(year, DAY, date(2020, 1, 1), 4, 4)
    assert [(DAY - anchor).days for anchor in plan.training] == [21, 28, 35]
    assert (DAY - plan.first_seed_day).days + 1 == EVENTS.keep_days


def acts(*pairs: tuple[str, int]) -> pl.DataFrame:
    rows = [{c.USER_ID: user, "day": date(2026, 3, day)} for user, day in pairs]
    return pl.DataFrame(rows, schema={c.USER_ID: pl.String, "day": pl.Date})


def test_who_is_eligible_positive_and_a_buyer() -> None:
    # Anchor 10 March, window 5 days (6..10), horizon 3 days (11..13).
    known = pl.DataFrame(
        {c.USER_ID: ["early", "in_time", "late", "long_ago", "other", "seed", "today"]}
    )
    seeds = acts(
        ("seed", 6), ("today", 10), ("long_ago", 5), ("early", 11), ("in_time", 13), ("late", 14)
    )  # fmt: skip
    purchases = acts(("early", 11), ("other", 12), ("late", 14), ("seed", 12))
    people = eligible_people(known, seeds, purchases, date(2026, 3, 10), SEGMENT)
    assert people.rows() == [
        ("early", True, True),
        ("in_time", True, False),
        ("late", False, False),
        ("long_ago", False, False),
        ("other", False, True),
    ]
    assert training_people(people)[c.USER_ID].to_list() == ["early", "in_time", "other"]


ACTS = st.lists(st.tuples(st.sampled_from("abcde"), st.integers(1, 31)), max_size=20)


@given(seeds=ACTS, purchases=ACTS, anchor=st.integers(1, 28))
def test_nobody_eligible_is_a_seed_already(
    seeds: list[tuple[str, int]], purchases: list[tuple[str, int]], anchor: int
) -> None:
    known = pl.DataFrame({c.USER_ID: list("abcde")})
    day = date(2026, 3, anchor)
    people = eligible_people(known, acts(*seeds), acts(*purchases), day, SEGMENT)
    already = {user for user, number in seeds if anchor - 5 < number <= anchor}
    after = {user for user, number in seeds if anchor < number <= anchor + 3}
    assert set(people[c.USER_ID]) == set("abcde") - already
    assert set(people.filter(IS_POSITIVE)[c.USER_ID]) == after - already
    bought = {user for user, number in purchases if anchor < number <= anchor + 3}
    assert set(people.filter(IS_BUYER)[c.USER_ID]) == bought - already
