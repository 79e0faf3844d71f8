"""Segments as YAML: JSON's types alone, nothing lost, names in place of ids, in the order in which they can be made."""

import json

import pytest

from deploy.cli.segments.document import (
    MAX_BYTES,
    DocumentError,
    ListDefinition,
    SegmentDefinition,
    dump,
    lists_named,
    load,
    order,
    references,
    replaced,
)
from deploy.cli.segments.lists import list_changes
from deploy.client.config import ConfigError


def test_values_are_what_json_would_say() -> None:
    text = """
segments:
  Words:
    rule:
      all:
        - {attribute: country, op: in, value: [no, on, yes, NO, 2026-11-01, 12:30:00, 0x10, 1_000, 010, .inf, "~"]}
        - {attribute: n, op: eq, value: -1.5}
        - {attribute: n, op: in, value: [true, false, null, ~, 7, 1e3]}
"""
    rule = load(text).segments["Words"].rule
    words = ["no", "on", "yes", "NO", "2026-11-01", "12:30:00", "0x10", "1_000", "010", ".inf", "~"]
    assert rule["all"][0]["value"] == words
    assert rule["all"][1]["value"] == -1.5
    assert rule["all"][2]["value"] == [True, False, None, None, 7, 1000.0]
    json.dumps(rule, allow_nan=False)


def test_what_is_written_is_read_as_it_was() -> None:
    awkward = [
        "no",
        "2026-11-01",
        "1_000",
        "010",
        "~",
        "null",
        "",
        "a: b",
        "# x",
        "é\u2028",
        "12:30:00",
        "5",
        "=",
        "<<",
    ]
    rule = {"any": [{"attribute": "a", "op": "in", "value": [*awkward, 5, 1.5, True, None]}]}
    definitions = {
        "Größe: 1": SegmentDefinition("Größe: 1", "rule", rule),
        "no": SegmentDefinition("no", "static", None),
    }
    assert load(dump(definitions)) == (definitions, {})
    assert load(dump({})) == ({}, {})
    lists = {"l": ListDefinition("l", "why", (*awkward, 5, 1.5, True)), "empty": ListDefinition("empty", None, ())}
    assert load(dump(definitions, lists)) == (definitions, lists)


def test_lists_are_the_same_whatever_their_order() -> None:
    mine = ListDefinition("l", None, ("b", 1, "a", "a"))
    assert mine.is_met_by(ListDefinition("l", "said by others", (1, "a", "b")))
    assert not mine.is_met_by(ListDefinition("l", None, (True, "a", "b")))
    assert not ListDefinition("l", "new", ("a",)).is_met_by(ListDefinition("l", "old", ("a",)))


def test_the_lists_of_a_rule_are_found_wherever_they_stand() -> None:
    test = {"property": "p", "op": "in", "value": {"list": "two"}}
    by_event = {"event": "e", "where": [test, {"property": "list", "op": "eq", "value": "no"}]}
    rule = {"all": [{"attribute": "list", "op": "in", "value": {"list": "one"}}, {"not": by_event}]}
    assert lists_named(rule) == {"one", "two"}
    expected = {"one": ListDefinition("one", None, ("a",)), "two": ListDefinition("two", None, ())}
    there = {"two": ListDefinition("two", "", ()), "three": ListDefinition("three", "", ())}
    assert [
        (change.name, change.action, change.before) for change in list_changes(expected, there, {"one", "three"})
    ] == [("list one", "add", None)]
    with pytest.raises(ConfigError, match="no list 'four'"):
        list_changes(expected, there, {"four"})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the key segments"),
        ("segments: [a]", "below segments"),
        ("segments: {}\nsegment: {}", "the key segments"),
        ("lists: {a: {values: [1]}}", "the key segments"),
        ("segments: {}\nlists: [a]", "below lists"),
        ("segments: {}\nlists: {a: [1]}", "lists.a: a list has values"),
        ("segments: {}\nlists: {a: {values: [1, [2]]}}", "lists.a: values are"),
        ("segments: {}\nlists: {a: {values: 1}}", "lists.a: values are"),
        ("segments: {}\nlists: {a: {values: [null]}}", "lists.a: values are"),
        ("segments: {A: {rule: {}}, A: {rule: {}}}", "'A' stands there more than once"),
        ("segments: {A: {rule: {all: [], all: []}}}", "'all' stands there more than once"),
        ("segments: {5: {rule: {}}}", "5 is no name"),
        ("segments: {A: {rule: {}, name: x}}", "A: a segment has kind and rule"),
        ("segments: {A: {kind: static, rule: {}}}", "A: a static segment has no rule"),
        ("segments: {A: {}}", "A: a static segment has no rule"),
        ("segments: {A: 5}", "A: a segment has"),
        ("segments: {A: {rule: &a {}}, B: {rule: *a}}", "aliases"),
        ("segments: {A: {rule: !!python/object/apply:os.system [x]}}", "python"),
        ("segments: {A: {rule: [}}", "flow"),
        ("segments: {A: {rule: " + "[" * 5000 + "]" * 5000 + "}}", "deep"),
        ("x" * (MAX_BYTES + 1), "larger than"),
    ],
    ids=range(21),
)
def test_a_file_that_says_no_segments_is_refused(text: str, reason: str) -> None:
    with pytest.raises(DocumentError, match=reason):
        load(text)


def segment(name: str, *others: str) -> SegmentDefinition:
    return SegmentDefinition(name, "rule", {"all": [{"not": {"segment": other}} for other in others]})


def test_names_become_ids_and_ids_names() -> None:
    rule = {"all": [{"segment": "A"}, {"any": [{"not": {"segment": "seg_9"}}]}, {"attribute": "segment", "value": "A"}]}
    assert references(rule) == {"A", "seg_9"}
    there = replaced(rule, {"A": "seg_1"})
    assert there["all"][0] == {"segment": "seg_1"}
    assert there["all"][2] == {"attribute": "segment", "value": "A"}
    assert replaced(there, {"seg_1": "A"}) == rule


def test_each_comes_behind_those_that_it_names() -> None:
    definitions = {
        segment.name: segment for segment in (segment("C", "B", "There"), segment("B", "A", "seg_1"), segment("A"))
    }
    assert [definition.name for definition in order(definitions, {"There": "seg_2"})] == ["A", "B", "C"]
    with pytest.raises(DocumentError, match="there is no segment 'There'"):
        order(definitions, {})
    with pytest.raises(DocumentError, match="name each other"):
        order({segment.name: segment for segment in (segment("A", "B"), segment("B", "A"))}, {})
