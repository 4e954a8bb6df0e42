from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl

from tasks.lake.tables import ALIAS_MOVES, GATE_DECISIONS
from tasks.ranker import history
from tests.rows import rows


def decision(version: str, through: date, verdict: str = "pass", **more: object) -> pl.DataFrame:
    at = datetime(through.year, through.month, through.day, tzinfo=UTC)
    given = {"model_version": version, "decision": verdict, "trained_through": through}
    given |= {"decided_at": at, "is_registered": True}
    day = more.pop("dt", through)
    return rows(GATE_DECISIONS, {**given, **more}).with_columns(dt=pl.lit(day))


def move(to: str, day: date, through: date, by: str = "promote", **more: object) -> pl.DataFrame:
    given = {"to_version": to, "trained_through": through, "moved_by": by, **more}
    return rows(ALIAS_MOVES, given).with_columns(dt=pl.lit(day))


NO_MOVES = pl.DataFrame(schema=ALIAS_MOVES.stored_schema)


def test_the_accepted_ones_that_have_not_seen_the_lists_come_newest_first() -> None:
    decisions = pl.concat(
        [
            decision("1", date(2026, 3, 5)),
            decision("2", date(2026, 3, 6)),
            decision("3", date(2026, 3, 7), "refused", is_registered=False),
            decision("4", date(2026, 3, 8)),
        ]
    )
    one, two, four = (
        (number, date(2026, 3, day)) for number, day in (("1", 5), ("2", 6), ("4", 8))
    )
    assert history.accepted_before(decisions, NO_MOVES, date(2026, 3, 8)) == [two, one]
    assert history.accepted_before(decisions, NO_MOVES, date(2026, 3, 9)) == [four, two, one]
    assert history.accepted_before(decisions, NO_MOVES, date(2026, 3, 5)) == []


def test_a_version_that_was_rolled_back_from_is_no_incumbent() -> None:
    decisions = pl.concat([decision("1", date(2026, 3, 5)), decision("2", date(2026, 3, 6))])
    at = datetime(2026, 3, 8, tzinfo=UTC)
    back = move("1", date(2026, 3, 8), date(2026, 3, 5), "rollback", from_version="2", moved_at=at)
    assert history.accepted_before(decisions, back, date(2026, 3, 9)) == [("1", date(2026, 3, 5))]


def test_a_rollback_says_nothing_of_a_later_version_of_the_same_number() -> None:
    """A registry that is begun again counts from 1; the lake still has the old one's moves."""
    at = datetime(2026, 3, 5, tzinfo=UTC)
    back = move("1", date(2026, 3, 5), date(2026, 3, 4), "rollback", from_version="2", moved_at=at)
    two = ("2", date(2026, 3, 6))
    assert history.accepted_before(decision(*two), back, date(2026, 3, 9)) == [two]


def test_what_was_live_14_days_ago_is_the_last_move_before_that_day() -> None:
    moves = pl.concat(
        [
            move("1", date(2026, 3, 1), date(2026, 2, 28)),
            move("2", date(2026, 3, 6), date(2026, 3, 5)),
            move("3", date(2026, 3, 7), date(2026, 3, 6)),
        ]
    )
    # 14 days before 20 March is 6 March.
    two = ("2", date(2026, 3, 5))
    assert history.live_before(moves, date(2026, 3, 20), date(2026, 3, 19)) == [two]
    assert history.live_before(moves, date(2026, 3, 14), date(2026, 3, 13)) == []
    assert history.live_before(moves, date(2026, 3, 20), date(2026, 3, 5)) == []


def gained(
    number: str, day: int, gain: float | None, verdict: str = "pass", **told: object
) -> pl.DataFrame:
    of = date(2026, 3, day)
    return decision(number, of, verdict, gain=gain, dt=of, **{"customers": 30, **told})


def test_each_day_gives_its_newest_gain_and_suspect_ones_are_left_out() -> None:
    decisions = pl.concat(
        [
            gained("1", 2, 0.01),
            gained("2", 2, 0.02),
            gained("3", 3, 0.03),
            gained("4", 4, 0.9, "too good"),
            gained("5", 5, None, "undecided"),
            gained("6", 6, 0.7, "undecided", customers=29),
        ]
    )
    assert history.past_gains(decisions, 28, least=30) == (0.02, 0.03)
    assert history.past_gains(decisions, 1, least=30) == (0.03,)


def test_what_a_person_accepted_is_the_first_of_the_usual_gains() -> None:
    """Else the next model, as good as the accepted one, would be too good again for two weeks."""
    decisions = pl.concat(
        [
            *(gained(str(day), day, 0.05) for day in range(1, 20)),
            gained("20", 20, 0.4, "too good"),
            gained("21", 21, 0.41, accept_reason="new photos"),
        ]
    )
    assert history.past_gains(decisions, 28, least=30) == (0.41,)
