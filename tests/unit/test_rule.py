"""What is a rule, and which field of what is none is named."""

from typing import Any

import pytest

from schemas.errors import ApiError
from schemas.rules import parse
from schemas.rules.nodes import (
    Absent,
    AllOf,
    AnyOf,
    Attribute,
    Between,
    Comparison,
    Consent,
    Happened,
    Identified,
    InOrder,
    InSegment,
    Instant,
    Measure,
    Not,
    Rule,
    Step,
    Where,
    Within,
)
from schemas.times import iso

PLAN = {"attribute": "plan", "op": "eq", "value": "pro"}
WHERE = [{"property": "x", "op": "exists"}]
WHERE_NODES = (Where(path=("x",), test=Comparison(op="exists")),)
DAY = 86_400_000
MAY = 1_777_593_600_000
"""2026-05-01"""


def nested(depth: int) -> Any:
    value: Any = PLAN
    for _ in range(depth):
        value = {"not": value}
    return value


def attribute(op: str, *value: Any) -> dict[str, Any]:
    return {"attribute": "a", "op": op} | ({"value": value[0]} if value else {})


def happened(**fields: Any) -> dict[str, Any]:
    return {"event": "e", **fields}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (PLAN, Attribute(path=("plan",), test=Comparison(op="eq", value="pro"))),
        (
            {"attribute": "address.city", "op": "exists"},
            Attribute(path=("address", "city"), test=Comparison(op="exists")),
        ),
        (attribute("in", ["x", 1, True]), Attribute(path=("a",), test=Comparison(op="in", value=("x", 1, True)))),
        (
            attribute("before", "2026-05-01"),
            Attribute(path=("a",), test=Comparison(op="before", value=Instant(ms=MAY))),
        ),
        (
            attribute("after", "now-30d"),
            Attribute(path=("a",), test=Comparison(op="after", value=Instant(ms=-30 * DAY, moving=True))),
        ),
        (
            attribute("before", "now"),
            Attribute(path=("a",), test=Comparison(op="before", value=Instant(ms=0, moving=True))),
        ),
        (
            attribute("gte", "2026-05-01T00:00:00Z"),
            Attribute(path=("a",), test=Comparison(op="gte", value=Instant(ms=MAY))),
        ),
        (happened(), Happened(event="e", measure=Measure(kind="count", op="gte", value=1))),
        (happened(where=[]), Happened(event="e")),
        (
            happened(
                where=[{"property": "total", "op": "gte", "value": 100.0}],
                count={"op": "gt", "value": 3},
                within="30d",
            ),
            Happened(
                event="e",
                where=(Where(path=("total",), test=Comparison(op="gte", value=100)),),
                measure=Measure(op="gt", value=3),
                window=Within(ms=30 * DAY),
            ),
        ),
        (
            happened(between=["2026-05-01", "2026-05-02"]),
            Happened(event="e", window=Between(from_ms=MAY, to_ms=MAY + DAY)),
        ),
        (
            happened(sum={"property": "cart.total", "op": "gt", "value": 99.5}, within="1d"),
            Happened(
                event="e",
                measure=Measure(kind="sum", path=("cart", "total"), op="gt", value=99.5),
                window=Within(ms=DAY),
            ),
        ),
        (
            {"sequence": [{"event": "a"}, {"event": "b", "within": "10m", "where": WHERE}]},
            InOrder(steps=(Step(event="a"), Step(event="b", where=WHERE_NODES, within_ms=600_000))),
        ),
        (
            {"absent": {"event": "b", "where": WHERE}, "after": {"event": "a"}, "for": "2h"},
            Absent(missing=Step(event="b", where=WHERE_NODES), after=Step(event="a"), for_ms=7_200_000),
        ),
        ({"segment": "seg_1"}, InSegment(segment_id="seg_1")),
        ({"consent": "email"}, Consent(name="email", value=True)),
        ({"consent": "email", "value": False}, Consent(name="email", value=False)),
        ({"identified": True}, Identified(value=True)),
        (
            {"all": [{"any": [{"identified": True}]}, {"not": {"identified": False}}]},
            AllOf(rules=(AnyOf(rules=(Identified(value=True),)), Not(rule=Identified(value=False)))),
        ),
    ],
)
def test_a_rule_is_read(value: Any, expected: Rule) -> None:
    assert parse.parse(value) == expected


@pytest.mark.parametrize(
    ("value", "code", "param"),
    [
        # shapes
        (None, "invalid_field", "rule"),
        ([], "invalid_field", "rule"),
        ({}, "missing_field", "rule"),
        ({"op": "eq"}, "missing_field", "rule"),
        ({"atribute": "plan", "op": "eq", "value": 1}, "unknown_field", "rule.atribute"),
        ({**PLAN, "extra": 1}, "unknown_field", "rule.extra"),
        ({**PLAN, "all": [PLAN]}, "unknown_field", "rule.attribute"),
        ({"all": []}, "invalid_field", "rule.all"),
        ({"all": PLAN}, "invalid_field", "rule.all"),
        ({"all": [PLAN, {"any": [PLAN, 3]}]}, "invalid_field", "rule.all[1].any[1]"),
        ({"not": [PLAN]}, "invalid_field", "rule.not"),
        # attributes
        ({"attribute": "plan"}, "missing_field", "rule.op"),
        ({"attribute": "plan", "op": "eq"}, "missing_field", "rule.value"),
        ({"attribute": "", "op": "exists"}, "invalid_field", "rule.attribute"),
        ({"attribute": 3, "op": "exists"}, "invalid_field", "rule.attribute"),
        ({"attribute": "x" * 257, "op": "exists"}, "invalid_field", "rule.attribute"),
        (attribute("like", "x"), "invalid_field", "rule.op"),
        (attribute(["eq"], "x"), "invalid_field", "rule.op"),  # type: ignore[arg-type]
        (attribute("exists", True), "unknown_field", "rule.value"),
        (attribute("eq", None), "invalid_field", "rule.value"),
        (attribute("eq", ["x"]), "invalid_field", "rule.value"),
        (attribute("gt", "x"), "invalid_field", "rule.value"),
        (attribute("gt", True), "invalid_field", "rule.value"),
        (attribute("gt", float("nan")), "invalid_field", "rule.value"),
        (attribute("gt", float("inf")), "invalid_field", "rule.value"),
        (attribute("gt", 10**400), "invalid_field", "rule"),
        (attribute("in", "x"), "invalid_field", "rule.value"),
        (attribute("in", []), "invalid_field", "rule.value"),
        (attribute("in", ["x", None]), "invalid_field", "rule.value[1]"),
        (attribute("in", ["x"] * 501), "invalid_field", "rule.value"),
        (attribute("starts_with", 3), "invalid_field", "rule.value"),
        (attribute("before", "yesterday"), "invalid_field", "rule.value"),
        (attribute("before", "now-30x"), "invalid_field", "rule.value"),
        (attribute("before", "now-0d"), "invalid_field", "rule.value"),
        (attribute("before", 1_777_593_600), "invalid_field", "rule.value"),
        # events
        ({"event": ""}, "invalid_field", "rule.event"),
        (happened(within="30"), "invalid_field", "rule.within"),
        (happened(within=30), "invalid_field", "rule.within"),
        (happened(within="1d", between=["2026-05-01", "2026-05-02"]), "invalid_field", "rule.between"),
        (happened(between=["2026-05-01"]), "invalid_field", "rule.between"),
        (happened(between=["2026-05-02", "2026-05-01"]), "invalid_field", "rule.between"),
        (happened(between=["2026-05-01", "x"]), "invalid_field", "rule.between[1]"),
        (happened(count=3), "invalid_field", "rule.count"),
        (happened(count={"value": 3}), "missing_field", "rule.count.op"),
        (happened(count={"op": "gte"}), "missing_field", "rule.count.value"),
        (happened(count={"op": "in", "value": 3}), "invalid_field", "rule.count.op"),
        (happened(count={"op": "gte", "value": 1.5}), "invalid_field", "rule.count.value"),
        (happened(count={"op": "gte", "value": -1}), "invalid_field", "rule.count.value"),
        (happened(count={"op": "gte", "value": 1001}), "invalid_field", "rule.count.value"),
        (happened(count={"op": "gte", "value": True}), "invalid_field", "rule.count.value"),
        (happened(count={"op": "gte", "value": 1, "of": 2}), "unknown_field", "rule.count.of"),
        (happened(where={"property": "x"}), "invalid_field", "rule.where"),
        (happened(where=[{"op": "eq", "value": 1}]), "missing_field", "rule.where[0].property"),
        (happened(where=[{"property": "x", "op": "gt", "value": "y"}]), "invalid_field", "rule.where[0].value"),
        (happened(where=[{"property": "x", "op": "after", "value": "now-1d"}]), "invalid_field", "rule.where[0].value"),
        (happened(where=[{"attribute": "x", "op": "exists"}]), "unknown_field", "rule.where[0].attribute"),
        (
            {"all": [PLAN, happened(count={"op": "many", "value": 1})]},
            "invalid_field",
            "rule.all[1].count.op",
        ),
        # consents
        ({"consent": "email", "value": "yes"}, "invalid_field", "rule.value"),
        ({"identified": 1}, "invalid_field", "rule.identified"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_place(value: Any, code: str, param: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse.parse(value)
    assert (refused.value.code, refused.value.param, refused.value.status) == (code, param, 422)


@pytest.mark.parametrize(
    ("value", "param"),
    [
        (happened(max={"property": "x", "op": "gte", "value": 10**12 + 1}), "rule.max.value"),
        (happened(sum={"op": "gte", "value": 1}), "rule.sum.property"),
        (happened(sum={"property": "x", "op": "gte", "value": "1"}), "rule.sum.value"),
        (
            happened(count={"op": "gte", "value": 1}, sum={"property": "x", "op": "gte", "value": 1}),
            "rule.sum",
        ),
        ({"sequence": [{"event": "a"}]}, "rule.sequence"),
        ({"sequence": [{"event": "a", "within": "1d"}, {"event": "b"}]}, "rule.sequence[0].within"),
        ({"sequence": [{"event": "a"}, {}]}, "rule.sequence[1].event"),
        ({"absent": {"event": "b"}, "for": "2h"}, "rule.after"),
        ({"absent": {"event": "b"}, "after": {"event": "a"}}, "rule.for"),
        ({"absent": {"event": "b"}, "after": {"event": "a"}, "for": 2}, "rule.for"),
        ({"absent": {"event": "b", "within": "1d"}, "after": {"event": "a"}, "for": "2h"}, "rule.absent.within"),
        ({"absent": {"event": "b"}, "after": {"event": "a"}, "for": "2h", "within": "2h"}, "rule.within"),
        ({"absent": {"event": "b", "count": {"op": "gte", "value": 2}}, "after": {}, "for": "2h"}, "rule.absent.count"),
        ({"sequence": [{"event": "a"}, {"event": "b"}] * 5}, "rule.sequence"),
        ({"segment": 3}, "rule.segment"),
    ],
)
def test_forms_of_several_events_are_refused_with_their_place(value: Any, param: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse.parse(value)
    assert refused.value.param == param


def test_rules_nest_eight_deep() -> None:
    parse.parse(nested(8))
    with pytest.raises(ApiError, match="8 deep") as refused:
        parse.parse(nested(9))
    assert refused.value.param == "rule" + ".not" * 8


def test_a_rule_has_sixty_four_leaves() -> None:
    parse.parse({"any": [{"all": [PLAN] * 32}, {"all": [PLAN] * 32}]})
    with pytest.raises(ApiError, match="64") as refused:
        parse.parse({"any": [{"all": [PLAN] * 32}, {"all": [PLAN] * 33}]})
    assert refused.value.param == "rule.any[1].all[32]"


def test_a_rule_has_a_size() -> None:
    with pytest.raises(ApiError, match="bytes") as refused:
        parse.parse({"all": [attribute("eq", "x" * 2000)] * 40})
    assert refused.value.param == "rule"


def test_a_path_can_start_elsewhere() -> None:
    with pytest.raises(ApiError) as refused:
        parse.parse({"not": 1}, "segments[2].rule")
    assert refused.value.param == "segments[2].rule.not"


def test_weeks_are_durations_wherever_a_rule_takes_one() -> None:
    two = parse.parse({"event": "a", "within": "2w"})
    assert two == parse.parse({"event": "a", "within": "14d"})
    for week, days in (("now-2w", "now-14d"), ("now+1w", "now+7d")):
        rules = [parse.parse({"attribute": "a", "op": "before", "value": value}) for value in (week, days)]
        assert rules[0] == rules[1]
    step = {"event": "a"}
    assert parse.parse({"absent": step, "after": step, "for": "1w"}) == parse.parse(
        {"absent": step, "after": step, "for": "7d"}
    )
    assert parse.parse({"sequence": [step, {**step, "within": "1w"}]}) == parse.parse(
        {"sequence": [step, {**step, "within": "7d"}]}
    )


def test_times_of_a_rule_reach_from_the_year_1_to_9999() -> None:
    for value in ("0001-01-01", "1962-05-04", "9999-12-31T23:59:59.999Z"):
        tree = parse.parse({"attribute": "a", "op": "before", "value": value})
        assert isinstance(tree, Attribute)
        assert iso(tree.test.value.ms).startswith(value)
    assert isinstance(parse.parse({"event": "a", "between": ["0001-01-01", "9999-12-31"]}), Happened)


def test_a_name_that_is_no_path_is_taken_as_it_is() -> None:
    for name in ("a..b", ".a", "v1."):
        tree = parse.parse({"attribute": name, "op": "exists"})
        assert isinstance(tree, Attribute)
        assert tree.path == (name,)
