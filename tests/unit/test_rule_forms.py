"""What people ask of rules: anniversaries, zones, identifiers, repeated steps; and refusals that say the right form."""

from typing import Any

import pytest

from schemas.errors import ApiError
from schemas.rules import parse, rule_tree
from schemas.rules.nodes import (
    Absent,
    Anniversary,
    Attribute,
    Between,
    Comparison,
    Happened,
    HasIdentifier,
    InOrder,
    Instant,
    Step,
    Where,
    Within,
    Zone,
)
from schemas.times import parse_iso

HOUR, DAY = 3_600_000, 86_400_000
BORN = {"attribute": "born", "op": "anniversary"}


def ms(text: str) -> int:
    return parse_iso(text) or 0


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (BORN, Anniversary(path=("born",))),
        ({**BORN, "value": 3, "tz": "Asia/Tokyo"}, Anniversary(path=("born",), days=3, zone=Zone(name="Asia/Tokyo"))),
        (
            {**BORN, "tz": {"attribute": "geo.zone", "default": "Europe/Oslo"}},
            Anniversary(path=("born",), zone=Zone(name="Europe/Oslo", path=("geo", "zone"))),
        ),
        (
            {"identifier": "email", "op": "eq", "value": " Ann@Example.com "},
            HasIdentifier(kind="email", test=Comparison(op="eq", value="ann@example.com")),
        ),
        (
            {"identifier": "phone", "op": "in", "value": ["+49 151 23456789"]},
            HasIdentifier(kind="phone", test=Comparison(op="in", value=("+4915123456789",))),
        ),
        (
            {"identifier": "email", "op": "ends_with", "value": "@GMAIL.com"},
            HasIdentifier(kind="email", test=Comparison(op="ends_with", value="@gmail.com")),
        ),
        ({"identifier": "user_id", "op": "exists"}, HasIdentifier(kind="external_id", test=Comparison(op="exists"))),
        (
            {"event": "message.opened", "by": "person", "within": "30d"},
            Happened(
                event="message.opened",
                where=(Where(path=(), test=Comparison(op="by_machine", value=False)),),
                window=Within(ms=30 * DAY),
            ),
        ),
        (
            {"sequence": [{"event": "a", "count": {"op": "gte", "value": 3}, "within": "7d"}, {"event": "b"}]},
            InOrder(steps=(Step(event="a", within_ms=7 * DAY, count=3), Step(event="b"))),
        ),
        (
            {"absent": {"event": "b"}, "after": {"event": "a"}, "for": "2h", "within": "1d"},
            Absent(missing=Step(event="b"), after=Step(event="a"), for_ms=2 * HOUR, within_ms=DAY),
        ),
    ],
)
def test_a_form_is_read(written: Any, expected: Any) -> None:
    assert parse.parse(written) == expected


def test_a_zone_holds_for_all_times_within_that_name_none() -> None:
    tree = parse.parse(
        {
            "tz": "America/New_York",
            "all": [
                {"event": "a", "between": ["2026-05-01", "2026-05-02T00:00:00Z"]},
                {"event": "b", "where": [{"property": "x", "op": "gt", "value": "2026-01-01T12:00:00"}]},
                {"not": {"attribute": "c", "op": "before", "value": "2026-05-01", "tz": "Asia/Tokyo"}},
                BORN,
            ],
        }
    )
    first, second, third, fourth = (leaf for _, leaf in rule_tree.leaves(tree))
    assert isinstance(first, Happened)
    assert isinstance(second, Happened)
    assert isinstance(third, Attribute)
    assert isinstance(fourth, Anniversary)
    assert first.window == Between(from_ms=ms("2026-05-01T04:00:00Z"), to_ms=ms("2026-05-02T00:00:00Z"))
    assert second.where[0].test.value == Instant(ms=ms("2026-01-01T17:00:00Z"))
    assert third.test.value == Instant(ms=ms("2026-04-30T15:00:00Z"))
    assert fourth.zone == Zone(name="America/New_York")


@pytest.mark.parametrize(
    ("written", "param", "words"),
    [
        ({**BORN, "tz": "Europe/Berln"}, "rule.tz", "did you mean Europe/Berlin?"),
        ({**BORN, "tz": "../../etc/passwd"}, "rule.tz", "a time zone such as"),
        ({**BORN, "tz": {"attribute": "zone", "default": "x"}}, "rule.tz.default", "a time zone such as"),
        ({**BORN, "tz": {"default": "UTC"}}, "rule.tz.attribute", "attribute is needed"),
        ({**BORN, "tz": 2}, "rule.tz", "a time zone such as"),
        ({"all": [BORN], "tz": ["UTC"]}, "rule.tz", "a time zone such as"),
        ({**BORN, "value": "1990-05-12"}, "rule.value", "0 is today, 3 is in three days"),
        ({**BORN, "value": True}, "rule.value", "0 is today"),
        ({**BORN, "value": 367}, "rule.value", "-366 to 366"),
        ({"event": "a", "where": [{"property": "x", "op": "anniversary"}]}, "rule.where[0].op", "must be one of"),
        (
            {"event": "a", "between": ["2026-05-01", "2026-06-01"], "tz": {"attribute": "zone"}},
            "rule.between[0]",
            "needs a zone",
        ),
        (
            {"attribute": "a", "op": "before", "value": "0001-01-01", "tz": "Asia/Tokyo"},
            "rule.value",
            "from the year 1",
        ),
        ({"identifier": "email", "op": "eq", "value": "ann"}, "rule.value", "is no e-mail address"),
        ({"identifier": "phone", "op": "in", "value": ["0151 2345"]}, "rule.value[0]", "country code"),
        ({"identifier": "email", "op": "gt", "value": "a"}, "rule.op", "must be one of eq"),
        ({"identifier": "email"}, "rule.op", "op is needed"),
        ({"identifier": "contact_id", "op": "exists"}, "rule.identifier", "a type of identifier"),
        ({"identifier": "E-Mail", "op": "exists"}, "rule.identifier", "a type of identifier"),
        ({"event": "bought", "by": "person"}, "rule.by", "message.opened and message.clicked only"),
        ({"event": "message.opened", "by": "me"}, "rule.by", "person, machine"),
        ({"event": "bought", "count": 3}, "rule.count", 'must be {"op": "gte", "value": 3}'),
        ({"event": "bought", "sum": 3}, "rule.sum", '{"property": "total", "op": "gte", "value": 3}'),
        ({"sequence": [{"event": "a", "count": 3}, {"event": "b"}]}, "rule.sequence[0].count", '{"op": "gte"'),
        (
            {"sequence": [{"event": "a"}, {"event": "b", "count": {"op": "lt", "value": 3}}]},
            "rule.sequence[1].count",
            '{"op": "gte"',
        ),
        (
            {"sequence": [{"event": "a", "count": {"op": "gte", "value": 0}}, {"event": "b"}]},
            "rule.sequence[0].count.value",
            "from 1 to 1000",
        ),
        (
            {"absent": {"event": "b"}, "after": {"event": "a", "within": "1d"}, "for": "2h"},
            "rule.after.within",
            "with a count",
        ),
        ({"absent": {"event": "b"}, "after": {"event": "a"}, "for": "2h", "within": "1h"}, "rule.within", "longer"),
        ({"and": [BORN]}, "rule.and", "use 'all' in place of 'and'"),
        ({"or": [BORN]}, "rule.or", "use 'any'"),
        ({"property": "plan", "op": "eq", "value": 1}, "rule.property", "use 'attribute'"),
        ({"event": "a", "not": True}, "rule.event", 'use {"all": [{"not": ...}, {"event": ...}]}'),
        ({"attribute": "plan", "op": "in", "value": "pro"}, "rule.value", 'as ["a", "b"]'),
    ],
)
def test_a_refusal_says_the_right_form(written: Any, param: str, words: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse.parse(written)
    assert (refused.value.param, refused.value.status) == (param, 422)
    assert words in refused.value.message


def test_a_segment_that_is_not_there_is_named_by_its_id() -> None:
    with pytest.raises(ApiError, match="named by its id, as seg_") as refused:
        rule_tree.check("seg_1", {"segment": "Regulars"}, {})
    assert refused.value.param == "rule.segment"
