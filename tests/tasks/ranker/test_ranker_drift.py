from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.lake.tables import RANKER_METRICS
from tasks.ranker import drift
from tasks.ranker import evaluation as ev
from tasks.ranker.drift import by_family, by_feature, psi
from tasks.ranker.features import FEATURES, NAMES
from tasks.report.page import Page, text
from tasks.report.ranker import ranker_sections
from tasks.settings import Settings
from tests.ranking import LAST, drawn_groups
from tests.tasks.ranker.test_ranker_verdict import verdict_on

FLOATS = st.lists(st.one_of(st.none(), st.floats(-5, 5)), min_size=1, max_size=40)


def test_a_category_that_doubles_its_odds() -> None:
    before = pl.Series("platform", ["web", "ios"] * 50)
    now = pl.Series("platform", ["web"] * 75 + ["ios"] * 25)
    # (0.75 - 0.5) ln(0.75 / 0.5) + (0.25 - 0.5) ln(0.25 / 0.5) = 0.1014 + 0.1733.
    assert psi(before, now) == pytest.approx(0.2747, abs=1e-4)


def test_numbers_are_compared_by_the_tenths_of_earlier_rows() -> None:
    before = pl.Series("item_price", range(100))
    # Twice as many in the lowest tenth, none in the highest, counted as 0.0001.
    now = pl.Series("item_price", [*range(90), *range(10)])
    empty = (drift.LEAST_SHARE - 0.1) * math.log(drift.LEAST_SHARE / 0.1)
    assert psi(before, now) == pytest.approx(0.1 * math.log(2) + empty)
    assert psi(before, before + 1000) > drift.SHIFTED


def test_values_that_go_missing_are_drift() -> None:
    before = pl.Series("item_price", [1.0, 2.0] * 50)
    now = pl.Series("item_price", [1.0, 2.0, None, None] * 25)
    assert psi(before, now) > drift.SHIFTED
    unknown = pl.Series("item_price", [None] * 9, dtype=pl.Float64)
    assert psi(unknown, unknown) == 0.0


@given(FLOATS)
def test_the_same_rows_in_any_order_do_not_drift(values: list[float | None]) -> None:
    rows = pl.Series("item_price", values, dtype=pl.Float64)
    assert psi(rows, rows.reverse()) == 0.0
    assert psi(rows, rows.clear()) == 0.0


@given(FLOATS, FLOATS)
def test_an_index_is_never_below_zero(one: list[float | None], other: list[float | None]) -> None:
    before, now = (pl.Series("item_price", values, dtype=pl.Float64) for values in (one, other))
    assert psi(before, now) >= 0.0


def told(model: str, metric: str, **values: float) -> list[dict[str, object]]:
    return [
        {"model": model, "slice": f"feature={name}", "metric": metric, "value": value}
        for name, value in values.items()
    ]


def test_a_verdict_names_what_moved_and_what_shifted() -> None:
    rows = [
        *told(ev.RANKER, drift.SHARE, a=0.5, b=0.3, c=0.1, d=0.05),
        *told(ev.INCUMBENT, drift.SHARE, a=0.35, b=0.3, c=0.1, d=0.05),
        *told(ev.RANKER, drift.PSI, a=0.0, b=0.2, c=0.3, d=0.1),
    ]
    found = by_feature(pl.DataFrame(rows, schema_overrides={"value": pl.Float64}))
    assert dict(found.select("feature", "verdict").iter_rows()) == {
        "a": "moved", "b": "shifting", "c": "shifted", "d": "steady",
    }  # fmt: skip


def test_families_hold_what_their_features_hold_and_sum_to_one(
    groups: pl.DataFrame, quick: Settings
) -> None:
    metrics = verdict_on(groups, quick).trial.metrics
    found = by_family(metrics)
    assert set(found["family"]) == {feature.family for feature in FEATURES}
    assert found["share"].sum() == pytest.approx(1.0)
    assert found["share"].is_sorted(descending=True)
    of_feature = dict(by_feature(metrics).select("feature", "share").iter_rows())
    of_family = dict(found.select("family", "share").iter_rows())
    facets = [feature.name for feature in FEATURES if feature.family == "facets"]
    assert of_family["facets"] == pytest.approx(sum(of_feature[name] for name in facets))
    page = text(Page(LAST, (), ranker_sections(metrics, pl.DataFrame(schema={"role": pl.String}))))
    lines = page[page.index("by family") :].splitlines()
    assert next(line for line in lines if line.startswith("facets")).split()[1] == (
        f"{of_family['facets']:.4f}".rstrip("0")
    )


def test_lists_are_compared_with_whole_lists_and_not_with_the_rows_of_training(
    groups: pl.DataFrame, quick: Settings
) -> None:
    """Training takes as many of each platform; the shop itself is steady: 80% web every day."""
    web = pl.int_range(pl.len()).over("listing_day") % 10 < 8
    platform = pl.when(web).then(pl.lit("web")).otherwise(pl.lit("ios"))
    natural = groups.with_columns(platform=platform, is_trained=pl.lit(value=False))
    even = groups.with_columns(
        pl.concat_str(pl.lit("t"), "group_id").alias("group_id"),
        platform=pl.when(web.not_()).then(pl.lit("web")).otherwise(pl.lit("ios")),
        is_measured=pl.lit(value=False),
    )
    found = by_feature(verdict_on(pl.concat([natural, even]), quick).trial.metrics)
    (platform_row,) = found.filter(feature="platform").to_dicts()
    assert (platform_row["psi"], platform_row["verdict"]) == (pytest.approx(0.0), "steady")


def test_what_is_made_on_a_schedule_ages_without_drifting() -> None:
    lists = drawn_groups(days=2, per_day=5)
    older = lists.with_columns(ease_age_days=pl.col("ease_age_days").fill_null(0) + 7)
    found = drift.measured(lists, older, {})
    names = set(found["slice"].str.strip_prefix("feature="))
    assert names == set(NAMES) - set(drift.CALENDAR)


def test_without_earlier_whole_lists_nothing_is_called_steady(
    groups: pl.DataFrame, quick: Settings
) -> None:
    only = groups.with_columns(is_measured=pl.col("listing_day") == LAST)
    metrics = verdict_on(only, quick).trial.metrics
    found = by_feature(metrics)
    assert found["psi"].null_count() == found.height
    assert set(found["verdict"]) == {"unknown"}
    page = Page(LAST, (), ranker_sections(metrics, pl.DataFrame(schema={"role": pl.String})))
    assert "No psi: every day with whole lists was held out" in text(page)
    assert drift.drift_figure(found).axes


def test_every_feature_is_watched_and_a_spoilt_one_is_shown(
    groups: pl.DataFrame, quick: Settings
) -> None:
    late = pl.col("listing_day") == LAST
    scaled = pl.when(late).then(pl.col("facet_brand") * 100).otherwise("facet_brand")
    spoilt = groups.with_columns(facet_brand=scaled.cast(pl.Float32))
    metrics = verdict_on(spoilt, quick).trial.metrics
    found = by_feature(metrics)
    assert set(found["feature"]) == set(NAMES)
    assert found["share"].sum() == pytest.approx(1.0)
    assert found["incumbent"].null_count() == found.height
    verdict_of = dict(found.select("feature", "verdict").iter_rows())
    assert (verdict_of["facet_brand"], verdict_of["facet_colour"]) == ("shifted", "steady")
    assert verdict_of["ease_age_days"] == "unknown"
    assert metrics.columns == RANKER_METRICS.schema.names()
    page = Page(LAST, (), ranker_sections(metrics, pl.DataFrame(schema={"role": pl.String})))
    (line,) = (one for one in text(page).splitlines() if one.startswith("facet_brand"))
    assert line.split()[-1] == "shifted"
    assert drift.drift_figure(found).axes
