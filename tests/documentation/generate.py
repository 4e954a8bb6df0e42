"""Write README.md's generated tables: DAGs from their docstrings, settings, the ranker's features.

Each table stands between `<!-- begin NAME -->` and `<!-- end NAME -->`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PARTS = ("Runs", "Reads", "Writes")
NORMAL = re.compile(r"\s*Normal: (?P<usual>[^.]+)\.")


def dag_table() -> str:
    """Return one row per DAG file: when, reads, writes, tier, usual minutes."""
    files = sorted((ROOT / "dags").glob("*.py"), key=_chain_order)
    return table(
        ["DAG", "runs", "reads", "writes", "tier", "usually"], [_dag_row(path) for path in files]
    )


def _chain_order(path: Path) -> tuple[int, str]:
    from tasks.steps import CHAIN

    return (CHAIN.index(path.stem) if path.stem in CHAIN else len(CHAIN), path.stem)


def _dag_row(path: Path) -> list[str]:
    source = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(source)) or ""
    runs, reads, writes = (paragraph(docstring, name) for name in PARTS)
    usual = NORMAL.search(runs)
    tier = re.search(r"impact/tier_(\d)", source)
    return [
        f"`{path.stem}`",
        NORMAL.sub("", runs).rstrip("."),
        reads.rstrip("."),
        writes.rstrip("."),
        tier[1] if tier else "",
        usual["usual"] if usual else "",
    ]


def paragraph(docstring: str, name: str) -> str:
    """Return what follows `- **name**` in a runbook, up to the next item or empty line."""
    found = re.search(rf"- \*\*{name}\*\*\s+(.*?)(?=\n- |\n\n|\Z)", docstring, re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def settings_table() -> str:
    """Return one row per `VITRINA_*` variable: default, what is allowed, what it means."""
    from tasks.settings import shown_default, variables

    rows = [
        [f"`{name}`", _code(shown_default(field)), _allowed(field), field.description or ""]
        for name, field in variables().items()
    ]
    return table(["variable", "default", "allowed", "meaning"], rows)


def features_table() -> str:
    """Return one row per family, owner and missing-value rule of the ranker's features."""
    from tasks.ranker.features import FEATURES

    alike: dict[tuple[str, ...], dict[str, None]] = {}
    for one in FEATURES:
        rule = (one.family, one.owner, one.default, one.missing)
        alike.setdefault(rule, {})[_generators_name(one.name)] = None
    rows = [
        [family, ", ".join(f"`{name}`" for name in names), *rule]
        for (family, *rule), names in alike.items()
    ]
    return table(["family", "features", "owner", "default", "where absent"], rows)


def _generators_name(feature: str) -> str:
    from tasks.candidates import GENERATORS

    found = [name for name in GENERATORS if feature.startswith(f"{name}_")]
    longest = max(found, key=len, default="")
    return feature.replace(longest, "GENERATOR", 1) if found else feature


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _allowed(field: Any) -> str:  # noqa: ANN401 (pydantic's FieldInfo)
    kind = field.annotation
    one = get_args(kind)[0] if get_origin(kind) is tuple else kind
    if get_origin(one) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(one))
    bounds = [
        f"{sign} {_number(getattr(rule, name))}"
        for rule in field.metadata
        for name, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
        if getattr(rule, name, None) is not None
    ]
    return ", ".join(bounds)


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table; a bar inside a cell is escaped."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *cells])


GENERATED: dict[str, Callable[[], str]] = {
    "dags": dag_table,
    "features": features_table,
    "settings": settings_table,
}


def filled(readme: str) -> str:
    """Return the text with every generated table made again.

    Raises:
        ValueError: a table's place is absent.
    """
    for name, made in GENERATED.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        if begin not in readme or end not in readme:
            raise ValueError(f"README.md has no place for {name}: {begin} ... {end}")
        before, rest = readme.split(begin, 1)
        readme = f"{before}{begin}\n{made()}\n{end}{rest.split(end, 1)[1]}"
    return readme


def main() -> int:
    """Write README.md again and say whether anything changed."""
    before = README.read_text(encoding="utf-8")
    after = filled(before)
    README.write_text(after, encoding="utf-8")
    print("README.md: " + ("tables written again" if after != before else "up to date"))
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
