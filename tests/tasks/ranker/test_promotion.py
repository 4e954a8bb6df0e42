from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from tasks.errors import ContractViolation, DiskFull, QualityGateFailed
from tasks.lake.lake import Lake, Window
from tasks.lake.tables import ALIAS_MOVES, GATE_DECISIONS
from tasks.landing.manifest import write_landing_day
from tasks.ranker import history
from tasks.ranker import model as ranker
from tasks.ranker.promotion import Move, move, moves_forward
from tasks.ranker.registry import FolderRegistry, Registry, Version, registry_of
from tasks.retrain_ranker import promote
from tasks.rollback_ranker import roll_back
from tasks.settings import Settings
from tests.rows import rows

DAY = date(2026, 3, 10)


def version(number: str, through: date) -> Version:
    return Version(number, through, through)


def decide(settings: Settings, verdict: str, number: str, day: date = DAY) -> None:
    row = {"model_version": number, "decision": verdict, "reason": "because of numbers"}
    row |= {"decided_at": datetime(2026, 3, 11, tzinfo=UTC)}
    Lake(settings).append_day(GATE_DECISIONS, day, rows(GATE_DECISIONS, row))


@pytest.fixture
def registry(quick: Settings, groups: pl.DataFrame) -> Registry:
    """Versions 1 to 3, trained through 7, 8 and 9 March."""
    registry = registry_of(quick)
    model = ranker.fit(groups.head(600), quick.ranker, seed=1, threads=2)
    for day in (7, 8, 9):
        example = ranker.features(groups.head(1)).to_pandas()
        registry.save(model, date(2026, 3, day + 1), date(2026, 3, day), example)
    return registry


def test_the_alias_never_moves_back() -> None:
    live = version("2", date(2026, 3, 8))
    assert moves_forward(None, live)
    assert moves_forward(live, version("3", date(2026, 3, 9)))
    assert moves_forward(live, version("3", date(2026, 3, 8)))
    assert not moves_forward(live, version("3", date(2026, 3, 7)))
    assert not moves_forward(live, live)


def test_a_pass_moves_the_alias_once_and_writes_down_what_was_live(
    quick: Settings, registry: Registry
) -> None:
    registry.serve("1")
    decide(quick, "pass", "3")
    assert promote(DAY, quick) == {"moves": 1, "note": "live: version 1 -> 3"}
    again = promote(DAY, quick)
    assert again == {"moves": 0, "note": "live already: version 3"}
    assert registry.serving() == registry.version("3")
    moves = Lake(quick).read_window(ALIAS_MOVES, DAY, Window(1, optional=True)).to_dicts()
    assert [(one["from_version"], one["to_version"]) for one in moves] == [("1", "3")]
    assert moves[0]["reason"] == "because of numbers"


def test_an_older_model_does_not_replace_a_newer_one(quick: Settings, registry: Registry) -> None:
    registry.serve("3")
    decide(quick, "pass", "1")
    assert promote(DAY, quick)["moves"] == 0
    assert registry.serving() == registry.version("3")


@pytest.mark.parametrize("verdict", ["refused", "too good"])
def test_a_refusal_fails_the_leaf_and_leaves_the_live_model(
    quick: Settings, registry: Registry, verdict: str
) -> None:
    registry.serve("1")
    decide(quick, verdict, "3")
    with pytest.raises(QualityGateFailed, match=f"{verdict}: because of numbers"):
        promote(DAY, quick)
    assert registry.serving() == registry.version("1")


def test_undecided_and_superseded_days_are_green(quick: Settings, registry: Registry) -> None:
    registry.serve("1")
    assert promote(DAY, quick)["moves"] == 0
    decide(quick, "undecided", "unregistered")
    assert promote(DAY, quick)["moves"] == 0
    assert registry.serving() == registry.version("1")


@pytest.mark.parametrize("verdict", ["refused", "too good", "pass"])
def test_the_old_decision_of_a_day_that_is_superseded_now_does_nothing(
    quick: Settings, registry: Registry, verdict: str
) -> None:
    registry.serve("1")
    decide(quick, verdict, "3")
    for day in (DAY, DAY + timedelta(days=1)):
        write_landing_day(quick.landing, day, {}, source="test")
    assert promote(DAY, quick)["moves"] == 0
    assert registry.serving() == registry.version("1")


def with_reason(settings: Settings, reason: str) -> Settings:
    options = settings.ranker.model_copy(update={"rollback_reason": reason})
    return settings.model_copy(update={"ranker": options})


def test_a_rollback_goes_one_version_back_each_time_with_its_reason(
    quick: Settings, registry: Registry
) -> None:
    for number in ("1", "2", "3"):
        day = date(2026, 3, 7 + int(number))
        decide(quick, "pass", number, day)
        promote(day, quick)
    told = with_reason(quick, "sales fell")
    assert roll_back(DAY, told) == {"moves": 1, "note": "version 3 -> 2: sales fell"}
    assert registry.serving() == registry.version("2")
    assert roll_back(DAY, told)["moves"] == 1
    assert registry.serving() == registry.version("1")
    moves = Lake(quick).read_window(ALIAS_MOVES, DAY, Window(1, optional=True)).sort("moved_at")
    back = moves.filter(pl.col("moved_by") == "rollback")
    assert back.select("from_version", "to_version", "reason").rows() == [
        ("3", "2", "sales fell"),
        ("2", "1", "sales fell"),
    ]
    with pytest.raises(ContractViolation, match="nothing to roll back to"):
        roll_back(DAY, told)


def test_a_rollback_under_an_earlier_day_goes_back_from_what_is_live_all_the_same(
    quick: Settings, registry: Registry
) -> None:
    two_lived(quick)
    assert roll_back(date(2026, 3, 8), with_reason(quick, "sales fell"))["moves"] == 1
    assert registry.serving() == registry.version("1")


def test_a_move_that_cannot_be_recorded_is_not_made(
    quick: Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in ("1", "2", "3"):
        day = date(2026, 3, 7 + int(number))
        decide(quick, "pass", number, day)
        promote(day, quick)

    def full(*_: object) -> int:
        raise DiskFull("no space")

    told = with_reason(quick, "sales fell")
    with monkeypatch.context() as patched:
        patched.setattr(Lake, "append_day", full)
        with pytest.raises(DiskFull):
            roll_back(DAY, told)
    assert registry.serving() == registry.version("3")
    assert roll_back(DAY, told)["moves"] == 1
    assert registry.serving() == registry.version("2")


def broken(*_: object) -> None:
    raise ConnectionError("the registry does not answer")


def recorded(settings: Settings) -> list[tuple[str, str, str]]:
    moves = history.all_moves(Lake(settings))
    return moves.select("from_version", "to_version", "moved_by").rows()


def test_a_move_that_the_registry_refused_is_recorded_once_when_it_is_tried_again(
    quick: Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.serve("1")
    decide(quick, "pass", "3")
    with monkeypatch.context() as patched:
        patched.setattr(FolderRegistry, "serve", broken)
        with pytest.raises(ConnectionError):
            promote(DAY, quick)
    assert registry.serving() == registry.version("1")
    assert promote(DAY, quick)["moves"] == 1
    assert registry.serving() == registry.version("3")
    assert recorded(quick) == [("1", "3", "promote")]


def broken_off(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Roll back while the registry does not answer; return the settings that it was asked with."""
    told = with_reason(settings, "sales fell")
    with monkeypatch.context() as patched:
        patched.setattr(FolderRegistry, "serve", broken)
        with pytest.raises(ConnectionError):
            roll_back(DAY, told)
    return told


def test_a_rollback_that_the_registry_refused_is_tried_again_after_midnight(
    quick: Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.serve("1")
    decide(quick, "pass", "3")
    promote(DAY, quick)
    told = broken_off(quick, monkeypatch)
    assert roll_back(DAY + timedelta(days=1), told)["moves"] == 1
    assert registry.serving() == registry.version("1")
    assert recorded(quick) == [("1", "3", "promote"), ("3", "1", "rollback")]


def test_nothing_is_promoted_over_a_rollback_that_broke_off(
    quick: Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alias still names what is to be left; a promotion now would be rolled back to it."""
    registry.serve("1")
    decide(quick, "pass", "2")
    promote(DAY, quick)
    told = broken_off(quick, monkeypatch)
    tomorrow = DAY + timedelta(days=1)
    decide(quick, "pass", "3", tomorrow)
    assert "a rollback from version 2 broke off" in str(promote(tomorrow, quick)["note"])
    assert roll_back(tomorrow, told)["moves"] == 1
    assert registry.serving() == registry.version("1")
    assert promote(tomorrow, quick)["moves"] == 1


def test_a_move_is_refused_when_something_else_went_live_since_it_was_decided(
    quick: Settings, registry: Registry
) -> None:
    registry.serve("2")
    one, three = registry.version("1"), registry.version("3")
    assert three is not None
    with pytest.raises(ContractViolation, match="version 2 went live while the move to 3"):
        move(Lake(quick), DAY, registry, Move(one, three, "promote", "because of numbers"))
    assert recorded(quick) == []
    assert registry.serving() == registry.version("2")


def test_a_rollback_without_a_reason_is_refused(quick: Settings, registry: Registry) -> None:
    registry.serve("1")
    with pytest.raises(ContractViolation, match="say why"):
        roll_back(DAY, quick)
    assert registry.serving() == registry.version("1")


def two_lived(settings: Settings) -> None:
    """Versions 1 and 2 went live, one after the other."""
    for number in ("1", "2"):
        day = date(2026, 3, 7 + int(number))
        decide(settings, "pass", number, day)
        promote(day, settings)


def test_after_a_rollback_a_newer_model_moves_the_alias_forward_again(
    quick: Settings, registry: Registry
) -> None:
    two_lived(quick)
    roll_back(DAY, with_reason(quick, "sales fell"))
    decide(quick, "pass", "3")
    assert promote(DAY, quick)["moves"] == 1
    assert registry.serving() == registry.version("3")


def test_clearing_promote_brings_back_nothing_that_was_rolled_back_from(
    quick: Settings, registry: Registry
) -> None:
    """The rollback is of a later day than the one that is promoted again."""
    two_lived(quick)
    roll_back(DAY + timedelta(days=1), with_reason(quick, "sales fell"))
    assert promote(date(2026, 3, 9), quick)["moves"] == 0
    assert registry.serving() == registry.version("1")


def test_a_version_that_the_registry_lost_is_not_promoted(quick: Settings) -> None:
    decide(quick, "pass", "7")
    with pytest.raises(ContractViolation, match="no version 7"):
        promote(DAY, quick)
