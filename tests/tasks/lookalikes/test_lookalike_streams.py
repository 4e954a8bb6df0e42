from __future__ import annotations

import random
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tasks import columns as c
from tasks.lake.lake import Lake
from tasks.lake.tables import LOOKALIKE_FEATURES
from tasks.landing.manifest import write_landing_day
from tasks.lookalikes.calibration import Calibrator
from tasks.lookalikes.classifier import Classifier
from tasks.lookalikes.counters import ALL, Counters, held
from tasks.lookalikes.distributed import answered
from tasks.lookalikes.model import Calibrated, Model
from tasks.lookalikes.registry import Rule
from tasks.lookalikes.streaming import PROFILED, Scorer, seen
from tasks.lookalikes.training import LABEL, drawn
from tasks.score_lookalikes import counters_of
from tasks.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAY = date(2026, 3, 31)
VALUES = ("blue", "green", "red")
COLUMNS = pl.DataFrame(
    {"column": range(3), c.ATTRIBUTE: ["colour"] * 3, c.VALUE: VALUES},
    schema_overrides={"column": pl.UInt32},
)
MODEL = Calibrated(
    Model(
        COLUMNS,
        Classifier(-1.0, np.array([0.5, -0.3, 0.1])),
        Classifier(0.3, np.array([0.2, 0.7, -1.1])),
    ),
    Calibrator(0.9, 0.1, -0.2),
)


def counters(*pairs: tuple[str, str]) -> pl.DataFrame:
    """A third for each pair of a person and a colour."""
    given = [
        {c.USER_ID: user, c.ATTRIBUTE: "colour", c.VALUE: value, "share": 1 / 3}
        for user, value in sorted(set(pairs))
    ]
    return pl.DataFrame(given, schema=LOOKALIKE_FEATURES.schema)


def people(users: str) -> pl.DataFrame:
    return pl.DataFrame({c.USER_ID: sorted(users)}, schema={c.USER_ID: pl.String})


PAIRS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(VALUES)), max_size=24)


SOME = st.sets(st.sampled_from("abcdefghxyz"), min_size=1)


def cut(known: pl.DataFrame, rows: int, order: random.Random) -> Counters:
    """The rows in frames of `rows`, as a parallel write may leave them: in any order."""
    frames = list(known.iter_slices(rows))
    order.shuffle(frames)
    together = pl.concat(frames) if frames else known
    return Counters(lambda columns: together.select(columns).iter_slices(rows + 1))


@examples(max_examples=100)
@given(pairs=PAIRS, users=SOME, rows=st.integers(1, 9), order=st.randoms(use_true_random=False))
def test_frames_of_any_size_and_order_give_everybody_once_with_all_of_their_counters(
    pairs: list[tuple[str, str]], users: set[str], rows: int, order: random.Random
) -> None:
    known, asked = counters(*pairs), people("".join(users))
    given = list(cut(known, rows, order).of(asked))
    places = [place for found, _ in given for place in found]
    wanted = users & {user for user, _ in pairs}
    assert sorted(asked[c.USER_ID][int(place)] for place in places) == sorted(wanted)
    for found, frame in given:
        theirs = known.join(asked[found], on=c.USER_ID, how="semi")
        mine = frame.join(asked[found], on=c.USER_ID, how="semi")
        assert mine.sort(LOOKALIKE_FEATURES.key).equals(theirs)


@examples(max_examples=100)
@given(pairs=PAIRS, rows=st.integers(1, 9), order=st.randoms(use_true_random=False))
def test_a_person_has_the_same_probability_bit_by_bit_in_frames_of_any_size(
    pairs: list[tuple[str, str]], rows: int, order: random.Random
) -> None:
    known, asked = counters(*pairs), people("abcdefghxyz")
    rule = Rule("colour", ("red", "blue"))
    whole = seen(MODEL, rule, asked, held(known), "test")
    sliced = seen(MODEL, rule, asked, cut(known, rows, order), "test")
    assert sliced.p.tobytes() == whole.p.tobytes()
    assert sliced.p.tobytes() == MODEL.probability(asked, known).tobytes()
    by_rule = {user for user, value in pairs if value in rule.values}
    assert set(asked.filter(pl.Series(sliced.by_rule))[c.USER_ID]) == by_rule
    with_counters = {user for user, _ in pairs}
    assert set(asked.filter(pl.Series(sliced.has_features))[c.USER_ID]) == with_counters
    assert (sliced.kept != whole.kept).nnz == 0


def test_of_many_people_evenly_spaced_ones_are_kept() -> None:
    users = [f"{number:06d}" for number in range(2 * PROFILED + 3)]
    asked = pl.DataFrame({c.USER_ID: users})
    known = counters(*((user, "red") for user in users[::3]))
    found = seen(
        MODEL,
        None,
        asked,
        Counters(lambda columns: known.select(columns).iter_slices(1000)),
        "test",
    )
    # A step of three: 100,003 people, the places 0, 3, ..., each of whom has seen red.
    assert found.places.tolist() == list(range(0, len(users), 3))
    assert found.kept[:, 2].toarray().ravel().tolist() == [1 / 3] * len(found.places)
    assert not found.by_rule.any()


def test_a_day_is_read_in_frames(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.lake.storage.FRAME_ROWS", 5)
    write_landing_day(settings.landing, DAY, {}, "test")
    known = counters(*((user, value) for user in "abcdefgh" for value in VALUES))
    Lake(settings).write_day(LOOKALIKE_FEATURES, DAY, known)
    frames = list(Lake(settings).frames(LOOKALIKE_FEATURES, DAY, ALL))
    assert [frame.height for frame in frames] == [5, 5, 5, 5, 4]
    assert pl.concat(frames).equals(known)


def labelled(ones: int, zeros: int) -> pl.DataFrame:
    return pl.DataFrame({c.USER_ID: [str(n) for n in range(ones + zeros)]}).with_columns(
        (pl.int_range(pl.len()) < ones).alias(LABEL)
    )


@pytest.mark.parametrize(
    ("ones", "zeros", "most", "kept"),
    [
        (5, 20, 100, (5, 20)),
        (5, 95, 50, (5, 45)),
        (60, 40, 50, (25, 25)),
        (95, 5, 50, (45, 5)),
        (0, 100, 50, (0, 50)),
    ],
)
def test_a_lot_keeps_the_rarer_label_and_says_what_it_did_to_the_odds(
    ones: int, zeros: int, most: int, kept: tuple[int, int]
) -> None:
    lot = drawn(labelled(ones, zeros), most, seed=1)
    assert (int(lot.labels.sum()), int((1 - lot.labels).sum())) == kept
    assert lot.people[c.USER_ID].cast(pl.Int64).is_sorted()
    if ones:
        assert np.exp(lot.moved) == pytest.approx((kept[0] / ones) / (kept[1] / zeros))


@examples(max_examples=30)
@given(pairs=PAIRS, rows=st.integers(1, 9), at_once=st.integers(1, 12))
def test_a_worker_answers_to_whole_people_whatever_its_batches(
    pairs: list[tuple[str, str]], rows: int, at_once: int
) -> None:
    known = counters(*pairs)
    scorer = Scorer(MODEL, None, pl.Series(["a", "c"]))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tasks.lookalikes.distributed.ROWS", at_once)
        batches = (frame.to_arrow().combine_chunks() for frame in known.iter_slices(rows))
        found = list(answered(scorer, batches))
    told = [row for batch in found for row in batch.to_pylist()]
    wanted = scorer(known).sort(c.USER_ID).to_dicts() if pairs else []
    assert told == wanted


@pytest.mark.spark
def test_workers_give_the_probabilities_of_one_machine_to_the_bit(
    settings: Settings, spark: SparkSession
) -> None:
    write_landing_day(settings.landing, DAY, {}, "test")
    known = counters(*((f"{number:03d}", VALUES[number % 3]) for number in range(100)))
    more = counters(*((f"{number:03d}", "red") for number in range(0, 100, 4)))
    together = pl.concat([known, more]).unique(LOOKALIKE_FEATURES.key)
    Lake(settings).write_day(LOOKALIKE_FEATURES, DAY, together)
    asked = pl.DataFrame({c.USER_ID: [f"{number:03d}" for number in range(3, 120)]})
    rule = Rule("colour", ("red",))
    found = []
    # Twice there: workers that have our modules get no second copy of them.
    for engine in ("duckdb", "spark", "spark"):
        lake = Lake(settings.model_copy(update={"engine": engine}))
        found.append(seen(MODEL, rule, asked, counters_of(lake, DAY), "test"))
    here, there, again = found
    assert again.p.tobytes() == there.p.tobytes()
    assert there.p.tobytes() == here.p.tobytes()
    assert there.by_rule.tolist() == here.by_rule.tolist()
    assert there.has_features.tolist() == here.has_features.tolist()
    assert (there.kept != here.kept).nnz == 0
    assert len(set(here.p.tolist())) > 3
