"""What each layer may import and touch, read from the sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TASKS = sorted((ROOT / "tasks").rglob("*.py"))
DAGS = sorted((ROOT / "dags").glob("*.py"))
SELECTS = sorted((ROOT / "sql").rglob("*.sql"))
PAGES = sorted((ROOT / "tasks").rglob("*.j2"))
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def with_parents(tree: ast.AST) -> Iterator[ast.AST]:
    for parent in ast.walk(tree):
        for child in ast.iter_child_nodes(parent):
            child.parent = parent  # type: ignore[attr-defined]
            yield child


def packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(ast.parse(path.read_text()))}


MAY_KNOW_THE_TRUTH = {
    *(ROOT / "tasks" / "simulator").rglob("*.py"),
    # It simulates the shop that it shows.
    ROOT / "plugins" / "vitrina_airflow" / "demo.py",
}
KEPT_FROM_THE_TRUTH = [
    path
    for folder in ("tasks", "dags", "plugins")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path not in MAY_KNOW_THE_TRUTH
]
FOLDER = re.compile(r"(^|[/\\'\"])truth([/\\'\"]|$)")


def texts(tree: ast.Module) -> Iterator[str]:
    """Give every text of the code that is no docstring."""
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, DOCUMENTED)]
    docstrings = {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield str(node.value)


def test_sources_are_found() -> None:
    assert len(TASKS) > 50
    assert DAGS


@pytest.mark.parametrize("path", TASKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_tasks_know_nothing_of_airflow(path: Path) -> None:
    assert not packages(path) & {"airflow", "vitrina_airflow", "vitrina_plugin"}


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.stem)
def test_dags_import_no_library(path: Path) -> None:
    allowed = {"__future__", "collections", "datetime", "pendulum", "airflow", "vitrina_airflow"}
    assert packages(path) <= allowed


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.stem)
def test_a_task_body_is_one_call(path: Path) -> None:
    bodies = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.args.kwarg is not None
    ]
    assert bodies
    assert all(len(node.body) == 1 and isinstance(node.body[0], ast.Return) for node in bodies)


@pytest.mark.parametrize(
    "path",
    [path for path in TASKS if path.name != "settings.py"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_only_settings_read_the_environment(path: Path) -> None:
    source = path.read_text()
    named = [
        ast.get_source_segment(source, node.parent)  # type: ignore[attr-defined]
        for node in with_parents(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]
    # What a library wants to find there may be set.
    assert [found for found in named if found != "os.environ.setdefault"] == []


CLOCKS = re.compile(
    r"\b(datetime\.(now|utcnow|today)|date\.today|time\.(time|time_ns|localtime|gmtime))$"
)
RECORDS_THE_TIME_OF_ACTS = {
    ROOT / "tasks" / "tracking.py": {"time.time"},
    ROOT / "tasks" / "ranker" / "history.py": {"datetime.now"},
    ROOT / "tasks" / "mailings" / "stored.py": {"datetime.now"},
}


def clocks(source: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(source)))
    named = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    from_time = {
        f"time.{name.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == "time"
        for name in node.names
    }
    return {name for name in named | from_time if CLOCKS.search(name)}


@pytest.mark.parametrize("path", TASKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_tasks_read_no_clock(path: Path) -> None:
    assert clocks(path.read_text()) == RECORDS_THE_TIME_OF_ACTS.get(path, set())


@pytest.mark.parametrize("path", SELECTS, ids=lambda path: path.name)
def test_no_select_reads_a_clock(path: Path) -> None:
    clock = r"\b(now|today|getdate|current_date|current_time|current_timestamp)\b"
    assert not re.search(clock, re.sub(r"--.*", "", path.read_text()), re.IGNORECASE)


@pytest.mark.parametrize(
    ("source", "is_one"),
    [
        ("datetime.now(UTC)", True),
        ("datetime.datetime.utcnow()", True),
        ("date.today()", True),
        ("from time import time", True),
        ("time.monotonic()", False),
        ("from datetime import time", False),
        ("time.time", True),
    ],
)
def test_a_clock_is_recognised(source: str, is_one: bool) -> None:
    assert bool(clocks(source)) == is_one


@pytest.mark.parametrize("path", KEPT_FROM_THE_TRUTH, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_simulator_imports_itself_or_names_the_folder_of_the_truth(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not [name for name in imported(tree) if name.startswith("tasks.simulator")]
    assert not [text for text in texts(tree) if FOLDER.search(text)]


@pytest.mark.parametrize("path", [*SELECTS, *PAGES], ids=lambda path: path.name)
def test_no_select_and_no_page_names_the_folder_of_the_truth(path: Path) -> None:
    assert not FOLDER.search(path.read_text())


@pytest.mark.parametrize(
    ("text", "is_named"),
    [("truth", True), ("home/truth/shop.json", True), ("'truth'", True), ("untruth", False)],
)
def test_a_path_of_the_truth_is_recognised(text: str, is_named: bool) -> None:
    assert bool(FOLDER.search(text)) == is_named
