"""What is said of a contact and a rule: the value of each leaf, its threshold, the events that counted, until when."""

from typing import Any

import pytest

from processors.membership.contact_state import Contact
from schemas.rules import parse, rule_tree
from schemas.rules.explain import MOST_TOLD, Explanation, explain_rule
from schemas.rules.windows import MOST_EVENTS
from sinks.read_api.contacts import explain
from tests.property.world_segments import HOUR, NOW, SegmentsWorld, event

MINUTE = 60_000


def told(written: Any, *sent: Any, others: dict[str, Any] | None = None, wait: int = 0) -> Explanation:
    """Of Ann, after these events and so much time."""
    world = SegmentsWorld(it=written, **(others or {}))
    world.send(*sent)
    world.pass_time(wait)
    contact: Contact = world.contact()
    rules = {name: parse.parse(value) for name, value in (others or {}).items()}
    explained = explain_rule(rule_tree.expand(parse.parse(written), rules.get), contact, world.now)
    assert explained.member == ("it" in world.segments_of())
    return explained


def bought(ago: int, total: Any = 100) -> Any:
    return event("bought", at=NOW - ago * MINUTE, event_id=f"b{ago}", properties={"total": total})


def seen(ago: int) -> Any:
    return event("seen", at=NOW - ago * MINUTE, event_id=f"s{ago}")


@pytest.mark.parametrize(
    ("written", "expected", "changes"),
    [
        ({"event": "bought", "count": {"op": "gte", "value": 2}, "within": "1h"}, (True, 2, 2, ("b30", "b10")), 30),
        ({"event": "bought", "count": {"op": "gte", "value": 3}, "within": "1h"}, (False, 2, 3, ("b30", "b10")), None),
        (
            {"event": "bought", "sum": {"property": "total", "op": "gt", "value": 100}, "within": "1h"},
            (True, 100.3, 100, ("b30", "b10")),
            30,
        ),
        (
            {"event": "bought", "max": {"property": "total", "op": "lt", "value": 1}},
            (False, 100.1, 1, ("b30", "b10")),
            None,
        ),
        ({"event": "none", "min": {"property": "total", "op": "ne", "value": 1}}, (True, None, 1, ()), None),
        ({"sequence": [{"event": "bought"}, {"event": "seen", "within": "10m"}]}, (True, 2, 2, ("b30", "s25")), None),
        ({"sequence": [{"event": "seen"}, {"event": "bought", "within": "10m"}]}, (False, 1, 2, ("s25",)), None),
        ({"absent": {"event": "seen"}, "after": {"event": "bought"}, "for": "15m"}, (False, 600, 900, ("b10",)), 5),
        (
            {"absent": {"event": "x"}, "after": {"event": "bought"}, "for": "15m"},
            (True, 1800, 900, ("b30", "b10")),
            None,
        ),
        ({"attribute": "address.city", "op": "eq", "value": "Oslo"}, (True, "Oslo", "Oslo", ("who",)), None),
        ({"attribute": "address.zip", "op": "not_in", "value": [1, 2]}, (True, None, [1, 2], ("who",)), None),
        ({"consent": "email"}, (False, None, True, ()), None),
        ({"identified": False}, (False, True, False, ()), None),
        ({"segment": "other"}, (True, True, True, ()), 35),
    ],
)
def test_each_form(written: Any, expected: tuple[Any, ...], changes: int | None) -> None:
    """Whether it is met, its value, threshold and events; and in how many minutes the whole changes."""
    who = event("who", kind="identify", at=NOW, event_id="who", attributes={"address": {"city": "Oslo"}})
    explained = told(
        written,
        bought(30, "100.1"),
        seen(25),
        bought(10, 0.2),
        who,
        others={"other": {"event": "seen", "within": "1h"}},
    )
    (leaf,) = explained.leaves
    assert (leaf.met, leaf.value, leaf.threshold, leaf.events) == expected
    assert leaf.path == "rule"
    if changes is None:
        assert explained.changes_ms is None
    else:
        assert explained.changes_ms is not None
        assert 0 <= explained.changes_ms - NOW - changes * MINUTE <= 1


def test_what_matters_of_several_parts_is_when_the_whole_changes() -> None:
    any_of = {"any": [{"event": "bought", "within": "1h"}, {"not": {"event": "seen", "within": "2h"}}]}
    explained = told(any_of, bought(30), seen(0))
    assert [leaf.path for leaf in explained.leaves] == ["rule.any[0]", "rule.any[1].not"]
    assert (explained.member, explained.changes_ms) == (True, NOW + HOUR // 2 + 1)
    shape = explain.shape(explained, NOW, 3)
    assert (shape["since"], shape["version"], shape["changes_at"]) == (
        "2026-05-28T20:26:40.000Z",
        3,
        "2026-05-28T20:56:40.001Z",
    )


def test_a_list_of_events_is_cut_and_says_so() -> None:
    sent = [event("bought", at=NOW - n, event_id=f"e{n}", properties={"total": 1}) for n in range(MOST_EVENTS + 5)]
    (leaf,) = told({"event": "bought", "sum": {"property": "total", "op": "gte", "value": 1}}, *sent).leaves
    assert (leaf.value, leaf.truncated, len(leaf.events)) == (MOST_EVENTS, True, MOST_TOLD)
    assert leaf.events[-1] == "e0"
