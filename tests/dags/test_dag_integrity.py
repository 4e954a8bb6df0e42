"""Rules that every DAG file keeps, and its structure against a golden file."""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import (
    ContractViolation,
    DataCheckFailed,
    DiskFull,
    InputNotReady,
    PartsMissing,
    QualityGateFailed,
    WrongAnswer,
)
from tasks.lake.contracts import ACCEPTED, Table
from tasks.lake.tables import TABLES
from tasks.lookalikes.registry import SEEDS_FOLDER
from tasks.settings import variables
from tasks.steps import CHAIN, steps_of
from tasks.watch_chain import ChainIncomplete
from tests.airflow_environment import ROOT

FILES = sorted((ROOT / "dags").glob("*.py"))
GOLDEN = Path(__file__).parent / "golden"
MAX_LINES = 80
ERRORS = {
    error.__name__
    for error in (
        InputNotReady,
        ContractViolation,
        DataCheckFailed,
        QualityGateFailed,
        PartsMissing,
        DiskFull,
        WrongAnswer,
        ChainIncomplete,
    )
}
SECTIONS = (
    "**Reads**", "**Writes**", "**Users**", "**Runs**", "### If it fails", "**Impact**",
    "### Run again",
)  # fmt: skip


@pytest.fixture(scope="module")
def dags() -> dict[str, Any]:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(ROOT / "dags"))
    assert not bag.import_errors
    return dict(bag.dags)


def test_dags_are_found() -> None:
    assert len(FILES) > len(CHAIN)


def test_each_file_holds_the_dag_of_its_name(dags: dict[str, Any]) -> None:
    assert sorted(dags) == [path.stem for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
class TestEachDag:
    def test_its_docstring_is_the_runbook_shown(self, path: Path, dags: dict[str, Any]) -> None:
        text = dags[path.stem].doc_md
        places = [text.find(section) for section in SECTIONS]
        assert -1 not in places
        assert places == sorted(places)

    def test_its_runbook_names_its_tasks_and_no_others(
        self, path: Path, dags: dict[str, Any]
    ) -> None:
        words = re.findall(r"\*\*([a-z_]+)\*\*", _tasks_paragraph(dags[path.stem].doc_md))
        assert sorted(words) == sorted(dags[path.stem].task_ids)

    def test_every_identifier_in_its_runbook_exists(self, path: Path, dags: dict[str, Any]) -> None:
        text = dags[path.stem].doc_md
        assert set(re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", text)) <= _identifiers(dags)
        assert set(re.findall(r"\bVITRINA_\w+", text)) <= set(variables())
        assert set(re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b", text)) <= ERRORS

    def test_its_runbook_has_an_action_for_what_may_happen(
        self, path: Path, dags: dict[str, Any]
    ) -> None:
        from vitrina_airflow.runbook import actions

        rows = actions(dags[path.stem].doc_md)
        events = {"process killed", "timeout", "anything else"}
        assert events <= set(rows)
        assert set(rows) - events <= ERRORS
        assert all(rows.values())

    def test_its_runbook_warns_of_mark_success(self, path: Path, dags: dict[str, Any]) -> None:
        assert "ever **mark as success**" in " ".join(dags[path.stem].doc_md.split())

    def test_it_has_exactly_one_tier(self, path: Path, dags: dict[str, Any]) -> None:
        tiers = [tag for tag in dags[path.stem].tags if tag.startswith("impact/tier_")]
        assert len(tiers) == 1
        assert tiers[0][-1] in "123"

    def test_each_task_has_owner_time_limit_slots_retries_and_alert(
        self, path: Path, dags: dict[str, Any]
    ) -> None:
        from vitrina_airflow.alerts import alert_failure
        from vitrina_airflow.defaults import RETRY_BY_ERROR
        from vitrina_airflow.machine import HEAVIEST_TASK

        for task in dags[path.stem].tasks:
            assert task.owner not in ("", "airflow")
            assert task.execution_timeout <= timedelta(hours=3)
            assert (task.pool, task.pool_slots <= HEAVIEST_TASK) == ("default_pool", True)
            assert task.retry_policy is RETRY_BY_ERROR
            assert alert_failure in list(_as_list(task.on_failure_callback))

    def test_its_structure_equals_the_golden_file(self, path: Path, dags: dict[str, Any]) -> None:
        golden = GOLDEN / f"{path.stem}.json"
        found = json.dumps(_structure(dags[path.stem]), indent=1, sort_keys=True) + "\n"
        if os.environ.get("REBUILD_GOLDEN") == "yes":
            golden.write_text(found)
        assert found == golden.read_text(), "REBUILD_GOLDEN=yes rewrites it"


@pytest.mark.parametrize("name", CHAIN)
class TestEachDagOfTheChain:
    def test_its_steps_and_edges_are_those_of_its_module(
        self, name: str, dags: dict[str, Any]
    ) -> None:
        module = {
            step.name: (
                {function.__name__ for function in step.after},
                step.mapped_over is not None,
            )
            for step in steps_of(name)
        }
        assert module == {
            task.task_id: (set(task.upstream_task_ids), task.is_mapped) for task in dags[name].tasks
        }

    def test_one_unmapped_task_has_the_outlet(self, name: str, dags: dict[str, Any]) -> None:
        with_outlet = [task for task in dags[name].tasks if task.outlets]
        assert len(with_outlet) == 1
        assert not with_outlet[0].is_mapped
        assert len(with_outlet[0].outlets) == 1

    def test_nothing_but_promote_comes_after_the_outlet(
        self, name: str, dags: dict[str, Any]
    ) -> None:
        (task,) = (task for task in dags[name].tasks if task.outlets)
        assert set(task.downstream_task_ids) <= {"promote"}

    def test_each_task_of_a_map_carries_the_name_of_its_key(
        self, name: str, dags: dict[str, Any]
    ) -> None:
        for task in dags[name].tasks:
            if task.is_mapped:
                (key,) = task.op_kwargs_expand_input.value
                template = task.partial_kwargs["map_index_template"]
                assert template == f"{{{{ task.op_kwargs['{key}'] }}}}"

    def test_an_empty_map_does_not_skip_the_outlet(self, name: str, dags: dict[str, Any]) -> None:
        for task in dags[name].tasks:
            after_mapped = any(before.is_mapped for before in task.upstream_list)
            assert (task.trigger_rule.value in ("none_failed", "all_done")) == after_mapped

    def test_its_runbook_knows_the_errors_of_the_chain(
        self, name: str, dags: dict[str, Any]
    ) -> None:
        from vitrina_airflow.runbook import actions

        errors = (InputNotReady, ContractViolation, DiskFull)
        assert {error.__name__ for error in errors} <= set(actions(dags[name].doc_md))


def test_the_ranker_knows_what_a_refusal_means(dags: dict[str, Any]) -> None:
    from vitrina_airflow.runbook import actions

    assert QualityGateFailed.__name__ in actions(dags["retrain_ranker"].doc_md)


def test_the_look_alikes_runbook_names_the_tables_that_are_read_and_written_and_no_others(
    dags: dict[str, Any],
) -> None:
    from tasks import score_lookalikes
    from tasks.report import mailings

    head = dags["score_lookalikes"].doc_md.split("- **Users**")[0]
    told = set(re.findall(r"\b[a-z_]+\b", head)) & set(TABLES)
    used = [*vars(score_lookalikes).values(), *vars(mailings).values()]
    assert told == {one.name for one in used if isinstance(one, Table)}


def test_where_rows_are_counted_against_other_days_the_runbook_says_how_to_let_them_through(
    dags: dict[str, Any],
) -> None:
    from vitrina_airflow.runbook import actions

    banded = {t.written_by.split(".")[0] for t in TABLES.values() if t.rows_to_median}
    assert banded
    for name in banded:
        assert ACCEPTED in actions(dags[name].doc_md)[ContractViolation.__name__]


def test_the_chain_has_at_most_twelve_tasks_a_day_and_a_few_mapped_ones(
    dags: dict[str, Any],
) -> None:
    tasks = [task for name in CHAIN for task in dags[name].tasks]
    assert sum(not task.is_mapped for task in tasks) <= 12


def _tasks_paragraph(text: str) -> str:
    start = re.search(r"^Tasks?: ", text, re.MULTILINE)
    assert start
    return text[start.start() :].split("\n\n", maxsplit=1)[0]


def _identifiers(dags: dict[str, Any]) -> set[str]:
    """What a runbook may name: DAGs, tasks, tables, columns, params, arguments, a folder."""
    tasks = {task for dag in dags.values() for task in dag.task_ids}
    columns = {column for table in TABLES.values() for column in table.columns}
    params = {name for dag in dags.values() for name in dag.params}
    known = {*dags, *tasks, *TABLES, *columns, *params, SEEDS_FOLDER.name}
    return known | {"pool_slots", "execution_timeout"}


def _as_list(found: Any) -> list[Any]:  # noqa: ANN401
    return list(found) if isinstance(found, list | tuple) else [found]


def _structure(dag: Any) -> dict[str, Any]:  # noqa: ANN401
    from airflow.serialization.serialized_objects import DagSerialization

    return {
        "schedule": DagSerialization.to_dict(dag)["dag"]["timetable"],
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "params": sorted(dag.params),
        "tags": sorted(dag.tags),
        "tasks": {
            task.task_id: {
                "after": sorted(task.upstream_task_ids),
                "mapped": task.is_mapped,
                "inlets": sorted(asset.name for asset in task.inlets),
                "outlets": sorted(asset.name for asset in task.outlets),
                "pool_slots": task.pool_slots,
                "retries": task.retries,
                "retry_seconds": task.retry_delay.total_seconds(),
                "at_once": task.max_active_tis_per_dag,
                "trigger_rule": task.trigger_rule.value,
                "minutes": int(task.execution_timeout.total_seconds() // 60),
            }
            for task in dag.tasks
        },
    }
