"""The audience of a mailing: one run by hand, in which a person chooses the threshold.

A decision stands: a second run with the same segment, day and mailing shows it, asks nobody and
changes nothing.
"""

from __future__ import annotations

import hashlib
import logging
from datetime import date, timedelta
from typing import Any

import polars as pl

from tasks import columns as c
from tasks import tracking
from tasks.errors import ContractViolation, InputNotReady
from tasks.features.counters import SNAPSHOT_DAYS
from tasks.lake.contracts import Table
from tasks.lake.engines import Value
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
from tasks.lookalikes.card import OFFERED
from tasks.lookalikes.registry import Segment, segment_of
from tasks.mailings import export, stored
from tasks.mailings.audience import SENT, Audience, Choice, chosen, marked, named
from tasks.mailings.question import question
from tasks.settings import Mailings, Settings
from tasks.steps import NOTE, Step

log = logging.getLogger(__name__)


def prepare(day: date, settings: Settings) -> dict[str, Any]:
    """Return the question to a marketer, its text in Markdown, or the decision that stands.

    Raises:
        ContractViolation: no such segment, mailing or webhook, or the card refuses a threshold.
        InputNotReady: the segment has no scores of that day, or a delivery is not taken in.
    """
    segment, mailing = asked(settings)
    lake = Lake(settings)
    if found := stored.decision(lake, day, segment.name, mailing):
        return {"is_decided": True, "subject": "", "question": stored.told(found)}
    card = card_of(lake, day, segment.name)
    people = reachable(lake, day, settings)
    text = question((segment, mailing, day), people, card, lake.newest_day(), settings.mailings)
    tracking.text("question.md", text)
    subject = f"Who gets {mailing}? ({segment.name}, {day})"
    log.info("%s\n\n%s", subject, text)
    return {"is_decided": False, "subject": subject, "question": text}


def choose(day: date, settings: Settings) -> dict[str, Any]:
    """Return the choice if it is one that may be made; nothing where a decision stands.

    Raises:
        ContractViolation: nobody says who chose.
        WrongAnswer: it is out of range, or nobody is left.
    """
    segment, mailing = asked(settings)
    lake, options = Lake(settings), settings.mailings
    if stored.decision(lake, day, segment.name, mailing):
        return {}
    audience_of(lake, day, settings)
    refuse_nobody(options.chosen_by)
    at = options.chosen_at or stored.now()
    return {
        c.THRESHOLD: options.threshold,
        "audience_size": options.audience_size,
        "chosen_by": options.chosen_by,
        "chosen_at": at.isoformat(),
    }


def write_audience(day: date, settings: Settings) -> dict[str, Any]:
    """Write the audience and who chose it, unless that is decided, and return the counts.

    Raises:
        WrongAnswer: the choice is out of range, or nobody is left.
        ContractViolation: nobody says who chose, or half an audience is there and it was another.
    """
    segment, mailing = asked(settings)
    lake = Lake(settings)
    if found := stored.decision(lake, day, segment.name, mailing):
        return counts(found) | {NOTE: f"decided before, nothing changed: {stored.told(found)}"}
    refuse_nobody(settings.mailings.chosen_by)
    audience = audience_of(lake, day, settings)
    write_people(lake, day, stored.people(audience, segment.name, mailing))
    row = decision_row(audience, settings)
    lake.append_day(AUDIENCE_DECISIONS, day, row)
    found = row.row(0, named=True)
    return counts(found) | {NOTE: stored.told(found)}


def export_audience(day: date, settings: Settings) -> dict[str, int]:
    """Write the people who get the letter to a file, post them where it was decided; return counts.

    Who has opted out or lost consent since the decision is left out; they stay in their arm.

    Raises:
        ContractViolation: nothing is decided, or the webhook refuses or is allowed no more.
        InputNotReady: a delivery, and with it its opt-outs, is not taken in.
    """
    segment, mailing = asked(settings)
    lake, options = Lake(settings), settings.mailings
    members = stored.rows_of(lake, AUDIENCES, day, segment.name, mailing)
    found = stored.decision(lake, day, segment.name, mailing)
    if found is None:
        raise ContractViolation(f"{mailing}, {segment.name}, {day}: nothing is decided")
    target = target_of(found, options)
    decided = members.filter(pl.col(c.ROLE) == SENT).select(c.USER_ID)
    ids = still_willing(decided, reach(lake, settings))
    name = f"{mailing}.{segment.name}.{day}.{options.export_format}"
    data = export.content(ids, options.export_format)
    export.write_private(settings.exports / name, data)
    left = decided.height - ids.height
    log.info("%s: %d people, %d left since", settings.exports / name, ids.height, left)
    record(lake, day, settings, name, data, ids.height)
    if target != export.FILE:
        deliver(lake, day, settings, target, ids[c.USER_ID].to_list())
    return {"people": ids.height, "left_since": left}


def still_willing(decided: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return `user_id`, in order, of those decided who consent and have not opted out."""
    willing = known.filter(pl.col(c.CONSENT) & ~pl.col(c.OPTED_OUT))
    return decided.join(willing, on=c.USER_ID, how="semi").sort(c.USER_ID)


def asked(settings: Settings) -> tuple[Segment, str]:
    """Return segment and mailing of the run, each checked before it touches anything.

    Raises:
        ContractViolation: there is no such segment or webhook, or the mailing's name is none.
    """
    options = settings.mailings
    if options.deliver_to != export.FILE:
        export.allowed(options.deliver_to, options)
    return segment_of(options.segment), named(options.mailing)


def target_of(found: dict[str, Any], options: Mailings) -> str:
    """Return where a decided audience goes, whatever the run asks for: file or a webhook.

    Raises:
        ContractViolation: that webhook is allowed no more.
    """
    target: str = found["deliver_to"] or export.FILE
    if target != options.deliver_to:
        log.warning(
            "%s was asked for; it was decided that it goes to %s", options.deliver_to, target
        )
    return target if target == export.FILE else export.allowed(target, options)


def card_of(lake: Lake, day: date, segment: str) -> pl.DataFrame:
    """Return the segment's card of the day.

    Raises:
        ContractViolation: it refuses a threshold, or the day is superseded by a newer one.
        InputNotReady: there is none.
    """
    refuse_superseded(lake, day, segment)
    card = lake.read_day(THRESHOLD_CARDS, day, segment)
    if card.is_empty():
        raise InputNotReady(
            f"{segment} has no card of {day}, a day before history; choose a day that"
            " score_lookalikes has scored; nothing was sent"
        )
    verdict, reason = card.row(0, named=True)["verdict"], card.row(0, named=True)[c.REASON]
    if verdict != OFFERED:
        raise ContractViolation(
            f"{segment} of {day} offers no threshold: {verdict}{f' ({reason})' if reason else ''};"
            " nothing was sent"
        )
    return card


def refuse_superseded(lake: Lake, day: date, segment: str) -> None:
    """Check that the day is not one that was left untrained for a newer one."""
    record_of = lake.ledger.current(THRESHOLD_CARDS).get((day, segment))
    if record_of is not None and record_of.superseded_by:
        raise ContractViolation(
            f"{segment} has no scores of {day}, which {record_of.superseded_by} superseded:"
            f" trigger it for {record_of.superseded_by}; nothing was sent"
        )


def reachable(lake: Lake, day: date, settings: Settings) -> pl.DataFrame:
    """Return the scored people, most probable first, with the reason to leave them out or null.

    Raises:
        ContractViolation: nobody is scored.
        InputNotReady: a delivery is not taken in.
    """
    options = settings.mailings
    scores = lake.read_day(LOOKALIKE_SCORES, day, options.segment)
    if scores.is_empty():
        raise ContractViolation(f"{options.segment} of {day}: nobody is scored; nothing was sent")
    return marked(scores, reach(lake, settings), options.cap_letters)


def reach(lake: Lake, settings: Settings) -> pl.DataFrame:
    """Return `user_id, consent, opted_out, is_in_mailing, letters` of everybody known.

    All count up to the newest delivery, not only up to the audience's day: who has opted out since
    gets no letter.

    Raises:
        InputNotReady: a delivery is not taken in.
    """
    options, newest = settings.mailings, lake.newest_day()
    inputs: dict[Table, Window | int] = {
        CUSTOMERS: SNAPSHOT_DAYS,
        CONTACTS: CONTACTS.keep_days,
        AUDIENCES: Window(AUDIENCES.keep_days, optional=True),
        AUDIENCE_DECISIONS: Window(AUDIENCE_DECISIONS.keep_days, optional=True),
    }
    params: dict[str, Value] = {
        "since": newest - timedelta(days=options.cap_days),
        "mailing": options.mailing,
    }
    return lake.select("mailing_reach", newest, inputs, params=params)


def audience_of(lake: Lake, day: date, settings: Settings) -> Audience:
    """Return the audience of the settings' choice."""
    options = settings.mailings
    card_of(lake, day, options.segment)
    choice = Choice(options.threshold, options.audience_size)
    people = reachable(lake, day, settings)
    return chosen(people, choice, options.mailing, options.control_share)


def write_people(lake: Lake, day: date, people: pl.DataFrame) -> None:
    """Write the people of an audience; they may be there already from a try that was killed.

    Raises:
        ContractViolation: other people are there.
    """
    segment, mailing = people.row(0)[:2]
    there = stored.rows_of(lake, AUDIENCES, day, segment, mailing).select(people.columns)
    if there.is_empty():
        lake.append_day(AUDIENCES, day, people)
    elif not there.sort(c.USER_ID).equals(people.sort(c.USER_ID)):
        raise ContractViolation(
            f"{mailing}, {segment}, {day}: {there.height:,} people were written by a run that did"
            f" not end, and these {people.height:,} are others; choose another name"
        )


def refuse_nobody(chosen_by: str) -> None:
    """Raise ContractViolation where nobody says who chose."""
    if not chosen_by:
        raise ContractViolation("say who chose: VITRINA_MAILINGS__CHOSEN_BY; nothing was sent")


def decision_row(audience: Audience, settings: Settings) -> pl.DataFrame:
    """Return the AUDIENCE_DECISIONS row of the settings' choice."""
    options = settings.mailings
    return stored.decided(
        audience,
        lookalike_segment=options.segment,
        mailing=options.mailing,
        chosen="threshold" if options.audience_size is None else "audience_size",
        chosen_by=options.chosen_by,
        chosen_at=options.chosen_at or stored.now(),
        control_share=options.control_share,
        deliver_to=options.deliver_to,
    )


def counts(found: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of a decision."""
    return {name: found[name] for name in (c.THRESHOLD, "sent", "control", "over_cap", "opted_out")}


def record(
    lake: Lake, day: date, settings: Settings, target: str, data: bytes, people: int
) -> None:
    """Write down that an audience left, the first time it does."""
    if was_exported(lake, day, settings, target):
        return
    row = {
        c.LOOKALIKE_SEGMENT: settings.mailings.segment,
        c.MAILING: settings.mailings.mailing,
        "target": target,
        "people": people,
        "sha256": hashlib.sha256(data).hexdigest(),
        "exported_at": stored.now(),
    }
    lake.append_day(AUDIENCE_EXPORTS, day, pl.DataFrame([row], schema=AUDIENCE_EXPORTS.schema))


def was_exported(lake: Lake, day: date, settings: Settings, target: str) -> bool:
    """Return whether the audience went there before."""
    options = settings.mailings
    known = stored.rows_of(lake, AUDIENCE_EXPORTS, day, options.segment, options.mailing)
    return target in known["target"]


def deliver(lake: Lake, day: date, settings: Settings, target: str, ids: list[str]) -> None:
    """Post the ids to a webhook, unless they went there before."""
    options = settings.mailings
    if was_exported(lake, day, settings, target):
        log.info("%s has this audience already", target)
        return
    key = f"{options.mailing}/{options.segment}/{day}"
    told = {"mailing": options.mailing, "segment": options.segment, "day": str(day)}
    export.post(target, key, {**told, "user_ids": ids}, options)
    record(lake, day, settings, target, "\n".join(ids).encode(), len(ids))


STEPS = (
    Step(prepare),
    Step(choose, after=(prepare,)),
    Step(write_audience, after=(choose,)),
    Step(export_audience, after=(write_audience,)),
)
