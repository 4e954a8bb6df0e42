from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from tasks.errors import ContractViolation, DiskFull, InputNotReady
from tasks.lake.contracts import Column, Table
from tasks.lake.lake import Lake, Window
from tasks.lake.row_hash import row_hash
from tasks.lake.storage import Storage
from tasks.lake.tables import CANDIDATES
from tasks.landing.manifest import write_landing_day
from tasks.settings import Settings

DAY = date(2026, 3, 10)
USER_SEGMENTS = Table(
    "user_segments",
    "pure",
    {"user_id": Column(pl.String), "segment": Column(pl.String)},
    ("user_id",),
    "build_features.count_interactions",
)
DECISIONS = Table(
    "decisions",
    "historical",
    {"model": Column(pl.String), "version": Column(pl.Int64)},
    ("model", "version"),
    "retrain_ranker",
)


def segments(*names: str) -> pl.DataFrame:
    users = [f"u{n}" for n in range(len(names))]
    return pl.DataFrame({"user_id": users, "segment": names}, schema=USER_SEGMENTS.schema)


def candidates(score: float, users: int = 1) -> pl.DataFrame:
    rows = [(f"u{n}", "i", score, 1, None) for n in range(users)]
    return pl.DataFrame(rows, schema=CANDIDATES.schema, orient="row")


@pytest.fixture
def lake(settings: Settings) -> Lake:
    """A lake whose landing has the ten days up to DAY, empty nights all."""
    for n in range(10):
        write_landing_day(settings.landing, DAY - timedelta(days=n), {}, "test")
    return Lake(settings)


def test_a_day_is_replaced_and_the_others_stay(lake: Lake) -> None:
    before = DAY - timedelta(days=1)
    lake.write_day(USER_SEGMENTS, before, segments("a"))
    lake.write_day(USER_SEGMENTS, DAY, segments("a", "b"))
    lake.write_day(USER_SEGMENTS, DAY, segments("c"))
    assert lake.read_day(USER_SEGMENTS, DAY)["segment"].to_list() == ["c"]
    assert lake.read_day(USER_SEGMENTS, before)["segment"].to_list() == ["a"]
    assert lake.ledger.current(USER_SEGMENTS)[(DAY, "")].version == 2


def test_an_empty_day_exists_and_reads_as_no_rows(lake: Lake) -> None:
    lake.write_day(USER_SEGMENTS, DAY, segments("a"))
    lake.write_day(USER_SEGMENTS, DAY, USER_SEGMENTS.empty())
    assert lake.has_day(USER_SEGMENTS, DAY)
    rows = lake.read_day(USER_SEGMENTS, DAY)
    assert rows.height == 0
    assert rows.schema == USER_SEGMENTS.stored_schema


def test_an_absent_day_is_named_with_the_backfill_that_makes_it(lake: Lake) -> None:
    lake.write_day(USER_SEGMENTS, DAY, segments("a"))
    with pytest.raises(InputNotReady) as raised:
        lake.read_window(USER_SEGMENTS, DAY, 3)
    assert "2 of 3 days are absent, 2026-03-08 to 2026-03-09" in str(raised.value)
    assert "backfill build_features from 2026-03-08 to 2026-03-09" in str(raised.value)


def test_days_before_the_first_landing_day_are_outside_history(lake: Lake) -> None:
    for n in range(10):
        lake.write_day(USER_SEGMENTS, DAY - timedelta(days=n), segments("a"))
    assert lake.read_window(USER_SEGMENTS, DAY, 30).height == 10
    assert lake.read_window(USER_SEGMENTS, DAY, Window(2, ends=-1))["dt"].max() < DAY


def test_an_optional_window_takes_what_there_is(lake: Lake) -> None:
    lake.write_day(USER_SEGMENTS, DAY, segments("a"))
    assert lake.read_window(USER_SEGMENTS, DAY, Window(3, optional=True)).height == 1


def test_mapped_parts_do_not_replace_each_other(lake: Lake) -> None:
    lake.write_day(CANDIDATES, DAY, candidates(1.0), part="ease")
    lake.write_day(CANDIDATES, DAY, candidates(2.0), part="popular")
    lake.write_day(CANDIDATES, DAY, candidates(3.0), part="ease")
    scores = dict(lake.read_day(CANDIDATES, DAY).select("generator", "score").iter_rows())
    assert scores == {"ease": 3.0, "popular": 2.0}
    assert lake.parts(CANDIDATES, DAY) == ["ease", "popular"]


def test_a_part_where_none_belongs_is_refused(lake: Lake) -> None:
    with pytest.raises(ContractViolation):
        lake.write_day(USER_SEGMENTS, DAY, segments("a"), part="ease")
    with pytest.raises(ContractViolation):
        lake.write_day(CANDIDATES, DAY, candidates(1.0))


def test_a_breach_writes_nothing(lake: Lake) -> None:
    lake.write_day(USER_SEGMENTS, DAY, segments("a"))
    with pytest.raises(ContractViolation):
        lake.write_day(USER_SEGMENTS, DAY, pl.concat([segments("b"), segments("c")]))
    assert lake.read_day(USER_SEGMENTS, DAY)["segment"].to_list() == ["a"]
    assert lake.ledger.current(USER_SEGMENTS)[(DAY, "")].version == 1


CATALOGUE = replace(USER_SEGMENTS, rows_to_median=(0.5, 3.0))


def test_half_a_catalogue_is_refused_until_somebody_accepts_it(lake: Lake) -> None:
    for n in range(5, 0, -1):
        lake.write_day(CATALOGUE, DAY - timedelta(days=n), segments("a", "b", "c"))
    with pytest.raises(ContractViolation, match="the median of 5 recent days is 3"):
        lake.write_day(CATALOGUE, DAY, segments("a"))
    assert not lake.has_day(CATALOGUE, DAY)
    assert lake.write_day(CATALOGUE, DAY, CATALOGUE.empty()) == 0
    accepted = lake.settings.model_copy(update={"accept_row_counts": True})
    assert Lake(accepted).write_day(CATALOGUE, DAY, segments("a")) == 1


def test_nobody_reads_further_back_than_a_table_is_kept(lake: Lake) -> None:
    kept = replace(USER_SEGMENTS, keep_days=10)
    lake.read_window(kept, DAY, Window(10, optional=True))
    for window in (Window(11, optional=True), Window(10, ends=-1, optional=True)):
        with pytest.raises(ContractViolation, match="kept for 10 days, 11 are read"):
            lake.read_window(kept, DAY, window)


def test_equal_rows_have_an_equal_hash_in_the_ledger_whatever_their_order(lake: Lake) -> None:
    frame = segments("a", "b", "c")
    lake.write_day(USER_SEGMENTS, DAY, frame)
    first = lake.ledger.current(USER_SEGMENTS)[(DAY, "")]
    lake.write_day(USER_SEGMENTS, DAY, frame.reverse())
    second = lake.ledger.current(USER_SEGMENTS)[(DAY, "")]
    assert (first.row_hash, first.version, second.version) == (second.row_hash, 1, 2)


def test_a_write_records_what_was_read(lake: Lake) -> None:
    lake.write_day(USER_SEGMENTS, DAY, segments("a"))
    fresh = Lake(lake.settings)
    fresh.read_day(USER_SEGMENTS, DAY)
    fresh.write_day(CANDIDATES, DAY, candidates(1.0), part="ease")
    record = fresh.ledger.current(CANDIDATES)[(DAY, "ease")]
    assert record.inputs == {"user_segments": {"2026-03-10": 1}}


def decision(version: int) -> pl.DataFrame:
    return pl.DataFrame({"model": ["ranker"], "version": [version]})


def test_historical_rows_are_added_and_never_replaced(lake: Lake) -> None:
    lake.append_day(DECISIONS, DAY, decision(1))
    lake.append_day(DECISIONS, DAY, decision(2))
    assert lake.read_day(DECISIONS, DAY)["version"].to_list() == [1, 2]
    with pytest.raises(ContractViolation, match="one row per model, version"):
        lake.append_day(DECISIONS, DAY, decision(2))
    with pytest.raises(ContractViolation, match="only historical"):
        lake.append_day(USER_SEGMENTS, DAY, segments("a"))


def test_a_superseded_day_holds_no_data_and_keeps_what_it_had(lake: Lake) -> None:
    lake.supersede(CANDIDATES, DAY, by=DAY + timedelta(days=1), part="ease")
    assert not lake.has_day(CANDIDATES, DAY)
    assert lake.ledger.current(CANDIDATES)[(DAY, "ease")].superseded_by == DAY + timedelta(days=1)
    lake.write_day(CANDIDATES, DAY, candidates(1.0), part="ease")
    lake.supersede(CANDIDATES, DAY, by=DAY + timedelta(days=1), part="ease")
    assert lake.read_day(CANDIDATES, DAY).height == 1


def test_a_kill_between_data_and_ledger_is_mended_by_the_next_reader(lake: Lake) -> None:
    lake.write_day(USER_SEGMENTS, DAY, segments("a"))
    lake.storage.table("days").delete()  # the ledger row that the kill swallowed
    again = Lake(lake.settings)
    assert again.read_day(USER_SEGMENTS, DAY)["segment"].to_list() == ["a"]
    assert again.ledger.current(USER_SEGMENTS)[(DAY, "")].rows == 1


WRITE_FOREVER = """
import sys
from datetime import date
from multiprocessing import get_context
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tasks.lake.lake import Lake
from tasks.lake.tables import CANDIDATES
from tasks.settings import Settings
import polars as pl
lake = Lake(Settings(home=Path(sys.argv[1]), mlflow_url="", min_free_gb=0))
for n in range(10_000):
    rows = [(f"u{k}", "i", float(n), 1, None) for k in range(2_000)]
    frame = pl.DataFrame(rows, schema=CANDIDATES.schema, orient="row")
    lake.write_day(CANDIDATES, date(2026, 3, 10), frame, part="ease")
    print(n, flush=True)
"""


def test_a_writer_killed_in_the_middle_loses_and_doubles_nothing(lake: Lake) -> None:
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", WRITE_FOREVER, str(lake.settings.home), str(root)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(5)][-1]
    writer.kill()
    writer.wait()
    rows = Lake(lake.settings).read_day(CANDIDATES, DAY)
    assert rows.height == 2_000
    assert rows["score"].n_unique() == 1
    assert rows["score"][0] >= acknowledged
    Lake(lake.settings).write_day(CANDIDATES, DAY, candidates(-1.0), part="ease")
    assert Lake(lake.settings).read_day(CANDIDATES, DAY)["score"].to_list() == [-1.0]


def write_part(home: Path, part: str) -> None:
    lake = Lake(Settings(home=home, mlflow_url="", min_free_gb=0))
    for n in range(5):
        lake.write_day(CANDIDATES, DAY, candidates(float(n), users=50), part=part)


def test_two_mapped_tasks_writing_at_once_lose_nothing(lake: Lake) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(write_part, [lake.settings.home] * 2, ["ease", "popular"]))
    rows = Lake(lake.settings).read_day(CANDIDATES, DAY)
    assert rows.group_by("generator").len().sort("generator").rows() == [
        ("ease", 50),
        ("popular", 50),
    ]
    assert set(rows["score"]) == {4.0}
    ledger = Lake(lake.settings).ledger.current(CANDIDATES)
    assert {part: record.version for (_, part), record in ledger.items()} == {
        "ease": 5,
        "popular": 5,
    }


def write_whole(home: Path, name: str) -> None:
    lake = Lake(Settings(home=home, mlflow_url="", min_free_gb=0))
    for n in range(5):
        lake.write_day(USER_SEGMENTS, DAY, segments(f"{name}{n}"))


def test_two_writers_of_one_part_at_once_never_share_a_version(lake: Lake) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(write_whole, [lake.settings.home] * 2, ["a", "b"]))
    entered = Lake(lake.settings).storage.table("days")
    assert entered is not None
    versions = pl.DataFrame(entered.to_pyarrow_table()).filter(table="user_segments")["version"]
    assert sorted(set(versions)) == list(range(1, 11))
    newest = Lake(lake.settings).ledger.current(USER_SEGMENTS)[DAY, ""]
    rows = Lake(lake.settings).read_day(USER_SEGMENTS, DAY)
    assert newest.row_hash == row_hash(rows.drop("dt"))


def test_a_write_without_a_day_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractViolation, match="would wipe the table"):
        Storage(str(tmp_path), 0).replace("candidates", candidates(1.0), ["dt"], "")


def test_a_full_disk_is_refused_before_writing(settings: Settings) -> None:
    full = settings.model_copy(update={"min_free_gb": 4096.0})
    write_landing_day(full.landing, DAY, {}, "test")
    with pytest.raises(DiskFull, match="nothing written"):
        Lake(full).write_day(USER_SEGMENTS, DAY, segments("a"))
    assert not Lake(full).has_day(USER_SEGMENTS, DAY)


def test_code_from_before_a_column_joined_still_writes(lake: Lake) -> None:
    note = Column(pl.String, nullable=True)
    wider = replace(USER_SEGMENTS, columns={**USER_SEGMENTS.columns, "note": note})
    lake.write_day(wider, DAY, segments("a").with_columns(note=pl.lit("new")))
    Lake(lake.settings).write_day(USER_SEGMENTS, DAY, segments("b", "c"))
    rows = Lake(lake.settings).read_day(wider, DAY)
    assert rows["note"].to_list() == [None, None]


def test_a_new_nullable_column_joins_a_table(lake: Lake) -> None:
    lake.write_day(USER_SEGMENTS, DAY - timedelta(days=1), segments("a"))
    wider = Table(
        "user_segments",
        "pure",
        {**USER_SEGMENTS.columns, "note": Column(pl.String, nullable=True)},
        USER_SEGMENTS.key,
        USER_SEGMENTS.written_by,
    )
    lake.write_day(wider, DAY, segments("b").with_columns(note=pl.lit("new")))
    notes = Lake(lake.settings).read_window(wider, DAY, 2).sort("dt")["note"].to_list()
    assert notes == [None, "new"]


def test_the_record_rides_in_the_data_commit(lake: Lake) -> None:
    lake.write_day(USER_SEGMENTS, DAY, segments("a"))
    commit = DeltaTable(lake.storage.path("user_segments")).history(1)[0]
    assert json.loads(commit["vitrina_record"])["rows"] == 1
