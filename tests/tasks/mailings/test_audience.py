"""Who gets a letter: worked by hand, and what holds of any audience."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import ContractViolation, WrongAnswer
from tasks.mailings.audience import CONTROL, REASONS, SENT, Choice, arms, chosen, marked, named
from tasks.mailings.power import detectable_effect

SCORES = pl.DataFrame(
    {
        "user_id": ["a", "b", "c", "d", "e", "f", "g"],
        "probability": [0.9, 0.8, 0.8, 0.6, 0.5, 0.4, 0.1],
    }
)
# b has opted out and is over the cap too, c has not consented, d is a member, e is over the cap,
# and nothing is known of g.
REACH = pl.DataFrame(
    {
        "user_id": ["a", "b", "c", "d", "e", "f"],
        "opted_out": [False, True, False, False, False, False],
        "consent": [True, True, False, True, True, True],
        "letters": [1, 5, 0, 0, 2, 0],
        "is_in_mailing": [False, False, False, True, False, False],
    }
)
PEOPLE = marked(SCORES.sample(fraction=1, shuffle=True, seed=1), REACH, cap_letters=2)
users = st.lists(
    st.text(alphabet="abcdefgh0123456789", min_size=1, max_size=6), unique=True, max_size=60
)
names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,9}", fullmatch=True)
shares = st.floats(0, 0.5)


def people(ids: list[str]) -> pl.DataFrame:
    """All may be written to; the earlier in the list, the more probable."""
    probability = [1 - place / (len(ids) + 1) for place in range(len(ids))]
    return pl.DataFrame(
        {"user_id": ids, "probability": probability, "reason": [None] * len(ids)},
        schema_overrides={"reason": pl.String, "user_id": pl.String},
    )


def test_each_person_is_left_out_for_the_first_reason_that_holds() -> None:
    assert PEOPLE.rows() == [
        ("a", 0.9, None),
        ("b", 0.8, "opted_out"),
        ("c", 0.8, "without_consent"),
        ("d", 0.6, "already_in_mailing"),
        ("e", 0.5, "over_cap"),
        ("f", 0.4, None),
        ("g", 0.1, "without_consent"),
    ]


def test_a_threshold_takes_whoever_reaches_it_and_counts_those_left_out() -> None:
    found = chosen(PEOPLE, Choice(threshold=0.4), "spring", 0)
    assert found.people.rows() == [("a", 0.9, SENT), ("f", 0.4, SENT)]
    assert found.left_out == dict.fromkeys(REASONS, 1)
    assert found.base_rate == (0.9 + 0.4) / 2


def test_those_below_the_threshold_are_not_counted() -> None:
    found = chosen(PEOPLE, Choice(threshold=0.7), "spring", 0)
    assert found.left_out == {**dict.fromkeys(REASONS, 0), "opted_out": 1, "without_consent": 1}


def test_a_size_takes_the_most_probable_who_may_be_written_to() -> None:
    found = chosen(PEOPLE, Choice(audience_size=2), "spring", 0)
    assert found.people["user_id"].to_list() == ["a", "f"]
    assert found.threshold == 0.4


def test_of_equal_probabilities_the_earlier_id_comes_first() -> None:
    tied = people(["b", "a"]).with_columns(pl.lit(0.5).alias("probability"))
    ordered = marked(tied.drop("reason"), REACH, cap_letters=9)
    assert ordered["user_id"].to_list() == ["a", "b"]


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (Choice(), "one of the two: got threshold None and audience size None"),
        (Choice(0.5, 2), "one of the two: got threshold 0.5 and audience size 2"),
        (Choice(threshold=1.7), "threshold 1.7 is not from 0 to 1"),
        (Choice(threshold=-0.1), "threshold -0.1 is not from 0 to 1"),
        (Choice(threshold=float("nan")), "threshold nan is not from 0 to 1"),
        (
            Choice(threshold=0.95),
            "threshold 0.95 is above all of 7 people: the highest probability is 0.9",
        ),
        (Choice(audience_size=0), "audience size 0 is not from 1 to 2"),
        (
            Choice(audience_size=3_000),
            "audience size 3,000 is not from 1 to 2: 7 people are scored, of whom 1 opted out,"
            " 2 without consent, 1 already in mailing, 1 over cap",
        ),
    ],
)
def test_a_choice_out_of_range_names_the_rule_the_count_and_what_is_there(
    choice: Choice, said: str
) -> None:
    with pytest.raises(WrongAnswer) as raised:
        chosen(PEOPLE, choice, "spring", 0.1)
    assert said in str(raised.value)
    assert str(raised.value).endswith("nothing was sent")


def test_an_audience_of_people_who_may_not_be_written_to_is_refused() -> None:
    with pytest.raises(WrongAnswer) as raised:
        chosen(PEOPLE.slice(1, 2), Choice(threshold=0.5), "spring", 0.1)
    assert "of 2 people above 0.5 nobody may be written to: 1 opted out, 1 without consent" in str(
        raised.value
    )


@given(ids=users, mailing=names, share=shares)
def test_the_arms_are_the_audience(ids: list[str], mailing: str, share: float) -> None:
    if not ids:
        return
    found = chosen(people(ids), Choice(threshold=0), mailing, share)
    assert sorted(found.people["user_id"]) == sorted(ids)
    assert found.count(SENT) + found.count(CONTROL) == len(ids)


@given(ids=users.filter(len), mailing=names, share=shares, data=st.data())
def test_an_audience_that_grows_keeps_its_people_and_their_arms(
    ids: list[str], mailing: str, share: float, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, len(ids)))
    whole = chosen(people(ids), Choice(audience_size=len(ids)), mailing, share).people
    part = chosen(people(ids), Choice(audience_size=size), mailing, share).people
    assert part.equals(whole.head(size))


@given(ids=users.filter(len), mailing=names, share=shares)
def test_nobody_changes_arm_within_a_mailing(ids: list[str], mailing: str, share: float) -> None:
    together = dict(zip(ids, arms(mailing, pl.Series(ids), share), strict=True))
    alone = {user: arms(mailing, pl.Series([user]), share)[0] for user in reversed(ids)}
    assert alone == together


@given(ids=users.filter(len), mailing=names, share=shares)
def test_a_larger_share_keeps_the_control_of_a_smaller_one(
    ids: list[str], mailing: str, share: float
) -> None:
    small, large = (arms(mailing, pl.Series(ids), part) == CONTROL for part in (share / 2, share))
    assert (small <= large).all()


def test_the_share_of_control_is_the_one_asked_for_and_differs_by_mailing() -> None:
    ids = pl.Series([f"u{number}" for number in range(20_000)])
    spring, autumn = (arms(name, ids, 0.2) == CONTROL for name in ("spring", "autumn"))
    # Four standard errors: 4 * sqrt(0.2 * 0.8 / 20,000) = 0.0113, of both 4 * 0.00139 = 0.0056.
    assert abs(spring.mean() - 0.2) < 0.0113
    assert abs((spring & autumn).mean() - 0.2 * 0.2) < 0.0056


@pytest.mark.parametrize("name", ["", "Spring", "../spring", "a b", "-a", "a" * 61, "a\n"])
def test_a_name_that_could_be_more_than_a_name_is_refused(name: str) -> None:
    with pytest.raises(ContractViolation, match="is no name"):
        named(name)


def test_a_thousand_people_an_arm_show_four_points_over_a_tenth() -> None:
    # Fleiss: n = (1.96 sqrt(2 * .12 * .88) + .8416 sqrt(.1 * .9 + .14 * .86))^2 / .04^2 = 1035
    rise = detectable_effect(0.1, 1035, 1035)
    assert rise == pytest.approx(0.04, abs=1e-4)


def test_a_small_control_group_shows_less_than_halves_of_the_same_audience() -> None:
    halves, tenth = detectable_effect(0.1, 1000, 1000), detectable_effect(0.1, 1800, 200)
    assert halves is not None
    assert tenth is not None
    assert halves < tenth


@pytest.mark.parametrize(("rate", "sent", "control"), [(0.1, 0, 9), (0.1, 9, 0), (0.9, 9, 9)])
def test_an_audience_that_can_show_nothing_has_no_detectable_effect(
    rate: float, sent: int, control: int
) -> None:
    assert detectable_effect(rate, sent, control) is None
