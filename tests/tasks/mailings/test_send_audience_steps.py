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
from tasks.settings import Mailings, Settings
from tasks.steps import run_dag
from tests.rows import rows
from tests.tasks.mailings.conftest import CARD, DAY, SEGMENT, customers, letters, scores

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
        f" 0 already in mailing, 1 over cap. Opt-outs are known to {DAY}."
    )
    head, _, row = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[4:7])
    offer = dict(zip(head, row, strict=True))
    control = sum(arms("spring", pl.Series([f"u{n:02d}" for n in range(3, 20)]), 0.3) != SENT)
    assert offer["threshold"] == "0.5"
    assert offer["left out"] == "3"
    assert (offer["control"], offer["get a letter"]) == (str(control), str(17 - control))
    # The seventeen are u03 to u19: 37/41 down to 21/41. The card's are 20 * 0.6 of all twenty.
    assert offer["do it without a letter"] == f"{sum(range(21, 38)) / 41:.3g}"
    assert offer["expected buyers"] == "12 [8, 16]"
    assert offer["precision"] == "60.00% [40.00%, 80.00%]"
    assert offer["of all who do it"] == "30.0% [20.0%, 40.0%]"
    assert offer["lift"] == "2.40 [1.60, 3.20]"
    assert "price of one" not in offer
    # Seventeen people who would mostly buy anyway show nothing.
    assert offer["detectable rise"] == "none"
    assert offer["suggestion"] == "wide"


def test_the_question_tells_the_simple_rule_the_assumption_and_the_page_of_the_card(
    told: Told,
) -> None:
    asked = prepare(DAY, told(threshold=None))["question"]
    assert (
        "The simple rule, who looked at category bags, takes 25 people today. Of such people on the"
        " later window 40.00% [20.00%, 60.00%] did it, 25.0% of all who did; of as many of the most"
        " probable 50.00% [30.00%, 70.00%] did it, 31.2% of all who did."
    ) in asked.splitlines()
    assert "the later window, where 25.00% of everybody eligible did it." in asked
    assert f"`audience-{SEGMENT}-{DAY}.html` in the reports folder" in asked
    assert "of everybody above the threshold, those left out too" in asked


def test_what_a_card_does_not_know_is_a_dash_in_the_question(told: Told) -> None:
    settings = told(threshold=None)
    bare = {name: CARD[name] for name in ("threshold", "audience_size", "verdict", "suggestion")}
    Lake(settings).write_day(THRESHOLD_CARDS, DAY, rows(THRESHOLD_CARDS, bare), SEGMENT)
    lines = prepare(DAY, settings)["question"].splitlines()
    assert [cell.strip() for cell in lines[6].split("|")[6:10]] == ["-"] * 4
    assert lines[10].startswith("The simple rule, who looked at category bags, takes - people")
    assert "where - of everybody eligible did it" in lines[12]


def test_where_a_letter_has_a_price_the_question_says_what_one_who_does_it_costs(
    told: Told,
) -> None:
    settings = told()
    cost = {"cost_per_buyer": 0.5, "cost_per_buyer_low": 0.375, "cost_per_buyer_high": 0.75}
    Lake(settings).write_day(THRESHOLD_CARDS, DAY, rows(THRESHOLD_CARDS, CARD | cost), SEGMENT)
    assert "| price of one |" in prepare(DAY, settings)["question"]
    assert "| 0.50 [0.38, 0.75] |" in prepare(DAY, settings)["question"]


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


def test_a_letter_of_an_older_day_counts_against_the_cap_from_when_it_was_chosen(
    told: Told,
) -> None:
    before, lake = DAY - timedelta(days=1), Lake(told())
    lake.write_day(LOOKALIKE_SCORES, before, rows(LOOKALIKE_SCORES, *scores()), SEGMENT)
    lake.write_day(THRESHOLD_CARDS, before, rows(THRESHOLD_CARDS, CARD), SEGMENT)
    capped = {"cap_letters": 1, "cap_days": 1}
    write_audience(before, told(**capped, mailing="first", chosen_at=ANSWERED))
    first = Lake(told()).read_day(AUDIENCES, before)
    write_audience(DAY, told(**capped, mailing="second"))
    control = first.filter(pl.col("role") != SENT)["user_id"].to_list()
    assert Lake(told()).read_day(AUDIENCES, DAY)["user_id"].to_list() == control


def test_people_who_were_never_decided_on_have_had_no_letter(told: Told) -> None:
    killed = {"lookalike_segment": "baby_goods_buyers", "mailing": "spring", "user_id": "u05"}
    Lake(told()).append_day(AUDIENCES, DAY, rows(AUDIENCES, killed | {"role": SENT}))
    found = write_audience(DAY, told(cap_letters=1))
    assert found["over_cap"] == 1
    assert stored(told(), AUDIENCES).filter(user_id="u05").height == 2


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
        *(
            ({"deliver_to": url, "webhooks": [url]}, "neither https nor http of this machine")
            for url in (
                "file:///x",
                "https:///x",
                "http://crm.example/a",
                "http://127.0.0.1@crm.example/a",
                "http://127.0.0.1:80@crm.example/a",
                "http://localhost.crm.example/a",
            )
        ),
    ],
)
def test_what_a_run_is_told_is_checked_before_anything_is_read(
    told: Told, more: dict[str, object], said: str
) -> None:
    for step in (prepare, choose, write_audience, export_audience):
        with pytest.raises(ContractViolation) as raised:
            step(DAY, told(**more))
        assert said in str(raised.value)


@pytest.mark.parametrize(
    "url", ["https://crm.example/a", "http://localhost:80/a", "http://[::1]/a", "http://127.0.0.1"]
)
def test_an_address_that_nobody_reads_along_is_allowed(told: Told, url: str) -> None:
    assert not prepare(DAY, told(deliver_to=url, webhooks=[url]))["is_decided"]


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


def test_who_opts_out_or_is_gone_after_the_decision_is_handed_over_no_more(
    told: Told, webhook: Webhook
) -> None:
    url, posted, _ = webhook
    settings = told(webhooks=[url], deliver_to=url)
    write_audience(DAY, settings)
    people = stored(settings, AUDIENCES)
    sent = people.filter(role=SENT)["user_id"].to_list()
    later = DAY + timedelta(days=1)
    write_landing_day(settings.landing, later, {}, "test")
    left = [one | {"user_id": sent[0], "opted_out": True} for one in letters(DAY)[:1]]
    known = [one | {"consent": one["user_id"] not in ("u00", sent[1])} for one in customers()]
    Lake(settings).write_day(CONTACTS, later, rows(CONTACTS, *left))
    Lake(settings).write_day(
        CUSTOMERS, later, rows(CUSTOMERS, *(one for one in known if one["user_id"] != sent[2]))
    )
    assert export_audience(DAY, settings) == {"people": len(sent) - 3, "left_since": 3}
    ((_, body),) = posted
    assert body["user_ids"] == sent[3:]
    (path,) = settings.exports.iterdir()
    assert pl.read_csv(path)["user_id"].to_list() == sent[3:]
    # They stay in their arm: who was meant to get it is compared.
    assert stored(settings, AUDIENCES).equals(people)


def test_a_delivery_that_is_not_taken_in_stops_asking_choosing_and_handing_over(
    told: Told,
) -> None:
    write_audience(DAY, told())
    later = DAY + timedelta(days=1)
    write_landing_day(told().landing, later, {}, "test")
    other = told(mailing="autumn")
    for step, settings in (
        (prepare, other),
        (choose, other),
        (write_audience, other),
        (export_audience, told()),
    ):
        with pytest.raises(InputNotReady, match=f"1 of .* days are absent, {later} to {later}"):
            step(DAY, settings)
    assert not told().exports.exists()
    # Opt-outs alone are not enough: consent is the customers'.
    Lake(told()).write_day(CONTACTS, later, CONTACTS.empty())
    with pytest.raises(InputNotReady, match=f"customers: 1 of 7 days are absent, {later}"):
        export_audience(DAY, told())


def test_without_any_contacts_the_day_that_is_missing_is_named(scored: Settings) -> None:
    bare = scored.model_copy(update={"lake_url": str(scored.home / "bare")})
    lake = Lake(bare)
    lake.write_day(LOOKALIKE_SCORES, DAY, rows(LOOKALIKE_SCORES, *scores()), SEGMENT)
    lake.write_day(THRESHOLD_CARDS, DAY, rows(THRESHOLD_CARDS, CARD), SEGMENT)
    for day in (DAY - timedelta(days=1), DAY):
        lake.write_day(CUSTOMERS, day, rows(CUSTOMERS, *customers()))
    asked = bare.model_copy(update={"mailings": Mailings(segment=SEGMENT, mailing="spring")})
    with pytest.raises(InputNotReady, match=f"contacts: 2 of .*{DAY}"):
        prepare(DAY, asked)


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


def test_a_second_run_to_another_webhook_hands_over_to_the_decided_one_alone(
    told: Told, webhook: Webhook
) -> None:
    url, posted, _ = webhook
    targets = {"webhooks": [f"{url}/a", f"{url}/b"]}
    run_dag("send_audience", DAY, told(**targets, deliver_to=f"{url}/a"))
    for other in (f"{url}/b", "file"):
        run_dag("send_audience", DAY, told(**targets, deliver_to=other))
    assert len(posted) == 1
    decision = stored(told(), AUDIENCE_DECISIONS).row(0, named=True)
    assert decision["deliver_to"] == f"{url}/a"
    assert f"{url}/b" not in stored(told(), AUDIENCE_EXPORTS)["target"].to_list()


def test_an_audience_that_was_to_be_a_file_is_posted_by_no_second_run(
    told: Told, webhook: Webhook
) -> None:
    url, posted, _ = webhook
    run_dag("send_audience", DAY, told())
    run_dag("send_audience", DAY, told(webhooks=[url], deliver_to=url))
    assert posted == []


def test_a_decided_webhook_that_is_allowed_no_more_gets_nothing(
    told: Told, webhook: Webhook
) -> None:
    url, posted, _ = webhook
    write_audience(DAY, told(webhooks=[url], deliver_to=url))
    with pytest.raises(ContractViolation, match="is none of the 0 addresses"):
        export_audience(DAY, told())
    assert posted == []


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
