"""Each generator's formula, worked by hand on a handful of interactions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from math import log, sqrt

import numpy as np
import polars as pl
import pytest
import torch
from scipy import sparse

from tasks import columns as c
from tasks.candidates.ease import Ease, closed_form, most_touched, touched
from tasks.candidates.features import Vocabulary
from tasks.candidates.generator import NO_OPINION, Known, Requests, Run
from tasks.candidates.item_neighbours import ItemNeighbours, nearest, newest
from tasks.candidates.lightfm import debiased, distinct_pairs, feature_matrix
from tasks.candidates.new_items import NewItems
from tasks.candidates.popular import Popular, PopularOfWeek
from tasks.candidates.repeats import Repeats
from tasks.candidates.sasrec import SASRec, popularity
from tasks.candidates.windows import ITEM, NOTHING, TIMES, cut, later, owners, pad, sequences
from tasks.settings import Candidates, EaseOptions, NeighbourOptions, NewItemOptions, PopularOptions

DAY = date(2026, 3, 31)


def known(*rows: tuple[str, str, int, int], cities: dict[str, str] | None = None) -> Known:
    """Interactions `user, item, age in days, weight`, oldest first."""
    found = pl.DataFrame(
        [
            (
                user,
                item,
                c.VIEW,
                datetime(2026, 3, 31, 12, tzinfo=UTC) - timedelta(days=age),
                1,
                weight,
            )
            for user, item, age, weight in rows
        ],
        schema={
            c.USER_ID: pl.String,
            c.ITEM_ID: pl.String,
            c.EVENT_TYPE: pl.String,
            c.TS: pl.Datetime("us", "UTC"),
            c.TIMES: pl.Int64,
            c.WEIGHT: pl.Int64,
        },
        orient="row",
    ).sort(c.USER_ID, c.TS, maintain_order=True)
    users = found.select(c.USER_ID).unique().sort(c.USER_ID)
    whose = [(cities or {}).get(user) for user in users[c.USER_ID]]
    items = found.select(c.ITEM_ID).unique().sort(c.ITEM_ID)
    return Known(DAY, found, items, users.with_columns(pl.Series(c.CITY, whose, pl.String)))


def everybody(of: Known) -> Requests:
    return Requests(DAY, of.users, of.interactions)


def test_popular_halves_by_age_and_pulls_a_city_to_the_whole() -> None:
    rows = known(
        ("n", "a", 0, 4), ("n", "b", 2, 4), ("s", "b", 0, 6), cities={"n": "north", "s": "south"}
    )
    options = Candidates(popular=PopularOptions(half_life_days=2, city_prior=3))
    scores = Popular.fit(rows, options, Run(0, 1)).scores(everybody(rows))
    # North: a 4, b 4 x 0.5 = 2. South: b 6. All: a 4 of 12, b 8 of 12. m = 3.
    north = [(4 + 3 * 4 / 12) / (6 + 3), (2 + 3 * 8 / 12) / (6 + 3)]
    south = [(0 + 3 * 4 / 12) / (6 + 3), (6 + 3 * 8 / 12) / (6 + 3)]
    assert scores == pytest.approx(np.array([north, south]))


def test_popularity_of_the_week_knows_neither_city_nor_the_eighth_day() -> None:
    rows = known(("n", "a", 7, 9), ("n", "b", 6, 1), ("s", "d", 0, 3), cities={"n": "north"})
    scores = PopularOfWeek.fit(rows, Candidates(), Run(0, 1)).scores(everybody(rows))
    assert scores[0] == pytest.approx([-np.inf, 1 / 4, 3 / 4])
    assert scores[0].tolist() == scores[1].tolist()


def test_own_repeats_add_up_weights_halved_by_age() -> None:
    rows = known(("u", "a", 10, 4), ("u", "a", 0, 1), ("u", "b", 20, 4), ("v", "b", 0, 1))
    options = Candidates(repeats_half_life_days=10)
    scores = Repeats.fit(rows, options, Run(0, 1)).scores(everybody(rows))
    assert scores.tolist() == [[4 * 0.5 + 1, 4 * 0.25], [NO_OPINION, 1]]


def test_ease_weights_of_two_items_touched_together() -> None:
    weights = closed_form(sparse.csr_matrix([[1.0, 1.0], [1.0, 0.0]]), regularisation=1.0)
    # X'X + I = [[3, 1], [1, 2]], its inverse [[2, -1], [-1, 3]] / 5; B_ij = -P_ij / P_jj.
    assert weights == pytest.approx(np.array([[0, 1 / 3], [1 / 2, 0]]))


def test_ease_takes_popularity_off_evidence_and_target() -> None:
    rows = known(*((user, "a", 0, 1) for user in "uvw"), ("u", "b", 0, 1))
    told = EaseOptions(regularisation=1)
    model = Ease.fit(rows, Candidates(ease=told, debias=0.5), Run(0, 1))
    # Sums 3 and 1, mean 2: Z'Z = [[3 / 1.5, 1 / sqrt(0.75)], [..., 1 / 0.5]] = [[2, r], [r, 2]].
    # Plus I, its inverse's B_ab = r / 3; user v has Z_va = 1 / sqrt(1.5).
    expected = (1 / sqrt(0.75)) / 3 / sqrt(1.5)
    assert model.scores(everybody(rows))[1] == pytest.approx([0, expected])


def test_lightfm_weighs_a_pair_less_the_more_pairs_its_item_has() -> None:
    pairs = sparse.coo_matrix(np.array([[4.0, 0.0], [2.0, 3.0]], dtype=np.float32))
    assert debiased(pairs, 1.0).toarray() == pytest.approx(np.array([[2, 0], [1, 3]]))
    assert np.array_equal(debiased(pairs, 0.0).data, pairs.data)


def test_sasrec_takes_log_popularity_off_its_biases() -> None:
    rows = known(("u", "a", 2, 1), ("u", "b", 1, 1), ("u", "a", 0, 1))
    biases = [
        SASRec.fit(rows, Candidates(debias=debias), Run(0, 1)).item_vectors()[:, -1]
        for debias in (0.0, 0.5)
    ]
    # Each item has one interaction more: a 3 and b 2 of 5.
    assert biases[1] - biases[0] == pytest.approx([-0.5 * log(3 / 5), -0.5 * log(2 / 5)], abs=1e-6)


def test_ease_rows_are_roots_of_decayed_counts() -> None:
    rows = known(("u", "a", 10, 4), ("u", "a", 0, 1), ("v", "b", 20, 1))
    matrix = touched(everybody(rows), pl.Series(c.ITEM_ID, ["a", "b"]), half_life_days=10)
    assert matrix.toarray() == pytest.approx(np.array([[1.5**0.5, 0], [0, 0.25**0.5]]))


def test_ease_keeps_the_most_touched_items_ties_to_the_smaller_id() -> None:
    rows = known(("u", "b", 0, 1), ("v", "b", 0, 1), ("u", "d", 0, 1), ("u", "a", 0, 1))
    assert most_touched(rows.interactions, 2).to_list() == ["a", "b"]


def test_codes_are_places_plus_one_and_0_for_what_was_never_seen() -> None:
    seen = pl.DataFrame({c.ITEM_ID: ["a", "b"], c.BRAND: ["x", None], c.COLOUR: ["red", "blue"]})
    vocabulary = Vocabulary.of(seen, (c.BRAND, c.COLOUR, "absent"))
    assert vocabulary.labels == ("brand=x", "colour=blue", "colour=red")
    later_items = pl.DataFrame({c.ITEM_ID: ["n"], c.BRAND: ["y"], c.COLOUR: ["red"]})
    codes = vocabulary.codes(pl.concat([seen, later_items]), pl.Series(c.ITEM_ID, ["n", "b", "?"]))
    assert codes.tolist() == [[0, 3], [0, 2], [0, 0]]


def test_a_feature_that_two_columns_share_by_value_stays_apart_by_column() -> None:
    frame = pl.DataFrame({c.ITEM_ID: ["a"], c.BRAND: ["red"], c.COLOUR: ["red"]})
    vocabulary = Vocabulary.of(frame, (c.BRAND, c.COLOUR))
    assert vocabulary.codes(frame, frame[c.ITEM_ID]).tolist() == [[1, 2]]


def test_lightfm_items_are_themselves_and_the_mean_of_their_features() -> None:
    frame = pl.DataFrame({c.ITEM_ID: ["a", "b"], c.BRAND: ["x", None], c.COLOUR: ["red", "red"]})
    vocabulary = Vocabulary.of(frame, (c.BRAND, c.COLOUR))
    matrix = feature_matrix(vocabulary, vocabulary.codes(frame, frame[c.ITEM_ID]))
    # Columns: item a, item b, nothing, brand x, colour red.
    assert matrix.toarray().tolist() == [[1, 0, 0, 0.5, 0.5], [0, 1, 0, 0, 0.5]]


def test_lightfm_takes_each_pair_once_with_its_strongest_weight() -> None:
    rows = known(("u", "a", 1, 1), ("u", "a", 0, 4), ("v", "b", 0, 2))
    ids = (pl.Series(c.USER_ID, ["u", "v"]), pl.Series(c.ITEM_ID, ["a", "b"]))
    assert distinct_pairs(rows.interactions, *ids).toarray().tolist() == [[4, 0], [0, 2]]


def test_sequences_drop_an_item_repeated_in_a_row_but_not_one_that_comes_back() -> None:
    rows = known(*(("u", item, 9 - n, 1) for n, item in enumerate("aabab")), ("w", "b", 0, 1))
    found = sequences(everybody(rows), pl.Series(c.ITEM_ID, ["a", "b"]))
    assert [history[:, ITEM].tolist() for history in found] == [[0, 1, 0, 1], [1]]


def test_windows_are_cut_from_the_newest_back_and_share_one_item() -> None:
    windows = cut([np.arange(8), np.arange(1), np.arange(2)], 4)
    assert [window.tolist() for window in windows] == [[4, 5, 6, 7], [1, 2, 3, 4], [0, 1], [0, 1]]
    targets = [item for window in windows[:3] for item in window[1:]]
    assert sorted(targets) == [1, 2, 3, 4, 5, 6, 7]
    assert owners([np.arange(8), np.arange(1), np.arange(2)], 4).tolist() == [0, 0, 0, 2]


def test_later_targets_are_the_next_item_or_one_of_the_horizon() -> None:
    # Of each step the rest is ten times its item, and goes with it.
    rows = [np.array([5, 6, 7, 8]), np.array([9])]
    steps = pad([np.column_stack([row, *[10 * row] * 3]) for row in rows])
    assert torch.equal(later(steps, 1), steps)
    torch.manual_seed(1)
    whole = torch.stack([later(steps, 2) for _ in range(60)])
    drawn = whole[..., ITEM]
    real = drawn != NOTHING
    assert torch.equal(whole[..., TIMES][real], 10 * drawn[real])
    for place, allowed in enumerate([{5, 6}, {6, 7}, {7, 8}, {8}]):
        assert set(drawn[:, 0, place].tolist()) == allowed
    assert set(drawn[:, 1, 0].tolist()) == {9}
    assert set(drawn[:, 1, 1:].flatten().tolist()) == {NOTHING}


def test_popularity_shifts_by_what_the_last_week_changed() -> None:
    rows = known(("u", "a", 20, 1), ("u", "a", 19, 1), ("u", "b", 6, 1))
    log_share, shift = popularity(everybody(rows), pl.Series(c.ITEM_ID, ["a", "b"]))
    # One more interaction each: always a 3 of 5, b 2 of 5; in the week a 1 of 3, b 2 of 3.
    assert np.exp(log_share) == pytest.approx([3 / 5, 2 / 5])
    assert np.exp(shift) == pytest.approx([(1 / 3) / (3 / 5), (2 / 3) / (2 / 5)])


def test_neighbours_are_visited_close_together_and_lately() -> None:
    of_u = (("u", "a", 2, 1), ("u", "b", 0, 1), ("u", "d", 0, 1))
    rows = known(*of_u, ("v", "a", 4, 1), ("v", "b", 2, 1))
    options = Candidates(item_neighbours=NeighbourOptions(reach=2, half_life_days=2))
    scores = ItemNeighbours.fit(rows, options, Run(0, 1)).scores(everybody(rows))
    # a and b: next to each other today, and two days (a half-life) ago. b and d: next to each
    # other. a and d: two apart.
    ab, bd, ad = 1 + 0.5, 1.0, 1 / 2
    a, b, d = ab + ad, ab + bd, bd + ad
    sim_ab, sim_bd, sim_ad = ab / sqrt(a * b), bd / sqrt(b * d), ad / sqrt(a * d)
    # v saw b last and a before.
    assert scores[1] == pytest.approx([sim_ab, 0.5 * sim_ab, sim_bd + 0.5 * sim_ad])


def test_an_item_visited_twice_in_a_row_is_no_neighbour_of_itself() -> None:
    rows = known(("u", "a", 0, 1), ("u", "a", 0, 1), ("v", "b", 0, 1))
    scores = ItemNeighbours.fit(rows, Candidates(), Run(0, 1)).scores(everybody(rows))
    assert (scores == NO_OPINION).all()


def test_the_most_similar_stay_ties_to_the_smaller_item() -> None:
    similar = sparse.csr_matrix([[0.0, 0.5, 0.9, 0.5], [0.5, 0.0, 0.0, 0.0]])
    assert nearest(similar, 2).toarray().tolist() == [[0, 0.5, 0.9, 0], [0.5, 0, 0, 0]]


def test_only_the_last_items_ask_each_at_its_newest_place() -> None:
    rows = known(*(("u", item, 9 - n, 1) for n, item in enumerate("dabab")), ("w", "b", 0, 1))
    found = everybody(rows).encoded(pl.Series(c.ITEM_ID, ["a", "b", "d"]))
    weights, cells = newest(found, reach=4)
    told = sorted(zip(*(part.tolist() for part in (*cells, weights)), strict=True))
    assert told == [(0, 0, 0.5), (0, 1, 1.0), (1, 1, 1.0)]


def test_new_items_are_like_what_was_touched_and_hardly_touched_themselves() -> None:
    rows = known(("u", "a", 0, 1), ("v", "a", 0, 1), ("v", "b", 0, 1), ("w", "b", 0, 1))
    items = pl.DataFrame(
        {
            c.ITEM_ID: ["a", "b", "n"],
            c.BRAND: ["x", "x", "y"],
            c.COLOUR: ["red", "blue", "red"],
        }
    )
    shop = replace(rows, items=items)
    options = Candidates(new_items=NewItemOptions(max_touches=2))
    scores = NewItems.fit(shop, options, Run(0, 1)).scores(everybody(shop))
    # a is an x in red, both in two of three items; n is the only y, and red.
    both, alone = log(3 / 2), log(3)
    cosine = both * both / (sqrt(2 * both**2) * sqrt(both**2 + alone**2))
    assert scores[0] == pytest.approx([-np.inf, -np.inf, cosine])
    # w touched only b, which has nothing of n.
    assert (scores[2] == NO_OPINION).all()


def test_new_items_say_nothing_where_nothing_is_told_of_items() -> None:
    rows = known(("u", "a", 0, 1), ("v", "b", 0, 1))
    assert (NewItems.fit(rows, Candidates(), Run(0, 1)).scores(everybody(rows)) == NO_OPINION).all()
