"""Named lists: the checks of their requests, and their effects on rules and on the plans of the segments stage."""

from typing import Any

import pytest

from ingest.control import value_lists
from processors.membership.conditions import compile_plan
from processors.membership.coverage import Coverage
from processors.membership.plans import Compiler, Plans
from processors.membership.timers import Timers
from processors.segments import progress
from processors.segments.partition import Partition
from schemas.control import list_users
from schemas.control.control_state import ControlState, Segment, SegmentProgress, ValueList, encode
from schemas.control.value_lists import digest_of, ordered
from schemas.errors import ApiError
from schemas.limits import MAX_LIST_BYTES, MOST_CHANGED_VALUES, MOST_LIST_VALUES, MOST_VALUE_LISTS
from schemas.rules import rule_tree
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE

HOME = (WORKSPACE, ENVIRONMENT)
BY_SKU: dict[str, Any] = {"event": "bought", "where": [{"property": "sku", "op": "in", "value": {"list": "vip_skus"}}]}
BY_MAIL: dict[str, Any] = {"identifier": "email", "op": "not_in", "value": {"list": "mails"}}


def made(name: str, *values: Any, home: tuple[str, str] = HOME) -> ValueList:
    return value_lists.new_list(value_lists.new_of({"name": name, "values": list(values)}), home, {}, {}, NOW_MS)


def segment(name: str, rule: Any, version: int = 1) -> Segment:
    return Segment(
        id=name,
        workspace=WORKSPACE,
        environment=ENVIRONMENT,
        name=name,
        rule=rule,
        version=version,
        created_ms=NOW_MS,
        updated_ms=NOW_MS,
    )


def state_of(*records: ValueList | Segment) -> ControlState:
    state = ControlState()
    for record in records:
        state.apply(*encode("list" if isinstance(record, ValueList) else "segment", record))
    return state


def test_a_list_has_each_value_once_in_one_order() -> None:
    record = made("mixed", "b", 2, True, "a", 1.0, 1, "1", "b", False)
    assert record.values == (False, True, 1, 2, "1", "a", "b")
    assert [type(value) for value in record.values[:3]] == [bool, bool, int]
    (kept,) = state_of(record).value_lists[HOME].values()
    assert [(type(value), value) for value in kept.values] == [(type(value), value) for value in record.values]
    assert digest_of(ordered(["a", 1])) == digest_of(ordered([1, "a", "a"])) != digest_of(ordered(["a", "1"]))


def test_values_come_and_go_and_the_version_grows_with_them_alone() -> None:
    first = made("codes", "a", 1)
    same = value_lists.with_values(first, value_lists.change_of({"values": ["a"]}), {}, NOW_MS + 1)
    assert same is first
    second = value_lists.with_values(first, value_lists.change_of({"values": [True, "b"]}), {}, NOW_MS + 1)
    assert (second.version, second.values, second.updated_ms) == (2, (True, 1, "a", "b"), NOW_MS + 1)
    assert second.content.digest != first.content.digest
    third = value_lists.without_values(second, value_lists.change_of({"values": [1, "zzz"]}), {}, NOW_MS + 2)
    assert (third.version, third.values) == (3, (True, "a", "b")), "true is not 1"
    again = value_lists.replaced(
        third, value_lists.replacement_of({"values": [1, "a"], "description": "two"}), {}, NOW_MS + 3
    )
    assert (again.version, again.description) == (4, "two")
    assert again.content.digest == first.content.digest


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ([], "invalid_type", None),
        ({"values": ["a"]}, "missing_field", "name"),
        ({"name": "VIP SKUs"}, "invalid_field", "name"),
        ({"name": "x" * 64}, "invalid_field", "name"),
        ({"name": "taken"}, "conflict", "name"),
        ({"name": "a", "values": "b"}, "invalid_field", "values"),
        ({"name": "a", "values": ["b", ""]}, "invalid_field", "values[1]"),
        ({"name": "a", "values": [None]}, "invalid_field", "values[0]"),
        ({"name": "a", "values": ["b", {"c": 1}]}, "invalid_field", "values[1]"),
        ({"name": "a", "values": [float("inf")]}, "invalid_field", "values[0]"),
        ({"name": "a", "values": ["é" * 129]}, "invalid_field", "values[0]"),
        ({"name": "a", "values": ["\ud800"]}, "invalid_field", "values[0]"),
        ({"name": "a", "values": ["b"] * (MOST_LIST_VALUES + 1)}, "too_many", "values"),
        ({"name": "a", "values": [f"{n:0200}" for n in range(MOST_LIST_VALUES)]}, "invalid_field", "values"),
        ({"name": "a", "value": ["b"]}, "unknown_field", "value"),
    ],
)
def test_a_wrong_list_is_refused_with_its_place(body: Any, code: str, param: str | None) -> None:
    with pytest.raises(ApiError) as refused:
        value_lists.new_list(value_lists.new_of(body), HOME, {"taken": made("taken")}, {}, NOW_MS)
    assert (refused.value.code, refused.value.param) == (code, param)


def test_lists_and_changes_are_bounded() -> None:
    existing = {f"l{n}": made(f"l{n}") for n in range(MOST_VALUE_LISTS)}
    with pytest.raises(ApiError, match="at most 100 lists"):
        value_lists.new_list(value_lists.new_of({"name": "more"}), HOME, existing, {}, NOW_MS)
    full = made("full", *range(MOST_LIST_VALUES))
    with pytest.raises(ApiError, match="would have 10001"):
        value_lists.with_values(full, value_lists.change_of({"values": ["one more"]}), {}, NOW_MS)
    many = {"values": ["x"] * (MOST_CHANGED_VALUES + 1)}
    with pytest.raises(ApiError, match="at most 1000 values in one request"):
        value_lists.with_values(full, value_lists.change_of(many), {}, NOW_MS)
    with pytest.raises(ApiError, match="at most 1000 values in one request"):
        value_lists.without_values(full, value_lists.change_of(many), {}, NOW_MS)
    large = made("large", *(f"{n:0250}" for n in range(4000)))
    assert len(encode("list", large)[1]) < MAX_LIST_BYTES + 1000, "one record holds it"


@pytest.mark.parametrize(
    ("rule", "param", "words"),
    [
        ({"attribute": "a", "op": "in", "value": {"list": "vip_sku"}}, "rule.value.list", "did you mean vip_skus?"),
        ({"attribute": "a", "op": "in", "value": {"list": "other"}}, "rule.value.list", "POST /v1/lists makes one"),
        ({"attribute": "a", "op": "in", "value": {"list": "VIP"}}, "rule.value.list", "as vip_skus"),
        ({"attribute": "a", "op": "in", "value": {"list": 5}}, "rule.value.list", "as vip_skus"),
        ({"attribute": "a", "op": "in", "value": {"lists": "vip_skus"}}, "rule.value.lists", "does not go with"),
        ({"attribute": "a", "op": "in", "value": {}}, "rule.value", '{"list": "vip_skus"}'),
        ({"attribute": "a", "op": "in", "value": "x"}, "rule.value", '{"list": "vip_skus"}'),
        ({"attribute": "a", "op": "in", "value": ["x"] * 501}, "rule.value", "named list"),
        ({"attribute": "a", "op": "eq", "value": {"list": "vip_skus"}}, "rule.value", "must be a string"),
        ({"not": {"identifier": "email", "op": "in", "value": {"list": "vip_skus"}}}, "rule.not.value.list", "'sku-1'"),
        (
            {
                "event": "message.opened",
                "by": "person",
                "where": [{"property": "a", "op": "exists"}, {"property": "b", "op": "in", "value": {"list": "no"}}],
            },
            "rule.where[1].value.list",
            "no list no",
        ),
        (
            {
                "sequence": [
                    {"event": "a"},
                    {"event": "b", "where": [{"property": "b", "op": "in", "value": {"list": "no"}}]},
                ]
            },
            "rule.sequence[1].where[0].value.list",
            "no list no",
        ),
        (
            {
                "absent": {"event": "a"},
                "for": "1h",
                "after": {"event": "b", "where": [{"property": "b", "op": "in", "value": {"list": "no"}}]},
            },
            "rule.after.where[0].value.list",
            "no list no",
        ),
    ],
)
def test_a_rule_with_a_wrong_list_is_refused_with_its_place_and_the_right_form(
    rule: Any, param: str, words: str
) -> None:
    lists = {"vip_skus": made("vip_skus", "sku-1").content}
    with pytest.raises(ApiError) as refused:
        rule_tree.check("seg_1", rule, {}, lists)
    assert (refused.value.status, refused.value.param) == (422, param)
    assert words in refused.value.message


def test_a_list_that_identifiers_are_compared_with_takes_such_values_alone() -> None:
    state = state_of(made("mails", "ann@example.com"), segment("seg_1", BY_MAIL))
    record, segments = state.value_lists[HOME]["mails"], state.segments[HOME]
    rule_tree.check("seg_1", BY_MAIL, {}, state.rules_and_lists(HOME)[1])
    with pytest.raises(ApiError, match="as email") as refused:
        value_lists.with_values(record, value_lists.change_of({"values": ["eve@example.com", "eve"]}), segments, NOW_MS)
    assert refused.value.param == "values[1]"


def test_a_list_in_use_is_not_deleted() -> None:
    through = segment("seg_2", {"not": {"segment": "seg_1"}})
    state = state_of(made("vip_skus"), made("idle"), segment("seg_1", BY_SKU), through)
    segments = state.segments[HOME]
    assert [user.id for user in list_users.users_of("vip_skus", segments)] == ["seg_1", "seg_2"]
    with pytest.raises(ApiError, match=r"seg_1 \(seg_1\)") as refused:
        value_lists.check_unused(state.value_lists[HOME]["vip_skus"], segments)
    assert refused.value.status == 409
    value_lists.check_unused(state.value_lists[HOME]["idle"], segments)


def test_the_users_of_all_lists_are_those_of_each() -> None:
    both = {"all": [BY_MAIL, {"segment": "seg_1"}, {"segment": "seg_gone"}]}
    segments = state_of(segment("seg_2", both), segment("seg_1", BY_SKU), segment("seg_3", BY_MAIL)).segments[HOME]
    users = list_users.users_by_list(segments)
    assert users == {name: list_users.users_of(name, segments) for name in ("vip_skus", "mails")}
    assert [user.id for user in users["mails"]] == ["seg_2", "seg_3"]


def test_a_list_belongs_to_its_environment() -> None:
    state = state_of(made("vip_skus", "theirs", home=("other", ENVIRONMENT)), made("vip_skus", home=(WORKSPACE, "x")))
    assert state.rules_and_lists(HOME)[1] == {}
    with pytest.raises(ApiError, match="no list vip_skus"):
        rule_tree.check("seg_1", BY_SKU, {}, state.rules_and_lists(HOME)[1])
    record = state.value_lists["other", ENVIRONMENT]["vip_skus"]
    state.apply(*encode("list", record.model_copy(update={"deleted": True, "values": ()})))
    assert not state.value_lists["other", ENVIRONMENT]
    assert state.value_lists[WORKSPACE, "x"]


def test_a_changed_list_is_a_changed_rule_for_the_segments_that_use_it() -> None:
    state = state_of(made("vip_skus", "a"), segment("seg_1", BY_SKU), segment("seg_2", {"identified": True}))
    through = segment("seg_3", {"segment": "seg_1"})
    state.apply(*encode("segment", through))
    compiler = Compiler(state)
    compiler.refresh()
    before, version = compiler.plans[HOME], compiler.version
    state.apply(*encode("list", made("idle", "x")))
    compiler.refresh()
    assert compiler.plans[HOME].digest == before.digest, "no segment uses it"
    record = state.value_lists[HOME]["vip_skus"]
    state.apply(
        *encode("list", value_lists.with_values(record, value_lists.change_of({"values": ["b"]}), {}, NOW_MS + 1))
    )
    compiler.refresh()
    after = compiler.plans[HOME]
    assert compiler.version > version
    assert {name for name in before.versions if before.versions[name] != after.versions[name]} == {"seg_1", "seg_3"}
    assert before.conditions.keys().isdisjoint(after.conditions), "its events are counted anew"
    changed = state.value_lists[HOME]["vip_skus"]
    state.apply(
        *encode("list", value_lists.replaced(changed, value_lists.replacement_of({"values": ["a"]}), {}, NOW_MS + 2))
    )
    compiler.refresh()
    assert compiler.plans[HOME].digest == before.digest, "what it was it is again"


def test_a_plan_holds_no_copy_of_a_list() -> None:
    long = made("vip_skus", *(f"sku-{n}" for n in range(MOST_LIST_VALUES)))
    plan = compile_plan(HOME, [segment("seg_1", BY_SKU)], lists={"vip_skus": long})
    assert len(repr(plan.versions)) < 100
    assert all(len(name) == 16 for name in plan.conditions)
    (condition,) = plan.conditions.values()
    assert condition.counts(NOW_MS, {"sku": "sku-77"}) == ()
    assert condition.counts(NOW_MS, {"sku": "sku"}) is None


def progress_of(stamp: str) -> SegmentProgress:
    fields = {"id": "seg_1.0", "segment": "seg_1", "partition": 0, "version": 1, "lists": stamp, "state": "live"}
    return SegmentProgress.model_validate({**fields, "workspace": WORKSPACE, "created_ms": NOW_MS})


def test_a_segment_is_backfilling_until_all_partitions_follow_its_lists() -> None:
    state = state_of(made("vip_skus", "a"), segment("seg_1", BY_SKU))
    current = state.segments[HOME]["seg_1"]

    def report(stamp: str) -> str:
        state.apply(*encode("progress", progress_of(stamp)))
        return state.standing(current, 1)[0]

    plan = compile_plan(HOME, [current], lists=state.value_lists[HOME])
    assert b"lists" not in encode("progress", progress_of(""))[1], "an earlier version reads it"
    assert report("") == "backfilling"
    assert report(plan.lists["seg_1"]) == "live"
    state.apply(*encode("list", made("vip_skus", "b")))
    assert state.standing(current, 1)[0] == "backfilling"


def test_the_history_read_for_a_list_is_not_counted_for_its_next_content() -> None:
    state = state_of(made("vip_skus", "a"), segment("seg_1", BY_SKU))
    compiler = Compiler(state)
    opened = Partition(Plans(compiler, Coverage()), Timers(()), None, is_new=False)
    opened.plans.refresh()

    def told() -> tuple[str, int, int]:
        plan = opened.plans.of(*HOME)
        record = progress.announce(opened, 0, state.segments[HOME]["seg_1"], "backfilling", plan)
        state.apply(record.key, record.value)
        report = state.progress[WORKSPACE, "seg_1"][0]
        return report.lists, report.done, report.total

    assert len(list(progress.counted(opened, 0, HOME, state, done=7, total=7))) == 1
    before = told()
    assert before[1:] == (7, 7)
    state.apply(*encode("list", made("vip_skus", "b")))
    opened.plans.refresh()
    assert (told()[0] != before[0], told()[1:]) == (True, (0, 0))
