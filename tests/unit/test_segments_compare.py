"""Comparisons as a marketer expects them: numbers as numbers, times as times, a misfit is no match."""

from typing import Any

import pytest

from schemas.rules.compare import attribute_at, dig, number_of, predicate
from schemas.rules.nodes import Attribute
from schemas.rules.parse import parse

ALWAYS_FALSE_OPS = ("eq", "gt", "gte", "lt", "lte", "in", "contains", "starts_with", "ends_with", "before", "after")


def holds(op: str, operand: Any, value: Any) -> bool:
    node = parse({"attribute": "a", "op": op, **({} if operand is None else {"value": operand})})
    assert isinstance(node, Attribute)
    return predicate(node.test)(value)


@pytest.mark.parametrize(
    ("op", "operand", "yes", "no"),
    [
        ("eq", "pro", ["pro"], ["Pro", "pro ", "", 0, True, ["pro"], {"pro": 1}]),
        ("eq", 5, [5, 5.0, "5", "5.0", "+5", "5e0"], [6, "5x", "", " 5", True, "\u0665", "5_0", [5]]),
        ("eq", 1, [1, "1"], [True, "true"]),
        ("eq", True, [True, "true"], [1, "True", "1", False, "false", None]),
        ("eq", "true", ["true", True], [1, False, "TRUE"]),
        ("ne", "false", [True, 0, "", None], [False, "false"]),
        ("eq", "5", ["5", 5, 5.0], ["5.0", "05", True]),
        ("eq", "05", ["05", 5], ["5"]),
        ("ne", "5", ["5.0", 6, None, True], ["5", 5]),
        ("in", ["5", "true"], ["5", 5, True, "true"], [6, False, "5.0", None]),
        ("not_in", ["5", False], [6, True, None, []], [5, "5", False, "false"]),
        ("contains", "5", [[5], ["5"], "15"], [[True], 5]),
        ("eq", 1234567890123456789, ["1234567890123456789"], ["1234567890123456788", 1234567890123456788]),
        ("eq", "1234567890123456789", [1234567890123456789], [1234567890123456788, 1.2345678901234568e18]),
        ("eq", 0.1, [0.1, "0.1"], ["0.10001"]),
        ("ne", 5, [6, "x", None, True, [], {}], [5, "5"]),
        ("ne", "x", ["y", None, 3], ["x"]),
        ("gt", 10, [11, "11", 10.5, "1e2"], [10, "9", "abc", True, [11], "inf", "nan", "1e999"]),
        ("gte", 10, [10, "10"], [9.99]),
        ("lt", 10, [9, "-3", "9"], [10, "abc", "-inf"]),
        ("lte", -1.5, [-1.5, "-1.5", -2], [-1]),
        ("gt", 9_007_199_254_740_992, [9_007_199_254_740_993, "9007199254740993"], ["9007199254740992"]),
        ("gt", "2026-05-01", ["2026-05-02", "2026-05-01T00:00:00.001Z"], ["2026-05-01", "x", True, None]),
        ("in", ["a", 5, True], ["a", 5, "5", True], ["b", 6, 1, False, None, ["a"]]),
        ("not_in", ["a", 5], ["b", None, True, ["a"]], ["a", 5, "5"]),
        ("in", [1], [1, "1", 1.0], [True]),
        ("contains", "oo", ["foo", ["x", "oo"]], ["f", ["foo"], 3, {"oo": 1}]),
        ("contains", 5, [[5], ["5"]], ["15", 5, [True, 15]]),
        ("starts_with", "fo", ["foo"], ["of", 3, ["foo"]]),
        ("ends_with", "@x.com", ["ann@x.com"], ["ann@y.com", True]),
        ("exists", None, [0, "", False, [], {}], [None]),
        ("not_exists", None, [None], [0, "", False]),
        (
            "before",
            "2026-05-01T00:00:00Z",
            ["2026-04-30", "2026-05-01T01:59:00+02:00", 1_777_000_000, 1_777_000_000_000],
            ["2026-05-01", "2026-05-01T00:00:00Z", "soon", True, [], 1e300],
        ),
        (
            "before",
            "1990-01-01",
            ["1962-05-04", "0001-01-01", -241_000_000, -1e12, 0],
            ["0000-12-31", "1990-02-30", -1e14],
        ),
        (
            "after",
            "9999-12-31T23:59:59Z",
            ["9999-12-31T23:59:59.5Z", 253_402_300_799_999],
            ["9999-12-31", 253_402_300_800_000],
        ),
        ("lte", "0001-01-01", ["0001-01-01T00:00"], ["0001-01-01T00:00+01:00", "0001-01-02"]),
        ("after", "2026-05-01", ["2026-05-01T00:00:00.001", 1_777_593_601], ["2026-05-01", 1_777_593_600]),
    ],
)
def test_operators(op: str, operand: Any, yes: list[Any], no: list[Any]) -> None:
    assert [value for value in yes if not holds(op, operand, value)] == []
    assert [value for value in no if holds(op, operand, value)] == []


@pytest.mark.parametrize("op", ALWAYS_FALSE_OPS)
def test_a_missing_value_matches_only_the_negative_operators(op: str) -> None:
    operand: Any = {"in": ["x"], "before": "2026-05-01", "after": "2026-05-01"}.get(op, "x")
    operand = 1 if op in ("gt", "gte", "lt", "lte") else operand
    assert not holds(op, operand, None)
    assert holds("ne", "x", None)
    assert holds("not_in", ["x"], None)
    assert holds("not_exists", None, None)


@pytest.mark.parametrize("text", ["1" * 401, "1" * 5000, "--1", "1e", ".", "0x10", "1,000", "\u0967"])
def test_what_is_no_number(text: str) -> None:
    assert number_of(text) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"plan.tier": "gold"}, "gold"),
        ({"plan.tier": "gold", "plan": {"tier": "tin"}}, "gold"),
        ({"plan.tier": None, "plan": {"tier": "tin"}}, "tin"),
        ({"plan": "gold"}, None),
    ],
)
def test_a_name_with_a_dot_is_looked_for_before_the_path(value: Any, expected: Any) -> None:
    assert dig(value, ("plan", "tier")) == expected
    assert (
        attribute_at({name: [attribute, 1, "e"] for name, attribute in value.items()}, ("plan", "tier"))[0] == expected
    )


def test_a_name_with_a_dot_is_looked_for_at_each_step() -> None:
    assert dig({"a": {"b.c": 1, "b": {"c": 2}}}, ("a", "b", "c")) == 1


def test_paths() -> None:
    value = {"a": {"b": {"c": 1}, "n": None, "l": [1]}}
    assert dig(value, ("a", "b", "c")) == 1
    assert dig(value, ()) is value
    assert [
        dig(value, path) for path in (("x",), ("a", "n"), ("a", "n", "y"), ("a", "l", "0"), ("a", "b", "c", "d"))
    ] == [None] * 5
