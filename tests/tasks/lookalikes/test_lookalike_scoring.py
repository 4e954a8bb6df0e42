from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from tasks import columns as c
from tasks.errors import QualityGateFailed
from tasks.features.calendar import calendar
from tasks.lake import engines
from tasks.lake.contracts import conform
from tasks.lake.tables import EVENTS, ITEM_ATTRIBUTES, ITEMS, LOOKALIKE_SCORES, THRESHOLD_CARDS
from tasks.lookalikes.classifier import fit_classifier
from tasks.lookalikes.counters import ALL, held
from tasks.lookalikes.matrix import sparse_matrix, supports, vocabulary
from tasks.lookalikes.model import product_log_odds
from tasks.lookalikes.picture import reliability_figure
from tasks.lookalikes.registry import Rule, Segment
from tasks.lookalikes.scoring import Evidence, score_people
from tasks.lookalikes.training import (
    ANCHOR,
    GENERAL_SHARE,
    LABEL,
    RULE_SHARE,
    drawn,
    factor,
    penalty_shares,
)
from tasks.lookalikes.windows import Plan, plan_of
from tasks.settings import Lookalikes, Settings
from tests.rows import rows

DAY = date(2026, 3, 31)
SEGMENT = Segment(
    "bags", "me", "did it", window_days=7, gap_days=1, horizon_days=7, lasting_trait=False
)
PLAN = plan_of(SEGMENT, DAY, date(2026, 1, 1), history_days=7, training_anchors=2)
PEOPLE = 1500
VALUES = 12
OPTIONS = Lookalikes()
SCHEMA = {c.USER_ID: pl.String, "day": pl.Date}


def evidence(signal: float, rate: float = 0.08, distinct: bool = True, seed: int = 1) -> Evidence:
    """Everybody looks at twelve values; v00 moves the odds of a seed act by `signal`."""
    generator = np.random.default_rng(seed)
    users = np.array([f"u{number:05d}" for number in range(PEOPLE)])
    features, seeds, purchases = {}, [], []
    for anchor in PLAN.anchors:
        share = (
            generator.dirichlet(np.full(VALUES, 0.5), PEOPLE)
            if distinct
            else np.full((PEOPLE, VALUES), 1 / VALUES)
        )
        features[anchor] = held(long(users, share))
        buys = generator.random(PEOPLE) < 0.4
        odds = np.log(rate / 0.4 / (1 - rate / 0.4)) + signal * (share[:, 0] - 1 / VALUES)
        seeding = buys & (generator.random(PEOPLE) < 1 / (1 + np.exp(-odds)))
        after = anchor + timedelta(days=1 + int(generator.integers(SEGMENT.horizon_days)))
        if anchor < DAY:
            seeds += [(user, after) for user in users[seeding]]
            purchases += [(user, after) for user in users[buys]]
    known = {anchor: pl.DataFrame({c.USER_ID: users}) for anchor in PLAN.anchors}
    frames = (pl.DataFrame(acts, schema=SCHEMA, orient="row") for acts in (seeds, purchases))
    return Evidence(features, known, *frames)


def long(users: np.ndarray, share: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame(
        {
            c.USER_ID: np.repeat(users, VALUES),
            c.ATTRIBUTE: "colour",
            c.VALUE: [f"v{number:02d}" for number in range(VALUES)] * len(users),
            "share": share.ravel(),
        }
    )


def verdict(card: pl.DataFrame) -> str:
    return str(card["verdict"][0])


def test_a_planted_taste_is_found_and_its_probabilities_are_true() -> None:
    scored = score_people(PLAN, evidence(signal=6), OPTIONS)
    assert verdict(scored.card) == "ok"
    assert set(scored.card["suggestion"].drop_nulls()) == {"sure", "wide"}
    assert scored.metrics["auc_low"] > 0.55
    assert 0.5 < scored.metrics["calibration_slope"] < 2
    assert 0.7 < scored.metrics["observed_to_expected"] < 1.4
    assert scored.drivers is not None
    assert scored.drivers["value"][0] == "v00"
    assert conform(LOOKALIKE_SCORES, scored.scores).height == len(scored.scores)
    conform(THRESHOLD_CARDS, scored.card)
    assert scored.judged is not None
    assert reliability_figure(scored.judged).axes


def test_scores_repeat_to_the_bit() -> None:
    once, again = (score_people(PLAN, evidence(signal=6), OPTIONS) for _ in range(2))
    assert once.scores.equals(again.scores)
    assert once.card.equals(again.card)


def test_people_who_did_it_lately_are_not_scored() -> None:
    known = evidence(signal=6)
    lately = known.seeds.filter(pl.col("day") > DAY - timedelta(days=SEGMENT.window_days))
    scored = score_people(PLAN, known, OPTIONS)
    assert lately.height > 0
    assert not set(lately[c.USER_ID]) & set(scored.scores[c.USER_ID])
    assert len(scored.scores) == PEOPLE - lately[c.USER_ID].n_unique()


def test_without_signal_people_are_scored_and_the_card_refuses() -> None:
    scored = score_people(PLAN, evidence(signal=0), OPTIONS)
    assert verdict(scored.card) == "no signal"
    assert scored.card["audience_size"].to_list() == [0]
    assert scored.card["auc_low"][0] <= 0.5
    assert len(scored.scores) > 0


def test_too_few_seeds_succeed_with_a_card_that_refuses() -> None:
    scored = score_people(PLAN, evidence(signal=6, rate=0.008), OPTIONS)
    assert verdict(scored.card) == "too few"
    assert "50 are needed" in str(scored.card["reason"][0])
    assert scored.scores.is_empty()


def test_too_few_in_a_later_window_cannot_be_judged() -> None:
    known = evidence(signal=6)
    early = known.seeds.filter(pl.col("day") <= PLAN.card)
    scored = score_people(
        PLAN, Evidence(known.features, known.known, early, known.purchases), OPTIONS
    )
    assert verdict(scored.card) == "too few"
    assert "later window" in str(scored.card["reason"][0])


def test_a_short_history_is_said() -> None:
    short = plan_of(SEGMENT, DAY, DAY - timedelta(days=20), history_days=7, training_anchors=2)
    scored = score_people(short, evidence(signal=6), OPTIONS)
    begins = DAY - timedelta(days=3 * SEGMENT.horizon_days + SEGMENT.gap_days + 7 - 1)
    assert scored.card["reason"][0] == f"history is too short: to train it has to begin by {begins}"
    assert plan_of(SEGMENT, DAY, begins, 7, 2).training
    assert not plan_of(SEGMENT, DAY, begins + timedelta(days=1), 7, 2).training


def test_people_who_cannot_be_told_apart_fail_the_run() -> None:
    with pytest.raises(QualityGateFailed, match="degenerate, 1 distinct"):
        score_people(PLAN, evidence(signal=0, distinct=False), OPTIONS)


def test_the_product_of_two_probabilities_keeps_small_numbers() -> None:
    # 1/4 * 1/3 = 1/12: odds 1 to 11.
    quarter, third = np.log([1 / 3]), np.log([1 / 2])
    assert product_log_odds(quarter, third) == pytest.approx(np.log([1 / 11]))
    assert np.isfinite(product_log_odds(np.array([-40.0]), np.array([-40.0])))[0]


def test_columns_need_support_and_come_from_training_only() -> None:
    features = pl.DataFrame(
        {
            c.USER_ID: ["a", "b", "c", "a"],
            c.ATTRIBUTE: ["colour"] * 4,
            c.VALUE: ["red", "red", "blue", "blue"],
            "share": [1.0, 0.5, 0.25, 0.75],
        }
    )
    counted = [supports(features, features.filter(pl.col(c.USER_ID) == user)) for user in "abc"]
    columns = vocabulary(counted, min_support=2, max_columns=1)
    assert columns.select(c.VALUE).to_series().to_list() == ["blue"]
    both = vocabulary(counted, min_support=2, max_columns=9)
    people = pl.DataFrame({c.USER_ID: ["c", "stranger", "a"]})
    assert sparse_matrix(people, features, both).toarray().tolist() == [
        [0.25, 0],
        [0, 0],
        [0.75, 1],
    ]


def counters(day: date, events: list[dict[str, object]], settings: Settings) -> pl.DataFrame:
    given = [{c.EVENT_ID: str(place), **event} for place, event in enumerate(events)]
    days = [event[c.TS].date() for event in events]
    relations = {
        "events": rows(EVENTS, *given).with_columns(dt=pl.Series(days, dtype=pl.Date)),
        "items": rows(ITEMS, {c.ITEM_ID: "bag", c.CATEGORY_GROUP: "g"}).with_columns(
            dt=pl.lit(day)
        ),
        "item_attributes": rows(
            ITEM_ATTRIBUTES, {c.ITEM_ID: "bag", c.ATTRIBUTE: "brand", c.VALUE: "X"}
        ).with_columns(dt=pl.lit(day)),
        "calendar": calendar(day - timedelta(days=1), 14),
    }
    text = engines.sql_text("lookalike_features")
    return engines.select(text, relations, {}, settings).sort(c.USER_ID, c.ATTRIBUTE, c.VALUE)


def test_the_session_of_the_seed_act_does_not_leak_into_features(settings: Settings) -> None:
    """A view in the very session of the purchase would give the answer away."""
    anchor = PLAN.training[0]
    noon = datetime(anchor.year, anchor.month, anchor.day, 12, tzinfo=UTC)
    earlier = [
        {c.USER_ID: "u", c.ITEM_ID: "bag", c.EVENT_TYPE: c.VIEW, c.TS: noon - timedelta(days=3)}
    ]
    leak = [
        {c.USER_ID: "u", c.ITEM_ID: "bag", c.EVENT_TYPE: kind, c.TS: noon + timedelta(hours=hours)}
        for kind, hours in ((c.VIEW, 0), (c.VIEW, 14), (c.ORDER, 15))
    ]
    feature_day = PLAN.feature_day(anchor)
    clean = counters(feature_day, earlier, settings)
    assert clean.height > 0
    assert counters(feature_day, earlier + leak, settings).equals(clean)


def test_a_wider_gap_moves_features_further_back() -> None:
    wide = Segment("bags", "me", "did it", 7, 4, 7, False)
    plan: Plan = plan_of(wide, DAY, date(2026, 1, 1), 7, 1)
    assert plan.feature_day(DAY) == DAY - timedelta(days=3)


def test_a_small_lot_leaves_probabilities_true() -> None:
    few = OPTIONS.model_copy(update={"training_people": 1000})
    known = evidence(signal=6)
    whole, drawn = score_people(PLAN, known, OPTIONS), score_people(PLAN, known, few, seed=3)
    assert len(drawn.scores) == len(whole.scores)
    assert drawn.judged is not None
    assert whole.judged is not None
    assert len(drawn.judged.p) == len(whole.judged.p)
    means = [scored.scores[c.PROBABILITY].mean() for scored in (whole, drawn)]
    assert means[1] == pytest.approx(means[0], rel=0.35)


def test_a_factor_of_a_small_lot_has_the_odds_of_everybody_before_it_is_calibrated() -> None:
    # 1,000 of 20,000 do it, 200 of a lot of 400: the odds of everybody are those of 0.05.
    generator = np.random.default_rng(1)
    ids = [f"u{number:05d}" for number in range(20_000)]
    people = pl.DataFrame({c.USER_ID: ids, ANCHOR: DAY, LABEL: np.arange(20_000) < 1000})
    lot = drawn(people, 400, seed=1)
    assert lot.people[LABEL].mean() == 0.5
    noise = csr_matrix(generator.random((400, 1)))
    found = factor(noise, lot, 1.0, np.ones(1))
    p = 1 / (1 + np.exp(-found.log_odds(noise)))
    assert p.mean() == pytest.approx(0.05, rel=0.1)


def test_the_session_of_the_seed_act_would_be_seen_a_partition_later(settings: Settings) -> None:
    """Without the gap the answer would be among the features: the test above can fail."""
    anchor = PLAN.training[0]
    noon = datetime(anchor.year, anchor.month, anchor.day, 12, tzinfo=UTC)
    leak = [{c.USER_ID: "u", c.ITEM_ID: "bag", c.EVENT_TYPE: c.VIEW, c.TS: noon}]
    assert counters(PLAN.feature_day(anchor), leak, settings).is_empty()
    later = counters(PLAN.feature_day(anchor) + timedelta(days=1), leak, settings)
    assert later.filter(pl.col(c.VALUE) == "X")["share"].to_list() == [1 / (1 + 5)]


def test_a_model_that_saw_the_answer_is_too_good_to_be_a_look_alike() -> None:
    """Planted: people who will do it have looked at a value that nobody else has."""
    known = evidence(signal=0)
    told = {}
    for anchor in PLAN.anchors:
        after = pl.col("day").is_between(anchor + timedelta(days=1), anchor + timedelta(days=7))
        doing = known.seeds.filter(after).select(c.USER_ID).unique()
        leak = doing.with_columns(
            pl.lit("session").alias(c.ATTRIBUTE), pl.lit("bag").alias(c.VALUE), share=pl.lit(1.0)
        )
        told[anchor] = held(pl.concat([*known.features[anchor].frames(ALL), leak]))
    with pytest.raises(QualityGateFailed, match=r"too good to be true.*'session bag'"):
        score_people(PLAN, Evidence(told, known.known, known.seeds, known.purchases), OPTIONS)


def test_what_is_known_to_matter_is_penalised_less() -> None:
    columns = pl.DataFrame(
        {
            c.ATTRIBUTE: ["category", "category", "brand", "recency"],
            c.VALUE: ["bags", "hats", "bags", "0 to 1"],
        }
    )
    shares = penalty_shares(columns, Rule("category", ("bags", "belts")))
    assert shares.tolist() == [RULE_SHARE, 1, 1, GENERAL_SHARE]
    assert penalty_shares(columns, None).tolist() == [1, 1, 1, GENERAL_SHARE]


def test_a_column_that_is_penalised_less_keeps_more_of_its_effect() -> None:
    x = np.random.default_rng(5).random((400, 3))
    y = (x[:, 0] + x[:, 1] > 1) * 1.0
    even = fit_classifier(x, y, 30).coefficients
    freer = fit_classifier(x, y, 30, np.array([0.03, 1, 1])).coefficients
    assert freer[0] > 1.5 * even[0]
    assert fit_classifier(x, y, 30, np.ones(3)).coefficients.tolist() == even.tolist()
