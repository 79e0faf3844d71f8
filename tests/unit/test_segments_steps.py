"""Segments step by step: submit, let time pass, expect."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from schemas.records.records import Event
from tests.property.world_segments import DAY, HOUR, NOW, SegmentsWorld, event, told

MINUTE = 60_000
NIGHT_IN_BERLIN = 22 * HOUR - (20 * HOUR + 26 * MINUTE + 40_000)
"""From ``NOW``."""


@dataclass(frozen=True, slots=True)
class Step:
    """``wait`` ms, then ``send``; then Ann is in the segment or not, by these changes of it."""

    member: bool
    send: tuple[Callable[[int], Event], ...] = ()
    wait: int = 0
    changes: tuple[str, ...] | None = None


def bought(total: Any = 100, ago: int = 0, **more: Any) -> Callable[[int], Event]:
    return lambda now: event(
        "bought", at=now - ago, properties={"total": total}, event_id=f"{total}{now - ago}", **more
    )


def seen(ago: int) -> Callable[[int], Event]:
    return lambda now: event("seen", at=now - ago)


def says(ago: int = 0, **attributes: Any) -> Callable[[int], Event]:
    return lambda now: event("$identify", kind="identify", at=now - ago, attributes=attributes)


def consents(value: Any, ago: int = 0) -> Callable[[int], Event]:
    return lambda now: event("c", kind="contact", at=now - ago, consents={"email": value})


THRICE = {"event": "bought", "count": {"op": "gte", "value": 3}, "within": "1h"}
BIG = {"event": "bought", "where": [{"property": "total", "op": "gte", "value": 100}]}

TABLES: dict[str, tuple[Any, list[Step]]] = {
    "ever": (
        {"event": "bought"},
        [
            Step(False, (lambda now: event("seen", at=now),)),
            Step(True, (bought(),), changes=("+event",)),
            Step(True, wait=1000 * DAY, changes=()),
        ],
    ),
    "only tracks count": (
        {"event": "bought"},
        [Step(False, (bought(kind="identify"),)), Step(True, (bought(kind="track"),))],
    ),
    "window ends one ms after its last ms": (
        {"event": "bought", "within": "10m"},
        [
            Step(True, (bought(),), changes=("+event",)),
            Step(True, wait=10 * MINUTE, changes=()),
            Step(False, wait=1, changes=("-time",)),
            Step(True, (bought(),), wait=5, changes=("+event",)),
        ],
    ),
    "a newer event prolongs, a late one opens the window again": (
        {"event": "bought", "within": "10m"},
        [
            Step(True, (bought(),)),
            Step(True, (bought(),), wait=9 * MINUTE, changes=()),
            Step(True, wait=10 * MINUTE, changes=()),
            Step(False, wait=1, changes=("-time",)),
            Step(True, (bought(1, ago=4 * MINUTE),), wait=MINUTE, changes=("+event",)),
            Step(True, wait=6 * MINUTE, changes=()),
            Step(False, wait=1, changes=("-time",)),
            Step(False, (bought(2, ago=11 * MINUTE),), changes=()),
        ],
    ),
    "three of them": (
        THRICE,
        [
            Step(False, (bought(1), bought(2))),
            Step(True, (bought(3),), wait=30 * MINUTE, changes=("+event",)),
            Step(False, wait=30 * MINUTE + 1, changes=("-time",)),
            Step(True, (bought(4), bought(5)), changes=("+event",)),
        ],
    ),
    "the same event again counts once": (
        THRICE,
        [
            Step(False, (bought(1), bought(2))),
            Step(False, (lambda now: event("bought", at=now, event_id=f"1{now}", properties={"total": 1}),)),
        ],
    ),
    "fewer than three: out by an event, in by time": (
        {"event": "bought", "count": {"op": "lt", "value": 3}, "within": "1h"},
        [
            Step(True, (bought(1), bought(2)), changes=("+event",)),
            Step(False, (bought(3),), changes=("-event",)),
            Step(True, wait=HOUR + 1, changes=("+time",)),
        ],
    ),
    "exactly one: out by a second, in again when the first is gone": (
        {"event": "bought", "count": {"op": "eq", "value": 1}, "within": "1h"},
        [
            Step(True, (bought(1),)),
            Step(False, (bought(2),), wait=MINUTE, changes=("-event",)),
            Step(True, wait=59 * MINUTE + 1, changes=("+time",)),
            Step(False, wait=MINUTE, changes=("-time",)),
        ],
    ),
    "between includes its start, not its end": (
        {"event": "bought", "between": ["2026-05-28T20:00:00Z", "2026-05-28T20:26:41Z"]},
        [
            Step(False, (bought(1, ago=NOW - 1_779_998_400_000 + 1),)),
            Step(True, (bought(2, ago=NOW - 1_779_998_400_000),)),
            Step(True, wait=30 * DAY, changes=()),
        ],
    ),
    "between, at its end": (
        {"event": "bought", "between": ["2026-05-28T20:00:00Z", "2026-05-28T20:26:40Z"]},
        [Step(False, (bought(),)), Step(True, (bought(2, ago=1),))],
    ),
    "where": (
        BIG,
        [
            Step(False, (bought(99), bought("99"), bought(None), bought([100]))),
            Step(True, (bought("100"),)),
        ],
    ),
    "the future waits for its time": (
        {"event": "bought", "within": "10m"},
        [
            Step(False, (bought(ago=-MINUTE),), changes=()),
            Step(False, wait=MINUTE - 1, changes=()),
            Step(True, wait=1, changes=("+time",)),
            Step(False, wait=10 * MINUTE + 1, changes=("-time",)),
        ],
    ),
    "a future event pushes no present one out": (
        {"event": "bought", "within": "1h"},
        [Step(True, (bought(1),)), Step(True, (bought(2, ago=-30 * MINUTE),)), Step(True, wait=HOUR + 1, changes=())],
    ),
    "an attribute that is set, changed and deleted": (
        {"attribute": "plan", "op": "eq", "value": "pro"},
        [
            Step(True, (says(plan="pro"),), changes=("+event",)),
            Step(False, (says(plan="free"),), wait=1, changes=("-event",)),
            Step(False, (says(ago=1000, plan="pro"),), wait=1, changes=()),
            Step(True, (says(plan="pro"),), wait=1, changes=("+event",)),
            Step(False, (says(plan=None),), wait=1, changes=("-event",)),
        ],
    ),
    "a deleted attribute is missing": (
        {"attribute": "plan", "op": "not_exists"},
        [
            Step(True, (lambda now: event("seen", at=now),), changes=("+event",)),
            Step(False, (says(plan="pro"),), wait=1),
            Step(True, (says(plan=None),), wait=1),
        ],
    ),
    "a part of an attribute": (
        {"attribute": "address.city", "op": "eq", "value": "Rome"},
        [Step(False, (says(address="Rome"),)), Step(True, (says(address={"city": "Rome"}),), wait=1)],
    ),
    "an attribute grows old": (
        {"attribute": "signed_up", "op": "before", "value": "now-30d"},
        [
            Step(False, (says(signed_up=NOW),)),
            Step(False, wait=30 * DAY, changes=()),
            Step(True, wait=1, changes=("+time",)),
        ],
    ),
    "an attribute stays young for a while": (
        {"attribute": "signed_up", "op": "after", "value": "now-30d"},
        [
            Step(True, (says(signed_up="2026-05-28T20:26:40Z"),), changes=("+event",)),
            Step(True, wait=30 * DAY - 1, changes=()),
            Step(False, wait=1, changes=("-time",)),
        ],
    ),
    "an attribute comes near": (
        {"attribute": "renewal", "op": "before", "value": "now+7d"},
        [Step(False, (says(renewal=NOW + 10 * DAY),)), Step(True, wait=3 * DAY + 1, changes=("+time",))],
    ),
    "a birthday begins and ends at midnight where the contact lives": (
        {"attribute": "born", "op": "anniversary", "tz": {"attribute": "zone", "default": "Europe/Berlin"}},
        [
            Step(False, (says(born="1990-05-29"),)),
            Step(True, wait=NIGHT_IN_BERLIN, changes=("+time",)),
            Step(False, (says(zone="America/New_York"),), changes=("-event",)),
            Step(False, wait=6 * HOUR - 1, changes=()),
            Step(True, wait=1, changes=("+time",)),
            Step(False, wait=DAY, changes=("-time",)),
            Step(True, wait=364 * DAY, changes=("+time",)),
            Step(False, (says(born="unknown"),), changes=("-event",)),
        ],
    ),
    "a birthday in three days": (
        {"attribute": "born", "op": "anniversary", "value": 3},
        [
            Step(True, (says(born="1990-05-31T23:59:00+05:00"),), changes=("+event",)),
            Step(False, wait=DAY, changes=("-time",)),
        ],
    ),
    "an abandoned cart is forgotten": (
        {"absent": {"event": "bought"}, "after": {"event": "seen"}, "for": "2h", "within": "1d"},
        [
            Step(False, (lambda now: event("seen", at=now),)),
            Step(False, wait=2 * HOUR - 1, changes=()),
            Step(True, wait=1, changes=("+time",)),
            Step(True, wait=22 * HOUR, changes=()),
            Step(False, wait=1, changes=("-time",)),
            Step(False, wait=100 * DAY, changes=()),
        ],
    ),
    "three looks in an hour, then no order": (
        {
            "absent": {"event": "bought"},
            "after": {"event": "seen", "count": {"op": "gte", "value": 3}, "within": "1h"},
            "for": "2h",
        },
        [
            Step(False, tuple(map(seen, (2 * HOUR, HOUR, 0)))),
            Step(False, wait=3 * HOUR, changes=()),
            Step(False, tuple(map(seen, (HOUR - 1, 5, 0)))),
            Step(True, wait=2 * HOUR, changes=("+time",)),
        ],
    ),
    "two orders after a look": (
        {"sequence": [{"event": "seen"}, {"event": "bought", "count": {"op": "gte", "value": 2}, "within": "1h"}]},
        [
            Step(False, (bought(1, ago=2), lambda now: event("seen", at=now - 1), bought(2))),
            Step(False, (bought(3),), wait=HOUR, changes=()),
            Step(True, (lambda now: event("seen", at=now - HOUR + 2), bought(4)), changes=("+event",)),
        ],
    ),
    "only a person's open": (
        {"event": "message.opened", "by": "person"},
        [
            Step(False, (lambda now: event("message.opened", at=now, properties={"user_agent": "Mozilla/5.0"}),)),
            Step(False, (lambda now: event("message.opened", at=now - 1, properties={"machine_open": True}),)),
            Step(True, (lambda now: event("message.opened", at=now - 2, properties={"user_agent": "Thunderbird"}),)),
        ],
    ),
    "consent has to be said": (
        {"consent": "email", "value": False},
        [
            Step(False, (lambda now: event("seen", at=now),)),
            Step(True, (consents(False),)),
            Step(False, (consents(True),), wait=1),
            Step(False, (consents(False, ago=1000),), wait=1),
            Step(True, (consents(False),), wait=1),
            Step(False, (consents(None),), wait=1),
        ],
    ),
    "both": (
        {"all": [{"attribute": "plan", "op": "eq", "value": "pro"}, {"event": "bought", "within": "1h"}]},
        [
            Step(False, (bought(),)),
            Step(True, (says(plan="pro"),), wait=30 * MINUTE, changes=("+event",)),
            Step(False, wait=30 * MINUTE + 1, changes=("-time",)),
        ],
    ),
    "either": (
        {"any": [{"attribute": "plan", "op": "eq", "value": "pro"}, {"event": "bought", "within": "1h"}]},
        [
            Step(True, (bought(), says(plan="pro"))),
            Step(True, wait=2 * HOUR, changes=()),
            Step(False, (says(plan="free"),), changes=("-event",)),
        ],
    ),
    "not: who has been silent": (
        {"all": [{"event": "bought"}, {"not": {"event": "bought", "within": "1h"}}]},
        [
            Step(False, (bought(),)),
            Step(True, wait=HOUR + 1, changes=("+time",)),
            Step(False, (bought(),), wait=5, changes=("-event",)),
        ],
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_steps(name: str) -> None:
    rule, steps = TABLES[name]
    world = SegmentsWorld(it=rule)
    for number, step in enumerate(steps):
        before = len(world.sink.changes)
        world.pass_time(step.wait)
        world.send(*(make(world.now) for make in step.send))
        where = f"step {number}"
        assert ("it" in world.segments_of()) is step.member, where
        if step.changes is not None:
            seen = told(world.sink.changes[before:])
            assert tuple(f"{'+' if member else '-'}{reason}" for _, member, reason in seen) == step.changes, where
