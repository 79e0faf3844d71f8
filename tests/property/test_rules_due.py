"""Laws of a verdict's due time: until then nothing changes by itself, and to ask then is to have missed nothing."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records.records import Event
from schemas.rules import parse, rule_tree
from schemas.rules.evaluate import compile_rule
from schemas.rules.explain import explain_rule
from schemas.rules.facts import ContactFacts, EventFact, counts_of
from schemas.rules.nodes import ListValues, Rule
from schemas.times import LATEST_MS
from tests.property.oracle_segments import LISTS, is_member, last
from tests.property.strategies_segments import events, rules
from tests.property.world_segments import HOUR, NOW

START = NOW - 4 * HOUR
END = NOW + 3 * HOUR
sent = st.lists(events(), max_size=12, unique_by=lambda e: e["event_id"])


VALUES = {name: ListValues(name=name, digest=name, values=values) for name, values in LISTS.items()}


def whole(written: dict[str, Any]) -> Rule:
    return rule_tree.expand(parse.parse(written), lambda _: None, (), VALUES)


def known(tree: Any, happened: list[Event], now: int) -> ContactFacts:
    """As of ``now``, what is still to come included."""
    seen = [
        EventFact(
            time_ms=e["timestamp_ms"],
            event_id=e["event_id"],
            type=e["type"],
            properties=orjson.loads(e["properties"]),
        )
        for e in happened
    ]
    attributes = {name: last(happened, "set", name) for name in ("plan", "since", "zone")}
    consent = last(happened, "consents", "email")
    return ContactFacts(
        attributes={name: [value, 0, ""] for name, value in attributes.items() if value is not None},
        consents={} if consent is None else {"email": [consent, 0, ""]},
        counts=counts_of(tree, seen, now),
        identifiers={"external_id": {"ann"}} if happened else {},
        is_identified=True,
    )


@settings(max_examples=300)
@given(rules, sent, st.lists(st.integers(START, END), min_size=5, max_size=20))
def test_no_moment_between_two_due_times_is_missed(
    written: dict[str, Any], happened: list[Event], moments: list[int]
) -> None:
    """Events that are still to come are known from the start: each counts when its time comes."""
    tree = whole(written)
    evaluate = compile_rule(tree)
    contact = known(tree, happened, START)
    verdicts = [(START, *evaluate(contact, START))]
    while (due := verdicts[-1][2]) < END:
        assert due > verdicts[-1][0]
        verdicts.append((due, *evaluate(contact, due)))
    edges = [moment for at, _, _ in verdicts for moment in (at - 1, at, at + 1)]
    times = [e["timestamp_ms"] + d for e in happened for d in (-1, 0, 1, 600_000, 600_001, HOUR, HOUR + 1)]
    for moment in sorted({*moments, *edges, *times}):
        if START <= moment <= END:
            held = next(held for at, held, _ in reversed(verdicts) if at <= moment)
            assert held == is_member(written, happened, moment, is_known=True), moment


@given(rules, sent, st.integers(START, END))
def test_an_explanation_agrees_with_the_verdict(written: dict[str, Any], happened: list[Event], now: int) -> None:
    tree = whole(written)
    contact = known(tree, happened, now)
    explained = explain_rule(tree, contact, now)
    assert explained.member == is_member(written, happened, now, is_known=True)
    assert [leaf.path for leaf in explained.leaves] == [at for at, _ in rule_tree.leaves(tree)]
    for (_, leaf), leaf_explained in zip(rule_tree.leaves(tree), explained.leaves, strict=True):
        assert leaf_explained.met == compile_rule(leaf)(contact, now)[0]
        assert set(leaf_explained.events) <= {"", *(e["event_id"] for e in happened)}
    if explained.changes_ms is None:
        assert compile_rule(tree)(contact, LATEST_MS)[0] == explained.member
    else:
        assert explained.changes_ms > now
        assert is_member(written, happened, explained.changes_ms, is_known=True) != explained.member
        assert is_member(written, happened, explained.changes_ms - 1, is_known=True) == explained.member
