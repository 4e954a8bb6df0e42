from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from tasks import tracking
from tasks.lake.tables import ALIAS_MOVES, GATE_DECISIONS
from tasks.ranker import evaluation as ev
from tasks.ranker.measure import tie_breaks
from tasks.ranker.registry import Version, registry_of
from tasks.ranker.verdict import Past, Verdict, decision_row, judged, track
from tasks.settings import Settings
from tests.ranking import LAST

DAY = LAST + timedelta(days=1)
NOTHING = Past(
    pl.DataFrame(schema=GATE_DECISIONS.stored_schema),
    pl.DataFrame(schema=ALIAS_MOVES.stored_schema),
)


def verdict_on(groups: pl.DataFrame, settings: Settings, past: Past = NOTHING) -> Verdict:
    found = judged(groups.lazy(), DAY, past, settings)
    assert found is not None
    return found


def with_limits(settings: Settings, **limits: object) -> Settings:
    return settings.model_copy(update={"ranker": settings.ranker.model_copy(update=limits)})


def remembered(verdict: Verdict, day: date) -> Past:
    row = decision_row(verdict).with_columns(dt=pl.lit(day))
    return Past(row.select(GATE_DECISIONS.stored_schema.names()), NOTHING.moves)


def test_without_an_incumbent_a_better_model_is_registered(
    groups: pl.DataFrame, quick: Settings
) -> None:
    verdict = verdict_on(groups, quick)
    assert verdict.decision.verdict == "pass"
    assert verdict.incumbent is None
    assert verdict.trained_through == LAST
    number = verdict.number or ""
    assert registry_of(quick).version(number) == Version(number, DAY, LAST)


def test_the_judged_model_has_not_seen_the_held_out_day(
    groups: pl.DataFrame, quick: Settings
) -> None:
    """Labels of the held-out day turned round change its figures, and nothing of the model."""
    held_out = pl.col("listing_day") == LAST
    turned = groups.with_columns(
        label=pl.when(held_out).then(1 - pl.col("label")).otherwise(pl.col("label"))
    )
    options = with_limits(quick, held_out_days=1)
    one, other = verdict_on(groups, options), verdict_on(turned, options)
    assert one.trial.lists[ev.RANKER].equals(other.trial.lists[ev.RANKER])
    assert not one.trial.metrics.equals(other.trial.metrics)


def test_shuffled_labels_do_not_pass(groups: pl.DataFrame, quick: Settings) -> None:
    train = pl.col("listing_day") < LAST
    noise = groups.filter(train)["label"].shuffle(seed=3)
    shuffled = pl.concat(
        [groups.filter(train).with_columns(label=noise), groups.filter(~train)]
    ).with_columns(pl.col("is_measured") & ~train)
    verdict = verdict_on(shuffled, quick)
    assert verdict.decision.verdict in {"refused", "undecided"}
    assert verdict.number is None


def test_a_leaked_label_is_too_good_and_waits_for_a_reason(
    groups: pl.DataFrame, quick: Settings
) -> None:
    leaked = groups.with_columns(pair_carts_30=pl.col("label").cast(pl.Float32))
    verdict = verdict_on(leaked, quick)
    assert verdict.decision.verdict == "too good"
    assert "pair_carts_30" in verdict.decision.reason
    accepted = verdict_on(leaked, with_limits(quick, accept_reason="planted on purpose"))
    assert accepted.decision.verdict == "pass"
    assert decision_row(accepted)["accept_reason"].to_list() == ["planted on purpose"]


def test_a_reason_that_nothing_needed_is_not_recorded(
    groups: pl.DataFrame, quick: Settings
) -> None:
    verdict = verdict_on(groups, with_limits(quick, accept_reason="to be sure"))
    assert verdict.decision.verdict == "pass"
    assert decision_row(verdict)["accept_reason"].to_list() == [None]


def test_a_tiny_day_is_undecided_and_more_days_are_held_out_together(
    groups: pl.DataFrame, quick: Settings
) -> None:
    # A day has lists of 60 customers, four days of all 80.
    verdict = verdict_on(groups, with_limits(quick, min_customers=61))
    assert verdict.trial.first_day == LAST - timedelta(days=3)
    assert verdict.decision.verdict == "pass"
    still = verdict_on(groups, with_limits(quick, min_customers=81))
    assert still.decision.verdict == "undecided"
    assert "at least 81" in still.decision.reason
    assert still.number is None


def test_a_day_without_a_cart_is_undecided(groups: pl.DataFrame, quick: Settings) -> None:
    held_out = pl.col("listing_day") == LAST
    label = pl.when(held_out).then(0).otherwise(pl.col("label"))
    verdict = verdict_on(
        groups.with_columns(label=label, is_measured=held_out), with_limits(quick, held_out_days=1)
    )
    assert verdict.decision.verdict == "undecided"
    assert "no carts" in verdict.decision.reason


def test_without_a_cart_to_learn_from_nothing_is_trained(
    groups: pl.DataFrame, quick: Settings
) -> None:
    verdict = verdict_on(groups.with_columns(label=pl.lit(0, pl.Int64)), quick)
    assert verdict.decision.verdict == "undecided"
    assert verdict.trial.fitted is None
    assert decision_row(verdict)["gain"].to_list() == [None]


def test_without_any_list_the_row_says_so(groups: pl.DataFrame, quick: Settings) -> None:
    assert judged(groups.clear().lazy(), DAY, NOTHING, quick) is None
    row = decision_row(None)
    assert row["decision"].to_list() == ["undecided"]
    assert row["trained_through"].to_list() == [None]


def test_the_incumbent_is_compared_and_its_own_twin_ties(
    groups: pl.DataFrame, quick: Settings
) -> None:
    """The same rows train the same model: a tie, which passes, gains over it exactly zero."""
    frozen = groups.with_columns(pl.col("is_trained") & (pl.col("listing_day") < LAST))
    first = verdict_on(frozen, quick)
    past = remembered(first, DAY - timedelta(days=1))
    second = verdict_on(frozen, quick, past)
    assert second.incumbent == first.number
    tie = next(one for one in second.trial.evidence.comparisons if one.against == ev.INCUMBENT)
    assert (tie.gain.low, tie.gain.value, tie.gain.high) == (0.0, 0.0, 0.0)
    assert second.decision.verdict == "pass"


def test_a_model_that_has_seen_the_held_out_day_is_no_incumbent(
    groups: pl.DataFrame, quick: Settings
) -> None:
    first = verdict_on(groups, quick)
    assert first.trained_through == LAST
    past = remembered(first, DAY)
    assert verdict_on(groups, quick, past).incumbent is None


def blurred(groups: pl.DataFrame) -> pl.DataFrame:
    """Return the groups with a third of what training rows say of brands exchanged by lot."""
    drawn = pl.int_range(pl.len()).shuffle(seed=0) < pl.len() * 0.35
    other = pl.col("facet_brand").shuffle(seed=1)
    spoilt = pl.when(drawn & (pl.col("listing_day") < LAST)).then(other)
    return groups.with_columns(facet_brand=spoilt.otherwise("facet_brand"))


def live_through(groups: pl.DataFrame, last: date, settings: Settings) -> tuple[Verdict, Past]:
    """Return the verdict on a model of the listings up to a day, and the past that has it live."""
    first = verdict_on(groups.filter(pl.col("listing_day") <= last), settings)
    assert first.decision.verdict == "pass"
    return first, remembered(first, last + timedelta(days=1))


def test_a_worse_model_stays_undecided_where_further_days_would_drop_the_live_one(
    groups: pl.DataFrame, quick: Settings
) -> None:
    """The live model has seen every held-out day but the newest: none can be added to it."""
    live, past = live_through(groups, LAST - timedelta(days=1), quick)
    verdict = verdict_on(blurred(groups), quick, past)
    assert verdict.decision.verdict == "undecided"
    assert "against incumbent" in verdict.decision.reason
    assert (verdict.incumbent, verdict.trial.days) == (live.number, (LAST,))
    assert verdict.number is None


def test_days_are_held_out_together_as_far_as_the_live_model_has_not_seen_them(
    groups: pl.DataFrame, quick: Settings
) -> None:
    live, past = live_through(groups, LAST - timedelta(days=2), quick)
    verdict = verdict_on(blurred(groups), quick, past)
    assert verdict.trial.days == (LAST, LAST - timedelta(days=1))
    assert verdict.incumbent == live.number
    compared = {one.against for one in verdict.trial.evidence.comparisons}
    assert compared == {ev.INCUMBENT, "sf_pos", "popularity"}


def test_the_row_keeps_every_number_of_the_decision(groups: pl.DataFrame, quick: Settings) -> None:
    row = decision_row(verdict_on(groups, quick)).row(0, named=True)
    compared = {one["against"]: one for one in json.loads(row["comparisons"])}
    assert set(compared) == {"sf_pos", "popularity"}
    assert row["gain"] == pytest.approx(compared["sf_pos"]["gain"]["value"])
    assert row["refit_correlation"] > 0.8
    assert row["is_registered"]


def test_without_a_margin_the_gain_is_still_the_one_over_the_base_order(
    groups: pl.DataFrame, quick: Settings
) -> None:
    """Every bound is 0 then, also the one against the live model."""
    _, past = live_through(groups, LAST - timedelta(days=1), quick)
    options = with_limits(quick, margin=0.0)
    verdict = verdict_on(blurred(groups), options, past)
    gains = {one.against: one.gain.value for one in verdict.trial.evidence.comparisons}
    assert decision_row(verdict)["gain"].to_list() == [gains["sf_pos"]]
    assert gains["sf_pos"] != gains[ev.INCUMBENT]


def test_the_same_groups_give_the_same_metrics(groups: pl.DataFrame, quick: Settings) -> None:
    one = verdict_on(groups, quick).trial.metrics
    other = verdict_on(groups.sample(fraction=1, shuffle=True, seed=2), quick).trial.metrics
    assert one.equals(other)


def test_the_table_holds_the_orders_beside_each_other(
    groups: pl.DataFrame, quick: Settings
) -> None:
    metrics = verdict_on(groups, quick).trial.metrics
    main = metrics.filter((pl.col("metric") == "ndcg@60") & (pl.col("slice") == "all"))
    found = dict(main.select("model", "value").iter_rows())
    assert {"ranker", "sf_pos", "popularity", "random", "logged"} == set(found)
    assert found["ranker"] > found["sf_pos"] > found["random"]
    assert main.filter(pl.col("low") > pl.col("value")).is_empty()


def test_an_incumbent_that_the_registry_lost_is_not_compared(
    groups: pl.DataFrame, quick: Settings
) -> None:
    first = verdict_on(groups, quick)
    row = decision_row(first).with_columns(
        model_version=pl.lit("77"), trained_through=pl.lit(date(2026, 3, 1)), dt=pl.lit(DAY)
    )
    past = Past(row.select(GATE_DECISIONS.stored_schema.names()), NOTHING.moves)
    second = verdict_on(groups, quick, past)
    assert second.incumbent is None
    assert second.decision.verdict == "pass"


def test_a_verdict_is_shown_on_the_run_in_figures_pictures_and_words(
    groups: pl.DataFrame, quick: Settings, tmp_path: Path
) -> None:
    verdict = verdict_on(groups, quick)
    row = decision_row(verdict)
    tracked = quick.model_copy(update={"mlflow_url": f"sqlite:///{tmp_path}/mlflow.db"})
    with tracking.task_run(tracked, "retrain_ranker", "train_ranker", {}) as run:
        track(verdict, row)
    assert run is not None
    client = tracking.client(tracked.tracking_url)
    stored = {file.path for file in client.list_artifacts(run.run_id)}
    assert {"decision.md", "shap.png", "drift.png"} <= stored
    told = Path(client.download_artifacts(run.run_id, "decision.md", str(tmp_path)))
    assert told.read_text() == f"# pass\n\n{verdict.decision.reason}\n"
    logged = client.get_run(run.run_id).data.metrics
    assert logged["ranker/all/ndcg_at_60"] == ev.value_of(
        verdict.trial.metrics, ev.RANKER, "ndcg@60"
    )
    assert {"sf_pos/all/ndcg_at_60", "ranker/family facets/shap share"} <= set(logged)


def test_a_day_without_lists_is_shown_in_words(quick: Settings, tmp_path: Path) -> None:
    tracked = quick.model_copy(update={"mlflow_url": f"sqlite:///{tmp_path}/mlflow.db"})
    with tracking.task_run(tracked, "retrain_ranker", "train_ranker", {}) as run:
        track(None, decision_row(None))
    assert run is not None
    files = tracking.client(tracked.tracking_url).list_artifacts(run.run_id)
    assert [file.path for file in files] == ["decision.md"]


def test_mrr_and_recall_of_carts_are_those_of_a_hand_worked_pair_of_lists() -> None:
    # Ranks of the carts: 2 and 11 in the first list, 4 in the second, none in the third.
    lists = pl.DataFrame(
        {
            "group_id": ["g"] * 12 + ["h"] * 5 + ["i"] * 3,
            "item_id": [f"i{number:02d}" for number in (*range(12), *range(5), *range(3))],
            "label": [int(n in (1, 10)) for n in range(12)] + [0, 0, 0, 1, 0] + [0, 0, 0],
            "order": [-float(n) for n in (*range(12), *range(5), *range(3))],
        }
    )
    found = ev.carts_found(lists.with_columns(tie_breaks(lists)), "order")
    assert found == {"mrr": (1 / 2 + 1 / 4) / 2, "recall@10": (1 / 2 + 1) / 2}
    without = lists.with_columns(tie_breaks(lists), label=pl.lit(0))
    assert ev.carts_found(without, "order") == {}


def test_there_is_a_slice_by_platform_category_group_and_length_of_list() -> None:
    lists = pl.DataFrame({"group_id": ["g"] * 21 + ["h"] * 2}).with_columns(
        platform=pl.when(pl.col("group_id") == "g").then(pl.lit("web")).otherwise(pl.lit("ios")),
        category_group=pl.when(pl.col("group_id") == "g").then(pl.lit("bags")),
        is_warm=pl.lit(True),
        is_shuffled=pl.lit(False),
    )
    assert {name: rows.height for name, rows in ev.slices(lists)} == {
        "all": 23,
        "platform=ios": 2,
        "platform=web": 21,
        "category_group=bags": 21,
        "warm": 23,
        "lists of 20 or fewer": 2,
        "lists of more than 20": 21,
    }


def test_a_slice_of_few_customers_has_a_value_and_no_interval(
    groups: pl.DataFrame, quick: Settings
) -> None:
    few = pl.when(pl.col("user_id") < "u05").then(pl.lit("ios")).otherwise("platform")
    metrics = verdict_on(groups.with_columns(platform=few), quick).trial.metrics
    found = metrics.filter((pl.col("metric") == "ndcg@60") & (pl.col("model") == "ranker"))
    bounds = {row["slice"]: (row["low"], row["high"]) for row in found.to_dicts()}
    assert bounds["platform=ios"] == (None, None)
    assert None not in bounds["platform=web"]
