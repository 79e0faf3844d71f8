"""Each comparison of a rule with each of many JSON values, on a real engine: SQL and stream say the same."""

import random
from typing import Any

import clickhouse_connect
import orjson
import pytest

from schemas.rules import sql_values
from schemas.rules.compare import dig, predicate
from schemas.rules.nodes import Attribute
from schemas.rules.parse import parse
from schemas.rules.sql_values import JsonColumn, Parameters
from schemas.times import END_MS, FIRST_MS, MILLISECONDS_FROM

pytestmark = pytest.mark.clickhouse

AT_ONCE = 12
SCALARS: tuple[Any, ...] = (
    *("", "x", "x\x00y", "a\tb\n\\'\"", "São", "é" * 3, "true", "false", "True", "null", " 5", "5 ", "5x", "\u200b5"),
    *("5", "05", "+5", "-5", "5.0", "5.", ".5", "5e0", "1e400", "-0", "0", "123", "0123", "1_0", "inf", "nan"),
    *("9007199254740993", "1234567890123456789", "18446744073709551616", "99999999999999999999", "1" * 21),
    *(5, 5.0, -5, 0, -0.0, 0.5, 123, 0.1, 1e300, 2**53 + 1, 1234567890123456789, 2**63, 2**64 - 1, 1e20, True, False),
)
TIMES: tuple[Any, ...] = (
    *("1962-05-04", "1969-12-31T23:59:59.999Z", "1970-01-01", "1900-01-01", "1899-12-31", "2299-12-31", "2300-01-01"),
    *("0001-01-01", "0000-12-31", "0001-01-01T00:00+00:01", "9999-12-31T23:59:59.999Z", "9999-12-31T23:59-01:00"),
    *("2024-02-29", "2023-02-29", "1900-02-29", "2000-02-29", "2026-04-31", "2026-13-01", "2026-00-10", "2026-05-00"),
    *("2026-05-01T10:00", "2026-05-01 10:00:00,5", "2026-05-01T10:00:00.1239+0530", "2026-05-01T10:00:00-03"),
    *("2026-05-01T24:00:00Z", "2026-05-01T23:59:60Z", "2026-05-01T10", "2026-5-1", "20260501", "2026-05-01T10:00z"),
    *(-241_000_000, -1, 0, -62_135_596_800, -62_135_596_801, MILLISECONDS_FROM, -MILLISECONDS_FROM, 1.5, -1.0005),
    *(FIRST_MS, FIRST_MS - 1, END_MS - 1, END_MS, 1e300, -1e300, 1_777_000_000_123, -100_000_000_000.7),
)
LIMITS = (
    "1962-05-04",
    "1970-01-01",
    "0001-01-01",
    "9999-12-31T23:59:59.999Z",
    "1899-12-31",
    "2300-01-01",
    "2026-05-01T04:30Z",
)
OTHERS: tuple[Any, ...] = (None, [], {}, ["5"], [5], [True], ["true", 5.0], [None, "x\x00y"], [1234567890123456789])


def comparisons() -> list[dict[str, Any]]:
    scalars = [
        {"op": op, "value": value}
        for value in SCALARS
        for op in ("eq", "ne", "contains")
        if value != "" or op != "contains"
    ]
    rng = random.Random(5)
    some = [{"op": op, "value": rng.sample(SCALARS, rng.randint(1, 4))} for op in ("in", "not_in") for _ in range(12)]
    ends = [{"op": op, "value": value} for op in ("starts_with", "ends_with") for value in ("x\x00", "a\t", "5", "é")]
    numbers = [{"op": op, "value": value} for op in ("gt", "gte", "lt", "lte") for value in (5, -0.5, 123, 0.1)]
    times = [{"op": op, "value": value} for op in ("before", "after", "gte", "lte") for value in LIMITS]
    return [*scalars, *some, *ends, *numbers, *times, {"op": "exists"}, {"op": "not_exists"}]


def values() -> list[Any]:
    flat = [*SCALARS, *TIMES, *OTHERS]
    return [
        *({"a": {"b": value}} for value in flat),
        *({"a.b": value, "a": {"b": 5}} for value in flat),
        {},
        {"a": 5},
        {"a": {"b": {"c": 5}}},
        {"a": {"b.c": "x"}},
    ]


async def test_sql_and_stream_agree_on_every_value(clickhouse: str) -> None:
    """Values in a row's JSON, under a path and under the path's exact name."""
    documents = [orjson.dumps(value).decode() for value in values()]
    stored = [orjson.loads(document) for document in documents]
    client = await clickhouse_connect.get_async_client(dsn=clickhouse)
    wrong: list[Any] = []
    rules = [parse({"attribute": "a.b", **comparison}) for comparison in comparisons()]
    try:
        await client.command("CREATE TABLE rule_values (n UInt32, document String) ENGINE = Memory")
        await client.insert("rule_values", list(enumerate(documents)), column_names=["n", "document"])
        for first in range(0, len(rules), AT_ONCE):
            chunk = [tree for tree in rules[first : first + AT_ONCE] if isinstance(tree, Attribute)]
            parameters = Parameters()
            place = JsonColumn("document", ("a", "b"), parameters)
            columns = ", ".join(
                f"groupArrayIf(n, {sql_values.test(place, rule.test, parameters, 0)})" for rule in chunk
            )
            sql = f"SELECT {columns} FROM rule_values SETTINGS precise_float_parsing = 1"
            row = (await client.query(sql, parameters=parameters.values)).result_rows[0]
            for rule, matched in zip(chunk, row, strict=True):
                holds = predicate(rule.test)
                meant = {n for n, value in enumerate(stored) if holds(dig(value, ("a", "b")))}
                wrong += [(rule.test, stored[n], n in meant) for n in set(matched) ^ meant]
    finally:
        await client.command("DROP TABLE IF EXISTS rule_values")
        await client.close()
    assert wrong == [], "\n".join(map(str, wrong))


def test_ne_and_not_in_are_the_opposites_of_eq_and_in() -> None:
    for value in (*SCALARS, *TIMES, *OTHERS):
        for expected in SCALARS:
            for positive, negative, operand in (("eq", "ne", expected), ("in", "not_in", [expected, "z"])):
                yes, no = (parse({"attribute": "a", "op": op, "value": operand}) for op in (positive, negative))
                assert isinstance(yes, Attribute)
                assert isinstance(no, Attribute)
                assert predicate(yes.test)(value) is not predicate(no.test)(value)


def test_equality_is_the_same_from_both_sides() -> None:
    """Whichever of the two the rule says and the contact has."""
    for operand in SCALARS:
        for other in SCALARS:
            ways = []
            for expected, value in ((operand, other), (other, operand)):
                tree = parse({"attribute": "a", "op": "eq", "value": expected})
                assert isinstance(tree, Attribute)
                ways.append(predicate(tree.test)(value))
            assert ways[0] == ways[1], (operand, other)
