from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from tasks import tracking
from tasks.lake.tables import ALIAS_MOVES, GATE_DECISIONS
from tasks.ranker import evaluation as ev
from tasks.ranker import model as ranker
from tasks.ranker.gate import Comparison
from tasks.ranker.measure import Interval, tie_breaks
from tasks.ranker.registry import Version, registry_of
from tasks.ranker.told import numbers as told_numbers
from tasks.ranker.told import page
from tasks.ranker.trial import fitted, trained_rows
from tasks.ranker.verdict import Past, Verdict, decision_row, judged, track
from tasks.settings import Settings
from tests.ranking import LAST
from tests.rows import rows

DAY = LAST + timedelta(days=1)
TEXT = {"seller_id": pl.String}
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


def test_lists_whose_segment_ranking_came_apart_do_not_pass(
    groups: pl.DataFrame, quick: Settings
) -> None:
    held_out = pl.col("listing_day") == LAST
    apart = groups.with_columns(pl.when(~held_out).then("sf_pos").alias("sf_pos"))
    verdict = verdict_on(apart, with_limits(quick, held_out_days=1))
    assert verdict.decision.verdict == "refused"
    assert "no held-out row has a value of sf_pos" in verdict.decision.reason


def test_shuffled_labels_do_not_pass(groups: pl.DataFrame, quick: Settings) -> None:
    train = pl.col("listing_day") < LAST
    noise = groups.filter(train)["label"].shuffle(seed=3)
    shuffled = pl.concat(
        [groups.filter(train).with_columns(label=noise), groups.filter(~train)]
    ).with_columns(pl.col("is_measured") & ~train)
    verdict = verdict_on(shuffled, quick)
    assert verdict.decision.verdict in {"refused", "undecided"}
    assert verdict.number is None
    # Nothing was refitted: the judged model has not seen the one held-out day.
    assert decision_row(verdict)["trained_through"].to_list() == [LAST - timedelta(days=1)]


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
    assert still.trained_through == LAST - timedelta(days=4)


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
    row = decision_row(verdict)
    assert row.select("gain", "trained_through").rows() == [(None, None)]


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


def blurred(groups: pl.DataFrame, share: float = 0.65) -> pl.DataFrame:
    """Return the groups with a share of what training rows say of brands exchanged by lot."""
    drawn = pl.int_range(pl.len()).shuffle(seed=0) < pl.len() * share
    other = pl.col("facet_brand").shuffle(seed=1)
    spoilt = pl.when(drawn & (pl.col("listing_day") < LAST)).then(other)
    return groups.with_columns(facet_brand=spoilt.otherwise("facet_brand"))


def accepted(groups: pl.DataFrame, last: date, settings: Settings) -> pl.DataFrame:
    """Register a model of the listings up to a day; return the GATE_DECISIONS row it passed by."""
    learnt = trained_rows(groups, last + timedelta(days=1))
    example = ranker.features(learnt.head(1)).to_pandas()
    day = last + timedelta(days=1)
    number = registry_of(settings).save(fitted(learnt, settings), day, last, example)
    row = {"model_version": number, "decision": "pass", "is_registered": True}
    decided = rows(GATE_DECISIONS, row | {"trained_through": last}).with_columns(dt=pl.lit(day))
    return decided.select(GATE_DECISIONS.stored_schema.names())


def compared(verdict: Verdict) -> dict[str, Comparison]:
    return {one.against: one for one in verdict.trial.evidence.comparisons}


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
    assert set(compared(verdict)) == {ev.INCUMBENT, "sf_pos", "popularity"}


def test_days_held_out_together_with_an_older_model_do_not_drop_the_live_one(
    groups: pl.DataFrame, quick: Settings
) -> None:
    """The twin of an old bad model passes beside it, and is not let in where the live one leads."""
    worse, alone = blurred(groups, share=0.8), with_limits(quick, min_customers=61)
    old = accepted(worse, LAST - timedelta(days=4), quick)
    live = accepted(groups, LAST - timedelta(days=1), quick)
    past = Past(pl.concat([old, live]), NOTHING.moves)
    verdict = verdict_on(worse, alone, past)
    found = compared(verdict)
    assert (len(verdict.trial.days), verdict.incumbent) == (4, old["model_version"][0])
    assert found[ev.INCUMBENT].gain == Interval(0.0, 0.0, 0.0)
    assert found[ev.NEWEST_ALONE].gain.value < -0.005 == found[ev.NEWEST_ALONE].bound
    assert (verdict.decision.verdict, verdict.number) == ("undecided", None)
    assert verdict.decision.reason.startswith(str(found[ev.NEWEST_ALONE]))
    # Within the margin of the live model on the newest day, the further days decide.
    near = with_limits(alone, margin=0.03, refit_correlation=0.5)
    assert verdict_on(worse, near, past).decision.verdict == "pass"


def test_a_newest_day_without_a_cart_is_not_outvoted_by_days_that_the_live_model_has_seen(
    groups: pl.DataFrame, quick: Settings
) -> None:
    days = (LAST - timedelta(days=4), LAST - timedelta(days=1))
    past = Past(pl.concat([accepted(groups, last, quick) for last in days]), NOTHING.moves)
    is_newest = pl.col("listing_day") == LAST
    quiet = groups.with_columns(label=pl.when(is_newest).then(0).otherwise("label"))
    verdict = verdict_on(quiet, quick, past)
    assert (verdict.trial.days, verdict.decision.verdict) == ((LAST,), "undecided")


def test_a_worse_model_is_refused_beside_the_one_live_14_days_ago(
    groups: pl.DataFrame, quick: Settings
) -> None:
    """No decision names an accepted model any more; the move of the alias still names it."""
    good = accepted(groups, LAST - timedelta(days=1), quick)["model_version"][0]
    move = {"to_version": good, "trained_through": LAST - timedelta(days=1)}
    moved = rows(ALIAS_MOVES, move).with_columns(dt=pl.lit(DAY - timedelta(days=14)))
    past = Past(NOTHING.decisions, moved.select(ALIAS_MOVES.stored_schema.names()))
    verdict = verdict_on(blurred(groups, share=1.0), quick, past)
    assert ev.INCUMBENT not in compared(verdict)
    assert compared(verdict)[ev.LIVE_BEFORE].bound == -quick.ranker.margin
    assert verdict.decision.verdict == "refused"
    assert "against live 14 days ago" in verdict.decision.reason
    later = past.moves.with_columns(dt=pl.lit(DAY - timedelta(days=13)))
    unknown = verdict_on(blurred(groups, share=1.0), quick, Past(NOTHING.decisions, later))
    assert ev.LIVE_BEFORE not in compared(unknown)


def test_a_refit_unlike_the_judged_model_is_refused_and_not_registered(
    groups: pl.DataFrame, quick: Settings
) -> None:
    verdict = verdict_on(groups, with_limits(quick, refit_correlation=1.0))
    assert verdict.trial.decision.verdict == "pass"
    assert verdict.decision.verdict == "refused"
    row = decision_row(verdict).row(0, named=True)
    assert 0.8 < row["refit_correlation"] < 1.0
    assert (row["is_registered"], row["trained_through"]) == (False, LAST)
    assert registry_of(quick).version("1") is None


def priced_by_brand(groups: pl.DataFrame) -> pl.DataFrame:
    """Return the groups with what people like at twice the price or more of what they do not."""
    return groups.with_columns(item_price=1000 + 3000 * pl.col("facet_brand"))


def liked_of_one_kind(groups: pl.DataFrame) -> pl.DataFrame:
    """Return the groups with a category an item, but one for all that people like."""
    is_liked = pl.col("facet_brand") > 0.6
    return groups.with_columns(category=pl.when(is_liked).then(pl.lit("a")).otherwise("item_id"))


@pytest.mark.parametrize(
    ("tampered", "limits", "fault"),
    [
        (priced_by_brand, {"price_high": 1.0}, "price of the top is 1."),
        (liked_of_one_kind, {"diversity_low": 1.0}, "diversity of the top fell to 0."),
    ],
)
def test_a_better_order_outside_the_bands_of_its_top_is_refused(
    groups: pl.DataFrame,
    quick: Settings,
    tampered: Callable[[pl.DataFrame], pl.DataFrame],
    limits: dict[str, float],
    fault: str,
) -> None:
    verdict = verdict_on(tampered(groups), with_limits(quick, **limits))
    assert verdict.decision.verdict == "refused"
    assert fault in verdict.decision.reason
    assert {one.verdict(0.005) for one in verdict.trial.evidence.comparisons} == {"pass"}


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


def test_an_incumbent_that_the_registry_lost_is_named_and_the_next_one_compared(
    groups: pl.DataFrame, quick: Settings
) -> None:
    first = verdict_on(groups, quick)
    row = decision_row(first).with_columns(
        model_version=pl.lit("77"), trained_through=LAST - timedelta(days=1), dt=pl.lit(DAY)
    )
    past = Past(row.select(GATE_DECISIONS.stored_schema.names()), NOTHING.moves)
    second = verdict_on(groups, quick, past)
    assert second.incumbent is None
    assert second.decision.verdict == "pass"
    assert "registry does not have them: incumbent 77." in second.decision.reason
    # One that the registry has, if older, is the incumbent instead.
    older = accepted(groups, LAST - timedelta(days=3), quick)
    third = verdict_on(groups, quick, Past(pl.concat([past.decisions, older]), NOTHING.moves))
    assert third.incumbent == older["model_version"][0]
    assert "registry does not have them: incumbent 77." in third.decision.reason


def test_another_model_under_the_number_of_a_lost_one_is_not_compared(
    groups: pl.DataFrame, quick: Settings
) -> None:
    """A registry that is begun again counts from 1."""
    row = accepted(groups, LAST - timedelta(days=1), quick)
    of_another = row.with_columns(trained_through=LAST - timedelta(days=3))
    verdict = verdict_on(groups, quick, Past(of_another, NOTHING.moves))
    assert verdict.incumbent is None
    assert f"incumbent {row['model_version'][0]}." in verdict.decision.reason


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
    assert told.read_text() == page(row)
    logged = client.get_run(run.run_id).data.metrics
    numbers = set(told_numbers(row))
    assert "gate/against sf_pos/low" in numbers <= set(logged)
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
            "user_id": ["u"] * 12 + ["v"] * 8,
            "item_id": [f"i{number:02d}" for number in (*range(12), *range(5), *range(3))],
            "label": [int(n in (1, 10)) for n in range(12)] + [0, 0, 0, 1, 0] + [0, 0, 0],
            "order": [-float(n) for n in (*range(12), *range(5), *range(3))],
        }
    )
    found = ev.carts_found(lists.with_columns(tie_breaks(lists)), ["order"])
    assert found["mrr"].rows() == [("g", "u", 1 / 2), ("h", "v", 1 / 4)]
    assert found["recall@10"].rows() == [("g", "u", 1 / 2), ("h", "v", 1.0)]
    without = lists.with_columns(tie_breaks(lists), label=pl.lit(0))
    assert {rows.height for rows in ev.carts_found(without, ["order"]).values()} == {0}


def test_the_top_of_lists_is_that_of_a_hand_worked_pair() -> None:
    """The eleventh item is of no top; whose seller is not known counts as nobody's."""
    long = {
        "group_id": ["g"] * 11,
        "item_id": [f"i{n:02d}" for n in range(11)],
        "order": [-float(n) for n in range(11)],
        "category": ["a"] * 4 + ["b"] * 3 + ["c"] * 3 + ["d"],
        "item_price": [100.0 * n for n in range(10)] + [9999.0],
        "popularity": [2.0] * 5 + [4.0] * 5 + [99.0],
        "item_age_days": [14.0, 15.0, None] + [30.0] * 7 + [1.0],
        "seller_id": ["s", "s", "s", "t", "t", None, None, None, None, None, "s"],
    }
    short = {
        "group_id": ["h"] * 2,
        "item_id": ["i", "j"],
        "order": [1.0, 0.0],
        "category": ["a", "b"],
        "item_price": [50.0, 150.0],
        "popularity": [0.0, 1.0],
        "item_age_days": [3.0, 3.0],
        "seller_id": [None, None],
    }
    lists = pl.concat([pl.DataFrame(long), pl.DataFrame(short, schema_overrides=TEXT)])
    found = ev.top_of_lists(lists.with_columns(tie_breaks(lists)), "order")
    assert found == {
        "diversity@10": pytest.approx((3 / 10 + 2 / 2) / 2),
        "price@10": pytest.approx((450 + 100) / 2),
        "popularity@10": pytest.approx((3 + 0.5) / 2),
        # One of the nine whose age is known is at most 14 days old.
        "new items@10": pytest.approx((1 / 9 + 1) / 2),
        # Of the second list no seller is known: it says nothing.
        "top seller@10": pytest.approx(3 / 10),
    }


def test_a_ratio_is_of_the_model_over_the_base_order_and_unknown_without_either() -> None:
    of_price = {"slice": "all", "metric": "price@10", "low": None, "high": None}
    values = {"ranker": 300.0, "sf_pos": 200.0, "popularity": 0.0}
    metrics = pl.DataFrame(
        [of_price | {"model": model, "value": value} for model, value in values.items()],
        schema=ev.METRICS,
    )
    ratios = [ev.ratio_of(metrics, "ranker", base, "price@10") for base in (*values, "random")]
    assert ratios == [1.0, 1.5, None, None]


def test_there_is_a_slice_by_platform_category_group_and_length_of_list() -> None:
    lists = pl.DataFrame({"group_id": ["g"] * 21 + ["h"] * 2}).with_columns(
        platform=pl.when(pl.col("group_id") == "g").then(pl.lit("web")).otherwise(pl.lit("ios")),
        category_group=pl.when(pl.col("group_id") == "g").then(pl.lit("bags")),
        is_warm=pl.col("group_id") == "g",
    )
    assert {name: rows.height for name, rows in ev.slices(lists)} == {
        "all": 23,
        "platform=ios": 2,
        "platform=web": 21,
        "category_group=bags": 21,
        "warm": 21,
        "cold": 2,
        "lists of 20 or fewer": 2,
        "lists of more than 20": 21,
    }


def test_shuffled_lists_of_every_held_out_day_are_a_slice_besides_those_that_were_drawn(
    groups: pl.DataFrame, quick: Settings
) -> None:
    """A ninth of four days' lists is shuffled and was not drawn; one taught and is out."""
    number = pl.col("group_id").str.slice(1).cast(pl.Int64)
    chance = (pl.col("listing_day") > LAST - timedelta(days=4)) & (number % 9 == 0)
    taught = chance & (pl.col("group_id") == pl.col("group_id").filter(chance).min())
    mixed = groups.with_columns(
        is_shuffled=chance,
        is_measured=pl.col("listing_day").gt(LAST - timedelta(days=4)) & ~chance,
        is_trained=~chance | taught,
    )
    live = accepted(blurred(mixed, share=0.8), LAST - timedelta(days=1), quick)
    verdict = verdict_on(mixed, quick, Past(live, NOTHING.moves))
    mine = verdict.trial.metrics.filter(pl.col("model") == "ranker")
    found = {(row["slice"], row["metric"]): row for row in mine.to_dicts()}
    assert found["shuffled", "groups"]["value"] == 6 + 7 + 7 + 6 - 1
    assert found["all", "groups"]["value"] == 54
    assert set(verdict.trial.lists["is_shuffled"]) == {False}
    for rival in (ev.INCUMBENT, "sf_pos"):
        gain = found["shuffled", f"gain over {rival}"]
        assert gain["low"] < gain["value"] < gain["high"]
    assert found["shuffled", "gain over sf_pos"]["low"] > 0


def test_a_slice_of_few_customers_has_a_value_and_no_interval(
    groups: pl.DataFrame, quick: Settings
) -> None:
    few = pl.when(pl.col("user_id") < "u05").then(pl.lit("ios")).otherwise("platform")
    metrics = verdict_on(groups.with_columns(platform=few), quick).trial.metrics
    for metric in ("ndcg@60", "mrr", "recall@10"):
        found = metrics.filter((pl.col("metric") == metric) & (pl.col("model") == "ranker"))
        bounds = {row["slice"]: (row["low"], row["high"]) for row in found.to_dicts()}
        assert bounds["platform=ios"] == (None, None)
        assert None not in bounds["platform=web"]
