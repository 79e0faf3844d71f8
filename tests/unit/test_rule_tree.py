"""Segments that refer to each other: what may be written, and what a reference means."""

from typing import Any

import pytest

from schemas.errors import ApiError
from schemas.rules import parse, rule_tree
from schemas.rules.nodes import InSegment
from tests.property.world_segments import HOUR, SegmentsWorld, event

PRO = {"attribute": "plan", "op": "eq", "value": "pro"}


def to(name: str) -> dict[str, Any]:
    return {"segment": name}


@pytest.mark.parametrize(
    ("written", "others", "param", "says"),
    [
        (to("b"), {}, "rule.segment", "no such segment"),
        (to("a"), {}, "rule.segment", "a -> a"),
        ({"all": [PRO, {"not": to("b")}]}, {"b": to("c"), "c": to("a")}, "rule.all[1].not.segment", "a -> b -> c -> a"),
        (to("s1"), {f"s{n}": to(f"s{n + 1}") if n < 9 else PRO for n in range(1, 10)}, "rule.segment", "8 deep"),
        ({"any": [to("b")] * 9}, {"b": {"any": [PRO] * 60}}, "rule.any[8].segment", "512"),
        ({"any": [PRO] * 60}, {"b": {"any": [to("a")] * 9}}, "rule", "b refers to this segment"),
        ({"any": [PRO, 3]}, {}, "rule.any[1]", "object"),
    ],
)
def test_what_is_refused(written: Any, others: dict[str, Any], param: str, says: str) -> None:
    with pytest.raises(ApiError, match=says) as refused:
        rule_tree.check("a", written, others)
    assert (refused.value.status, refused.value.param) == (422, param)


def test_what_may_be_written() -> None:
    rule_tree.check("a", {"any": [to("b"), to("list"), PRO]}, {"b": to("c"), "c": PRO, "list": None, "broken": {}})
    assert rule_tree.users_of("c", {"a": to("b"), "b": to("c"), "c": PRO, "d": PRO, "broken": {}}) == ["a", "b"]


def test_a_circle_among_others_is_not_ours() -> None:
    rule_tree.check("a", PRO, {"b": to("c"), "c": to("b")})
    with pytest.raises(ApiError, match="b -> c -> b"):
        rule_tree.check("a", to("b"), {"b": to("c"), "c": to("b")})


def test_a_reference_is_the_rule_it_refers_to() -> None:
    whole = rule_tree.expand(parse.parse({"not": to("b")}), {"b": parse.parse(PRO)}.get)
    assert [leaf for _, leaf in rule_tree.leaves(whole)] == [InSegment(segment_id="b", rule=parse.parse(PRO))]
    assert list(rule_tree.all_leaves(whole))[1:] == [parse.parse(PRO)]


def test_references_follow_in_the_same_step_and_by_time() -> None:
    world = SegmentsWorld(
        a={"all": [to("b"), {"not": to("c")}]},
        b={"event": "bought", "within": "1h"},
        c=PRO,
        gone=to("nobody"),
    )
    world.send(event("bought"))
    assert world.segments_of() == {"a", "b"}
    world.send(event("x", kind="identify", attributes={"plan": "pro"}))
    assert world.segments_of() == {"b", "c"}
    world.send(event("y", kind="identify", at=world.now + 1, received=world.now + 1, attributes={"plan": "free"}))
    assert world.segments_of() == {"a", "b"}
    world.pass_time(HOUR + 1)
    assert world.segments_of() == set()


def test_an_edit_changes_the_segments_that_refer() -> None:
    world = SegmentsWorld(a={"not": to("b")}, b=PRO)
    world.send(event("x", kind="identify", attributes={"plan": "free"}))
    assert world.segments_of() == {"a"}
    world.define("b", {"attribute": "plan", "op": "eq", "value": "free"}, version=2)
    world.follow()
    assert world.segments_of() == {"b"}


def test_a_circle_disables_whom_it_holds() -> None:
    world = SegmentsWorld(a=to("b"), b=to("a"), c=PRO)
    world.send(event("x", kind="identify", attributes={"plan": "pro"}))
    assert world.segments_of() == {"c"}
    assert set(world.stage_plan().disabled) == {"a", "b"}
