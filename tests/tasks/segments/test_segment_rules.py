from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import columns as c
from tasks.lake.contracts import conform
from tasks.lake.tables import USER_SEGMENTS
from tasks.segments.rules import dimensions, genders, unknown_segment, user_segments
from tasks.settings import Segments

OPTIONS = Segments(gendered_acts=3, affinity=0.7, sleeping_days=14, new_days=7, active_acts=3)
NOBODY = {
    "customer_gender": None,
    "is_customer": False,
    "acts_30": 0,
    "acts_women_30": 0,
    "acts_men_30": 0,
    "acts_web_30": 0,
    "acts_app_30": 0,
    "days_since_event": None,
    "days_since_first_event": None,
}
EVIDENCE = {
    name: dtype
    for name, dtype in USER_SEGMENTS.schema.items()
    if name in NOBODY or name == c.USER_ID
}


def segments_of(*people: dict[str, object]) -> pl.DataFrame:
    rows = [{c.USER_ID: f"u{n}", **NOBODY, **person} for n, person in enumerate(people)]
    return user_segments(pl.DataFrame(rows, schema=EVIDENCE), OPTIONS)


def segment_of(**person: object) -> str:
    return str(segments_of(person)[c.SEGMENT].item())


def test_a_visitor_of_whom_nothing_is_known_is_unknown_new_unknown() -> None:
    assert segment_of() == unknown_segment(OPTIONS) == "unknown.new.unknown"


@pytest.mark.parametrize(
    ("women", "men", "told", "affinity"),
    [
        (7, 3, "men", "women"),  # 7 of 10 is the share that makes an affinity
        (3, 7, "women", "men"),
        (6, 4, "women", "both"),
        (2, 0, None, "unknown"),  # two acts are too few to tell
        (2, 0, "men", "men"),
        (0, 0, "women", "women"),
    ],
)
def test_acts_tell_whom_one_shops_for_and_the_customer_is_asked_while_they_are_few(
    women: int, men: int, told: str | None, affinity: str
) -> None:
    segment = segment_of(acts_women_30=women, acts_men_30=men, customer_gender=told)
    assert segment.split(".")[0] == affinity


@pytest.mark.parametrize(
    ("person", "lifecycle"),
    [
        ({"is_customer": True}, "sleeping"),
        ({"acts_30": 9, "days_since_event": 14, "days_since_first_event": 20}, "sleeping"),
        ({"acts_30": 9, "days_since_event": 13, "days_since_first_event": 20}, "active"),
        ({"acts_30": 9, "days_since_event": 0, "days_since_first_event": 6}, "new"),
        ({"acts_30": 2, "days_since_event": 0, "days_since_first_event": 20}, "new"),
        ({"acts_30": 3, "days_since_event": 0, "days_since_first_event": 7}, "active"),
    ],
)
def test_lifecycle_goes_by_recency_and_count(person: dict[str, object], lifecycle: str) -> None:
    assert segment_of(**person).split(".")[1] == lifecycle


@pytest.mark.parametrize(
    ("app", "web", "family"), [(2, 2, "app"), (1, 2, "web"), (0, 1, "web"), (0, 0, "unknown")]
)
def test_the_platform_family_is_where_most_acts_were(app: int, web: int, family: str) -> None:
    assert segment_of(acts_app_30=app, acts_web_30=web).split(".")[2] == family


counts = st.integers(0, 40)
ages = st.none() | st.integers(0, 29)


@given(
    st.fixed_dictionaries(
        {
            "customer_gender": st.sampled_from([None, "women", "men"]),
            "is_customer": st.booleans(),
            "acts_30": counts,
            "acts_women_30": counts,
            "acts_men_30": counts,
            "acts_web_30": counts,
            "acts_app_30": counts,
            "days_since_event": ages,
            "days_since_first_event": ages,
        }
    )
)
def test_everybody_falls_into_exactly_one_declared_segment(person: dict[str, object]) -> None:
    rows = conform(USER_SEGMENTS, segments_of(person))
    assert rows.height == 1
    for dimension, value in zip(dimensions(OPTIONS), rows[c.SEGMENT][0].split("."), strict=True):
        assert value in {rule.value for rule in dimension.rules} | {dimension.otherwise}
        assert rows[dimension.column][0] == value


def test_no_spelling_means_two_genders() -> None:
    assert genders()["value"].is_unique().all()
