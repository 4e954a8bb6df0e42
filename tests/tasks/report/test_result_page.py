from __future__ import annotations

import json
import re
from argparse import ArgumentParser
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tasks import columns as c
from tasks.errors import VitrinaError
from tasks.lake.lake import Lake
from tasks.lake.tables import (
    ALIAS_MOVES,
    CANDIDATE_METRICS,
    DATA_CHECKS,
    EVENTS,
    FACET_WEIGHTS,
    GATE_DECISIONS,
    RANKER_METRICS,
    RANKING_DAYS,
    THRESHOLD_CARDS,
)
from tasks.landing.manifest import write_landing_day
from tasks.report import command
from tasks.report.build import build
from tasks.report.page import Page, Section, cell, html, interval, text, write_html
from tasks.settings import Settings
from tests.rows import rows

DAY = date(2026, 10, 1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path, mlflow_url="")
    write_landing_day(settings.landing, DAY, {}, "test")
    return settings


def facet_weights() -> pl.DataFrame:
    brand = {"attribute": "brand", "coefficient": 2.0, "low": 1.5, "high": 2.5}
    colour = {"attribute": "colour", "coefficient": 0.1, "low": -0.2, "high": 0.4}
    shoes = {"method": "logistic", "category_group": "shoes"}
    return rows(
        FACET_WEIGHTS,
        shoes | brand | {"weight": 0.8, "weight_low": 0.6, "weight_high": 1.0, "published": True},
        shoes | colour | {"published": False, "reason": "interval covers 0"},
    )


def card(verdict: str = "ok") -> pl.DataFrame:
    auc = {"verdict": verdict, "auc": 0.8, "auc_low": 0.75, "auc_high": 0.85}
    wide = {"threshold": 0.1, "audience_size": 1000, "suggestion": "wide", "expected_buyers": 200.0}
    sure = {"threshold": 0.5, "audience_size": 100, "suggestion": "sure", "expected_buyers": 60.0}
    return rows(
        THRESHOLD_CARDS,
        auc | wide | {"precision": 0.2, "precision_low": 0.15, "precision_high": 0.25},
        auc | sure | {"precision": 0.6, "precision_low": 0.5, "precision_high": 0.7},
    )


def generator_metrics(value: float) -> pl.DataFrame:
    split = {"protocol": "time split", "slice": "all"}
    ndcg = {"metric": "ndcg@10", "value": value, "low": value - 0.01, "high": value + 0.01}
    return rows(
        CANDIDATE_METRICS,
        split | ndcg,
        split | {"metric": "recall@10", "value": value * 2},
        split | {"metric": "above_popular_7d:ndcg@10", "value": 0.02, "low": 0.01, "high": 0.03},
    )


def ranker_metrics() -> pl.DataFrame:
    main = {"slice": "all", "metric": "ndcg@60"}
    return rows(
        RANKER_METRICS,
        main | {"model": "random", "value": 0.2, "low": 0.19, "high": 0.21},
        main | {"model": "ranker", "value": 0.4, "low": 0.38, "high": 0.42},
        main | {"model": "popularity", "value": 0.3, "low": 0.29, "high": 0.31},
        {"model": "ranker", "slice": "ios", "metric": "ndcg@60", "value": 0.41},
        {"model": "ranker", "slice": "all", "metric": "diversity", "value": 0.7},
        {"model": "ranker", "slice": "shuffled", "metric": "gain over sf_pos", "value": 0.05}
        | {"low": 0.01, "high": 0.09},
    )


def decision() -> pl.DataFrame:
    at = datetime(2026, 10, 2, 4, tzinfo=UTC)
    refused = {"decision": "refused", "reason": "worse than <b>popularity</b>", "decided_at": at}
    return rows(GATE_DECISIONS, refused | {"model_version": "7", "comparisons": "[]"})


def moved(model: str, before: str | None, by: str, why: str, at: int) -> pl.DataFrame:
    move = {"to_version": model, "from_version": before, "moved_by": by, "reason": why}
    through = {"trained_through": date(2026, 9, 30)}
    return rows(ALIAS_MOVES, move | through | {"moved_at": datetime(2026, 10, 2, at, tzinfo=UTC)})


def section(page: Page, title: str) -> Section:
    return next(one for one in page.sections if one.title == title)


@pytest.fixture
def filled(settings: Settings) -> Settings:
    lake = Lake(settings)
    lake.write_day(FACET_WEIGHTS, DAY, facet_weights())
    lake.write_day(THRESHOLD_CARDS, DAY, card(), part="shoe_buyers")
    lake.write_day(THRESHOLD_CARDS, DAY, card("no signal"), part="returners")
    lake.write_day(CANDIDATE_METRICS, DAY, generator_metrics(0.1), part="popular")
    lake.write_day(CANDIDATE_METRICS, DAY, generator_metrics(0.15), part="sasrec")
    lake.write_day(RANKER_METRICS, DAY, ranker_metrics())
    lake.append_day(GATE_DECISIONS, DAY, decision())
    return settings


def test_an_empty_lake_gives_a_page_that_names_every_gap(settings: Settings) -> None:
    page = build(DAY, settings)
    assert (
        "facet_weights has no rows for 2026-10-01: compute_facet_weights has not written it."
        in (section(page, "Facet weights").notes)
    )
    assert "Durations are not known" in text(page)
    assert html(page).count("<section>") == len(page.sections)


def test_a_day_before_anything_landed_gives_a_page(tmp_path: Path) -> None:
    page = build(DAY, Settings(home=tmp_path, mlflow_url=""))
    assert section(page, "Tables by day").notes == ("No day of this range has landed.",)


def test_what_was_live_when_and_why_is_told_of_every_day(settings: Settings) -> None:
    """Also of days after the page's: a rollback of today is about the model of an earlier night."""
    assert section(build(DAY, settings), "What was live when").notes == (
        "No model has gone live yet.",
    )
    lake = Lake(settings)
    lake.append_day(ALIAS_MOVES, DAY, moved("2", None, "promote", "better", 4))
    later = moved("3", "2", "promote", "better yet", 5)
    lake.append_day(ALIAS_MOVES, DAY + timedelta(days=1), later)
    back = moved("2", "3", "rollback", "sales fell", 9)
    lake.append_day(ALIAS_MOVES, DAY + timedelta(days=1), back)
    table = section(build(DAY, settings), "What was live when").table
    assert table is not None
    four, five, nine = (datetime(2026, 10, 2, hour, tzinfo=UTC) for hour in (4, 5, 9))
    assert table.drop("trained_through").rows() == [
        ("2", "3", nine, None, "rollback", "sales fell"),
        ("3", "2", five, nine, "promote", "better yet"),
        ("2", None, four, five, "promote", "better"),
    ]


def test_a_superseded_day_is_said_to_be_so(settings: Settings) -> None:
    Lake(settings).supersede(RANKER_METRICS, DAY, date(2026, 10, 3))
    assert section(build(DAY, settings), "Ranker").notes == (
        "Not trained: 2026-10-01 is superseded by 2026-10-03.",
    )


def test_facet_weights_show_published_ones_and_count_the_rest_by_reason(filled: Settings) -> None:
    shown = section(build(DAY, filled), "Facet weights")
    assert shown.table is not None
    assert shown.table["attribute"].to_list() == ["brand"]
    assert shown.table["weight"].to_list() == ["0.8000 [0.6000, 1.0000]"]
    assert shown.table["coefficient"].to_list() == ["2.0000 [1.5000, 2.5000]"]
    assert "Not published, 1: interval covers 0." in shown.notes


def test_a_segment_without_signal_gets_no_threshold(filled: Settings) -> None:
    page = build(DAY, filled)
    assert section(page, "Look-alike: returners").table is None
    assert "no threshold is offered" in section(page, "Look-alike: returners").notes[0]
    assert "Suggested, sure: 0.5000, 100 people, 60 expected buyers." in (
        section(page, "Look-alike: shoe_buyers").notes
    )


def test_cards_are_shown_beside_those_of_the_day_before(filled: Settings) -> None:
    page = build(DAY, filled)
    assert all("the day before" not in one.title for one in page.sections)
    lake, before = Lake(filled), DAY - timedelta(days=1)
    lake.write_day(THRESHOLD_CARDS, before, card().with_columns(auc=0.7), part="shoe_buyers")
    lake.write_day(THRESHOLD_CARDS, before, card("too few"), part="hat_buyers")
    moved = section(build(DAY, filled), "Look-alikes beside the day before").table
    assert moved is not None
    assert moved[c.LOOKALIKE_SEGMENT].to_list() == ["hat_buyers", "returners", "shoe_buyers"]
    assert moved["verdict"].to_list() == [None, "no signal", "ok"]
    assert moved["verdict before"].to_list() == ["too few", None, "ok"]
    assert moved.filter(lookalike_segment="shoe_buyers").select(
        "auc", "auc before", "sure", "wide before"
    ).row(0) == (0.8, 0.7, 100, 1000)


def test_a_card_that_offers_nothing_says_why(settings: Settings) -> None:
    known = {"verdict": "too few", "reason": "3 people to learn from, 50 are needed"}
    Lake(settings).write_day(THRESHOLD_CARDS, DAY, rows(THRESHOLD_CARDS, known), part="shoe_buyers")
    page = build(DAY, settings)
    assert section(page, "Look-alike: shoe_buyers").notes == (
        "There is too little to learn from: no threshold is offered.",
        "Why: 3 people to learn from, 50 are needed.",
    )
    assert "Look-alikes: shoe_buyers: too few." in page.headline


def test_generators_that_could_not_be_measured_say_why(settings: Settings) -> None:
    lake = Lake(settings)
    for name in ("sasrec", "ease"):
        gap = {"metric": "users", "reason": "0 days before the holdout, 3 are needed"}
        lake.write_day(CANDIDATE_METRICS, DAY, rows(CANDIDATE_METRICS, gap), part=name)
    assert section(build(DAY, settings), "Candidate generators").notes == (
        "Not measured, ease, sasrec: 0 days before the holdout, 3 are needed.",
    )


def test_listing_days_that_gave_nothing_are_counted_with_their_reason(settings: Settings) -> None:
    lake = Lake(settings)
    lake.write_day(RANKER_METRICS, DAY, RANKER_METRICS.empty())
    days = [DAY - timedelta(days=back) for back in (3, 2, 1)]
    kinds = [{"role": "dropped", "reason": "too early"}] * 2 + [{"role": "train", "reason": None}]
    given = [{"listing_day": day} | kind for day, kind in zip(days, kinds, strict=True)]
    lake.write_day(RANKING_DAYS, DAY, rows(RANKING_DAYS, *given))
    assert section(build(DAY, settings), "Ranker").notes == (
        "No listing day could be held out: nothing could be measured.",
        "Listing days: 2 dropped (too early), 1 train.",
    )


def test_a_day_whose_events_are_absent_beside_one_that_has_them_gives_a_page(
    settings: Settings,
) -> None:
    Lake(settings).write_day(EVENTS, DAY, events("order", None))
    write_landing_day(settings.landing, DAY + timedelta(days=1), {}, "test")
    page = build(DAY + timedelta(days=1), settings)
    assert "build_features has not written it" in text(page)
    assert html(page).count("<section>") == len(page.sections)


def test_generators_stand_beside_popularity(filled: Settings) -> None:
    table = section(build(DAY, filled), "Candidate generators").table
    assert table is not None
    assert table["generator"].to_list() == ["sasrec", "popular"]
    assert table["times_popular"].to_list() == pytest.approx([1.5, 1.0])
    assert table["ndcg@10"].to_list()[0] == "0.1500 [0.1400, 0.1600]"
    assert table["above_popular_7d"].to_list() == ["0.0200 [0.0100, 0.0300]"] * 2
    assert table["recall@10"].to_list() == ["0.3000", "0.2000"]


def test_the_headline_ranks_models_by_ndcg_and_gives_the_gate(filled: Settings) -> None:
    headline = build(DAY, filled).headline
    assert headline[0] == (
        "Ranker, NDCG@60: ranker 0.4000 [0.3800, 0.4200], popularity 0.3000 [0.2900, 0.3100],"
        " random 0.2000 [0.1900, 0.2100]."
    )
    assert headline[1].startswith("Gate: refused. worse than")


def test_models_stand_beside_each_other_by_slice(filled: Settings) -> None:
    page = build(DAY, filled)
    main, other = section(page, "Ranker").table, section(page, "Ranker, other measures").table
    assert main is not None
    assert other is not None
    assert main.columns == ["slice", "ranker", "popularity", "random"]
    assert main["slice"].to_list() == ["all", "ios"]
    assert main.row(1) == ("ios", "0.4100", None, None)
    assert other.to_dicts() == [{"metric": "diversity", "ranker": "0.7000"}]
    assert section(page, "Ranker").notes[1] == (
        "Free of position, on every shuffled list: gain over sf_pos 0.0500 [0.0100, 0.0900]."
    )


def test_html_escapes_what_data_say_and_names_no_other_address(filled: Settings) -> None:
    page = html(build(DAY, filled))
    assert "&lt;b&gt;popularity&lt;/b&gt;" in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    assert page.count("data:image/png;base64,") == 4


def test_text_columns_stand_under_each_other() -> None:
    table = pl.DataFrame({"name": ["a", "long"], "rows": [1234, 5]})
    lines = text(Page(DAY, (), (Section("S", table),))).splitlines()
    assert lines[-4:] == ["name   rows", "----  -----", "a     1,234", "long      5"]


def test_a_long_table_says_how_much_is_hidden() -> None:
    page = Page(DAY, (), (Section("S", pl.DataFrame({"n": list(range(65))})),))
    assert "5 more rows are not shown" in text(page)
    assert "5 more rows are not shown" in html(page)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.0, "0"),
        (0.123456, "0.1235"),
        (123456.7, "123,457"),
        (0.0000123, "1.23e-05"),
        (DAY, "2026-10-01"),
    ],
)
def test_a_cell_reads_as_a_person_writes_it(value: object, shown: str) -> None:
    assert cell(value) == shown


def test_an_interval_that_is_unknown_is_left_out() -> None:
    assert interval(0.5, None, 0.6) == "0.5000"
    assert interval(450.0, None, None) == "450"
    assert interval(None, 0.4, 0.6) == "-"


def events(event_type: str, position: int | None) -> pl.DataFrame:
    on_time, late = datetime(2026, 10, 1, 9, tzinfo=UTC), datetime(2026, 9, 28, 9, tzinfo=UTC)
    kind = {"event_type": event_type, "platform": "web", "surface": "catalogue"}
    times = [on_time, on_time, late]
    given = [
        {"event_id": f"e{number}", "ts": ts, "received_at": on_time, "position": position}
        for number, ts in enumerate(times)
    ]
    return rows(EVENTS, *(kind | one for one in given))


def test_late_events_are_counted_by_the_day_they_happened_on(settings: Settings) -> None:
    Lake(settings).write_day(EVENTS, DAY, events("impression", 1))
    received = section(build(DAY, settings), "Received events")
    assert received.notes[0] == "3 events received, 1 of them late (33.33%)."


def test_what_a_source_without_impressions_cannot_give_is_said(settings: Settings) -> None:
    Lake(settings).write_day(EVENTS, DAY, events("order", None))
    notes = section(build(DAY, settings), "What this source cannot give").notes
    assert notes[0] == "Source: test."
    assert notes[1].startswith("No impressions")
    assert any(note.startswith("No position: no examination") for note in notes)


def test_a_source_with_positions_is_not_said_to_lack_them(settings: Settings) -> None:
    Lake(settings).write_day(EVENTS, DAY, events("impression", 1))
    notes = section(build(DAY, settings), "What this source cannot give").notes
    assert not any(note.startswith(("No impressions", "No position")) for note in notes)


def counted(version: int, **counts: float) -> pl.DataFrame:
    of_events = {"table": "events", "column": "event_id", "verdict": "counted", "version": version}
    given = [of_events | {"check": name, "value": value} for name, value in counts.items()]
    return rows(DATA_CHECKS, *given)


def test_duplicates_are_shown_by_day_from_the_newest_version(settings: Settings) -> None:
    lake = Lake(settings)
    lake.append_day(DATA_CHECKS, DAY, counted(1, rows=10, duplicates=1))
    lake.append_day(DATA_CHECKS, DAY, counted(2, rows=12, duplicates=3, unknown_items=0))
    table = section(build(DAY, settings), "Received by day").table
    assert table is not None
    assert table.to_dicts() == [{"day": DAY, "rows": 12, "duplicates": 3}]


def test_data_checks_are_shown_with_their_bands_and_drawn(settings: Settings) -> None:
    place = {"table": "events", "column": "event_id", "check": "volume against 7 days"}
    values = ((1, 30.0, "broken", None, 20.0), (2, 4.0, "warned", 0.3, 3.0))
    for version, value, verdict, low, high in values:
        found = {"version": version, "value": value, "low": low, "high": high, "verdict": verdict}
        Lake(settings).append_day(DATA_CHECKS, DAY, rows(DATA_CHECKS, place | found))
    shown = section(build(DAY, settings), "Data checks")
    assert shown.table is not None
    assert shown.table.to_dicts() == [
        place | {"value": 4.0, "low": 0.3, "high": 3.0, "verdict": "warned"}
    ]
    assert shown.notes == ("1 of 1 outside their band.",)
    assert shown.figure is not None


def test_the_importer_says_what_its_source_lacks(settings: Settings) -> None:
    write_landing_day(settings.landing, DAY, {}, "online_retail")
    Lake(settings).write_day(EVENTS, DAY, events("order", None))
    notes = section(build(DAY, settings), "What this source cannot give").notes
    assert any("nobody's consent to mailings is known" in note for note in notes)


def test_runs_of_airflow_become_seconds(settings: Settings) -> None:
    runs = [
        {
            "dag_id": "build_features",
            "partition_key": "2026-10-01",
            "run_type": "backfill",
            "state": "success",
            "start_date": "2026-10-02T01:00:00Z",
            "end_date": "2026-10-02T01:01:30.500000Z",
        },
        {"dag_id": "retrain_ranker", "partition_key": "2026-10-01", "state": "running"},
    ]
    shown = section(build(DAY, settings, runs), "Runs and durations")
    assert shown.table is not None
    assert shown.table["seconds"].to_list() == [90.5, None]
    assert shown.notes == ("2 runs: 1 running, 1 success.",)


def test_only_the_days_that_runs_were_for_are_judged(settings: Settings) -> None:
    for day in (DAY - timedelta(days=2), DAY - timedelta(days=1)):
        write_landing_day(settings.landing, day, {}, "test")
    runs = [{"dag_id": "build_features", "partition_key": "2026-09-30"}]
    table = section(build(DAY, settings, runs), "Tables by day").table
    assert table is not None
    assert table.columns == ["table", "2026-09-30", "2026-10-01"]


def test_writing_the_page_again_replaces_it(filled: Settings) -> None:
    first = write_html(build(DAY, filled), filled)
    before = first.read_bytes()
    assert write_html(build(DAY, filled), filled).read_bytes() == before
    assert first.name == "2026-10-01.html"
    assert [path.name for path in first.parent.iterdir()] == ["2026-10-01.html"]


def test_the_command_prints_the_page_and_its_place(
    filled: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs.json"
    runs.write_text(json.dumps({"dag_runs": []}))
    parser = ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args(["--day", "2026-10-01", "--runs", str(runs)])
    assert command.run(args, filled) == 0
    assert "2026-10-01.html" in capsys.readouterr().out


def test_a_file_of_runs_that_is_no_list_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    path.write_text('{"runs": 1}')
    with pytest.raises(VitrinaError, match=r"runs\.json"):
        command.read_runs(path)
