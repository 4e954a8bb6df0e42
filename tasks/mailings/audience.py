"""Who gets a letter: who is above a threshold, less those who may not be written to, in two arms.

A person is control of a mailing where hash(mailing, user) < control_share, on a scale from 0 to 1:
whatever the segment, the day and the size of the audience, so that nobody changes arm within a
mailing, and an audience that grows keeps its control people.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import polars as pl

from tasks import columns as c
from tasks.errors import ContractViolation, WrongAnswer
from tasks.mailings.power import detectable_effect

SENT, CONTROL = "sent", "control"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
REASONS = ("opted_out", "without_consent", "already_in_mailing", "over_cap")
"""Why people are left out, the first that holds."""


@dataclass(frozen=True)
class Choice:
    """What a person chose: one of the two is given."""

    threshold: float | None = None
    audience_size: int | None = None


@dataclass(frozen=True)
class Audience:
    """People of a mailing.

    Attributes:
        people: `user_id, probability, role`, most probable first.
        threshold: the least probability of its people.
        left_out: how many people above the threshold are left out, by reason.
    """

    people: pl.DataFrame
    threshold: float
    left_out: dict[str, int]

    def count(self, role: str) -> int:
        """Return how many people are in an arm."""
        return int((self.people[c.ROLE] == role).sum())

    @property
    def base_rate(self) -> float:
        """The share of its people that is expected to buy without a letter."""
        return sum(self.people[c.PROBABILITY]) / self.people.height

    @property
    def detectable_effect(self) -> float | None:
        """The rise of that share that the two arms can show."""
        return detectable_effect(self.base_rate, self.count(SENT), self.count(CONTROL))


def named(mailing: str) -> str:
    """Return the name of a mailing, checked before it touches a path.

    Raises:
        ContractViolation: it has other signs than a name may have.
    """
    if not NAME.fullmatch(mailing):
        raise ContractViolation(
            f"mailing {mailing[:80]!r} is no name: up to 60 of a-z, 0-9, - and _, such as"
            " spring-bags; nothing was written"
        )
    return mailing


def marked(scores: pl.DataFrame, reach: pl.DataFrame, cap_letters: int) -> pl.DataFrame:
    """Return the scored people, most probable first, with the reason to leave them out or null.

    Args:
        scores: `user_id, probability`.
        reach: `user_id, opted_out, consent, letters, is_in_mailing` of everybody known; who is
            absent here has not consented.
        cap_letters: who has had as many letters gets no further one.
    """
    known = scores.select(c.USER_ID, c.PROBABILITY).join(reach, on=c.USER_ID, how="left")
    holds = (
        pl.col(c.OPTED_OUT).fill_null(False),
        ~pl.col(c.CONSENT).fill_null(False),
        pl.col("is_in_mailing").fill_null(False),
        pl.col("letters").fill_null(0) >= cap_letters,
    )
    reasons = [pl.when(rule).then(pl.lit(name)) for rule, name in zip(holds, REASONS, strict=True)]
    return known.select(c.USER_ID, c.PROBABILITY, pl.coalesce(reasons).alias(c.REASON)).sort(
        c.PROBABILITY, c.USER_ID, descending=[True, False]
    )


def chosen(people: pl.DataFrame, choice: Choice, mailing: str, share: float) -> Audience:
    """Return the audience of a choice.

    Args:
        people: what `marked` returns.
        choice: a threshold or a size.
        mailing: whose arms these are.
        share: of the people, that is control.

    Raises:
        WrongAnswer: neither or both are given, one is out of range, or nobody is left.
    """
    allowed = people.filter(pl.col(c.REASON).is_null())
    if choice.threshold is not None and choice.audience_size is None:
        threshold = _threshold(people, choice.threshold)
        inside = allowed.filter(pl.col(c.PROBABILITY) >= threshold)
        _refuse_nobody(people.filter(pl.col(c.PROBABILITY) >= threshold), inside, threshold)
    elif choice.audience_size is not None and choice.threshold is None:
        inside = allowed.head(_size(people, allowed, choice.audience_size))
        threshold = float(inside[c.PROBABILITY][-1])
    else:
        raise WrongAnswer(
            "give a threshold or an audience size, one of the two: got threshold"
            f" {choice.threshold} and audience size {choice.audience_size}; nothing was sent"
        )
    roles = arms(mailing, inside[c.USER_ID], share)
    out = people.filter(pl.col(c.PROBABILITY) >= threshold)
    return Audience(
        inside.select(c.USER_ID, c.PROBABILITY, roles), threshold, _counted(out[c.REASON])
    )


def arms(mailing: str, users: pl.Series, share: float) -> pl.Series:
    """Return the arm of each user: a matter of mailing and user alone, and of the share."""
    roles = [CONTROL if _place(mailing, user) < share else SENT for user in users]
    return pl.Series(c.ROLE, roles, dtype=pl.String)


def _place(mailing: str, user: str) -> float:
    """Return where the user falls in [0, 1)."""
    digest = hashlib.sha256(f"{mailing}\n{user}".encode()).digest()
    # 53 bits: a double holds them exactly and stays below 1.
    return (int.from_bytes(digest[:8]) >> 11) / 2**53


def _threshold(people: pl.DataFrame, threshold: float) -> float:
    if not 0 <= threshold <= 1:
        raise WrongAnswer(
            f"threshold {threshold:g} is not from 0 to 1: it is the least probability of who is"
            " written to; nothing was sent"
        )
    highest = people[c.PROBABILITY][0]
    if threshold > highest:
        raise WrongAnswer(
            f"threshold {threshold:g} is above all of {people.height:,} people: the highest"
            f" probability is {highest:.4g}; nothing was sent"
        )
    return threshold


def _size(people: pl.DataFrame, allowed: pl.DataFrame, size: int) -> int:
    if 1 <= size <= allowed.height:
        return size
    told = f"audience size {size:,} is not from 1 to {allowed.height:,}"
    raise WrongAnswer(
        f"{told}: {people.height:,} people are scored, of whom {_told(people[c.REASON])};"
        " nothing was sent"
    )


def _refuse_nobody(above: pl.DataFrame, inside: pl.DataFrame, threshold: float) -> None:
    if inside.is_empty():
        raise WrongAnswer(
            f"of {above.height:,} people above {threshold:g} nobody may be written to:"
            f" {_told(above[c.REASON])}; nothing was sent"
        )


def _counted(reasons: pl.Series) -> dict[str, int]:
    return {name: int((reasons == name).sum()) for name in REASONS}


def _told(reasons: pl.Series) -> str:
    said = [f"{n:,} {name.replace('_', ' ')}" for name, n in _counted(reasons).items() if n]
    return ", ".join(said) or "none is left out"
