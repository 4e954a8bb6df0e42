"""The shop's customers: who they are, what they like, and how that drifts.

taste(u, a, v) = f(sqrt(s) z_u(t) . w_av + sqrt(1 - s) e_uav), f a standardised exp (few strong
favourites), s = `taste_shared`, w_av the vector of a value, e_uav the customer's own whim and
z_u(t) = z_u1 cos(w_u t) + z_u2 sin(w_u t): interest drifts without any state. Vectors lean with
gender and age, so that a segment knows a part of a taste.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.simulator.attributes import CLOTHES_SIZES, GENDER, SHOE_SIZES, SIZE, Trait
from tasks.simulator.breaks import heavy
from tasks.simulator.catalogue import named
from tasks.simulator.draws import Draws, Flags, Floats, Ints, Stream, zipf_cumulative
from tasks.simulator.parameters import Parameters

FOR_ALL = 2
NEVER_ENDING_DAYS = 100_000
MOST_LIKING = 2.4
_PLATFORM_SHARES = np.cumsum([0.28, 0.24, 0.28, 0.2])
(
    _GENDER, _GENDER_KNOWN, _BIRTH, _BIRTH_KNOWN, _CITY, _PLATFORM, _CONSENT, _JOINED,
    _RATE, _BUYER, _PRICE, _PERIOD, _EFFECT, _BIRTH_SKEW,
) = range(14)  # fmt: skip


def user_ids(indices: Ints) -> pl.Series:
    """Return the public ids of customers."""
    return "u" + pl.Series(c.USER_ID, indices).cast(pl.String).str.zfill(7)


@dataclass(frozen=True)
class Customers:
    """Customers by index; everything here is truth, `customers_frame` is what the shop knows."""

    parameters: Parameters
    draws: Draws
    opened: date
    gender: Ints
    gender_known: Flags
    birth_year: Ints
    birth_known: Flags
    city: Ints
    platform: Ints
    consent: Flags
    joined: Ints
    rate: Floats
    buyer: Floats
    price_sensitivity: Floats
    mailing_effect: Floats
    own_size: Ints
    own_shoe_size: Ints
    first_vector: Floats
    second_vector: Floats
    drift_days: Floats

    @property
    def size(self) -> int:
        """Customers ever, those who join later included."""
        return len(self.gender)

    @property
    def indices(self) -> Ints:
        """All customer indices."""
        return np.arange(self.size)

    @cached_property
    def ids(self) -> pl.Series:
        """Public ids by index."""
        return user_ids(self.indices)

    def present(self, day: date) -> Flags:
        """Customers who have joined by `day`."""
        return self.joined <= (day - self.opened).days

    def vectors(self, who: Ints, day: date) -> Floats:
        """Return z_u(t), one row per entry of `who`."""
        angle = (2 * np.pi * day.toordinal() / self.drift_days[who])[:, None]
        return self.first_vector[who] * np.cos(angle) + self.second_vector[who] * np.sin(angle)


def customers(parameters: Parameters, draws: Draws, opened: date, count: int) -> Customers:
    """Return the customers of the shop that opened on `opened`."""
    who = np.arange(count)

    def uniform(what: int) -> Floats:
        return draws.uniform(Stream.CUSTOMER, who, what)

    def normal(what: int) -> Floats:
        return draws.normal(Stream.CUSTOMER, who, what)

    gender = (uniform(_GENDER) >= parameters.women).astype(np.int64)
    birth_year = (1952 + 56 * (uniform(_BIRTH) + uniform(_BIRTH_SKEW) ** 2) / 2).astype(np.int64)
    first, second = _vectors(parameters, draws, gender, birth_year)
    late = uniform(_JOINED) / parameters.late_joiners
    cities = zipf_cumulative(len(parameters.cities), parameters.city_zipf)
    sizes = draws.normal(Stream.CUSTOMER_SIZE, who)
    return Customers(
        parameters,
        draws,
        opened,
        gender=gender,
        gender_known=uniform(_GENDER_KNOWN) < parameters.gender_known,
        birth_year=birth_year,
        birth_known=uniform(_BIRTH_KNOWN) < parameters.birth_year_known,
        city=draws.choice(cities, Stream.CUSTOMER, who, _CITY),
        platform=draws.choice(_PLATFORM_SHARES, Stream.CUSTOMER, who, _PLATFORM),
        consent=uniform(_CONSENT) < parameters.consent,
        joined=np.where(late < 1, np.ceil(late * parameters.joining_days), -30).astype(np.int64),
        rate=parameters.sessions_per_day * _activity(parameters, normal(_RATE)),
        buyer=0.5 * heavy(normal(_BUYER), parameters.breaks.heavy_tails),
        price_sensitivity=np.exp(0.5 * normal(_PRICE) - 0.125),
        # Those who come anyway do not like letters: not monotone in the probability of buying.
        mailing_effect=0.5 + 0.6 * normal(_EFFECT) - 0.35 * normal(_RATE) ** 2,
        own_size=_rounded(2.3 + 0.4 * gender + 1.1 * sizes, len(CLOTHES_SIZES)),
        own_shoe_size=_rounded(2.6 + 3.6 * gender + 1.3 * sizes, len(SHOE_SIZES)),
        first_vector=first,
        second_vector=second,
        drift_days=250 + 900 * uniform(_PERIOD),
    )


def _activity(parameters: Parameters, normal: Floats) -> Floats:
    """Return how active each customer is, 1 on average however heavy the tail."""
    usual = np.exp(parameters.sessions_sd * normal - parameters.sessions_sd**2 / 2)
    tailed = heavy(normal, parameters.breaks.heavy_tails)
    active: Floats = np.exp(parameters.sessions_sd * tailed - parameters.sessions_sd**2 / 2)
    active *= usual.mean() / active.mean()
    return active


def _rounded(size: Floats, count: int) -> Ints:
    return np.clip(np.rint(size), 0, count - 1).astype(np.int64)


def _vectors(
    parameters: Parameters, draws: Draws, gender: Ints, birth_year: Ints
) -> tuple[Floats, Floats]:
    who, axes = np.arange(len(gender))[:, None], np.arange(parameters.vector_length)[None, :]
    length = np.sqrt(parameters.vector_length)
    lean = (
        length * _unit(draws.normal(Stream.CUSTOMER_VECTOR, -1, axes)) * (2 * gender[:, None] - 1)
    )
    age = (
        length
        * _unit(draws.normal(Stream.CUSTOMER_VECTOR, -2, axes))
        * ((birth_year - 1984) / 14)[:, None]
    )
    shift = parameters.gender_shift * (0.75 * lean + 0.45 * age)
    scale = np.sqrt(1 + parameters.gender_shift**2 * 0.75)
    first = (draws.normal(Stream.CUSTOMER_VECTOR, who, axes, 0) + shift) / scale
    second = (draws.normal(Stream.CUSTOMER_VECTOR, who, axes, 1) + shift) / scale
    return first, second


def value_vectors(parameters: Parameters, draws: Draws, attribute: int, count: int) -> Floats:
    """Return the vectors w_av of an attribute's values, each of length 1."""
    values, axes = np.arange(count)[:, None], np.arange(parameters.vector_length)[None, :]
    return _unit(draws.normal(Stream.VALUE_VECTOR, attribute, values, axes))


def _unit(vectors: Floats) -> Floats:
    lengths: Floats = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / lengths


def tastes(
    customers: Customers, who: Ints, vectors: Floats, attribute: int, codes: Ints, count: int
) -> Floats:
    """Return how much each of `who` likes the value at the same place in `codes`; 0 where absent.

    `vectors` are those of `who` on the day.
    """
    name = customers.parameters.attributes[attribute].name
    if name == GENDER:
        return gender_tastes(customers, who, codes)
    if name == SIZE:
        return size_tastes(customers, who, codes)
    shared = customers.parameters.taste_shared
    values = value_vectors(customers.parameters, customers.draws, attribute, count)
    common = np.einsum("ij,ij->i", vectors, values[codes])
    whim = customers.draws.normal(Stream.TASTE, who, attribute, codes)
    liking = np.sqrt(shared) * common + np.sqrt(1 - shared) * whim
    return np.where(codes < 0, 0.0, _favouring(liking, customers.parameters.favouring))


def _favouring(liking: Floats, skew: float) -> Floats:
    """Return normal likings as tastes of mean 0 and variance 1, a few of them strong."""
    mean, variance = np.exp(skew**2 / 2), np.exp(skew**2) * np.expm1(skew**2)
    grown = np.exp(skew * np.clip(liking, -MOST_LIKING, MOST_LIKING))
    favouring: Floats = (grown - mean) / np.sqrt(variance)
    return favouring


def gender_tastes(customers: Customers, who: Ints, codes: Ints) -> Floats:
    """Return 0.6 for one's own gender's items, 0 for items for all, -1.2 for the others'."""
    return np.where(
        (codes < 0) | (codes == FOR_ALL), 0.0, np.where(codes == customers.gender[who], 0.6, -1.2)
    )


def size_tastes(customers: Customers, who: Ints, codes: Ints) -> Floats:
    """Return 1 for one's own size, falling with the distance to it; nobody buys far off."""
    shoes = codes >= len(CLOTHES_SIZES)
    own = np.where(
        shoes, customers.own_shoe_size[who] + len(CLOTHES_SIZES), customers.own_size[who]
    )
    return np.where(codes < 0, 0.0, 1.0 - 0.9 * np.minimum(np.abs(codes - own), 3))


def trait_days(customers: Customers, number: int, day: date, who: Ints) -> Ints:
    """Return days since the trait of each of `who` began, `NEVER_ENDING_DAYS` without one."""
    trait = customers.parameters.traits[number]
    offset = customers.draws.uniform(Stream.TRAIT, who, number)
    clock = day.toordinal() + (offset * trait.cycle_days).astype(np.int64)
    cycle = clock // trait.cycle_days
    has = customers.draws.uniform(Stream.TRAIT, who, number, cycle) < trait.share
    return np.where(has, clock % trait.cycle_days, NEVER_ENDING_DAYS)


def browsing(trait: Trait, days: Ints) -> Flags:
    """Whether the trait shows in views so far."""
    return days < trait.browse_days


def buying(trait: Trait, days: Ints) -> Flags:
    """Whether the trait has reached purchases."""
    return (days >= trait.browse_days) & (days < trait.browse_days + trait.buy_days)


def customers_frame(customers: Customers, day: date) -> pl.DataFrame:
    """Return what the shop knows of its customers on `day`."""
    here = np.flatnonzero(customers.present(day))
    gender = np.where(customers.gender_known[here], customers.gender[here], -1)
    birth = pl.Series(
        np.where(customers.birth_known[here], customers.birth_year[here], 0), dtype=pl.Int32
    )
    return pl.DataFrame(
        {
            c.USER_ID: customers.ids.gather(here),
            c.GENDER: named(("female", "male"), gender),
            c.BIRTH_YEAR: birth.replace(0, None),
            c.CITY: named(customers.parameters.cities, customers.city[here]),
            c.CONSENT: customers.consent[here],
        }
    )


def trait_frame(customers: Customers, first_day: date, days: int) -> pl.DataFrame:
    """Return who has which trait within `days` days, when it began and when purchases begin."""
    parts = []
    for number, trait in enumerate(customers.parameters.traits):
        for day in (first_day + timedelta(shift) for shift in range(days)):
            since = trait_days(customers, number, day, customers.indices)
            began = np.flatnonzero(
                since == 0 if day > first_day else since < trait.browse_days + trait.buy_days
            )
            parts.append(
                _trait_rows(
                    trait,
                    customers.ids.gather(began),
                    [day - timedelta(int(age)) for age in since[began]],
                )
            )
    return pl.concat(parts).sort(c.USER_ID, "trait", "began")


def _trait_rows(trait: Trait, ids: pl.Series, began: list[date]) -> pl.DataFrame:
    rows = pl.DataFrame({c.USER_ID: ids, "began": pl.Series(began, dtype=pl.Date)})
    return rows.with_columns(
        pl.lit(trait.name).alias("trait"),
        (pl.col("began") + pl.duration(days=trait.browse_days)).alias("buys_from"),
    )
