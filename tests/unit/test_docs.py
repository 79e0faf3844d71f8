"""The README says what the code does: its settings, its files, its commands."""

import re
from pathlib import Path

import pytest

from ingest.dialects import OPERATIONS
from schemas.errors import ApiError
from schemas.rules import sql_values
from schemas.rules.compare import predicate
from schemas.rules.nodes import Comparison
from schemas.rules.operands import OPERANDS
from schemas.rules.sql_values import JsonColumn, Parameters
from schemas.settings import markdown_table
from sinks.clickhouse.outcome_rows import OUTCOMES
from sinks.clickhouse.streams import STREAMS
from sinks.maintenance.erase import CONDITIONS
from sinks.maintenance.layout import made

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_settings_table_is_the_generated_one() -> None:
    """`python -m schemas.settings` prints what belongs there."""
    assert markdown_table() in README


def test_every_file_it_names_is_there() -> None:
    named = set(re.findall(r"`((?:ingest|processors|sinks|schemas|deploy|tests)/[\w/.*]*)`", README))
    assert named
    assert [name for name in sorted(named) if not list(ROOT.glob(name.rstrip("/")))] == []


def test_every_make_target_it_names_is_there() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE)) <= targets


MOST_WORDS = 15
"""Of our own: a reader learns these, and knows the rest."""


def section(name: str) -> str:
    return README.split(f"\n## {name}\n", 1)[1].split("\n## ", 1)[0]


def test_our_own_words_are_few_and_are_the_codes() -> None:
    rows = re.findall(r"^\| (?!word \||---)([^|]+) \|", section("Words"), re.MULTILINE)
    assert 0 < len(rows) <= MOST_WORDS
    sources = "\n".join(path.read_text() for name in ("ingest", "processors", "schemas") for path in source_files(name))
    for word in (row.strip("`") for row in rows if row.startswith("`")):
        assert re.search(rf"^class {word}\b", sources, re.MULTILINE), word


def source_files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def test_each_dialect_has_transcripts() -> None:
    recorded = {path.parent.name for path in (ROOT / "tests" / "golden").glob("*/*.json")}
    assert {operation.source for operation in OPERATIONS} <= recorded


@pytest.mark.parametrize("op", sorted(OPERANDS))
def test_each_operator_has_a_meaning_here_and_in_sql(op: str) -> None:
    sample = next(value for value in ("a", 1, ["a"], "2026-01-01T00:00:00Z", True) if is_operand(op, value))
    test = Comparison(op=op, value=OPERANDS[op](sample, "value"))
    parameters = Parameters()
    assert predicate(test)(None) in {True, False}
    assert sql_values.test(JsonColumn("attributes", ("a",), parameters), test, parameters, 0)


def is_operand(op: str, value: object) -> bool:
    try:
        OPERANDS[op](value, "value")
    except ApiError:
        return False
    return True


def test_each_table_that_the_sink_fills_is_made_erased_and_explained() -> None:
    filled = {table.name for stream in STREAMS for table in stream.tables}
    analysts = (ROOT / "schemas" / "clickhouse" / "README.md").read_text()
    assert filled <= made()
    assert filled - {OUTCOMES.name} <= {name for name, _ in CONDITIONS}, "outcomes name no contact, all others may"
    assert [name for name in sorted(filled) if f"`{name}`" not in analysts] == []
