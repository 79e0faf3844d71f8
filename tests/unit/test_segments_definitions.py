"""Segments that come, change and go while contacts are there already."""

from dataclasses import replace
from typing import Any

import pytest

from processors.membership.conditions import Compiled, compile_plan
from processors.segments import stage as spine
from schemas.control.control_state import Segment
from schemas.rules import parse
from schemas.rules.conditions import Condition, needs
from schemas.rules.nodes import Identified
from tests.property.world_segments import HOME, HOUR, NOW, PARTITIONS, SegmentsWorld, event, told

BOUGHT = {"event": "bought"}
PRO = {"attribute": "plan", "op": "eq", "value": "pro"}
USERS = ("ann", "bob", "cid", "dan")


def with_users(**rules: Any) -> SegmentsWorld:
    world = SegmentsWorld(**rules)
    world.send(*(event("bought", user=user, attributes={"plan": "pro"}) for user in USERS[:2]))
    world.send(*(event("seen", user=user) for user in USERS[2:]))
    return world


def members(world: SegmentsWorld, segment: str) -> set[str]:
    return {user for user in USERS if segment in world.segments_of(user)}


def counted(value: Any) -> str:
    ((what, _),) = needs(parse.parse(value))
    return what.id


def raises(name: str) -> Compiled:
    return Compiled(id=name, version=1, rule=Identified(value=True), evaluate=raising)


def test_a_new_segment_is_exact_at_once_over_what_is_known() -> None:
    world = with_users()
    world.define("pro", PRO)
    world.define("known", {"identified": True})
    before = len(world.sink.changes)
    world.follow()
    assert members(world, "pro") == {"ann", "bob"}
    assert members(world, "known") == set(USERS)
    assert {reason for _, _, reason in told(world.sink.changes[before:])} == {"rule"}
    assert not any(world.stage.has_work(partition) for partition in range(PARTITIONS))


def test_events_count_from_when_the_definition_was_seen() -> None:
    world = with_users()
    world.define("buyers", BOUGHT)
    world.follow()
    assert members(world, "buyers") == set()
    world.send(event("bought", event_id="again"))
    assert members(world, "buyers") == {"ann"}


def test_a_new_segment_that_counts_what_is_counted_already_is_exact() -> None:
    world = with_users(buyers=BOUGHT)
    world.define("recent", {"all": [{**BOUGHT, "within": "1h"}, PRO]})
    world.follow()
    assert members(world, "recent") == {"ann", "bob"}
    world.pass_time(HOUR + 1)
    assert members(world, "recent") == set()


def test_an_edit_tells_only_the_difference() -> None:
    world = with_users(it=PRO)
    world.define("it", {"any": [PRO, {"not": {"attribute": "plan", "op": "exists"}}]}, version=2)
    before = len(world.sink.changes)
    world.follow()
    assert sorted(told(world.sink.changes[before:])) == [("it", True, "rule")] * 2
    assert members(world, "it") == set(USERS)
    world.define("it", {"attribute": "plan", "op": "not_exists"}, version=3)
    before = len(world.sink.changes)
    world.follow()
    changes = world.sink.changes[before:]
    assert sorted(told(changes)) == [("it", False, "rule")] * 2
    assert {change["segment_version"] for change in changes} == {3}


def test_a_new_name_is_no_edit() -> None:
    world = with_users(it=PRO)
    segment = world.control.segments[HOME]["it"].model_copy(update={"name": "other", "updated_ms": NOW + 1})
    world.control.apply(b"local/segment/it", segment.model_dump_json().encode())
    assert not any(world.stage.has_work(partition) for partition in range(PARTITIONS))


def test_a_deleted_segment_frees_what_it_held() -> None:
    world = with_users(it={"event": "bought", "within": "1h"}, stays={"event": "seen"})
    world.remove("it")
    before = len(world.sink.changes)
    world.follow()
    assert sorted(told(world.sink.changes[before:])) == [("it", False, "rule")] * 2
    for user in USERS:
        contact = world.contact(user)
        assert set(contact.members) | set(contact.dues) <= {"stays"}
        assert set(contact.counts) <= {counted({"event": "seen"})}
    world.pass_time(2 * HOUR)
    assert world.next_timer() is None


def test_a_contact_that_an_event_touches_follows_at_once() -> None:
    world = with_users()
    world.define("pro", PRO)
    changes = world.send(event("seen", event_id="x", at=NOW + 1, reply_to="edge"))
    assert told(changes) == [("pro", True, "rule")]
    assert changes[-1]["entered"] == []
    world.follow()
    assert members(world, "pro") == {"ann", "bob"}


def test_a_definition_that_comes_and_goes_before_the_scan_leaves_nothing() -> None:
    world = with_users()
    world.define("pro", PRO)
    world.send(event("seen", event_id="x"))
    world.remove("pro")
    world.follow()
    assert members(world, "pro") == set()


def test_a_scan_that_was_cut_off_goes_on_after_a_restart() -> None:
    world = with_users()
    world.define("pro", PRO)
    world.idle(0, lose=False)
    world.restart()
    world.follow()
    assert members(world, "pro") == {"ann", "bob"}


def test_a_definition_that_changed_while_nobody_ran_is_followed() -> None:
    world = with_users(it=PRO)
    world.define("it", {"not": PRO}, version=2)
    world.jump(HOUR)
    world.restart()
    world.follow()
    assert members(world, "it") == {"cid", "dan"}


def test_a_restart_without_a_change_scans_nothing() -> None:
    world = with_users(it=PRO)
    world.restart()
    assert not any(world.stage.has_work(partition) for partition in range(PARTITIONS))


def test_a_scan_works_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spine, "SCAN_CHUNK", 7)
    monkeypatch.setattr(spine, "FOLLOW_CHUNK", 3)
    world = SegmentsWorld()
    world.send(*(event("seen", user=f"user{n}", attributes={"plan": "pro"}) for n in range(40)))
    world.define("pro", PRO)
    for partition in range(PARTITIONS):
        while world.stage.has_work(partition):
            before = len(world.sink.changes)
            world.idle(partition, lose=False)
            assert len(world.sink.changes) - before <= 3
    assert len(world.sink.members) == 40


def raising(*_: Any) -> Any:
    raise ZeroDivisionError("by accident")


def sabotage(world: SegmentsWorld, **parts: Any) -> None:
    """The only way to a rule that raises: nothing that parses does."""
    plan = replace(world.stage_plan(), **parts)
    for opened in world.stage._open.values():
        opened.plans.refresh()
        opened.plans._plans[HOME] = plan


def test_a_rule_that_raises_is_disabled_and_stops_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    world = with_users(bad=PRO, good=PRO)
    sabotage(world, segments=world.stage_plan().segments | {"bad": raises("bad")})
    changes = world.send(event("x", at=NOW + 1, attributes={"plan": "free"}))
    assert told(changes) == [("good", False, "event")]
    assert world.stage_plan().disabled == {"bad": "ZeroDivisionError: by accident"}
    assert "segment bad of local/production is disabled: ZeroDivisionError: by accident" in caplog.text
    assert members(world, "bad") == {"ann", "bob"}
    world.define("other", PRO)
    assert "bad" in world.stage_plan().disabled
    world.define("bad", {"not": PRO}, version=2)
    world.follow()
    assert world.stage_plan().disabled == {}
    assert members(world, "bad") == {"ann", "cid", "dan"}


def test_a_condition_that_raises_disables_its_segments() -> None:
    world = with_users(bad=BOUGHT, good={"event": "bought", "where": [{"property": "n", "op": "not_exists"}]})
    plan = world.stage_plan()
    bad: Condition = replace(plan.conditions[counted(BOUGHT)], tests=((("n",), raising),))
    others = tuple(condition for condition in plan.by_event["bought"] if condition.id != bad.id)
    sabotage(world, by_event={"bought": (bad, *others)})
    world.send(event("bought", user="cid", event_id="x"))
    assert set(world.stage_plan().disabled) == {"bad"}
    assert members(world, "good") == {"ann", "bob", "cid"}


def test_a_disabled_segment_has_no_due_time() -> None:
    world = with_users(bad={"event": "bought", "within": "1h"})
    sabotage(world, segments={"bad": raises("bad")})
    world.pass_time(2 * HOUR)
    assert world.next_timer() is None


@pytest.mark.parametrize("broken", [{"segment": "it"}, {"no": "rule"}, None])
def test_a_rule_that_cannot_be_read_is_disabled_and_its_members_stay(broken: Any) -> None:
    world = with_users(it=PRO)
    world.define("it", broken, version=2)
    world.follow()
    assert members(world, "it") == {"ann", "bob"}
    assert set(world.stage_plan().disabled) == {"it"}


def segment(name: str, value: Any) -> Segment:
    return Segment(
        id=name,
        workspace="local",
        environment="production",
        name=name,
        rule=value,
        version=1,
        created_ms=NOW,
        updated_ms=NOW,
    )


def test_conditions_are_shared_by_what_they_count() -> None:
    where = [{"property": "a", "op": "eq", "value": 1}, {"property": "b", "op": "eq", "value": 2}]
    plan = compile_plan(
        HOME,
        [
            segment("a", {"event": "e", "where": where, "within": "1d"}),
            segment("b", {"event": "e", "where": where[::-1], "within": "7d", "count": {"op": "gt", "value": 4}}),
            segment("c", {"not": {"event": "e", "where": where, "count": {"op": "eq", "value": 2}}}),
            segment("d", {"event": "e", "where": where, "between": ["2026-01-01", "2026-02-01"]}),
            segment("e", {"event": "e"}),
        ],
    )
    assert sorted(sorted(condition.segments) for condition in plan.conditions.values()) == [
        ["a", "b", "c"],
        ["d"],
        ["e"],
    ]
    (shared,) = (c for c in plan.conditions.values() if "a" in c.segments)
    assert (shared.keep.most, shared.keep.ms) == (5, None)
    assert plan.default_members == {"c"}


def test_a_shared_condition_keeps_as_long_as_the_longest_window() -> None:
    plan = compile_plan(
        HOME, [segment("a", {"event": "e", "within": "1h"}), segment("b", {"event": "e", "within": "2h"})]
    )
    (keep,) = plan.keeps.values()
    assert keep.ms == 2 * HOUR
