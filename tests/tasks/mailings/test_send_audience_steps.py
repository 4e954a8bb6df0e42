"""The steps of send_audience over a small lake: asked, chosen, written, exported, left alone."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import polars as pl
import pytest

from tasks.errors import ContractViolation, InputNotReady, WrongAnswer
from tasks.lake.contracts import Table
from tasks.lake.lake import Lake, Window
from tasks.lake.tables import (
    AUDIENCE_DECISIONS,
    AUDIENCE_EXPORTS,
    AUDIENCES,
    CONTACTS,
    CUSTOMERS,
    LOOKALIKE_SCORES,
    THRESHOLD_CARDS,
)
from tasks.landing.manifest import write_landing_day
from tasks.mailings.audience import SENT, arms
from tasks.send_audience import choose, export_audience, prepare, write_audience
from tasks.settings import Settings
from tasks.steps import run_dag
from tests.rows import rows
from tests.tasks.mailings.conftest import CARD, DAY, SEGMENT, letters, scores

Told = Callable[..., Settings]
Webhook = tuple[str, list[tuple[dict[str, str], Any]], list[int]]
ANSWERED = datetime(2026, 3, 13, 8, 30, tzinfo=UTC)
WRITTEN = (AUDIENCE_DECISIONS, AUDIENCES, AUDIENCE_EXPORTS)


def stored(settings: Settings, table: Table) -> pl.DataFrame:
    return Lake(settings).read_window(table, DAY, Window(30, optional=True))


def test_a_marketer_is_asked_with_the_card_and_who_is_left_out(told: Told) -> None:
    found = prepare(DAY, told(threshold=None))
    assert not found["is_decided"]
    lines = found["question"].splitlines()
    assert lines[2] == (
        "40 people are scored. Left out: 1 opted out, 1 without consent,"
        " 0 already in mailing, 1 over cap."
    )
    head, _, row = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[4:7])
    offer = dict(zip(head, row, strict=True))
    control = sum(arms("spring", pl.Series([f"u{n:02d}" for n in range(3, 20)]), 0.3) != SENT)
    assert offer["threshold"] == "0.5"
    assert (offer["people"], offer["left out"]) == ("17", "3")
    assert (offer["control"], offer["get a letter"]) == (str(control), str(17 - control))
    assert offer["precision"] == "0.6000 [0.4000, 0.8000]"
    # Seventeen people who would mostly buy anyway show nothing.
    assert offer["detectable rise"] == "none"
    assert offer["suggestion"] == "wide"


def test_asking_writes_nothing(told: Told) -> None:
    settings = told()
    prepare(DAY, settings)
    choose(DAY, settings)
    assert [stored(settings, table).height for table in WRITTEN] == [0, 0, 0]


def test_the_audience_is_written_with_who_chose_what_and_when(told: Told) -> None:
    settings = told(chosen_at=ANSWERED)
    found = write_audience(DAY, settings)
    decision = stored(settings, AUDIENCE_DECISIONS).row(0, named=True)
    assert (decision["chosen_by"], decision["chosen_at"]) == ("anna", ANSWERED)
    assert (decision["chosen"], decision["threshold"]) == ("threshold", 0.5)
    assert [decision[name] for name in ("opted_out", "without_consent", "over_cap")] == [1, 1, 1]
    people = stored(settings, AUDIENCES)
    assert people["user_id"].to_list() == [f"u{n:02d}" for n in range(3, 20)]
    assert (people["role"] == SENT).sum() == decision["sent"] == found["sent"]
    assert decision["sent"] + decision["control"] == 17
    assert found["note"].startswith("spring, bag_buyers: anna chose by threshold, 2026-03-13 08:30")


def test_the_answer_of_a_person_reaches_the_step_that_writes(told: Told) -> None:
    answer = choose(DAY, told(threshold=None, audience_size=5, chosen_at=ANSWERED))
    assert answer == {
        "threshold": None,
        "audience_size": 5,
        "chosen_by": "anna",
        "chosen_at": ANSWERED.isoformat(),
    }


def test_a_second_run_shows_the_decision_and_changes_nothing(told: Told) -> None:
    run_dag("send_audience", DAY, told())
    before = [stored(told(), table) for table in WRITTEN]
    again = told(threshold=0.1, chosen_by="boris")
    assert prepare(DAY, again)["is_decided"]
    assert "anna chose by threshold" in prepare(DAY, again)["question"]
    assert choose(DAY, again) == {}
    run_dag("send_audience", DAY, again)
    assert "nothing changed" in write_audience(DAY, again)["note"]
    assert all(stored(again, table).equals(one) for table, one in zip(WRITTEN, before, strict=True))


def test_a_run_that_was_killed_between_people_and_decision_is_taken_to_its_end(told: Told) -> None:
    settings = told()
    write_audience(DAY, settings)
    people = stored(settings, AUDIENCES)
    # Killed before the decision: the lake has the people alone.
    half = settings.model_copy(update={"lake_url": str(settings.home / "half")})
    whole, lake = Lake(settings), Lake(half)
    for table, part in ((CUSTOMERS, None), (CONTACTS, None)):
        for day in (DAY - timedelta(days=1), DAY):
            lake.write_day(table, day, whole.read_day(table, day).drop("dt"), part)
    for table in (LOOKALIKE_SCORES, THRESHOLD_CARDS):
        rows_there = whole.read_day(table, DAY, SEGMENT).drop("dt", "lookalike_segment")
        lake.write_day(table, DAY, rows_there, SEGMENT)
    lake.append_day(AUDIENCES, DAY, people.drop("dt"))
    with pytest.raises(ContractViolation, match="17 people were written by a run that did not end"):
        write_audience(DAY, half.model_copy(update={"mailings": told(threshold=0.2).mailings}))
    write_audience(DAY, half)
    assert stored(half, AUDIENCE_DECISIONS).height == 1
    assert stored(half, AUDIENCES).equals(people)


def test_who_is_in_a_mailing_is_in_no_further_audience_of_it(told: Told) -> None:
    lake = Lake(told())
    lake.write_day(LOOKALIKE_SCORES, DAY, rows(LOOKALIKE_SCORES, *scores()), "baby_goods_buyers")
    lake.write_day(THRESHOLD_CARDS, DAY, rows(THRESHOLD_CARDS, CARD), "baby_goods_buyers")
    write_audience(DAY, told())
    write_audience(DAY, told(segment="baby_goods_buyers", threshold=0.25))
    decisions = stored(told(), AUDIENCE_DECISIONS).sort("lookalike_segment")
    assert decisions["already_in_mailing"].to_list() == [17, 0]
    assert stored(told(), AUDIENCES)["user_id"].is_unique().all()


def test_an_opt_out_of_a_later_day_counts(told: Told) -> None:
    later = DAY + timedelta(days=1)
    write_landing_day(told().landing, later, {}, "test")
    left = [one | {"user_id": "u05", "opted_out": True} for one in letters(DAY)[:1]]
    Lake(told()).write_day(CONTACTS, later, rows(CONTACTS, *left))
    Lake(told()).write_day(CUSTOMERS, later, rows(CUSTOMERS, {"user_id": "u06", "consent": True}))
    write_audience(DAY, told())
    assert stored(told(), AUDIENCES)["user_id"].to_list() == ["u06"]


def test_a_missing_day_of_opt_outs_stops_the_mailing(told: Told) -> None:
    settings = told()
    first = DAY - timedelta(days=9)
    write_landing_day(settings.landing, first, {}, "test")
    for age in range(7):
        Lake(settings).write_day(CUSTOMERS, DAY - timedelta(days=age), CUSTOMERS.empty())
    with pytest.raises(InputNotReady, match=f"contacts: 8 of .*build_features from {first}"):
        prepare(DAY, settings)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"segment": "../x"}, "no look-alike segment '../x'; there are baby_goods_buyers"),
        ({"mailing": "../x"}, "mailing '../x' is no name"),
        ({"deliver_to": "http://a"}, "'http://a' is none of the 0 addresses"),
        ({"deliver_to": "file:///x", "webhooks": ["file:///x"]}, "is none of the 1 addresses"),
    ],
)
def test_what_a_run_is_told_is_checked_before_anything_is_read(
    told: Told, more: dict[str, object], said: str
) -> None:
    for step in (prepare, choose, write_audience, export_audience):
        with pytest.raises(ContractViolation) as raised:
            step(DAY, told(**more))
        assert said in str(raised.value)


@pytest.mark.parametrize("verdict", ["no signal", "too few"])
def test_a_card_that_refuses_a_threshold_ends_the_run(told: Told, verdict: str) -> None:
    refusing = {"threshold": 1.0, "audience_size": 0, "verdict": verdict, "reason": "3 seeds"}
    Lake(told()).write_day(THRESHOLD_CARDS, DAY, rows(THRESHOLD_CARDS, refusing), SEGMENT)
    for step in (prepare, choose, write_audience):
        with pytest.raises(ContractViolation) as raised:
            step(DAY, told())
        assert f"offers no threshold: {verdict} (3 seeds); nothing was sent" in str(raised.value)


def test_an_empty_segment_ends_the_run(told: Told) -> None:
    Lake(told()).write_day(LOOKALIKE_SCORES, DAY, LOOKALIKE_SCORES.empty(), SEGMENT)
    with pytest.raises(ContractViolation, match="nobody is scored; nothing was sent"):
        prepare(DAY, told())


def test_a_segment_without_scores_names_the_dag_that_makes_them(told: Told) -> None:
    with pytest.raises(
        InputNotReady, match=f"baby_goods_buyers: 1 of 1.*score_lookalikes for {DAY}"
    ):
        prepare(DAY, told(segment="baby_goods_buyers"))


def test_a_superseded_day_names_the_one_to_trigger(told: Told) -> None:
    newer = DAY + timedelta(days=1)
    Lake(told()).supersede(THRESHOLD_CARDS, DAY, newer, "baby_goods_buyers")
    with pytest.raises(ContractViolation, match=f"trigger it for {newer}; nothing was sent"):
        prepare(DAY, told(segment="baby_goods_buyers"))


def test_a_superseded_day_that_was_scored_all_the_same_may_be_chosen(told: Told) -> None:
    lake, other = Lake(told()), "baby_goods_buyers"
    lake.supersede(THRESHOLD_CARDS, DAY, DAY + timedelta(days=1), other)
    lake.write_day(LOOKALIKE_SCORES, DAY, rows(LOOKALIKE_SCORES, *scores()), other)
    lake.write_day(THRESHOLD_CARDS, DAY, rows(THRESHOLD_CARDS, CARD), other)
    assert not prepare(DAY, told(segment=other))["is_decided"]


def test_a_wrong_answer_writes_nothing(told: Told) -> None:
    for step in (choose, write_audience):
        with pytest.raises(WrongAnswer, match=r"threshold 1\.7 is not from 0 to 1"):
            step(DAY, told(threshold=1.7))
    assert stored(told(), AUDIENCES).is_empty()


def test_a_choice_without_a_name_is_refused(told: Told) -> None:
    for step in (choose, write_audience):
        with pytest.raises(ContractViolation, match="say who chose"):
            step(DAY, told(chosen_by=""))
    assert stored(told(), AUDIENCES).is_empty()


def test_a_day_before_history_has_no_card(told: Told) -> None:
    with pytest.raises(InputNotReady, match="has no card of 2020-01-01, a day before history"):
        prepare(date(2020, 1, 1), told())
    assert stored(told(), AUDIENCE_DECISIONS).is_empty()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_file_has_those_who_get_the_letter_and_only_its_owner_reads_it(
    told: Told, form: str
) -> None:
    settings = told(export_format=form)
    write_audience(DAY, settings)
    assert export_audience(DAY, settings)["people"] == export_audience(DAY, settings)["people"]
    (path,) = settings.exports.iterdir()
    assert path.name == f"spring.bag_buyers.{DAY}.{form}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    read = pl.read_csv(path) if form == "csv" else pl.read_parquet(path)
    people = stored(settings, AUDIENCES)
    assert read.columns == ["user_id"]
    assert read["user_id"].to_list() == people.filter(role=SENT)["user_id"].to_list()
    assert stored(settings, AUDIENCE_EXPORTS)["target"].to_list() == [path.name]


def test_nothing_is_exported_before_it_is_decided(told: Told) -> None:
    with pytest.raises(ContractViolation, match="nothing is decided"):
        export_audience(DAY, told())


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """An address, what is posted to it, and the statuses that it answers with, the last often."""
    posted: list[tuple[dict[str, str], Any]] = []
    answers = [200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append((dict(self.headers), json.loads(body)))
            self.send_response(answers.pop(0) if len(answers) > 1 else answers[0])
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/mailings", posted, answers
    server.shutdown()


def test_an_allowed_webhook_gets_the_ids_once_with_its_token(told: Told, webhook: Webhook) -> None:
    url, posted, _ = webhook
    settings = told(webhooks=[url], deliver_to=url, webhook_token="s3cret")
    write_audience(DAY, settings)
    export_audience(DAY, settings)
    export_audience(DAY, settings)
    ((headers, body),) = posted
    assert headers["Authorization"] == "Bearer s3cret"
    assert headers["Idempotency-Key"] == f"spring/bag_buyers/{DAY}"
    ids = stored(settings, AUDIENCES).filter(role=SENT)["user_id"].to_list()
    assert body == {"mailing": "spring", "segment": SEGMENT, "day": str(DAY), "user_ids": ids}
    assert url in stored(settings, AUDIENCE_EXPORTS)["target"].to_list()


@pytest.mark.parametrize("status", [302, 403])
def test_a_webhook_that_refuses_or_points_elsewhere_is_not_asked_again(
    told: Told, webhook: Webhook, status: int
) -> None:
    url, posted, answers = webhook
    answers[:] = [status]
    settings = told(webhooks=[url], deliver_to=url)
    write_audience(DAY, settings)
    with pytest.raises(ContractViolation, match=f"refused the audience: {status}"):
        export_audience(DAY, settings)
    assert len(posted) == 1
    assert url not in stored(settings, AUDIENCE_EXPORTS)["target"].to_list()


def test_a_webhook_that_cannot_for_now_gets_it_in_the_next_try(
    told: Told, webhook: Webhook
) -> None:
    import requests

    url, posted, answers = webhook
    answers[:] = [503, 200]
    settings = told(webhooks=[url], deliver_to=url)
    write_audience(DAY, settings)
    with pytest.raises(requests.HTTPError):
        export_audience(DAY, settings)
    export_audience(DAY, settings)
    assert len(posted) == 2


def test_a_token_is_never_told_and_a_mailing_changes_no_other_result(
    told: Told, scored: Settings
) -> None:
    settings = told(webhook_token="s3cret")
    assert "s3cret" not in f"{settings!r} {settings.logged()}"
    assert Lake(settings).settings_hash == Lake(scored).settings_hash
