"""The shop: day by day with carried state, and its answer to any lists and mailings.

A day goes: `requests` ask for lists, a policy (the shop's own order, unless another is given)
fills them, customers respond, the state moves on. `respond` leaves the shop as it is; `live_day`
moves on. `parts_of_day` lives a day of any size in blocks of customers, some of them at a time: all
that one customer's day has of another's is the morning's order, so blocks change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.simulator import behaviour, faults
from tasks.simulator import state as states
from tasks.simulator.attributes import COLLECTION
from tasks.simulator.blocks import blocks, side_by_side
from tasks.simulator.breaks import lean, p_reached, p_stop
from tasks.simulator.catalogue import attributes_frame, items_frame
from tasks.simulator.customers import customers_frame
from tasks.simulator.draws import Ints, Stream
from tasks.simulator.events import MOMENT, SCHEMA, events_frame, midnight
from tasks.simulator.listings import (
    Lists,
    Shelf,
    lists_frame,
    lists_of_frame,
    opening_popularity,
    present_lists,
    queries,
    refuse_strange_letters,
    refuse_unsold,
    shelf,
    shown_scope,
)
from tasks.simulator.parameters import DEFAULT, Parameters
from tasks.simulator.sessions import DAY_SECONDS, Requests, listing_ids, requests, session_ids
from tasks.simulator.state import MOVES, State, append, opening_state
from tasks.simulator.world import World, world

SCHEDULED, UNDELIVERED = "scheduled", "undelivered"
DAY_MICROSECONDS = DAY_SECONDS * behaviour.MICROSECONDS
NEWSLETTER_HOUR = 9
_TODAY = pl.col("at") < DAY_MICROSECONDS
POPULARITY_OF = {behaviour.VIEW: 1, behaviour.FAVORITE: 1, behaviour.CART: 4}


class Part(NamedTuple):
    """What is received of a part of a shop on a day, and the truth of sampled listings of it.

    Without truth: what others than customers did, and what comes late.
    """

    events: pl.DataFrame
    truth: pl.DataFrame | None


class Lived(NamedTuple):
    """What customers did on a day, by time, and what it leaves for later ones.

    `later` are moves as of tomorrow, `gained` is what each item gained in popularity.
    """

    events: pl.DataFrame
    later: pl.DataFrame
    gained: Ints


class Letters(NamedTuple):
    """Who is reached by a letter, and which item it shows; -1 where there is none to show."""

    customer: Ints
    item: Ints


@dataclass
class Shop:
    """A simulated shop on the morning of `next_day`."""

    world: World
    state: State
    scheduled: pl.DataFrame
    undelivered: pl.DataFrame
    next_day: date
    is_half_lived: bool = False

    @classmethod
    def opened(
        cls, seed: int, day: date, customers: int, items: int, parameters: Parameters = DEFAULT
    ) -> Shop:
        """Return a shop that opens on `day`."""
        here = world(parameters, seed, day, customers, items)
        axes = parameters.vector_length if parameters.breaks.reinforced else 0
        state = opening_state(opening_popularity(here), customers, parameters.memory, axes)
        here = replace(here, usual_utility=_usual_utility(here, state, day))
        return cls(
            here,
            state,
            pl.DataFrame(schema=MOVES),
            pl.DataFrame(schema=SCHEMA),
            day,
        )

    def resumed(self, folder: Path) -> Shop:
        """Return this shop as `save` left it in `folder`; as it is where nothing was saved."""
        last = states.last_day(folder)
        if last is None:
            return self
        state, frames = states.load(folder, (SCHEDULED, UNDELIVERED))
        next_day = last + timedelta(1)
        return Shop(self.world, state, frames[SCHEDULED], frames[UNDELIVERED], next_day)

    def save(self, folder: Path) -> None:
        """Write the state so that `resumed` goes on from here to the byte."""
        frames = {SCHEDULED: self.scheduled, UNDELIVERED: self.undelivered}
        states.save(folder, self.state, frames, self.next_day - timedelta(1))

    def copy(self) -> Shop:
        """Return a shop that goes its own way from here, under another policy."""
        return replace(self, state=deepcopy(self.state))

    def requests(self, day: date) -> pl.DataFrame:
        """Return the day's listing requests, which a policy fills: one row per `listing_id`.

        `scope` is the category or group that may be shown, of recommendations too.
        """
        plan = self._plan(day)
        return pl.DataFrame(
            {
                c.LISTING_ID: listing_ids(self.world, plan),
                c.USER_ID: self.world.customers.ids.gather(plan.customer),
                c.SESSION_ID: session_ids(self.world, day, plan.customer, plan.session),
                c.TS: pl.Series(plan.second * behaviour.MICROSECONDS).cast(pl.Duration("us"))
                + midnight(day),
                c.PLATFORM: pl.Series(c.PLATFORMS).gather(plan.platform),
                c.SURFACE: pl.Series(c.SURFACES).gather(plan.surface),
                c.LISTING_CATEGORY: shown_scope(self.world, plan),
                c.QUERY: queries(self.world, plan),
                "scope": pl.Series(self.world.scope_names).gather(plan.scope),
                "length": plan.length,
                c.CITY: pl.Series(self.world.parameters.cities).gather(
                    self.world.customers.city[plan.customer]
                ),
            }
        )

    def present_lists(self, day: date) -> pl.DataFrame:
        """Return what the shop's present order shows for the day's requests."""
        plan = self._plan(day)
        own = shelf(self.world, self.state, day)
        return lists_frame(self.world, plan, present_lists(self.world, own, plan))

    def respond(
        self, day: date, lists: pl.DataFrame, mailings: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Return the events that these lists and mailings would cause; the shop stays as it is.

        Args:
            day: the shop's next day.
            lists: `listing_id, position, item_id` and optionally what else `present_lists` has.
            mailings: `user_id` of those who are sent a letter that day, and optionally `item_id`,
                what it shows; absent, the shop's present best of what interests them most, which
                other people's past moves. A second letter does no more. Who has not joined or has
                opted out gets none.

        Who is shown the same lists and letters does the same, whatever others are shown.

        Raises:
            ValueError: lists or letters that this day cannot have.
        """
        return self.copy().live_day(day, lists, mailings)

    def live_day(
        self, day: date, lists: pl.DataFrame, mailings: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Return what `respond` returns, and move on to the next day."""
        plan = self._plan(day)
        rows = lists_of_frame(self.world, plan, lists)
        refuse_unsold(self.world, plan, rows)
        own = shelf(self.world, self.state, day)
        lived = self._live(plan, rows, self._letters(own, day, mailings), self.scheduled)
        self._move_on(lived.later, lived.gained)
        return lived.events

    def truth(self, day: date, lists: pl.DataFrame) -> pl.DataFrame:
        """Return `p_examined` and `p_cart_if_examined` of every row of `lists`.

        `p_cart_if_examined` is an item's own, as if no other of the list competed with it. Items
        out of stock, and more of them than were asked for, have a truth too.
        """
        plan = self._plan(day)
        return self._truth_rows(plan, lists_of_frame(self.world, plan, lists))

    def simulate_day(self, day: date) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
        """Return what lands on `day` by kind, and the truth of a sample of its listings; moves on.

        Args:
            day: the shop's next day.
        """
        snapshots, parts = self.parts_of_day(day)
        events, known = zip(*parts, strict=True)
        landing = pl.concat(events).sort(c.RECEIVED_AT, c.EVENT_ID)
        truth = pl.concat(frame for frame in known if frame is not None)
        return {"events": landing, **snapshots}, truth

    def parts_of_day(self, day: date) -> tuple[dict[str, pl.DataFrame], Iterator[Part]]:
        """Return the snapshots that land on `day`, and the rest in parts: memory holds a few.

        The shop moves on once the last part has been taken; whoever stops before has to resume it
        from where it was saved.

        Args:
            day: the shop's next day.
        """
        self._must_be_next(day)
        self.is_half_lived = True
        contacts = self._newsletter(day)
        snapshots = {
            "items": items_frame(self.world.catalogue, day),
            "item_attributes": attributes_frame(self.world.catalogue, day),
            "customers": customers_frame(self.world.customers, day),
            "contacts": contacts,
        }
        return snapshots, self._parts(day, indices_of(contacts[c.USER_ID]))

    def _parts(self, day: date, mailed: Ints) -> Iterator[Part]:
        late, self.undelivered = faults.deliveries(self.undelivered, day)
        accounts = self._received(day, faults.account_events(self.world, day))
        yield Part(pl.concat([late, accounts]), None)
        later, gained = [pl.DataFrame(schema=MOVES)], self._nothing_gained()
        live = partial(self._live_block, day, shelf(self.world, self.state, day), mailed)
        for lived, truth in side_by_side(live, blocks(self.world.customers.size)):
            later.append(lived.later)
            gained += lived.gained
            yield Part(self._received(day, lived.events), truth)
        self._move_on(pl.concat(later), gained)

    def _live_block(
        self, day: date, own: Shelf, mailed: Ints, who: Ints
    ) -> tuple[Lived, pl.DataFrame]:
        plan = requests(self.world, self.state, day, who)
        lists = present_lists(self.world, own, plan)
        truth = self._truth_rows(plan, self._sampled(plan, lists))
        reached = mailed[(mailed >= who[0]) & (mailed <= who[-1])]
        letters = Letters(reached, behaviour.best_of_interest(self.world, own, day, reached))
        due = self.scheduled.filter(pl.col("customer").is_between(who[0], who[-1]))
        return self._live(plan, lists, letters, due), truth

    def _received(self, day: date, events: pl.DataFrame) -> pl.DataFrame:
        """Return what of the day's events is received on it; the rest waits."""
        pool = faults.received(self.world.parameters, self.world.draws, events)
        now, waiting = faults.deliveries(pool, day)
        self.hold_back(waiting)
        return now

    def hold_back(self, events: pl.DataFrame) -> None:
        """Deliver these events on the day of their receipt, which is a later one."""
        self.undelivered = pl.concat([self.undelivered, events])

    def _must_be_next(self, day: date) -> None:
        if day != self.next_day:
            raise ValueError(f"the shop's next day is {self.next_day}, not {day}")
        if self.is_half_lived:
            raise ValueError(f"{day} was begun and not taken to its end: resume the shop")

    def _plan(self, day: date) -> Requests:
        self._must_be_next(day)
        return requests(self.world, self.state, day, self.world.customers.indices)

    def _letters(self, own: Shelf, day: date, mailings: pl.DataFrame | None) -> Letters:
        if mailings is None or mailings.is_empty():
            return Letters(np.array([], dtype=np.int64), np.array([], dtype=np.int64))
        refuse_strange_letters(self.world, mailings)
        first = mailings.unique(c.USER_ID, keep="first").sort(c.USER_ID)
        who = indices_of(first[c.USER_ID])
        willing = self.world.customers.present(day)[who] & (self.state.opted_out[who] == 0)
        reached = who[willing]
        if c.ITEM_ID not in first.columns:
            return Letters(reached, behaviour.best_of_interest(self.world, own, day, reached))
        return Letters(reached, indices_of(first[c.ITEM_ID])[willing])

    def _live(self, plan: Requests, lists: Lists, letters: Letters, due: pl.DataFrame) -> Lived:
        """Return the day of those who asked for `plan`, and remember it of each of them."""
        met = behaviour.joined(
            [
                behaviour.listed(plan, lists),
                behaviour.revisits(self.world, self.state, plan),
                behaviour.mailing_visits(self.world, plan.day, *letters),
            ]
        )
        made = pl.concat([behaviour.moves(self.world, self.state, plan, met), due])
        now, later = (made.filter(is_so) for is_so in (_TODAY, ~_TODAY))
        self._remember_items(plan.day, now)
        self._remember_intents(plan)
        self.state.mailed_day[letters.customer] = plan.day.toordinal()
        back = behaviour.returns(self.world, now.filter(kind=behaviour.ORDER), plan.day)
        tomorrow = pl.concat([later, back]).with_columns(pl.col("at") - DAY_MICROSECONDS)
        return Lived(events_frame(self.world, plan, lists, now), tomorrow, self._gained(now))

    def _nothing_gained(self) -> Ints:
        return np.zeros(self.world.catalogue.size, dtype=np.int64)

    def _gained(self, now: pl.DataFrame) -> Ints:
        gained = self._nothing_gained()
        for kind, worth in POPULARITY_OF.items():
            done = now.filter(pl.col("kind") == kind)["item"].to_numpy()
            gained += worth * np.bincount(done, minlength=len(gained))
        return gained

    def _move_on(self, later: pl.DataFrame, gained: Ints) -> None:
        popularity = self.state.popularity * self.world.parameters.popularity_decay
        self.state.popularity = popularity + gained
        self.scheduled = later
        self.next_day += timedelta(1)
        self.is_half_lived = False

    def _remember_items(self, day: date, now: pl.DataFrame) -> None:
        state, items = self.state, self.world.catalogue
        now = now.sort("at", "customer", "item")
        views, orders = (now.filter(kind=kind) for kind in (behaviour.VIEW, behaviour.ORDER))
        lean(self.world, day, state.leaning, *_who_what(views))
        append(state.seen, *_who_what(views))
        who, bought = _who_what(orders)
        append(state.bought, who, bought)
        append(state.bought_day, who, np.full(len(who), day.toordinal() + 1))
        for kind in (behaviour.VIEW, behaviour.CART):
            last = now.filter(pl.col("kind") == kind)
            collection = items.values[COLLECTION][last["item"].to_numpy()]
            state.last_collection[last["customer"].to_numpy()] = collection

    def _remember_intents(self, plan: Requests) -> None:
        # Rows are in the order of a customer's day, so the last one assigned is the newest.
        self.state.last_category[plan.customer] = plan.category
        self.state.last_style[plan.customer] = plan.style

    def _newsletter(self, day: date) -> pl.DataFrame:
        parameters, people = self.world.parameters, self.world.customers
        drawn = self.world.draws.uniform(Stream.MAILING, people.indices, day.toordinal())
        due = day.weekday() == parameters.newsletter_weekday
        willing = people.consent & people.present(day) & (self.state.opted_out == 0)
        who = np.flatnonzero(willing & (drawn < parameters.newsletter_share) & due)
        leaves = drawn[who] < parameters.newsletter_share * parameters.opt_out
        self.state.opted_out[who[leaves]] = 1
        return pl.DataFrame(
            {
                c.USER_ID: people.ids.gather(who),
                c.CHANNEL: pl.Series(["email"] * len(who), dtype=pl.String),
                c.MAILING: pl.Series([f"newsletter_{day}"] * len(who), dtype=pl.String),
                c.SENT_AT: pl.Series(
                    [midnight(day) + timedelta(hours=NEWSLETTER_HOUR)] * len(who), dtype=MOMENT
                ),
                c.OPTED_OUT: leaves,
            }
        )

    def _sampled(self, plan: Requests, lists: Lists) -> Lists:
        drawn = self.world.draws.uniform(
            Stream.TRUTH_SAMPLE,
            plan.customer[lists.request],
            plan.day.toordinal(),
            plan.ordinal[lists.request],
        )
        return lists.take(lists.is_shuffled | (drawn < self.world.parameters.truth_sample))

    def _truth_rows(self, plan: Requests, lists: Lists) -> pl.DataFrame:
        met = behaviour.listed(plan, lists)
        utility = behaviour.utilities(self.world, self.state, met)
        view = behaviour.p_view(self.world, utility)
        cart = behaviour.p_cart(self.world, self.state, met, utility)
        examined = behaviour.p_examined(self.world, met)
        stop = examined * p_stop(self.world, utility, view, cart)
        return lists_frame(self.world, plan, lists).with_columns(
            self.world.customers.ids.gather(met.customer).alias(c.USER_ID),
            pl.Series(c.P_EXAMINED, examined * p_reached(lists.request, stop)),
            pl.Series("p_cart_if_examined", view * cart),
            pl.Series("utility", utility),
        )


def _usual_utility(here: World, state: State, day: date) -> float:
    """Return the mean utility of what the shop's order would show some on its opening day."""
    some = here.customers.indices[: here.parameters.usual_sample]
    plan = requests(here, state, day, some)
    met = behaviour.listed(plan, present_lists(here, shelf(here, state, day), plan))
    return float(behaviour.utilities(here, state, met).mean()) if len(met) else 0.0


def _who_what(moves: pl.DataFrame) -> tuple[Ints, Ints]:
    return moves["customer"].to_numpy(), moves["item"].to_numpy()


def indices_of(ids: pl.Series) -> Ints:
    """Return the indices behind public ids, of customers or items."""
    return ids.str.slice(1).cast(pl.Int64).to_numpy()
