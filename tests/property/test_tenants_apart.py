"""Two tenants in one pipeline: what one sends, whatever it names, changes nothing that the other has."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import topics
from schemas.records import codec
from schemas.records.identity import contact_id
from schemas.records.records import Event, Identifier
from tests.property.world_identity import IdentityWorld
from tests.property.world_segments import SegmentsWorld as Segments
from tests.property.world_segments import event as seen
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid, event

NAMES = ["external_id:1", "external_id:2", "email:a@b.c", "email:d@e.f", "anonymous_id:x", "anonymous_id:y"]
OTHERS = [{"workspace": "other"}, {"environment": "staging"}, {"workspace": "other", "environment": "staging"}]
MIX = st.lists(
    st.tuples(
        st.sampled_from(["ours", "theirs", "foreign"]),
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True),
        st.sampled_from(OTHERS),
        st.booleans(),
    ),
    min_size=1,
    max_size=25,
)


def ours(n: int, names: list[str], *, explicit: bool) -> Event:
    return event(*names, event_id=f"ours_{n}", kind="alias" if explicit else "track", received_ms=NOW_MS + n)


def theirs(n: int, names: list[str], tenant: dict[str, str], *, explicit: bool) -> Event:
    """The same names and event ids under another tenant."""
    home = (tenant.get("workspace", WORKSPACE), tenant.get("environment", ENVIRONMENT))
    kind, _, value = names[0].partition(":")
    more: dict[str, Any] = {"event_id": f"ours_{n}", "kind": "alias" if explicit else "track", **tenant}
    return event(*names, contact_id=contact_id(*home, kind, value), received_ms=NOW_MS + n, **more)


def foreign(n: int, names: list[str], tenant: dict[str, str], *, explicit: bool) -> Event:
    """An event of another tenant that names our contacts by id: what the edge refuses."""
    link = theirs(n, names, tenant, explicit=explicit)
    link["identifiers"] = [*link["identifiers"], Identifier(type="id", value=cid(names[-1]))]
    if n % 2:
        link["contact_id"] = cid(names[0])
    return link


def outcome(mix: list[Any], *, alone: bool, rng: random.Random) -> tuple[Any, Any]:
    """Whose contact each of our identifiers is, and whose our events are."""
    world = IdentityWorld()
    for n, (whose, names, tenant, explicit) in enumerate(mix):
        if whose == "ours":
            world.deliver(ours(n, names, explicit=explicit))
        elif not alone:
            make = theirs if whose == "theirs" else foreign
            world.deliver(make(n, names, tenant, explicit=explicit))
        if rng.random() < 0.3:
            world.settle()
    world.settle()
    resolved = {
        (event["event_id"], event["contact_id"])
        for (topic, _), log in world.logs.items()
        if topic == topics.RESOLVED.name
        for value in log
        for event in codec.decode_events(value)
        if (event["workspace"], event["environment"]) == (WORKSPACE, ENVIRONMENT)
    }
    return {name: world.winner(name) for name in NAMES}, resolved


@given(MIX, st.integers(0, 2**16))
@settings(max_examples=150, deadline=None)
def test_identity_makes_the_same_contacts_of_ours_whatever_others_send(mix: list[Any], seed: int) -> None:
    with_others = outcome(mix, alone=False, rng=random.Random(seed))
    assert with_others == outcome(mix, alone=True, rng=random.Random(seed))


@given(MIX)
@settings(max_examples=150, deadline=None)
def test_segments_keep_the_same_state_and_tell_the_same_of_ours(mix: list[Any]) -> None:
    """Byte for byte: rows, snapshots and memberships."""
    worlds = []
    for alone in (True, False):
        rules: dict[str, Any] = {"it": {"event": "bought", "count": {"op": "gte", "value": 2}}}
        world = Segments(**rules, pro={"attribute": "plan", "op": "exists"})
        for n, (whose, names, tenant, _) in enumerate(mix):
            kind, _, value = names[0].partition(":")
            fields: dict[str, Any] = {"attributes": {"plan": n}} if len(names) > 1 else {}
            sample = seen("bought", user=value, by=kind, event_id=f"ours_{n}", at=NOW_MS + n, **fields)
            if whose == "ours":
                world.send(sample)
            elif not alone:
                world.send({**sample, **tenant})
        rows = {key: row for some in world.store.rows.values() for key, row in some.items() if key.startswith(b"cnt_")}
        worlds.append((rows, [c for c in world.sink.changes if c["workspace"] == WORKSPACE], world.sink.members))
    assert worlds[0] == worlds[1]
